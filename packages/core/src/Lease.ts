/**
 * The right to write one run.
 *
 * A lease is granted by the store, expires by the store's clock, and carries a
 * fence: a number that grows at every claim of the run. Every write names its
 * lease and is refused once another owner has claimed the run, so a process
 * that was frozen or cut off cannot overwrite its successor.
 *
 * @since 0.1.0
 */
import type { RunInFlight } from "./AgentRun.ts"
import type { RunId } from "./RunId.ts"

/**
 * The right of one owner to write one run.
 *
 * @category models
 * @since 0.1.0
 */
export interface Lease {
  readonly runId: RunId
  /** The process that holds the lease: unique per engine, not configured. */
  readonly owner: string
  /** Grows at every claim; usable as a fencing token for external systems. */
  readonly fence: number
}

/**
 * How an attempt at a run ended: `settled` (a report exists), `released` (the
 * process shut down and handed the run over) or `expired` (the lease ran out:
 * crash, freeze, lost network).
 *
 * @category models
 * @since 0.1.0
 */
export type AttemptEnd = "settled" | "released" | "expired"

/**
 * Returns the lease of the newest attempt of a run in flight.
 *
 * **When to use**
 *
 * Use to end a run whose checkpoint is damaged. A claim of it fails with a
 * `StoreError` (`corrupt`), but it is made: when the newest attempt is of the
 * owner who claimed, this is the lease to settle or delete the run with.
 *
 * @category getters
 * @since 0.1.0
 */
export const newest = ({ attempts, runId }: RunInFlight): Lease | undefined => {
  const last = attempts.at(-1)
  return last === undefined || last.end !== undefined ? undefined : { runId, owner: last.owner, fence: last.fence }
}
