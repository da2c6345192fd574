/**
 * A run of an agent that was started, resumed or found.
 *
 * @since 0.1.0
 */
import type { SettledRun } from "./Run.ts"

/**
 * A run in this process. It goes on whether or not anybody waits for it.
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
export interface AgentHandle<out A> {
  readonly runId: string
  readonly origin: "started" | "resumed" | "joined" | "replayed"
  /**
   * Waits for what the agent answers, over all its attempts in this process. Rejects with what the agent threw, with
   * `AgentFailedError` when it ended before or threw something that is no error, `RunCancelledError`,
   * `RunExhaustedError`, `RunInterruptedError`, `LeaseLostError` or `StoreError`.
   */
  readonly result: () => Promise<A>
  /**
   * Waits for the record, for `ok`, `warning`, `error` and `cancelled` alike. Rejects with `RunExhaustedError`,
   * `RunInterruptedError`, `LeaseLostError` or `StoreError`.
   */
  readonly record: () => Promise<SettledRun>
}
