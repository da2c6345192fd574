/**
 * What the engine itself can report about a pass, beside the failures and
 * warnings that the steps declare.
 *
 * @since 0.1.0
 */
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { Diagnostic } from "./Diagnostic.ts"

/**
 * Fault of a step that threw or died instead of failing with a typed error.
 * It is a bug in the step: the stack trace is in the host's log.
 *
 * @category errors
 * @since 0.1.0
 */
export class Defect extends Schema.TaggedError<Defect>("@everbeat/core/Fault/Defect")("Defect", {
  cause: Schema.Defect()
}) {
  override get message(): string {
    return Predicate.isError(this.cause) ? this.cause.message || this.cause.name : String(this.cause)
  }
  get hint(): string {
    return "A bug in the step, not an expected failure: see the stack trace in the host's log."
  }
}

/**
 * Fault of a step that gave no result within its limit (`millis`). It was
 * interrupted; `stillRunning` tells that it ignored the interruption and was
 * left behind.
 *
 * @category errors
 * @since 0.1.0
 */
export class StepTimeout extends Schema.TaggedError<StepTimeout>("@everbeat/core/Fault/StepTimeout")("StepTimeout", {
  step: Schema.String,
  millis: Schema.Finite,
  stillRunning: Schema.Boolean
}) {
  override get message(): string {
    return `No result within ${this.millis} ms${
      this.stillRunning ? "; the step ignores interruption and is still running" : ""
    }.`
  }
  get hint(): string {
    return "Raise the timeout of the step, or make the step faster."
  }
}

/**
 * Fault of a step that interrupted itself. Also under `Step.bestEffort` this
 * is critical: an interruption is never turned into a warning.
 *
 * @category errors
 * @since 0.1.0
 */
export class StepInterrupted
  extends Schema.TaggedError<StepInterrupted>("@everbeat/core/Fault/StepInterrupted")("StepInterrupted", {
    step: Schema.String
  })
{
  override get message(): string {
    return "The step interrupted itself."
  }
  get hint(): string {
    return "Fail with a typed error instead of interrupting."
  }
}

/**
 * Fault of a pass that did not end before its deadline (`millis`). Steps that
 * were running were interrupted, the rest was skipped.
 *
 * @category errors
 * @since 0.1.0
 */
export class DeadlineExceeded
  extends Schema.TaggedError<DeadlineExceeded>("@everbeat/core/Fault/DeadlineExceeded")("DeadlineExceeded", {
    millis: Schema.Finite,
    stillRunning: Schema.Boolean
  })
{
  override get message(): string {
    return `The pass did not end within ${this.millis} ms${
      this.stillRunning ? "; this step ignores interruption and is still running" : ""
    }.`
  }
  get hint(): string {
    return "Raise the heartbeat's deadline, or give slow steps a shorter timeout."
  }
}

/**
 * Fault of a step or an agent whose result its own `result` schema refuses to
 * encode, or whose answer takes more than 1 MiB. Mend what it returns, or the
 * schema.
 *
 * @category errors
 * @since 0.1.0
 */
export class ResultRefused
  extends Schema.TaggedError<ResultRefused>("@everbeat/core/Fault/ResultRefused")("ResultRefused", {
    issue: Schema.String
  })
{
  override get message(): string {
    return `The result does not fit its schema: ${this.issue}`
  }
  get hint(): string {
    return "Return what its result schema describes, JSON where it has none, or widen the schema."
  }
}

/**
 * Fault of a pass that was interrupted by crashes or restarts so often that it
 * is not continued once more. Its recorded steps are in the run.
 *
 * @category errors
 * @since 0.1.0
 */
export class AttemptsExhausted
  extends Schema.TaggedError<AttemptsExhausted>("@everbeat/core/Fault/AttemptsExhausted")("AttemptsExhausted", {
    attempts: Schema.Int
  })
{
  override get message(): string {
    return `The pass was interrupted ${this.attempts} times and is given up.`
  }
  get hint(): string {
    return "Look for a step that takes the process down, or that takes longer than a process lives. " +
      "The next heartbeat starts a new pass."
  }
}

/**
 * Fault of a pass that ran but could not be recorded: the store failed at the
 * end. The report is complete, the run stays in flight, and a later heartbeat
 * settles it.
 *
 * @category errors
 * @since 0.1.0
 */
export class RunNotRecorded
  extends Schema.TaggedError<RunNotRecorded>("@everbeat/core/Fault/RunNotRecorded")("RunNotRecorded", {
    reason: Schema.String
  })
{
  override get message(): string {
    return `The pass ended but could not be recorded: ${this.reason}`
  }
  get hint(): string {
    return "Restore the store. The next heartbeat settles this run; steps without a stored outcome run again."
  }
}

/**
 * Warning (or failure, with `onStoreFailure: "stop"`) about step outcomes that
 * the store refused to keep while the pass was running.
 *
 * @category errors
 * @since 0.1.0
 */
export class OutcomeNotSaved
  extends Schema.TaggedError<OutcomeNotSaved>("@everbeat/core/Fault/OutcomeNotSaved")("OutcomeNotSaved", {
    reason: Schema.String
  })
{
  override get message(): string {
    return `An outcome could not be saved before the next step: ${this.reason}`
  }
  get hint(): string {
    return "Check the store. Until it answers again, a crash makes the unsaved steps run once more."
  }
}

/**
 * Closing warning that counts what did not fit into the limits of one pass:
 * 1,000 diagnostics and 1,000 touched URLs.
 *
 * @category errors
 * @since 0.1.0
 */
export class DiagnosticsTruncated extends Schema.TaggedError<DiagnosticsTruncated>(
  "@everbeat/core/Fault/DiagnosticsTruncated"
)("DiagnosticsTruncated", { diagnostics: Schema.Int, urls: Schema.Int }) {
  override get message(): string {
    const parts = [
      this.diagnostics > 0 ? `${this.diagnostics} more diagnostics` : "",
      this.urls > 0 ? `${this.urls} more touched URLs` : ""
    ]
    return `${parts.filter((part) => part !== "").join(" and ")} did not fit into the report.`
  }
}

/**
 * Failure that an earlier process recorded: only its diagnostic is left.
 * `Heartbeat.runOrFail` fails with it.
 *
 * @category errors
 * @since 0.1.0
 */
export class RecordedFailure
  extends Schema.TaggedError<RecordedFailure>("@everbeat/core/Fault/RecordedFailure")("RecordedFailure", {
    diagnostic: Diagnostic
  })
{
  override get message(): string {
    return this.diagnostic.message
  }
}

/**
 * Everything that the engine can report as critical beside a step's own
 * failures.
 *
 * @category models
 * @since 0.1.0
 */
export type Fault =
  | Defect
  | StepTimeout
  | StepInterrupted
  | DeadlineExceeded
  | ResultRefused
  | AttemptsExhausted
  | RunNotRecorded
  | OutcomeNotSaved

/**
 * Faults of the engine that can appear among the warnings: those of steps
 * under `Step.bestEffort`, and the closing count.
 *
 * @category models
 * @since 0.1.0
 */
export type WarningFault = Fault | DiagnosticsTruncated
