/** Wall clocks that are wrong, or jump, and a monotonic clock that does not notice that its machine was suspended. */
import { Clock, Context, type Duration, Effect } from "effect"
import type { Random } from "./random.ts"

const hour = 3_600_000

/** How far off a worker's clock may be. */
export const skews = ["none", "an hour fast", "an hour slow", "jumping", "suspended"] as const
export type Skew = (typeof skews)[number]

const jumpMillis = 400

const offsets = (skew: Skew, random: Random): () => number => {
  switch (skew) {
    case "none":
    case "suspended":
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

/** Looked at so often, it stands still for longer only when the process does. */
const lookMillis = 100
const freezeNanos = 700_000_000n

/** The monotonic clock of Linux does not count the time in which the machine is suspended. */
const monotonic = (skew: Skew, real: Clock.Clock): () => bigint => {
  if (skew !== "suspended") return () => real.monotonicTimeNanosUnsafe()
  let last = real.monotonicTimeNanosUnsafe()
  let missed = 0n
  const look = (): bigint => {
    const now = real.monotonicTimeNanosUnsafe()
    if (now - last > freezeNanos) missed += now - last
    last = now
    return now - missed
  }
  setInterval(look, lookMillis).unref()
  return look
}

export const skewedClock = (skew: Skew, random: Random): Context.Context<never> => {
  const offset = offsets(skew, random)
  return Context.make(
    Clock.Clock,
    Effect.runSync(Effect.map(Clock.Clock, (real): Clock.Clock => {
      const millis = () => real.currentTimeMillisUnsafe() + offset()
      const elapsed = monotonic(skew, real)
      const nanos = () => real.currentTimeNanosUnsafe() + BigInt(offset()) * 1_000_000n
      return {
        currentTimeMillisUnsafe: millis,
        currentTimeMillis: Effect.sync(millis),
        currentTimeNanosUnsafe: nanos,
        currentTimeNanos: Effect.sync(nanos),
        monotonicTimeNanosUnsafe: elapsed,
        monotonicTimeNanos: Effect.sync(elapsed),
        sleep: (duration: Duration.Duration) => real.sleep(duration)
      }
    }))
  )
}
