/** Cancels a run, wherever it is, and those that it started. */
import * as Effect from "effect/Effect"
import { RunAlreadySettled } from "../../AgentError.ts"
import { type AgentRun, isSettled, metaOf } from "../../AgentRun.ts"
import type { Resumed } from "../../CheckpointStore.ts"
import type { RunId } from "../../RunId.ts"
import type { RunStore } from "../../RunStore.ts"
import { RunNotFound, type StoreError } from "../../StoreError.ts"
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
  const close = ({ checkpoint, idempotency, lease }: Resumed) => {
    const { attempts, startedAt } = checkpoint
    const { urls, warnings } = Ledger.peek(checkpoint.notes)
    const run = compose({
      meta: metaOf(checkpoint),
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
    return Effect.as(settle(store, runs, lease, run), run).pipe(
      // Whoever asks again, or finds the run, closes it: not only when the lease has ended.
      Effect.tapError(() => Effect.ignore(store.release(lease, "not recorded", { unstarted: true })))
    )
  }

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
        Effect.flatMap(store.claim(runId, owner, ttl), close)
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
