import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

/** How long the watching fiber may outlive the last operation, at least. */
const linger = 100

interface Entry {
  readonly from: number
  readonly fire: () => void
}

/**
 * The same time limit for many operations, by the clock of an Effect, from one
 * fiber that looks after all of them: one for each would cost more than a script.
 *
 * That fiber is not stopped when the last operation ends: it would be made
 * again at the next. It looks again soon, so that nobody waits for it to exit.
 */
export class TimeLimit {
  /** In the order in which their time is up, since all have the same. */
  private readonly waiting = new Set<Entry>()
  private watching = false
  readonly clock: Clock.Clock
  private readonly millis: number

  constructor(clock: Clock.Clock, millis: number) {
    this.clock = clock
    this.millis = millis
  }

  /** Calls `fire` when the time is up, unless the returned function is called first. */
  start(fire: () => void): () => void {
    const entry = { from: this.now(), fire }
    this.waiting.add(entry)
    if (!this.watching) this.watch(entry.from)
    return () => {
      this.waiting.delete(entry)
    }
  }

  private now(): number {
    return Number(this.clock.monotonicTimeNanosUnsafe()) / 1e6
  }

  /** Sleeps until the time of the oldest is up, or no longer than that one has waited: it may be gone by then. */
  private watch(now: number): void {
    const [oldest] = this.waiting
    this.watching = oldest !== undefined
    if (oldest === undefined) return
    const waited = now - oldest.from
    const pause = Math.max(1, Math.min(Math.ceil(this.millis - waited), Math.max(linger, waited)))
    Effect.runFork(Effect.andThen(this.clock.sleep(Duration.millis(pause)), Effect.sync(() => this.wake())))
  }

  private wake(): void {
    const now = this.now()
    for (const entry of this.waiting) {
      if (now - entry.from < this.millis) break
      this.waiting.delete(entry)
      entry.fire()
    }
    this.watch(now)
  }
}
