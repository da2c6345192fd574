/** What a Promise user is told when a call did not succeed: decided here and nowhere else. */
import * as Cause from "effect/Cause"
import * as DateTime from "effect/DateTime"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as AgentErrors from "../../AgentError.ts"
import { RecordedFailure } from "../../Fault.ts"
import { MessageTooLarge, MessageUnreadable, Unencodable } from "../../MessageCodec.ts"
import * as PassErrors from "../../PassError.ts"
import * as StoreErrors from "../../StoreError.ts"
import * as E from "../EverbeatError.ts"
import { describe } from "./checks.ts"
import { isA, Raised } from "./raise.ts"
import { dateOf, diagnosticOf } from "./records.ts"

/** Errors of the core. Those of the user keep what they are, whatever tag they have. */
const classes = [
  AgentErrors.RunAlreadySettled,
  AgentErrors.RunExhausted,
  AgentErrors.RunInterrupted,
  AgentErrors.UnknownDefinition,
  MessageTooLarge,
  MessageUnreadable,
  PassErrors.CheckpointUnreadable,
  PassErrors.DefinitionChanged,
  PassErrors.EngineStopped,
  PassErrors.InvalidInput,
  PassErrors.LeaseLost,
  PassErrors.PassCancelled,
  PassErrors.PassInterrupted,
  RecordedFailure,
  StoreErrors.AgentBusy,
  StoreErrors.Conflict,
  StoreErrors.Fenced,
  StoreErrors.Gone,
  StoreErrors.KeyMismatch,
  StoreErrors.LeaseHeld,
  StoreErrors.OtherDefinition,
  StoreErrors.RunNotFound,
  StoreErrors.StoreError,
  Unencodable
] as const

export type CoreError = InstanceType<(typeof classes)[number]>

export const isCoreError = (error: unknown): error is CoreError => classes.some((one) => isA<CoreError>(error, one))

const known = (error: CoreError): E.EverbeatError => {
  const { message } = error
  const options = { cause: error, hint: "hint" in error ? error.hint : undefined }
  switch (error._tag) {
    case "AgentBusy":
      return new E.AgentBusyError(error.runId, error.retryAfterMillis, message, options)
    case "LeaseHeld":
      return new E.RunHeldError(error.runId, error.retryAfterMillis, message, {
        ...options,
        hint: "Wait until it is interrupted, or cancel it."
      })
    case "KeyMismatch":
      return new E.KeyMismatchError(error.runId, message, options)
    case "InvalidInput":
      return new E.InvalidInputError(error.field, message, options)
    case "StoreError":
      return new E.StoreError(error.isRetryable, message, options)
    case "Conflict":
    case "Fenced":
    case "Gone":
      return new E.LeaseLostError(error.runId, message, {
        ...options,
        hint: new PassErrors.LeaseLost({ runId: error.runId }).hint
      })
    case "LeaseLost":
      return new E.LeaseLostError(error.runId, message, options)
    case "PassCancelled":
      return new E.RunCancelledError(error.runId, message, options)
    case "PassInterrupted":
    case "RunInterrupted":
      return new E.RunInterruptedError(error.runId, message, options)
    case "RunExhausted":
      return new E.RunExhaustedError(error.runId, error.attempts, message, options)
    case "DefinitionChanged":
    case "OtherDefinition":
      return new E.DefinitionChangedError(error.runId, message, options)
    case "CheckpointUnreadable":
    case "MessageUnreadable":
      return new E.CheckpointUnreadableError(error.runId, message, options)
    case "RunNotFound":
      return new E.RunNotFoundError(error.runId, message, options)
    case "RunAlreadySettled":
      return new E.RunSettledError(error.runId, message, options)
    case "UnknownDefinition":
      return new E.UnknownAgentError(error.name, message, { ...options, hint: "Give it to createEverbeat." })
    case "EngineStopped":
      return new E.DisposedError({ cause: error })
    case "RecordedFailure":
      return new E.AgentFailedError(diagnosticOf(error.diagnostic), { cause: error })
    case "Unencodable":
    case "MessageTooLarge":
      return new E.NotStorableError(error.path, message, options)
  }
}

/** What a failure of an effect is told as. */
const failure = (error: unknown): unknown => {
  if (isCoreError(error)) return known(error)
  if (!isA(error, Raised)) return error
  if (isA(error.value, Error)) return error.value
  // It can be told apart from what Everbeat itself rejects with only when it is an error.
  const { _tag: code, hint, message, url } = error
  return new E.AgentFailedError({
    severity: "error",
    code,
    message: message === "" ? `${describe(error.value)} was thrown.` : message,
    ...(hint === undefined ? undefined : { hint }),
    ...(url === undefined ? undefined : { url }),
    at: dateOf(DateTime.nowUnsafe())
  }, { cause: error.value })
}

/** What the effect succeeded with. Throws what its caller is to catch. */
export const valueOf = <A>(exit: Exit.Exit<A, unknown>, signal?: AbortSignal): A => {
  if (Exit.isSuccess(exit)) return exit.value
  // Whoever aborts a call learns of nothing else: the pass that was interrupted for it says so itself, too.
  if (signal?.aborted === true) throw signal.reason
  const error = Cause.findErrorOption(exit.cause)
  if (Option.isSome(error)) throw failure(error.value)
  if (Cause.hasInterruptsOnly(exit.cause)) throw new E.DisposedError()
  throw Cause.squash(exit.cause)
}
