/** Opens an attempt: its checkpoint, what the one before left, and the files. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Checkpointer, Granted, State } from "../../Checkpointer.ts"
import type { Begun, Resumed } from "../../CheckpointStore.ts"
import { MessageUnreadable } from "../../MessageCodec.ts"
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
  readonly maxAttempts: number
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

/** The attempts that the run gets, as far as can be told: those that a shutdown ended come on top. */
const mostOf = (grant: Grant, maxAttempts: number): number => {
  if (!isResumed(grant)) return maxAttempts
  const { attempts } = grant.answer.checkpoint
  const shutdowns = attempts.filter(({ reason }) => reason === "shutdown").length
  return Math.max(maxAttempts + shutdowns, attempts.length)
}

export const attemptOf = (grant: Grant): number => isResumed(grant) ? grant.answer.checkpoint.attempts.length : 1

export const open = Effect.fnUntraced(function*<M, A, E, R>(
  { hub, runs, store }: Runtime,
  { cwd, definition, idempotency, meta, run, workspace }: Task<M, A, E, R>,
  grant: Grant
): Effect.fn.Return<Opened<M>, MessageUnreadable | StoreError, Scope.Scope> {
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
    : yield* Checkpointers.make<M>({ ...options, meta, maxAttempts, idempotency, begun: grant }).pipe(
      // A run that cannot be written is none: nobody could continue it.
      Effect.tapError(() => Effect.ignore(hub.store.delete(grant.answer.lease))),
      Effect.catchTag("RunExists", Effect.die) // it is begun already
    )
  const state: State<M> = checkpointer.resumed ?? nothing
  const stored = Ledger.decode(state.notes)
  const progress = new Progress(checkpointer, definition, state, stored, () => hub.clock.currentTimeMillisUnsafe())
  const kept = yield* keptFiles(state.workspace, workspace !== undefined).pipe(
    Effect.mapError(({ message }) =>
      new MessageUnreadable({ runId: meta.runId, place: "workspace", reason: "corrupt", detail: message })
    ),
    // Somebody who can read it may continue it at once.
    Effect.tapError(({ _tag }) => checkpointer.release(_tag, { unstarted: true }))
  )
  if (definition.recordsCalls && definition.onMutation && !isResumed(grant)) progress.change(Ledger.tracked(stored))
  const folder = stored.cwd ?? cwd
  if (folder !== undefined && stored.cwd === undefined) {
    progress.change({ ...progress.ledger, cwd: folder })
    yield* Effect.ignore(progress.persist) // whoever continues the run must find its files
  }
  const files = workspace === undefined ? undefined : new Files({
    workspace,
    runId: meta.runId,
    cwd: folder,
    asked: cwd,
    watch: hub.watch,
    every: definition.snapshotEvery,
    afterMutationMillis: definition.snapshotAfterMutationMillis,
    iteration: state.iteration,
    save: (kept) =>
      checkpointer.save({ workspace: WorkspaceSnapshot.encode(kept) }).pipe(
        Effect.catchTag("MessageTooLarge", (error) => {
          run.remark(warningOf(error)) // without its bundle: the repository has the files all the same
          return checkpointer.save({ workspace: WorkspaceSnapshot.encode({ snapshot: kept.snapshot }) })
        }),
        Effect.ignore
      ),
    warn: (error) => run.remark(warningOf(error))
  })
  if (files !== undefined) progress.listen(files)
  return {
    checkpointer,
    progress,
    files,
    kept,
    attempt: attemptOf(grant),
    maxAttempts: mostOf(grant, maxAttempts),
    cancelled: isResumed(grant) && grant.answer.checkpoint.cancelRequested
  }
})

/** The snapshot that an earlier attempt left. Without a workspace the agent would work on files that are not there. */
const keptFiles = (
  text: string,
  known: boolean
): Effect.Effect<WorkspaceSnapshot.Kept | undefined, WorkspaceSnapshot.SnapshotUnreadable> =>
  known || text === "" ? WorkspaceSnapshot.decode(text) : Effect.fail(
    new WorkspaceSnapshot.SnapshotUnreadable({ detail: "this process has no Workspace service to restore files with" })
  )
