/**
 * A run of an agent that was started, resumed or found.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type { AgentEndError } from "./AgentError.ts"
import type { AgentRun } from "./AgentRun.ts"
import type { RecordedFailure, ResultRefused } from "./Fault.ts"
import type { RunId } from "./RunId.ts"

/**
 * A run in this process. It belongs to the supervisor: who waits for it may
 * leave.
 *
 * **Details**
 *
 * `origin` is `started`; `resumed` when an earlier attempt left a checkpoint;
 * `joined` when the run was in flight in this process already; or `replayed`
 * when the idempotency key belongs to a run that has ended.
 *
 * @category models
 * @since 0.1.0
 */
export interface AgentHandle<out A, out E> {
  readonly runId: RunId
  readonly origin: "started" | "resumed" | "joined" | "replayed"
  /**
   * Waits for what the agent answers or fails with, over all its attempts in this process. A failure of a run that ended
   * before is a `RecordedFailure`. `ResultRefused`: the agent answered what its `result` schema does not take, or more than
   * 1 MiB of JSON; mend the agent, the run is recorded as `error`.
   */
  readonly result: Effect.Effect<A, E | AgentEndError | RecordedFailure | ResultRefused>
  /** Waits for the record, for `ok`, `warning`, `error` and `cancelled` alike. */
  readonly record: Effect.Effect<AgentRun, Exclude<AgentEndError, { readonly _tag: "PassCancelled" }>>
  /** Lets the run go: its state is saved and its lease released, so that another process continues it. */
  readonly interrupt: Effect.Effect<void>
}
