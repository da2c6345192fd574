import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { Timers } from "./watch.ts"

/**
 * An effect on a fiber of its own that can be stopped without waiting for it:
 * it is interrupted for real, and when it has not ended `graceMillis` later it
 * is left behind. `Effect.timeout` would wait for it.
 *
 * `onEnd` is called once, with the exit, or with `undefined` when the effect
 * was left behind.
 */
export class Launch<A, E> {
  stopped = false
  ended = false
  private fiber: Fiber.Fiber<A, E> | undefined
  private giveUp: (() => void) | undefined
  private readonly watch: Timers
  private readonly graceMillis: number
  private readonly onEnd: (exit: Exit.Exit<A, E> | undefined) => void

  constructor(watch: Timers, graceMillis: number, onEnd: (exit: Exit.Exit<A, E> | undefined) => void) {
    this.watch = watch
    this.graceMillis = graceMillis
    this.onEnd = onEnd
  }

  start(context: Context.Context<never>, effect: Effect.Effect<A, E>): void {
    this.adopt(Effect.runForkWith(context)(effect))
  }

  /** Takes over an effect that runs already. */
  adopt(fiber: Fiber.Fiber<A, E>): void {
    const exit = fiber.pollUnsafe()
    if (exit !== undefined) return this.end(exit)
    this.fiber = fiber
    fiber.addObserver((exit) => this.end(exit))
    if (this.stopped) this.interrupt() // stopped by what the effect itself did while it started
  }

  stop(): void {
    if (this.ended || this.stopped) return
    this.stopped = true
    this.interrupt()
  }

  private interrupt(): void {
    if (this.fiber === undefined) return
    this.fiber.interruptUnsafe() // runs the observer before it returns when the effect stops at once
    if (!this.ended) this.giveUp = this.watch.after(this.graceMillis, () => this.end(undefined))
  }

  private end(exit: Exit.Exit<A, E> | undefined): void {
    if (this.ended) return
    this.ended = true
    this.giveUp?.()
    this.onEnd(exit)
  }
}

/** The limit of an effect: what it fails with when it takes longer, `stillRunning` when it was left behind. */
export interface Limit<E> {
  readonly watch: Timers
  readonly millis: number
  readonly graceMillis: number
  readonly onLimit: (stillRunning: boolean) => E
}

/** Starts an effect under a limit, on a fiber of its own. An effect that ends at once costs no timer. */
export const launch = <A, E, E2>(
  context: Context.Context<never>,
  effect: Effect.Effect<A, E>,
  { graceMillis, millis, onLimit, watch }: Limit<E2>,
  onEnd: (exit: Exit.Exit<A, E | E2>) => void
): Launch<A, E> => {
  let disarm: (() => void) | undefined
  const launched = new Launch<A, E>(watch, graceMillis, (exit) => {
    disarm?.()
    onEnd(exit === undefined || launched.stopped ? Exit.fail(onLimit(exit === undefined)) : exit)
  })
  launched.start(context, effect)
  if (!launched.ended) disarm = watch.after(millis, () => launched.stop())
  return launched
}

/**
 * Runs an effect under a limit, as part of the calling fiber. It is started inside the callback: a caller that is
 * interrupted while it starts would otherwise never come to what stops it.
 */
export const limit = <A, E, E2>(effect: Effect.Effect<A, E>, limit: Limit<E2>): Effect.Effect<A, E | E2> =>
  Effect.withFiber<A, E | E2>((parent) =>
    Effect.callback<A, E | E2>((resume) => {
      let onEnd: (exit: Exit.Exit<A, E | E2>) => void = resume
      const launched = launch(parent.context, effect, limit, (exit) => onEnd(exit))
      if (launched.ended) return
      return Effect.callback<void>((stopped) => { // the caller itself is interrupted
        onEnd = () => stopped(Effect.void)
        if (launched.ended) stopped(Effect.void)
        else launched.stop()
      })
    })
  )
