/** When a run and its last attempt end in the record. */
import * as DateTime from "effect/DateTime"
import type { Attempt } from "../AgentRun.ts"

/**
 * Wall clocks jump backwards, and that of the store, which dates attempts, may be ahead of this one: nothing ends before it
 * began, nor before an attempt that was over earlier.
 */
export const endOf = (now: DateTime.Utc, startedAt: DateTime.Utc, attempts: ReadonlyArray<Attempt>): DateTime.Utc => {
  let end = DateTime.isLessThan(now, startedAt) ? startedAt : now
  for (const { endedAt, startedAt } of attempts) {
    if (DateTime.isLessThan(end, endedAt ?? startedAt)) end = endedAt ?? startedAt
  }
  return end
}

/** The attempts of a record: the last one settled it. */
export const settledAttempts = (attempts: ReadonlyArray<Attempt>, endedAt: DateTime.Utc): ReadonlyArray<Attempt> => {
  const last = attempts.at(-1)
  return last === undefined ? attempts : [...attempts.slice(0, -1), { ...last, endedAt, end: "settled" }]
}
