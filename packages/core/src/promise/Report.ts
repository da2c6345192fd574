/**
 * What a heartbeat answers.
 *
 * @since 0.1.0
 */

/**
 * A warning or a failure, as it is stored and shown.
 *
 * **Details**
 *
 * `value` is what was thrown, or what an Effect failed or warned with. It is
 * there only when that happened in this process: a report that was read from a
 * store has none. Comparing `code` narrows it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Diagnostic<out Code extends string = string, out Value = unknown> {
  readonly severity: "warning" | "error"
  /** The step it comes from. Absent when it is about the whole pass. */
  readonly step?: string
  readonly code: Code
  readonly message: string
  /** What to do about it. */
  readonly hint?: string
  readonly url?: string
  readonly at: Date
  readonly value?: Value
}

/**
 * Codes that every heartbeat can report beside those that its steps declare.
 *
 * **Details**
 *
 * - `Unexpected`: a step that declares its failures threw something else.
 * - `Defect`: an Effect died. See the stack trace in the host's log.
 * - `StepTimeout`: a step gave no result within its limit.
 * - `StepInterrupted`: an Effect interrupted itself.
 * - `DeadlineExceeded`: the pass did not end in time.
 * - `ResultRefused`: a result is not JSON; the message names the path.
 * - `AttemptsExhausted`: the pass was interrupted too often.
 * - `RunNotRecorded`: the pass ended, and the store failed to record it.
 * - `OutcomeNotSaved`: the store failed while the pass was running.
 *
 * @category models
 * @since 0.1.0
 */
export type FaultCode =
  | "Unexpected"
  | "Defect"
  | "StepTimeout"
  | "StepInterrupted"
  | "DeadlineExceeded"
  | "ResultRefused"
  | "AttemptsExhausted"
  | "RunNotRecorded"
  | "OutcomeNotSaved"

/**
 * The report of one pass, for `ok`, `warning` and `error` alike.
 *
 * **Details**
 *
 * `status` is `error` when there is any error, else `warning` when there is any
 * warning, else `ok`. What it holds never depends on timing.
 *
 * `origin` tells where it comes from: `executed` here and now, `resumed` from a
 * pass that another process began, `joined` from another caller's pass, or
 * `replayed` from the record of an idempotency key. `recorded` is `false` when
 * the store failed at the end: then `errors` has a `RunNotRecorded`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Report<out W extends Diagnostic = Diagnostic, out E extends Diagnostic = Diagnostic> {
  readonly runId: string
  readonly agentName: string
  readonly status: "ok" | "warning" | "error"
  readonly startedAt: Date
  readonly finishedAt: Date
  /** One line, always the same for the same outcome. */
  readonly summary: string
  readonly warnings: ReadonlyArray<W | Diagnostic<FaultCode | "DiagnosticsTruncated">>
  readonly errors: ReadonlyArray<E | Diagnostic<FaultCode>>
  readonly touchedIssueUrls: ReadonlyArray<string>
  readonly steps: ReadonlyArray<StepOutcome>
  readonly origin: "executed" | "resumed" | "joined" | "replayed"
  readonly recorded: boolean
}

/**
 * How one step ended. A skipped step has no start.
 *
 * @category models
 * @since 0.1.0
 */
export interface StepOutcome {
  readonly name: string
  readonly status: "ok" | "warning" | "error" | "skipped"
  /** How often it was tried. */
  readonly attempts: number
  readonly startedAt?: Date
  readonly millis: number
}
