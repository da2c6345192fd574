/** Throws an interrupted run away: its checkpoint, and what was kept of its files. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { RunAlreadySettled } from "../../AgentError.ts"
import { isSettled } from "../../AgentRun.ts"
import * as Lease from "../../Lease.ts"
import type { RunCheckpoint } from "../../RunCheckpoint.ts"
import type { RunId } from "../../RunId.ts"
import type { RunStore } from "../../RunStore.ts"
import { LeaseHeld, RunNotFound, type StoreError } from "../../StoreError.ts"
import { Workspace } from "../../Workspace.ts"
import type { Hub } from "../checkpointer/hub.ts"
import * as Ledger from "./ledger.ts"

type DiscardError = LeaseHeld | RunAlreadySettled | RunNotFound | StoreError

/** What is thrown away, and where its files are. */
interface Claimed {
  readonly lease: Lease.Lease
  readonly checkpoint: Pick<RunCheckpoint, "kind" | "runId"> & { readonly notes?: string | undefined }
}

export const makeDiscard = ({ owner, store, ttl }: Hub, runs: RunStore["Service"]) => {
  /** What is damaged is claimed all the same, and its head tells by whom: nobody can continue it, but it can go. */
  const damaged = Effect.fnUntraced(function*(error: StoreError, runId: RunId) {
    if (error.reason !== "corrupt") return yield* error
    const state = yield* runs.get(runId)
    const lease = isSettled(state) ? undefined : Lease.newest(state)
    return lease?.owner === owner ? { lease, checkpoint: { kind: state.kind, runId } } : yield* error
  })

  const claimed = (runId: RunId) =>
    Effect.catchTag(
      store.claim(runId, owner, ttl),
      "StoreError",
      (error): Effect.Effect<Claimed, RunNotFound | StoreError> => damaged(error, runId)
    )

  const remove = (runId: RunId) =>
    Effect.flatMap(claimed(runId), ({ checkpoint, lease }: Claimed) =>
      store.delete(lease).pipe(
        // Whoever asks again need not wait for the lease to end.
        Effect.tapErrorTag(
          "StoreError",
          () => Effect.ignore(store.release(lease, "not discarded", { unstarted: true }))
        ),
        Effect.catchTags({
          Fenced: () => Effect.fail(new LeaseHeld({ runId, retryAfterMillis: Duration.toMillis(ttl) })),
          Gone: () => Effect.fail(new RunNotFound({ runId }))
        }),
        Effect.andThen(forget(checkpoint))
      ))

  return (runId: RunId): Effect.Effect<void, DiscardError> =>
    Effect.gen(function*() {
      const state = yield* runs.get(runId)
      // Looked at first: a claim is an attempt.
      if (isSettled(state)) return yield* new RunAlreadySettled({ runId, status: state.status })
      // What is claimed is deleted, whoever asked for it and goes away.
      yield* Effect.uninterruptible(remove(runId))
    })
}

/** After the checkpoint: nobody can restore what is forgotten here, and what stays is found by the sweep. */
const forget = ({ kind, notes, runId }: Claimed["checkpoint"]): Effect.Effect<void> =>
  Effect.flatMap(Effect.serviceOption(Workspace), (workspace) =>
    kind !== "agent" || Option.isNone(workspace)
      ? Effect.void
      // Without the newest snapshot: of what is thrown away no last copy is kept.
      : workspace.value.prune(runId, { cwd: Ledger.peek(notes).cwd }).pipe(
        Effect.catchCause((cause) =>
          Effect.logWarning("The snapshots of a run that was discarded could not be pruned", cause)
        ),
        Effect.asVoid
      ))
