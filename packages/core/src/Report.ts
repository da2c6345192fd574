/**
 * What a pass answers: the report, and the events on the way to it.
 *
 * @since 0.1.0
 */
import type * as DateTime from "effect/DateTime"
import type { AgentName } from "./AgentName.ts"
import type { StepOutcome } from "./AgentRun.ts"
import type { Coded, Diagnosed } from "./Diagnostic.ts"
import type { Fault, WarningFault } from "./Fault.ts"
import type { RunId } from "./RunId.ts"

/**
 * The report of one pass, with its typed warnings and errors.
 *
 * **Details**
 *
 * `status` is `error` when there is any error, else `warning` when there is any
 * warning, else `ok`. What it holds never depends on timing: diagnostics are in
 * the order of the steps, then of their emission; `touchedIssueUrls` are valid
 * `http` and `https` URLs without duplicates, in the same order.
 *
 * `origin` tells where the report comes from: `executed` here and now,
 * `resumed` from a pass that another process began, `joined` from a pass of
 * another caller, or `replayed` from the record of an idempotency key. A report
 * that was read from the store carries no live `value` in its diagnostics.
 *
 * `recorded` is `false` without a store, and when the store failed at the end;
 * then `errors` has a `RunNotRecorded`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Report<out W, out E> {
  readonly runId: RunId
  readonly agentName: AgentName
  readonly status: "ok" | "warning" | "error"
  readonly startedAt: DateTime.Utc
  readonly finishedAt: DateTime.Utc
  readonly summary: string
  readonly warnings: ReadonlyArray<Diagnosed<W | WarningFault>>
  readonly errors: ReadonlyArray<Diagnosed<E | Fault>>
  readonly touchedIssueUrls: ReadonlyArray<string>
  readonly steps: ReadonlyArray<StepOutcome>
  readonly origin: "executed" | "resumed" | "joined" | "replayed"
  readonly recorded: boolean
}

/**
 * Any report, whatever its channels.
 *
 * @category utility types
 * @since 0.1.0
 */
export interface AnyReport extends Omit<Report<never, never>, "warnings" | "errors"> {
  readonly warnings: ReadonlyArray<Coded<string, unknown>>
  readonly errors: ReadonlyArray<Coded<string, unknown>>
}

/**
 * Progress of a pass. The last event is `PassEnded` with the report.
 *
 * @category models
 * @since 0.1.0
 */
export type PassEvent<W, E> =
  | { readonly _tag: "PassStarted"; readonly runId: RunId; readonly agentName: AgentName; readonly attempt: number }
  | { readonly _tag: "StepStarted"; readonly step: string }
  | { readonly _tag: "Warned"; readonly warning: Diagnosed<W | WarningFault> }
  | { readonly _tag: "StepEnded"; readonly outcome: StepOutcome }
  | { readonly _tag: "PassEnded"; readonly report: Report<W, E> }
