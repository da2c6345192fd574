/** Cancels a run, wherever it is, and those that it started. */
import * as Effect from "effect/Effect"
import { RunAlreadySettled } from "../../AgentError.ts"
import { type AgentRun, type Idempotency, isSettled, metaOf, type RunInFlight } from "../../AgentRun.ts"
import * as Lease from "../../Lease.ts"
import type { LeaseLost } from "../../PassError.ts"
import type { RunId } from "../../RunId.ts"
import type { RunStore } from "../../RunStore.ts"
import { type LeaseHeld, RunNotFound, type StoreError } from "../../StoreError.ts"
import type { Hub } from "../checkpointer/hub.ts"
import { compose, settle } from "../checkpointer/settle.ts"
import type { Stoppable } from "./activeRun.ts"
import * as Ledger from "./ledger.ts"

type CancelError = RunAlreadySettled | RunNotFound | StoreError

const everyState = ["running", "interrupted", "exhausted"] as const

export const makeCancel = (
  { owner, store, ttl, watch }: Hub,
  runs: RunStore["Service"],
  active: ReadonlyMap<RunId, Stoppable>
) => {
  /** Nobody has it: it is recorded without running anything. */
  const close = (lease: Lease.Lease, state: RunInFlight, notes?: string, idempotency?: Idempotency) => {
    const { attempts, startedAt } = state
    const { urls, warnings } = Ledger.peek(notes)
    const run = compose({
      meta: metaOf(state),
      startedAt,
      finishedAt: watch.at(),
      attempts,
      idempotency,
      cancelled: true,
      summary: "cancelled while it was interrupted",
      warnings,
      failure: undefined,
      touchedIssueUrls: urls,
      result: undefined
    })
    return settle(store, runs, lease, run, { ambiguous: false }).pipe(
      // Whoever asks again, or finds the run, closes it: not only when the lease has ended.
      Effect.tapError(() => Effect.ignore(store.release(lease, "not recorded", { unstarted: true })))
    )
  }

  /** What is damaged is claimed all the same, and its head tells by whom: nobody can continue it, but it can be ended. */
  const closeDamaged = Effect.fnUntraced(function*(error: StoreError, runId: RunId) {
    if (error.reason !== "corrupt") return yield* error
    const state = yield* runs.get(runId)
    const lease = isSettled(state) ? undefined : Lease.newest(state)
    return isSettled(state) || lease?.owner !== owner ? yield* error : yield* close(lease, state)
  })

  const gone = (runId: RunId): Effect.Effect<never, CancelError> =>
    Effect.flatMap(runs.get(runId), (state): Effect.Effect<never, CancelError> =>
      Effect.fail(
        isSettled(state) ? new RunAlreadySettled({ runId, status: state.status }) : new RunNotFound({ runId })
      ))

  const children = Effect.fnUntraced(function*(parentRunId: RunId) {
    const found: Array<RunId> = []
    let cursor: string | undefined
    do {
      const page = yield* store.listInterrupted({ parentRunId, status: everyState }, { cursor })
      found.push(...page.items.map(({ runId }) => runId))
      cursor = page.next
    } while (cursor !== undefined)
    return found
  })

  const cancel = (runId: RunId): Effect.Effect<AgentRun | undefined, CancelError> =>
    Effect.gen(function*() {
      const state = yield* runs.get(runId)
      if (isSettled(state)) return yield* new RunAlreadySettled({ runId, status: state.status })
      // It may have ended meanwhile.
      yield* Effect.catchTag(store.requestCancel(runId), "RunNotFound", () => gone(runId))
      active.get(runId)?.stop("cancelled")
      yield* Effect.forEach(yield* children(runId), (child) => Effect.ignore(cancel(child)), { discard: true })
      if (state.status === "running") return undefined
      return yield* Effect.uninterruptible(
        Effect.matchEffect(store.claim(runId, owner, ttl), {
          onSuccess: ({ checkpoint, idempotency, lease }) => close(lease, checkpoint, checkpoint.notes, idempotency),
          onFailure: (error): Effect.Effect<AgentRun, CancelError | LeaseHeld | LeaseLost> =>
            error._tag === "StoreError" ? closeDamaged(error, runId) : Effect.fail(error)
        })
      ).pipe(
        Effect.catchTags({
          LeaseHeld: () => Effect.undefined, // its new owner learns of it
          LeaseLost: () => Effect.undefined, // somebody else closed it
          RunNotFound: () => Effect.undefined
        })
      )
    })

  return cancel
}
