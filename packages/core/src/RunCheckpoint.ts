/**
 * The resumable progress of a run in flight.
 *
 * @since 0.1.0
 */
import type { RunInFlight } from "./AgentRun.ts"

/**
 * The resumable progress of a run in flight, as a store returns it.
 *
 * **Details**
 *
 * The history is stored as rows that are appended and never changed.
 * `segments` lists ranges of row numbers (`[from, to)`) whose concatenation is
 * the history, so compaction and edits append rows and swap the list.
 * `messages` are the encoded rows in the order of the history; for a heartbeat
 * each is the outcome of a step. `position` is the number of the next row.
 * `notes` and `workspace` are opaque encoded texts of their owners.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunCheckpoint extends RunInFlight {
  readonly messages: ReadonlyArray<string>
  readonly segments: ReadonlyArray<Segment>
  readonly position: number
  readonly notes: string | undefined
  readonly workspace: string | undefined
}

/**
 * A range of row numbers: the first one, and the one after the last.
 *
 * @category models
 * @since 0.1.0
 */
export type Segment = readonly [from: number, to: number]
