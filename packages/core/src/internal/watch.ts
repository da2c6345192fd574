import type * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"

/** What users of a watch need of it. */
export type Timers = Pick<Watch, "now" | "at" | "after">

/**
 * One sleeping fiber for all time limits of a store's users: arming a later
 * limit costs no timer.
 */
export class Watch {
  private readonly entries = new Set<{ readonly at: number; readonly fire: () => void }>()
  private sleeper: Fiber.Fiber<void> | undefined
  private armed = Infinity
  private closed = false
  private millis = 0
  private instant: DateTime.Utc | undefined
  readonly clock: Clock.Clock
  private readonly context: Context.Context<never>

  constructor(clock: Clock.Clock, context: Context.Context<never>) {
    this.clock = clock
    this.context = context
  }

  /** Monotonic milliseconds. */
  now(): number {
    return Number(this.clock.monotonicTimeNanosUnsafe()) / 1e6
  }

  /** The wall clock. Steps that end at once share one instant: making it costs as much as running them. */
  at(): DateTime.Utc {
    const millis = this.clock.currentTimeMillisUnsafe()
    if (millis !== this.millis || this.instant === undefined) {
      this.millis = millis
      this.instant = DateTime.makeUnsafe(millis)
    }
    return this.instant
  }

  /** Calls `fire` after so many milliseconds unless the returned function is called first. */
  after(millis: number, fire: () => void): () => void {
    if (millis === Infinity || this.closed) return () => {}
    const entry = { at: this.now() + millis, fire }
    this.entries.add(entry)
    if (entry.at < this.armed) this.arm(entry.at)
    return () => {
      this.entries.delete(entry)
    }
  }

  /** The same for one of them, whose limits end with it. */
  part(): WatchPart {
    return new WatchPart(this)
  }

  close(): void {
    this.closed = true
    this.entries.clear()
    this.sleeper?.interruptUnsafe()
    this.sleeper = undefined
  }

  private arm(at: number): void {
    if (this.closed) return // `fire` may have ended the pass
    this.sleeper?.interruptUnsafe()
    this.armed = at
    const sleep = Effect.sleep(Math.max(1, Math.ceil(at - this.now())))
    this.sleeper = Effect.runForkWith(this.context)(Effect.andThen(sleep, Effect.sync(() => this.wake())))
  }

  private wake(): void {
    this.sleeper = undefined
    this.armed = Infinity
    const now = this.now()
    try {
      for (const entry of [...this.entries]) {
        if (entry.at <= now && this.entries.delete(entry)) entry.fire()
      }
    } finally { // one that throws, of one pass, must not take the limits of all others with it
      let next = Infinity
      for (const entry of this.entries) next = Math.min(next, entry.at)
      if (next < this.armed) this.arm(next)
    }
  }
}

/** The time limits of one pass. */
export class WatchPart implements Timers {
  private readonly limits = new Set<() => void>()
  private closed = false
  private readonly whole: Watch

  constructor(whole: Watch) {
    this.whole = whole
  }

  now(): number {
    return this.whole.now()
  }

  at(): DateTime.Utc {
    return this.whole.at()
  }

  after(millis: number, fire: () => void): () => void {
    if (this.closed) return () => {}
    const cancel = this.whole.after(millis, () => {
      this.limits.delete(cancel)
      fire()
    })
    this.limits.add(cancel)
    return () => {
      this.limits.delete(cancel)
      cancel()
    }
  }

  close(): void {
    this.closed = true
    for (const cancel of this.limits) cancel()
    this.limits.clear()
  }
}
