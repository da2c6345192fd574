/** The calls that an agent makes on its context: effects behind promises, which nobody need wait for. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { Abort } from "./abort.ts"
import { invoke, stopped } from "./invoke.ts"
import { raise, type Raised } from "./raise.ts"
import { valueOf } from "./translate.ts"

const ignore = (): void => {}

interface Stoppable<A> {
  readonly fiber: Fiber.Fiber<A, unknown>
  readonly stop: () => void
}

export class Calls {
  private readonly pending = new Set<Promise<unknown>>()
  private readonly tools = new Set<Stoppable<unknown>>()
  /** What failed after the agent had ended: nobody waited for it. */
  readonly unheard: Array<Raised> = []
  private ended = false
  private readonly context: Context.Context<never>
  private readonly abort: Abort

  constructor(context: Context.Context<never>, abort: Abort) {
    this.context = context
    this.abort = abort
  }

  /** Calls with what was given, once that is checked; what is wrong rejects. */
  given<A, B>(check: () => A, call: (given: A) => Promise<B>): Promise<B> {
    try {
      return call(check())
    } catch (error) {
      return this.run(Effect.fail(error))
    }
  }

  /** Runs an effect of the context. */
  run<A>(effect: Effect.Effect<A, unknown>): Promise<A> {
    return this.mark(this.heard(Effect.runForkWith(this.context)(effect)))
  }

  /** Runs what has to stop when the attempt does. */
  stoppable<A>(effect: Effect.Effect<A, unknown>): Promise<A> {
    return this.until(() => {
      const fiber = Effect.runForkWith(this.context)(effect)
      return { fiber, stop: () => fiber.interruptUnsafe() }
    })
  }

  /**
   * Runs a call of a tool. Told to stop by its signal, it ends by itself, and when it ends well that is recorded; what it
   * throws by then is its interruption. Nobody waits for one that had not started.
   */
  tool<A>(
    record: (body: Effect.Effect<A, Raised>) => Effect.Effect<A, unknown>,
    execute: (signal: AbortSignal) => A | PromiseLike<A>
  ): Promise<A> {
    return this.until((refuse) => {
      const own = new Abort()
      let isStarted = false
      const body = Effect.suspend(() => {
        if (own.aborted) return Effect.interrupt
        isStarted = true
        const ran = invoke(() => execute(own.signal), own, undefined)
        const ended = Effect.catch(ran, (error) => (own.aborted ? Effect.interrupt : Effect.fail(error)))
        return ended as Effect.Effect<A, Raised> // what `execute` resolved to
      })
      const fiber = Effect.runForkWith(this.context)(Effect.uninterruptible(record(body)))
      const stop = () => {
        own.abort(stopped)
        fiber.interruptUnsafe() // of the wait until the record is stored
        if (!isStarted) refuse()
      }
      return { fiber, stop }
    })
  }

  private until<A>(start: (refuse: () => void) => Stoppable<A>): Promise<A> {
    if (this.abort.aborted) return this.mark(Promise.reject<A>(this.abort.signal.reason))
    let refuse = ignore
    const refused = new Promise<never>((_, reject) => {
      refuse = () => reject(this.abort.aborted ? this.abort.signal.reason : new DOMException(stopped, "AbortError"))
    })
    const running = start(() => refuse())
    this.tools.add(running)
    running.fiber.addObserver(() => this.tools.delete(running))
    return this.mark(Promise.race([this.heard(running.fiber, true), refused]))
  }

  /** Tells what runs to stop: the record of what does not end well says that its outcome is unknown. */
  stop(): void {
    for (const { stop } of [...this.tools]) stop()
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

  private heard<A>(fiber: Fiber.Fiber<A, unknown>, stoppable = false): Promise<A> {
    return new Promise<A>((resolve, reject) => {
      fiber.addObserver((exit) => {
        try {
          resolve(valueOf(exit, stoppable ? this.abort.signal : undefined))
        } catch (error) {
          if (this.ended && !this.abort.aborted) this.unheard.push(raise(error))
          reject(error)
        }
      })
    })
  }

  /** A promise that nobody waits for must not end the process when it is rejected. */
  private mark<A>(promise: Promise<A>): Promise<A> {
    this.pending.add(promise)
    promise.catch(ignore).finally(() => this.pending.delete(promise)).catch(ignore)
    return promise
  }
}
