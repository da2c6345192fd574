/** The record of a run that a checkpointer kept, and how it is written. */
import * as Cause from "effect/Cause"
import type * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { Json } from "effect/Schema"
import { type AgentRun, type Attempt, type Idempotency, isSettled, type RunMeta } from "../../AgentRun.ts"
import type { CheckpointStore } from "../../CheckpointStore.ts"
import type { Diagnostic } from "../../Diagnostic.ts"
import type { Lease } from "../../Lease.ts"
import { LeaseLost } from "../../PassError.ts"
import type { RunStore } from "../../RunStore.ts"
import type { StoreError } from "../../StoreError.ts"
import { clip, fromValue, recorded, valuesOf } from "../diagnose.ts"
import { endOf, settledAttempts } from "../recordEnd.ts"

export interface Ending {
  readonly meta: RunMeta
  readonly startedAt: DateTime.Utc
  readonly finishedAt: DateTime.Utc
  readonly attempts: ReadonlyArray<Attempt>
  readonly idempotency: Idempotency | undefined
  readonly cancelled: boolean
  readonly summary: string | undefined
  readonly warnings: ReadonlyArray<unknown>
  /** A value, or the cause of a fiber. */
  readonly failure: { readonly error: unknown } | undefined
  readonly touchedIssueUrls: ReadonlyArray<string>
  readonly result: Json | undefined
}

const diagnose = (severity: Diagnostic["severity"], values: ReadonlyArray<unknown>, at: DateTime.Utc) =>
  values.map((value) => recorded(fromValue(severity, undefined, value, at)))

export const compose = (ending: Ending): AgentRun => {
  const { attempts, failure, idempotency, result } = ending
  const finishedAt = endOf(ending.finishedAt, ending.startedAt, attempts)
  const warnings = diagnose("warning", ending.warnings, finishedAt)
  const values = failure === undefined
    ? []
    : Cause.isCause(failure.error)
    ? valuesOf(failure.error)
    : [failure.error]
  // A cause that holds nothing but an interruption failed all the same.
  const errors = diagnose("error", failure !== undefined && values.length === 0 ? ["Interrupted"] : values, finishedAt)
  const status = ending.cancelled ? "cancelled" : errors.length > 0 ? "error" : warnings.length > 0 ? "warning" : "ok"
  return {
    ...ending.meta,
    status,
    startedAt: ending.startedAt,
    finishedAt,
    summary: clip(ending.summary ?? errors[0]?.message ?? status, 2048),
    warnings,
    errors,
    touchedIssueUrls: ending.touchedIssueUrls,
    steps: [],
    attempts: settledAttempts(attempts, finishedAt),
    ...(idempotency === undefined ? undefined : { idempotency }),
    ...(result === undefined ? undefined : { result })
  }
}

/** What is known of the tries to settle one run. */
interface Tries {
  /** The answer of one was lost: it may have gone through. */
  ambiguous: boolean
}

/** Settles the run, with retries while the store does not answer, and answers the record that is stored. */
export const settle = (
  store: CheckpointStore["Service"],
  runs: RunStore["Service"] | undefined,
  lease: Lease,
  run: AgentRun,
  tries: Tries
): Effect.Effect<AgentRun, LeaseLost | StoreError> => {
  const lost = Effect.suspend(() => Effect.fail(new LeaseLost({ runId: lease.runId })))
  /** Only the lease's owner settles, so without records a run that is gone is settled. */
  const confirm = runs === undefined ? Effect.succeed(run) : Effect.flatMap(
    Effect.catchTag(runs.get(lease.runId), "RunNotFound", () => lost),
    (stored) => isSettled(stored) && stored.attempts.at(-1)?.fence === lease.fence ? Effect.succeed(stored) : lost
  )
  const attempt = Effect.suspend(() => Effect.as(store.settle(lease, run), run)).pipe(
    Effect.catchTags({
      Fenced: () => lost,
      Gone: () => (tries.ambiguous ? confirm : lost),
      StoreError: (error) =>
        Effect.suspend(() => {
          if (error.reason !== "refused") tries.ambiguous = true
          return Effect.fail(error)
        })
    })
  )
  return Effect.retry(attempt, {
    times: 3,
    schedule: Schedule.exponential("100 millis"),
    while: (error) => error._tag === "StoreError" && error.isRetryable
  })
}
