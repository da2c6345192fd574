/** The calls that an agent makes on its context: effects behind promises, which nobody need wait for. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { Abort } from "./abort.ts"
import { raise, type Raised } from "./raise.ts"
import { valueOf } from "./translate.ts"

const ignore = (): void => {}

export class Calls {
  private readonly pending = new Set<Promise<unknown>>()
  private readonly tools = new Set<Fiber.Fiber<unknown, unknown>>()
  /** What failed after the agent had ended: nobody waited for it. */
  readonly unheard: Array<Raised> = []
  private ended = false
  private readonly context: Context.Context<never>
  private readonly abort: Abort

  constructor(context: Context.Context<never>, abort: Abort) {
    this.context = context
    this.abort = abort
  }

  /** Runs an effect of the context. */
  run<A>(effect: Effect.Effect<A, unknown>): Promise<A> {
    return this.track(Effect.runForkWith(this.context)(effect))
  }

  /** Runs what has to stop when the attempt does. */
  tool<A>(effect: Effect.Effect<A, unknown>): Promise<A> {
    if (this.abort.aborted) return this.mark(Promise.reject<A>(this.abort.signal.reason))
    const fiber = Effect.runForkWith(this.context)(effect)
    this.tools.add(fiber)
    fiber.addObserver(() => this.tools.delete(fiber))
    return this.track(fiber, true)
  }

  /** Interrupts the tools: their records say that their outcome is unknown. */
  stop(): void {
    for (const fiber of [...this.tools]) fiber.interruptUnsafe()
  }

  /** Waits until nothing is pending any more. */
  readonly over: Effect.Effect<void> = Effect.suspend(() => {
    this.ended = true
    return this.settled()
  })

  private settled(): Effect.Effect<void> {
    return this.pending.size === 0
      ? Effect.void
      : Effect.flatMap(Effect.promise(() => Promise.allSettled(this.pending)), () => this.settled())
  }

  private track<A>(fiber: Fiber.Fiber<A, unknown>, stoppable = false): Promise<A> {
    const promise = new Promise<A>((resolve, reject) => {
      fiber.addObserver((exit) => {
        try {
          resolve(valueOf(exit, stoppable ? this.abort.signal : undefined))
        } catch (error) {
          if (this.ended && !this.abort.aborted) this.unheard.push(raise(error))
          reject(error)
        }
      })
    })
    return this.mark(promise)
  }

  /** A promise that nobody waits for must not end the process when it is rejected. */
  private mark<A>(promise: Promise<A>): Promise<A> {
    this.pending.add(promise)
    promise.catch(ignore).finally(() => this.pending.delete(promise)).catch(ignore)
    return promise
  }
}
