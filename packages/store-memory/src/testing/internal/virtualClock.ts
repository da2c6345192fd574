/** A clock on which time passes only when a test says so. */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { TrackedCrypto } from "./trackedCrypto.ts"

interface Sleeper {
  readonly at: number
  readonly wake: () => void
}

export interface VirtualClock extends Clock.Clock {
  /** Lets time pass: whoever sleeps is woken in order, and comes to rest before the next one is. */
  readonly advance: (duration: Duration.Input) => Effect.Effect<void>
  /** Wakes who sleeps, as they come, until the effect has ended. */
  readonly runThrough: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>
}

/** How often everything that is ready may run on: a pass on a store in memory needs less than half of it. */
const turns = 24

export const make = (startMillis: number, crypto: TrackedCrypto): VirtualClock => {
  const startNanos = BigInt(Math.round(startMillis * 1_000_000))
  const sleepers: Array<Sleeper> = []
  let now = startMillis

  /**
   * Lets promises and fibers run until all of them wait for something. The clock of Effect's own tests waits for fibers only:
   * here an async function stands between one sleep and the next.
   */
  const atRest: Effect.Effect<void> = Effect.repeat(Effect.yieldNow, { times: turns }).pipe(
    Effect.andThen(Effect.promise(() => crypto.rest())),
    Effect.repeat({ while: (wasAtWork) => wasAtWork }),
    Effect.asVoid
  )

  const nanos = (): bigint => startNanos + BigInt(Math.round((now - startMillis) * 1_000_000))

  const earliest = (): Sleeper | undefined =>
    sleepers.reduce<Sleeper | undefined>(
      (first, one) => first === undefined || one.at < first.at ? one : first,
      undefined
    )

  const forget = (sleeper: Sleeper): void => {
    const index = sleepers.indexOf(sleeper)
    if (index >= 0) sleepers.splice(index, 1)
  }

  /** Goes to the first sleeper that is due by then, and tells whether there was one. */
  const step = (until: number): boolean => {
    const first = earliest()
    if (first === undefined || first.at > until) return false
    now = Math.max(now, first.at)
    forget(first)
    first.wake()
    return true
  }

  const sleep = (duration: Duration.Duration): Effect.Effect<void> => {
    const millis = Duration.toMillis(duration)
    if (millis <= 0) return Effect.yieldNow
    return Effect.callback((resume) => {
      const sleeper: Sleeper = { at: now + millis, wake: () => resume(Effect.void) }
      sleepers.push(sleeper)
      return Effect.sync(() => forget(sleeper))
    })
  }

  const advance = (duration: Duration.Input): Effect.Effect<void> =>
    Effect.gen(function*() {
      yield* atRest
      const end = now + Duration.toMillis(Duration.fromInputUnsafe(duration))
      while (step(end)) yield* atRest
      now = Math.max(now, end)
      yield* atRest
    })

  return {
    currentTimeMillisUnsafe: () => now,
    currentTimeMillis: Effect.sync(() => now),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanosUnsafe: nanos,
    monotonicTimeNanos: Effect.sync(nanos),
    sleep,
    advance,
    runThrough: (effect) =>
      Effect.raceFirst(
        effect,
        Effect.forever(Effect.suspend(() => {
          step(Infinity)
          return atRest
        }))
      )
  }
}
