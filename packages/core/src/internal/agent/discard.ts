/** Throws an interrupted run away: its checkpoint, and what was kept of its files. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { RunAlreadySettled } from "../../AgentError.ts"
import { isSettled } from "../../AgentRun.ts"
import type { RunCheckpoint } from "../../RunCheckpoint.ts"
import type { RunId } from "../../RunId.ts"
import type { RunStore } from "../../RunStore.ts"
import { LeaseHeld, RunNotFound, type StoreError } from "../../StoreError.ts"
import { Workspace } from "../../Workspace.ts"
import type { Hub } from "../checkpointer/hub.ts"
import * as Ledger from "./ledger.ts"

type DiscardError = LeaseHeld | RunAlreadySettled | RunNotFound | StoreError

export const makeDiscard = ({ owner, store, ttl }: Hub, runs: RunStore["Service"]) => {
  const remove = (runId: RunId) =>
    Effect.flatMap(store.claim(runId, owner, ttl), ({ checkpoint, lease }) =>
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
const forget = ({ kind, notes, runId }: RunCheckpoint): Effect.Effect<void> =>
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
