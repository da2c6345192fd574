/**
 * Errors that the methods of Everbeat reject with.
 *
 * All of them extend {@link EverbeatError}. Compare `code` or use `instanceof`;
 * `retryable` says whether the same call can succeed later, and `hint` what to do.
 *
 * @since 0.1.0
 */
import type { Diagnostic } from "./Report.ts"

/**
 * Base of all errors that Everbeat rejects with.
 *
 * @category errors
 * @since 0.1.0
 */
export abstract class EverbeatError extends Error {
  abstract readonly _tag: string
  /** Stable: for programs and alerts. */
  abstract readonly code: string
  /** Whether the same call can succeed later. */
  abstract readonly retryable: boolean
  /** What to do about it. */
  readonly hint: string | undefined

  constructor(message: string, options: ErrorDetails = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.hint = options.hint
  }
}

/**
 * What an error can be made with.
 *
 * @category models
 * @since 0.1.0
 */
export interface ErrorDetails {
  readonly hint?: string | undefined
  readonly cause?: unknown
}

/**
 * Error of a call whose agent has a pass in flight. Repeat after `retryAfterMs`,
 * or ask with `onBusy: "join"`.
 *
 * @category errors
 * @since 0.1.0
 */
export class AgentBusyError extends EverbeatError {
  override readonly name = "AgentBusyError"
  readonly _tag = "AgentBusy"
  readonly code = "agent-busy"
  readonly retryable = true
  readonly runId: string
  readonly retryAfterMs: number

  constructor(runId: string, retryAfterMs: number, message: string, options?: ErrorDetails) {
    super(message, options)
    this.runId = runId
    this.retryAfterMs = retryAfterMs
  }
}

/**
 * Error of a run that a live process holds. Repeat after `retryAfterMs`, or
 * cancel the run.
 *
 * @category errors
 * @since 0.1.0
 */
export class RunHeldError extends EverbeatError {
  override readonly name = "RunHeldError"
  readonly _tag = "RunHeld"
  readonly code = "run-held"
  readonly retryable = true
  readonly runId: string
  readonly retryAfterMs: number

  constructor(runId: string, retryAfterMs: number, message: string, options?: ErrorDetails) {
    super(message, options)
    this.runId = runId
    this.retryAfterMs = retryAfterMs
  }
}

/**
 * Error of an idempotency key that was used before with another payload, for
 * run `runId`. Use a fresh key.
 *
 * @category errors
 * @since 0.1.0
 */
export class KeyMismatchError extends EverbeatError {
  override readonly name = "KeyMismatchError"
  readonly _tag = "KeyMismatch"
  readonly code = "key-mismatch"
  readonly retryable = false
  readonly runId: string

  constructor(runId: string, message: string, options?: ErrorDetails) {
    super(message, options)
    this.runId = runId
  }
}

/**
 * Error of an argument that cannot be accepted: a name, a key, a payload or an
 * id. Correct it.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidInputError extends EverbeatError {
  override readonly name = "InvalidInputError"
  readonly _tag = "InvalidInput"
  readonly code = "invalid-input"
  readonly retryable = false
  readonly field: string

  constructor(field: string, message: string, options?: ErrorDetails) {
    super(message, { ...options, hint: options?.hint ?? `Correct ${field}.` })
    this.field = field
  }
}

/**
 * Error of the store. When it is `retryable` the store did not answer, and
 * whether a write took place is not known.
 *
 * @category errors
 * @since 0.1.0
 */
export class StoreError extends EverbeatError {
  override readonly name = "StoreError"
  readonly _tag = "StoreError"
  readonly code = "store-failed"
  readonly retryable: boolean

  constructor(retryable: boolean, message: string, options?: ErrorDetails) {
    super(message, options)
    this.retryable = retryable
  }
}

/**
 * Error of a run that this process lost to another one, because it was frozen
 * or cut off from the store. Its work was stopped here. Call again, or read the
 * run, to learn what became of it.
 *
 * @category errors
 * @since 0.1.0
 */
export class LeaseLostError extends EverbeatError {
  override readonly name = "LeaseLostError"
  readonly _tag = "LeaseLost"
  readonly code = "lease-lost"
  readonly retryable = true
  readonly runId: string

  constructor(runId: string, message: string, options?: ErrorDetails) {
    super(message, options)
    this.runId = runId
  }
}

/**
 * Error of a run that somebody cancelled. It is recorded as `cancelled`.
 *
 * @category errors
 * @since 0.1.0
 */
export class RunCancelledError extends EverbeatError {
  override readonly name = "RunCancelledError"
  readonly _tag = "RunCancelled"
  readonly code = "run-cancelled"
  readonly retryable = false
  readonly runId: string

  constructor(runId: string, message: string, options?: ErrorDetails) {
    super(message, { ...options, hint: options?.hint ?? "Start it again if it is still wanted." })
    this.runId = runId
  }
}

/**
 * Error of a run that this process let go of before it ended, most often because
 * it shuts down. What it has is stored: the next call, or another process,
 * continues it.
 *
 * @category errors
 * @since 0.1.0
 */
export class RunInterruptedError extends EverbeatError {
  override readonly name = "RunInterruptedError"
  readonly _tag = "RunInterrupted"
  readonly code = "run-interrupted"
  readonly retryable = true
  readonly runId: string

  constructor(runId: string, message: string, options?: ErrorDetails) {
    super(message, options)
    this.runId = runId
  }
}

/**
 * Error of a run that used up its attempts, or made no progress in two of them.
 * Look at its notes, then resume it by its id for one more, or cancel it.
 *
 * @category errors
 * @since 0.1.0
 */
export class RunExhaustedError extends EverbeatError {
  override readonly name = "RunExhaustedError"
  readonly _tag = "RunExhausted"
  readonly code = "run-exhausted"
  readonly retryable = false
  readonly runId: string
  readonly attempts: number

  constructor(runId: string, attempts: number, message: string, options?: ErrorDetails) {
    super(message, options)
    this.runId = runId
    this.attempts = attempts
  }
}

/**
 * Error of an interrupted run of another heartbeat or agent, or of another
 * version of it, that is in the way or was to be resumed. Use or deploy the
 * definition that began it, or cancel it.
 *
 * @category errors
 * @since 0.1.0
 */
export class DefinitionChangedError extends EverbeatError {
  override readonly name = "DefinitionChangedError"
  readonly _tag = "DefinitionChanged"
  readonly code = "definition-changed"
  readonly retryable = false
  readonly runId: string

  constructor(runId: string, message: string, options?: ErrorDetails) {
    super(message, options)
    this.runId = runId
  }
}

/**
 * Error of a checkpoint that this version cannot read. It is left untouched.
 * Deploy the version that wrote it, or cancel the run.
 *
 * @category errors
 * @since 0.1.0
 */
export class CheckpointUnreadableError extends EverbeatError {
  override readonly name = "CheckpointUnreadableError"
  readonly _tag = "CheckpointUnreadable"
  readonly code = "checkpoint-unreadable"
  readonly retryable = false
  readonly runId: string

  constructor(runId: string, message: string, options?: ErrorDetails) {
    super(message, options)
    this.runId = runId
  }
}

/**
 * Error of an id that no run has, or, where a run in flight is needed, none that
 * has not ended.
 *
 * @category errors
 * @since 0.1.0
 */
export class RunNotFoundError extends EverbeatError {
  override readonly name = "RunNotFoundError"
  readonly _tag = "RunNotFound"
  readonly code = "run-not-found"
  readonly retryable = false
  readonly runId: string

  constructor(runId: string, message: string, options?: ErrorDetails) {
    super(message, options)
    this.runId = runId
  }
}

/**
 * Error of a run that has ended already: there is nothing to resume, discard or
 * cancel. Read its record.
 *
 * @category errors
 * @since 0.1.0
 */
export class RunSettledError extends EverbeatError {
  override readonly name = "RunSettledError"
  readonly _tag = "RunSettled"
  readonly code = "run-settled"
  readonly retryable = false
  readonly runId: string

  constructor(runId: string, message: string, options?: ErrorDetails) {
    super(message, options)
    this.runId = runId
  }
}

/**
 * Error of a name that no heartbeat or agent of this instance has. Give the
 * definition to `createEverbeat`.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnknownAgentError extends EverbeatError {
  override readonly name = "UnknownAgentError"
  readonly _tag = "UnknownAgent"
  readonly code = "unknown-agent"
  readonly retryable = false
  readonly agentName: string

  constructor(agentName: string, message: string, options?: ErrorDetails) {
    super(message, options)
    this.agentName = agentName
  }
}

/**
 * Error of a run of an agent that ended as `error` in another process or
 * earlier: of what it failed with, only the diagnostic is left.
 *
 * @category errors
 * @since 0.1.0
 */
export class AgentFailedError extends EverbeatError {
  override readonly name = "AgentFailedError"
  readonly _tag = "AgentFailed"
  readonly code = "agent-failed"
  readonly retryable = false
  readonly diagnostic: Diagnostic

  constructor(diagnostic: Diagnostic, options?: ErrorDetails) {
    super(diagnostic.message, { hint: diagnostic.hint, ...options })
    this.diagnostic = diagnostic
  }
}

/**
 * Error of a value that cannot be stored: `path` leads to what JSON cannot hold,
 * or to what is too large. Nothing was written. Convert it, or leave it out.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotStorableError extends EverbeatError {
  override readonly name = "NotStorableError"
  readonly _tag = "NotStorable"
  readonly code = "not-storable"
  readonly retryable = false
  readonly path: string

  constructor(path: string, message: string, options?: ErrorDetails) {
    super(message, { ...options, hint: options?.hint ?? "Convert it to JSON, or leave it out." })
    this.path = path
  }
}

/**
 * Error of an agent's files that could not be kept: `cause` says why.
 *
 * @category errors
 * @since 0.1.0
 */
export class FilesNotKeptError extends EverbeatError {
  override readonly name = "FilesNotKeptError"
  readonly _tag = "FilesNotKept"
  readonly code = "files-not-kept"
  readonly retryable = true
}

/**
 * Error of a call to an instance that was disposed, or is being disposed. Create
 * a new one, or call another process.
 *
 * @category errors
 * @since 0.1.0
 */
export class DisposedError extends EverbeatError {
  override readonly name = "DisposedError"
  readonly _tag = "Disposed"
  readonly code = "disposed"
  readonly retryable = false

  constructor(options?: ErrorDetails) {
    super("Everbeat was disposed.", { hint: "Create a new instance, or call another process.", ...options })
  }
}
