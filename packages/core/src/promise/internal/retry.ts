import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { RetryOptions } from "../Step.ts"
import { lower } from "./raise.ts"

/** A predicate of the user that throws decides nothing: the failure stays what it is. */
const guarded = (decide: (error: unknown) => boolean) => (error: unknown): boolean => {
  try {
    return decide(lower(error))
  } catch {
    return false
  }
}

/** When a failed step is tried again. */
export const retrySchedule = (retry: number | RetryOptions): Schedule.Schedule<unknown, unknown> => {
  const { delay = 100, factor = 2, if: worth, maxDelay = "30 seconds", times } = typeof retry === "number"
    ? { times: retry }
    : retry
  const longest = Schedule.spaced(Duration.fromInputUnsafe(maxDelay))
  const pauses = Schedule.min([Schedule.exponential(Duration.fromInputUnsafe(delay), factor), longest])
  const limited: Schedule.Schedule<unknown, unknown> = Schedule.upTo(pauses, { times })
  if (worth === undefined) return limited
  const decide = guarded(worth)
  return Schedule.while(limited, ({ input }) => Effect.succeed(decide(input)))
}
