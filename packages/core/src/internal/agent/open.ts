/** Opens an attempt: its checkpoint, what the one before left, and the files. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Checkpointer, Granted, State } from "../../Checkpointer.ts"
import type { Begun, Resumed } from "../../CheckpointStore.ts"
import type { MessageUnreadable } from "../../MessageCodec.ts"
import type { StoreError } from "../../StoreError.ts"
import * as WorkspaceSnapshot from "../../WorkspaceSnapshot.ts"
import * as Checkpointers from "../checkpointer/checkpointer.ts"
import { Files } from "./files.ts"
import * as Ledger from "./ledger.ts"
import { Progress } from "./progress.ts"
import type { Runtime, Task } from "./runtime.ts"
import { warningOf } from "./warning.ts"

export type Grant = Granted<Begun> | Granted<Resumed>

export interface Opened<M> {
  readonly checkpointer: Checkpointer<M>
  readonly progress: Progress<M>
  readonly files: Files | undefined
  readonly kept: WorkspaceSnapshot.Kept | undefined
  readonly attempt: number
  readonly cancelled: boolean
}

export const nothing: State<never> = {
  messages: [],
  iteration: 0,
  phase: "",
  completedPhases: [],
  notes: "",
  workspace: ""
}

export const isResumed = (grant: Grant): grant is Granted<Resumed> => grant.answer._tag === "Resumed"

export const attemptOf = (grant: Grant): number => isResumed(grant) ? grant.answer.checkpoint.attempts.length : 1

export const open = Effect.fnUntraced(function*<M, A, E, R>(
  { hub, runs, store }: Runtime,
  { cwd, definition, idempotency, meta, workspace }: Task<M, A, E, R>,
  grant: Grant
): Effect.fn.Return<
  Opened<M>,
  MessageUnreadable | StoreError | WorkspaceSnapshot.SnapshotUnreadable,
  Scope.Scope
> {
  const { codec, maxAttempts, onStoreFailure, throttle, verify } = definition
  const options = {
    store,
    runs,
    codec,
    throttle,
    onStoreFailure,
    verify,
    leaseTtl: hub.ttl,
    storeTimeout: hub.storeMillis
  }
  const checkpointer: Checkpointer<M> = isResumed(grant)
    ? yield* Checkpointers.resume<M>({ ...options, resumed: grant })
    : yield* Effect.catchTag(
      // `RunExists`: it is begun already.
      Checkpointers.make<M>({ ...options, meta, maxAttempts, idempotency, begun: grant }),
      "RunExists",
      Effect.die
    )
  const state: State<M> = checkpointer.resumed ?? nothing
  const stored = Ledger.decode(state.notes)
  const progress = new Progress(checkpointer, definition, state, stored, () => hub.clock.currentTimeMillisUnsafe())
  const folder = stored.cwd ?? cwd
  if (folder !== undefined && stored.cwd === undefined) progress.change({ ...stored, cwd: folder })
  const kept = workspace === undefined ? undefined : yield* WorkspaceSnapshot.decode(state.workspace)
  const files = workspace === undefined ? undefined : new Files({
    workspace,
    runId: meta.runId,
    cwd: folder,
    watch: hub.watch,
    every: definition.snapshotEvery,
    afterMutationMillis: definition.snapshotAfterMutationMillis,
    iteration: state.iteration,
    // What the checkpoint refuses to hold, the repository has all the same.
    save: (text) => Effect.ignore(checkpointer.save({ workspace: text })),
    warn: (error) => progress.change(Ledger.warn(progress.ledger, warningOf(error)))
  })
  if (files !== undefined) progress.listen(files)
  return {
    checkpointer,
    progress,
    files,
    kept,
    attempt: attemptOf(grant),
    cancelled: isResumed(grant) && grant.answer.checkpoint.cancelRequested
  }
})
