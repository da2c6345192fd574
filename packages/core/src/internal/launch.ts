import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { Watch } from "./watch.ts"

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
  private readonly watch: Watch
  private readonly graceMillis: number
  private readonly onEnd: (exit: Exit.Exit<A, E> | undefined) => void

  constructor(watch: Watch, graceMillis: number, onEnd: (exit: Exit.Exit<A, E> | undefined) => void) {
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

/** Runs an effect under a limit, as part of the calling fiber. */
export const limit = <A, E, E2>(
  watch: Watch,
  effect: Effect.Effect<A, E>,
  millis: number,
  graceMillis: number,
  onLimit: (stillRunning: boolean) => E2
): Effect.Effect<A, E | E2> =>
  Effect.withFiber<A, E | E2>((parent) => {
    const child = Effect.runForkWith(parent.context)(effect)
    const exit = child.pollUnsafe()
    if (exit !== undefined) return exit // nothing to limit: no timer, no callback
    return Effect.callback<A, E | E2>((done) => {
      let resume = done
      let disarm = (): void => {}
      const launch = new Launch<A, E>(watch, graceMillis, (exit) => {
        disarm()
        resume(exit === undefined || launch.stopped ? Effect.fail(onLimit(exit === undefined)) : exit)
      })
      launch.adopt(child)
      if (!launch.ended) disarm = watch.after(millis, () => launch.stop())
      return Effect.callback<void>((stopped) => { // the caller itself is interrupted
        resume = () => stopped(Effect.void)
        disarm()
        if (launch.ended) stopped(Effect.void)
        else launch.stop()
      })
    })
  })
