/**
 * Errors of the two store services.
 *
 * Outcomes of the protocol (`Fenced`, `AgentBusy`, ...) are errors of their
 * own, so that callers handle each. Everything that goes wrong in the database
 * or on the way to it is one {@link StoreError} with a reason.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { AskedRunId } from "./internal/askedRunId.ts"

/**
 * Error raised when the store itself fails.
 *
 * **Details**
 *
 * `unavailable`: no connection, or it was lost; the outcome of a write is
 * unknown. `timeout`: no answer in time; the outcome is unknown as well.
 * `refused`: the store rejects the request and would do so again (rights,
 * limits, a schema that was not migrated). `corrupt`: stored data cannot be
 * read back; the detail names the run, the others go on, and it can be
 * cancelled. `unknown`: anything else.
 *
 * Callers may repeat what `isRetryable` allows. Nothing was lost: the newest
 * state stays with the caller.
 *
 * @category errors
 * @since 0.1.0
 */
export class StoreError extends Schema.TaggedError<StoreError>("@everbeat/core/StoreError")("StoreError", {
  operation: Schema.String,
  reason: Schema.Literals(["unavailable", "timeout", "refused", "corrupt", "unknown"]),
  detail: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return `${this.summary}: ${this.detail}`
  }
  /** The message without `detail`, which may name hosts and users: what may be told outside. */
  get summary(): string {
    return `The store failed at ${this.operation} (${this.reason})`
  }
  /** Whether repeating the operation can help. */
  get isRetryable(): boolean {
    return this.reason === "unavailable" || this.reason === "timeout"
  }
  get hint(): string {
    if (this.reason === "corrupt") return "Restore what the store kept of that run, or cancel or discard the run."
    return this.isRetryable
      ? "Check that the store is up and reachable, then repeat."
      : "See the cause in the host's log."
  }
}

/**
 * Error returned when a run of that id exists already: it is in flight or
 * settled. Make a fresh id.
 *
 * @category errors
 * @since 0.1.0
 */
export class RunExists extends Schema.TaggedError<RunExists>("@everbeat/core/RunExists")("RunExists", {
  runId: AskedRunId
}) {
  override get message(): string {
    return `Run ${this.runId} exists already.`
  }
}

/**
 * Error returned when no run of that id is known (or, where a run in flight is
 * needed, when it has ended).
 *
 * @category errors
 * @since 0.1.0
 */
export class RunNotFound extends Schema.TaggedError<RunNotFound>("@everbeat/core/RunNotFound")("RunNotFound", {
  runId: AskedRunId
}) {
  override get message(): string {
    return `No run ${this.runId} is known here.`
  }
  get hint(): string {
    return "Check the id. Settled runs are pruned after their retention."
  }
}

/**
 * Error returned when the agent has a pass in flight. Repeat after
 * `retryAfterMillis`, or join the pass `runId`.
 *
 * @category errors
 * @since 0.1.0
 */
export class AgentBusy extends Schema.TaggedError<AgentBusy>("@everbeat/core/AgentBusy")("AgentBusy", {
  runId: AskedRunId,
  /**
   * Milliseconds until the lease of that pass ends, unless it is renewed; 0 when nobody runs it: it waits for a call
   * without a key, or with its own.
   */
  retryAfterMillis: Schema.Finite
}) {
  override get message(): string {
    return `The agent is busy with run ${this.runId}.`
  }
  get hint(): string {
    return "Wait for that run to end and call again; with the same idempotency key its report is answered."
  }
}

/**
 * Error returned when an idempotency key was used before with another payload.
 * Use a fresh key for a new request.
 *
 * @category errors
 * @since 0.1.0
 */
export class KeyMismatch extends Schema.TaggedError<KeyMismatch>("@everbeat/core/KeyMismatch")("KeyMismatch", {
  key: Schema.String,
  runId: AskedRunId
}) {
  override get message(): string {
    return `The idempotency key was used with another payload, for run ${this.runId}.`
  }
  get hint(): string {
    return "Use a fresh key for a new request, and the same payload when you repeat one."
  }
}

/**
 * Error returned when an interrupted run is of another heartbeat or agent, or of
 * another version of it where the caller wants the same. It was left alone:
 * continue it with what began it, or cancel it.
 *
 * @category errors
 * @since 0.1.0
 */
export class OtherDefinition
  extends Schema.TaggedError<OtherDefinition>("@everbeat/core/OtherDefinition")("OtherDefinition", {
    runId: AskedRunId,
    name: Schema.String
  })
{
  override get message(): string {
    return `Run ${this.runId} was begun by another heartbeat or agent, or by another version of it: '${this.name}'.`
  }
  get hint(): string {
    return `Continue it with '${this.name}' as it was when the run began, or cancel the run.`
  }
}

/**
 * Error returned to a writer whose run was claimed by another owner since. It
 * must stop: its writes are refused for good.
 *
 * @category errors
 * @since 0.1.0
 */
export class Fenced extends Schema.TaggedError<Fenced>("@everbeat/core/Fenced")("Fenced", { runId: AskedRunId }) {
  override get message(): string {
    return `Run ${this.runId} belongs to another owner by now.`
  }
}

/**
 * Error returned to a writer whose run is no longer in flight: it was settled
 * or deleted. A late save resurrects nothing.
 *
 * @category errors
 * @since 0.1.0
 */
export class Gone extends Schema.TaggedError<Gone>("@everbeat/core/Gone")("Gone", { runId: AskedRunId }) {
  override get message(): string {
    return `Run ${this.runId} is no longer in flight.`
  }
}

/**
 * Error returned when a save does not start at the next free row. After an
 * ambiguous failure that means the earlier save went through: read the
 * checkpoint back and compare.
 *
 * @category errors
 * @since 0.1.0
 */
export class Conflict extends Schema.TaggedError<Conflict>("@everbeat/core/Conflict")("Conflict", {
  runId: AskedRunId,
  position: Schema.Int
}) {
  override get message(): string {
    return `Run ${this.runId} has ${this.position} rows; the save does not start there.`
  }
}

/**
 * Error returned when a run cannot be claimed because its owner's lease is
 * live. Repeat after `retryAfterMillis`.
 *
 * @category errors
 * @since 0.1.0
 */
export class LeaseHeld extends Schema.TaggedError<LeaseHeld>("@everbeat/core/LeaseHeld")("LeaseHeld", {
  runId: AskedRunId,
  retryAfterMillis: Schema.Finite
}) {
  override get message(): string {
    return `Run ${this.runId} is held by a live owner.`
  }
}
