/**
 * Reasons why there is no report of a pass, two of which end the work of a
 * checkpointer, too: `LeaseLost` and `PassCancelled`.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { RunId } from "./RunId.ts"
import type { AgentBusy, KeyMismatch, StoreError } from "./StoreError.ts"

/**
 * Error returned for an agent's name, key or payload that cannot be accepted.
 * Correct the `field`.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidInput extends Schema.TaggedError<InvalidInput>("@everbeat/core/InvalidInput")("InvalidInput", {
  field: Schema.Literals(["agent", "key", "payload"]),
  detail: Schema.String
}) {
  override get message(): string {
    return `The ${this.field} is not acceptable: ${this.detail}`
  }
}

/**
 * Error returned when this process lost the lease of the run while it worked on
 * it: it was frozen or cut off from the store for longer than the lease. Its
 * work was interrupted here; whoever has the lease now, or claims it next,
 * continues the run.
 *
 * @category errors
 * @since 0.1.0
 */
export class LeaseLost extends Schema.TaggedError<LeaseLost>("@everbeat/core/LeaseLost")("LeaseLost", {
  runId: RunId
}) {
  override get message(): string {
    return `This process lost the lease of run ${this.runId}.`
  }
  get hint(): string {
    return "Another process may have continued it. Call the heartbeat again, or claim the run, to learn what became of it."
  }
}

/**
 * Error returned when the pass was interrupted before it ended: by a shutdown
 * of the engine, or by the caller that began it. Its outcomes so far are stored and the lease is released, so
 * the next heartbeat continues it.
 *
 * @category errors
 * @since 0.1.0
 */
export class PassInterrupted
  extends Schema.TaggedError<PassInterrupted>("@everbeat/core/PassInterrupted")("PassInterrupted", { runId: RunId })
{
  override get message(): string {
    return `Run ${this.runId} was interrupted.`
  }
  get hint(): string {
    return "Call the heartbeat again: the run is continued where it stopped."
  }
}

/**
 * Error returned when somebody cancelled the run. A pass is recorded as
 * `cancelled`; a checkpointer still holds its run and records it with `cancel`.
 *
 * @category errors
 * @since 0.1.0
 */
export class PassCancelled
  extends Schema.TaggedError<PassCancelled>("@everbeat/core/PassCancelled")("PassCancelled", { runId: RunId })
{
  override get message(): string {
    return `Run ${this.runId} was cancelled.`
  }
}

/**
 * Error returned when an interrupted pass of another heartbeat of the agent
 * waits to be continued, or of another step list of this one and the heartbeat
 * says `onDefinitionChange: "fail"`. Call that heartbeat, deploy the step list
 * that began the run, or cancel the run.
 *
 * @category errors
 * @since 0.1.0
 */
export class DefinitionChanged
  extends Schema.TaggedError<DefinitionChanged>("@everbeat/core/DefinitionChanged")("DefinitionChanged", {
    runId: RunId,
    name: Schema.String
  })
{
  override get message(): string {
    return `Run ${this.runId} was begun with another step list, of heartbeat '${this.name}'.`
  }
  get hint(): string {
    return `Call heartbeat '${this.name}' with the step list that began the run, or cancel the run.`
  }
}

/**
 * Error returned when the checkpoint of an interrupted pass cannot be read by
 * this version. It is left untouched. Deploy the version that wrote it, or
 * cancel the run.
 *
 * @category errors
 * @since 0.1.0
 */
export class CheckpointUnreadable
  extends Schema.TaggedError<CheckpointUnreadable>("@everbeat/core/CheckpointUnreadable")("CheckpointUnreadable", {
    runId: RunId,
    detail: Schema.String
  })
{
  override get message(): string {
    return `The checkpoint of run ${this.runId} cannot be read: ${this.detail}`
  }
  get hint(): string {
    return "Deploy the version that wrote it, or cancel the run."
  }
}

/**
 * Error returned by an engine that is shutting down: it begins no new pass.
 *
 * @category errors
 * @since 0.1.0
 */
export class EngineStopped
  extends Schema.TaggedError<EngineStopped>("@everbeat/core/EngineStopped")("EngineStopped", {})
{
  override get message(): string {
    return "The engine is shutting down."
  }
  get hint(): string {
    return "Call again in a few seconds; another process or the restarted one answers."
  }
}

/**
 * Why a pass was not begun.
 *
 * @category errors
 * @since 0.1.0
 */
export type StartError =
  | AgentBusy
  | CheckpointUnreadable
  | DefinitionChanged
  | EngineStopped
  | InvalidInput
  | KeyMismatch
  | StoreError

/**
 * Why a pass that was begun has no report here.
 *
 * @category errors
 * @since 0.1.0
 */
export type EndError = LeaseLost | PassCancelled | PassInterrupted

/**
 * Every reason why there is no report.
 *
 * @category errors
 * @since 0.1.0
 */
export type RunError = StartError | EndError
