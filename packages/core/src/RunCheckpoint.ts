/**
 * The resumable progress of a run in flight.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type { RunInFlight, StepOutcome } from "./AgentRun.ts"
import type { Diagnostic } from "./Diagnostic.ts"
import { recordedSteps } from "./internal/outcome.ts"
import type { CheckpointUnreadable } from "./PassError.ts"

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

/**
 * How one step of a pass in flight ended, with what it said.
 *
 * @category models
 * @since 0.1.0
 */
export interface RecordedStep extends StepOutcome {
  readonly warnings: ReadonlyArray<Diagnostic>
  readonly errors: ReadonlyArray<Diagnostic>
}

/**
 * Reads the steps that a pass in flight has recorded so far, in the order in
 * which they ended.
 *
 * **Gotchas**
 *
 * For heartbeats only (`kind`): the messages of agents are of another kind, and
 * are `CheckpointUnreadable`, as rows of a newer version are.
 *
 * **Example** (How far a pass came)
 *
 * ```ts
 * import { AgentName, AgentRun, CheckpointStore, RunCheckpoint, RunId } from "@everbeat/core"
 * import { MemoryStore } from "@everbeat/store-memory"
 * import { Duration, Effect } from "effect"
 *
 * const agentName = AgentName.make("triage")
 * const runId = RunId.make(agentName)
 * const definition = { name: "upkeep", hash: "1" }
 * const program = Effect.gen(function*() {
 *   const { begin, load } = yield* CheckpointStore.CheckpointStore
 *   yield* begin({
 *     meta: AgentRun.metaOf({ runId, kind: "heartbeat", agentName, definition }),
 *     owner: "this process",
 *     ttl: Duration.seconds(30),
 *     maxAttempts: 3,
 *     exclusive: true,
 *     resumes: "same-name"
 *   })
 *   return yield* RunCheckpoint.steps(yield* load(runId))
 * })
 *
 * await Effect.runPromise(Effect.provide(program, MemoryStore.layer)) // => []
 * ```
 *
 * @category getters
 * @since 0.1.0
 */
export const steps: (checkpoint: RunCheckpoint) => Effect.Effect<ReadonlyArray<RecordedStep>, CheckpointUnreadable> =
  recordedSteps
