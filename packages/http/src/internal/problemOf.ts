/** Which problem each reason for a missing report is. */
import type { ResumeError, UnknownDefinition } from "@everbeat/core/AgentError"
import type { AdoptError, RunError } from "@everbeat/core/PassError"
import type { LeaseHeld, RunNotFound, StoreError } from "@everbeat/core/StoreError"
import * as Problem from "../Problem.ts"

export const retryAfterSeconds = 5

export const problemOf = (error: RunError): Problem.Problem => {
  switch (error._tag) {
    case "InvalidInput":
      return new Problem.InvalidRequest({ detail: error.message })
    case "AgentBusy":
      return new Problem.RunInProgress({
        detail: told(error),
        runId: error.runId,
        // The lease tells when the run is given up for dead; a living run mostly ends long before that.
        retryAfterSeconds: Math.min(Math.max(Math.ceil(error.retryAfterMillis / 1000), 1), 5)
      })
    case "KeyMismatch":
      return new Problem.IdempotencyKeyReused({ detail: told(error), runId: error.runId })
    case "StoreError":
      return storeUnavailable(error)
    case "EngineStopped":
      return new Problem.ShuttingDown({ retryAfterSeconds })
    case "PassInterrupted":
    case "LeaseLost":
      return new Problem.RunInterrupted({ detail: told(error), runId: error.runId, retryAfterSeconds })
    case "PassCancelled":
      return new Problem.RunCancelled({
        detail: `${error.message} Call again, without the same key, to begin a new one.`,
        runId: error.runId
      })
    case "DefinitionChanged":
      return new Problem.RunNotResumable({ detail: told(error), runId: error.runId })
    case "CheckpointUnreadable":
      // Without what the decoder said: it quotes the checkpoint.
      return new Problem.RunNotResumable({
        detail: `The checkpoint of run ${error.runId} cannot be read by this version. ${error.hint}`,
        runId: error.runId
      })
  }
}

type ActionError = Error & (AdoptError | LeaseHeld | ResumeError | RunNotFound | UnknownDefinition)

/** Which problem each reason for an action on a run that was not taken is. */
export const actionProblemOf = (error: ActionError): Problem.Problem => {
  switch (error._tag) {
    case "RunNotFound":
      return new Problem.RunNotFound({ detail: error.message })
    case "RunAlreadySettled":
      return new Problem.RunSettled({ detail: told(error), runId: error.runId })
    case "LeaseHeld":
      return new Problem.RunInProgress({
        detail: error.message,
        runId: error.runId,
        retryAfterSeconds: Math.min(Math.max(Math.ceil(error.retryAfterMillis / 1000), 1), 5)
      })
    case "OtherDefinition":
    case "UnknownDefinition":
      return new Problem.RunNotResumable({ detail: told(error), runId: error.runId })
    case "MessageUnreadable":
      // Without what the decoder said: it quotes the checkpoint.
      return new Problem.RunNotResumable({
        detail: `The checkpoint of run ${error.runId} cannot be read by this version.`,
        runId: error.runId
      })
    default:
      return problemOf(error)
  }
}

/** What the store said can name hosts, users and statements: it is for the log, not for agents. */
export const storeUnavailable = (error: StoreError): Problem.StoreUnavailable =>
  new Problem.StoreUnavailable({
    detail: `The store failed at ${error.operation} (${error.reason}). Repeat after a few seconds; `
      + "with the same Idempotency-Key a pass that did run is not run twice.",
    retryAfterSeconds
  })

const told = (error: { readonly message: string; readonly hint: string }): string => `${error.message} ${error.hint}`
