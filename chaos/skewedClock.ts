/** A wall clock that is wrong, and jumps. What elapses is true: no machine has a monotonic clock that jumps. */
import { Clock, Context, type Duration, Effect } from "effect"
import type { Random } from "./random.ts"

const hour = 3_600_000

/** How far off a worker's clock may be. */
export const skews = ["none", "an hour fast", "an hour slow", "jumping"] as const
export type Skew = (typeof skews)[number]

const jumpMillis = 400

const offsets = (skew: Skew, random: Random): () => number => {
  switch (skew) {
    case "none":
      return () => 0
    case "an hour fast":
      return () => hour
    case "an hour slow":
      return () => -hour
    case "jumping": {
      let offset = 0
      let next = 0
      return () => {
        const now = performance.now()
        if (now >= next) {
          offset = Math.round(random.between(-hour, hour))
          next = now + jumpMillis
        }
        return offset
      }
    }
  }
}

export const skewedClock = (skew: Skew, random: Random): Context.Context<never> => {
  const offset = offsets(skew, random)
  return Context.make(
    Clock.Clock,
    Effect.runSync(Effect.map(Clock.Clock, (real): Clock.Clock => {
      const millis = () => real.currentTimeMillisUnsafe() + offset()
      const nanos = () => real.currentTimeNanosUnsafe() + BigInt(offset()) * 1_000_000n
      return {
        currentTimeMillisUnsafe: millis,
        currentTimeMillis: Effect.sync(millis),
        currentTimeNanosUnsafe: nanos,
        currentTimeNanos: Effect.sync(nanos),
        monotonicTimeNanosUnsafe: () => real.monotonicTimeNanosUnsafe(),
        monotonicTimeNanos: real.monotonicTimeNanos,
        sleep: (duration: Duration.Duration) => real.sleep(duration)
      }
    }))
  )
}
