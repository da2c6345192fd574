/**
 * Reasons why there is no result of an agent's run.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { AskedRunId } from "./internal/askedRunId.ts"
import type { MessageUnreadable } from "./MessageCodec.ts"
import type { EngineStopped, InvalidInput, LeaseLost, PassCancelled } from "./PassError.ts"
import type { AgentBusy, KeyMismatch, LeaseHeld, OtherDefinition, RunNotFound, StoreError } from "./StoreError.ts"

/**
 * Error returned when this process let go of a run before it ended: it shuts
 * down, somebody interrupted the run, or the store failed for good. Its newest
 * state is in the checkpoint, as far as the store answered.
 *
 * @category errors
 * @since 0.1.0
 */
export class RunInterrupted
  extends Schema.TaggedError<RunInterrupted>("@everbeat/core/RunInterrupted")("RunInterrupted", {
    runId: AskedRunId,
    /** `shutdown`, `interrupted`, `parent`, `store`, `workspace`, ... */
    reason: Schema.String
  })
{
  override get message(): string {
    return `Run ${this.runId} was interrupted (${this.reason}); its checkpoint is kept.`
  }
  get hint(): string {
    return "Recovery continues it, or resume it by its id."
  }
}

/**
 * Error returned when a run used up its attempts, or made no progress in two of
 * them. Its checkpoint is kept for people and no sweep picks it up.
 *
 * @category errors
 * @since 0.1.0
 */
export class RunExhausted extends Schema.TaggedError<RunExhausted>("@everbeat/core/RunExhausted")("RunExhausted", {
  runId: AskedRunId,
  attempts: Schema.Int,
  /** Why the last attempt ended. */
  reason: Schema.String
}) {
  override get message(): string {
    return `Run ${this.runId} is exhausted after ${this.attempts} attempts; the last one ended by ${this.reason}.`
  }
  get hint(): string {
    return "Look at its notes and files, then resume it by its id for one more attempt, or cancel it."
  }
}

/**
 * Error returned when the run has ended already: there is nothing to resume or
 * to cancel.
 *
 * @category errors
 * @since 0.1.0
 */
export class RunAlreadySettled
  extends Schema.TaggedError<RunAlreadySettled>("@everbeat/core/RunAlreadySettled")("RunAlreadySettled", {
    runId: AskedRunId,
    status: Schema.Literals(["ok", "warning", "error", "cancelled"])
  })
{
  override get message(): string {
    return `Run ${this.runId} has ended as ${this.status}.`
  }
  get hint(): string {
    return "Read its record, or start a new run."
  }
}

/**
 * Error returned for a run of an agent or heartbeat that this process does not
 * know. It was left alone.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnknownDefinition
  extends Schema.TaggedError<UnknownDefinition>("@everbeat/core/UnknownDefinition")("UnknownDefinition", {
    runId: AskedRunId,
    name: Schema.String
  })
{
  override get message(): string {
    return `Run ${this.runId} is of '${this.name}', which this process does not know.`
  }
  get hint(): string {
    return "Give that definition to Recovery.layer, or resume the run in the process that has it."
  }
}

/**
 * Why a run was not started.
 *
 * @category errors
 * @since 0.1.0
 */
export type AgentStartError =
  | AgentBusy
  | EngineStopped
  | InvalidInput
  | KeyMismatch
  | MessageUnreadable
  | OtherDefinition
  | StoreError

/**
 * Why a run was not resumed.
 *
 * @category errors
 * @since 0.1.0
 */
export type ResumeError =
  | EngineStopped
  | LeaseHeld
  | MessageUnreadable
  | OtherDefinition
  | RunAlreadySettled
  | RunNotFound
  | StoreError

/**
 * Why a run that was started has no result here. A `StoreError` says that the
 * run ended and could not be recorded.
 *
 * @category errors
 * @since 0.1.0
 */
export type AgentEndError = LeaseLost | PassCancelled | RunExhausted | RunInterrupted | StoreError
