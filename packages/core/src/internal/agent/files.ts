/** The files of one attempt: when they are kept, and what the checkpoint says about them. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { AgentWorkspace } from "../../AgentContext.ts"
import type { RunId } from "../../RunId.ts"
import type { Restored, Workspace, WorkspaceDiff } from "../../Workspace.ts"
import type { WorkspaceError } from "../../WorkspaceError.ts"
import type * as WorkspaceSnapshot from "../../WorkspaceSnapshot.ts"
import type { Watch } from "../watch.ts"

type Reason = WorkspaceSnapshot.SnapshotReason

export interface FilesSetup {
  readonly workspace: Workspace["Service"]
  readonly runId: RunId
  /** Absent: the folder that the workspace was made with. */
  readonly cwd: string | undefined
  /** The folder that whoever asked for this attempt has named. */
  readonly asked: string | undefined
  readonly watch: Watch
  /** Every so many iterations. */
  readonly every: number
  readonly afterMutationMillis: number
  /** Iteration at which the attempt starts. */
  readonly iteration: number
  /** Puts the snapshot into the checkpoint. */
  readonly save: (kept: WorkspaceSnapshot.Kept) => Effect.Effect<void>
  readonly warn: (error: WorkspaceError) => void
}

export class Files {
  cwd: string | undefined
  private newest: WorkspaceSnapshot.WorkspaceSnapshot | undefined
  private running: Fiber.Fiber<unknown> | undefined
  /** Why another one is due when this one has ended. */
  private next: Reason | undefined
  private snapshotAt: number
  private mutationAt = -Infinity
  private warned = false
  private closed = false
  private readonly setup: FilesSetup

  constructor(setup: FilesSetup) {
    this.setup = setup
    this.cwd = setup.cwd
    this.snapshotAt = setup.iteration
  }

  /** Puts the files of an earlier attempt in place; from then on the agent's folder is there. */
  restore(
    { bundle, snapshot }: WorkspaceSnapshot.Kept,
    options: { readonly newest: boolean }
  ): Effect.Effect<Restored, WorkspaceError> {
    const { asked, save, workspace } = this.setup
    // Where the folder of the run is gone, that of whoever asks now may be in another clone.
    const restored = workspace.restore({ snapshot, bundle, cwd: asked ?? this.cwd, ...options })
    return Effect.tap(restored, ({ cwd, path, snapshot: found }) => {
      this.cwd = cwd
      // What was found there is in no checkpoint yet.
      if (found.commit !== snapshot.commit) return this.leniently(this.take("manual"))
      this.newest = snapshot
      if (path === snapshot.worktree.path) return Effect.void
      // The next attempt is to find them there, also when this one changes nothing.
      this.newest = { ...snapshot, worktree: { ...snapshot.worktree, path, linked: true } }
      return save({ snapshot: this.newest, bundle })
    })
  }

  /** What a snapshot changes, to tell the agent. It has the files all the same: what takes long is left out. */
  diff(snapshot: WorkspaceSnapshot.WorkspaceSnapshot, maxPatchBytes: number): Effect.Effect<WorkspaceDiff | undefined> {
    return this.setup.workspace.diff(snapshot, { cwd: this.cwd, maxPatchBytes }).pipe(
      Effect.timeout("5 seconds"),
      Effect.orElseSucceed(() => undefined)
    )
  }

  get context(): AgentWorkspace {
    const manual = Effect.suspend(() => (this.closed ? Effect.undefined : this.take("manual")))
    return { cwd: this.cwd, snapshot: manual }
  }

  /** Keeps the files now, and says so in the checkpoint. */
  take(reason: Reason): Effect.Effect<WorkspaceSnapshot.WorkspaceSnapshot | undefined, WorkspaceError> {
    const { runId, save, workspace } = this.setup
    return Effect.suspend(() => workspace.snapshot({ runId, cwd: this.cwd, reason, previous: this.newest })).pipe(
      Effect.flatMap((taken) => {
        if (taken._tag === "Skipped") return Effect.undefined
        this.newest = taken.snapshot
        if (taken._tag === "Unchanged") return Effect.succeed(taken.snapshot)
        if (taken.degraded !== undefined) this.warn(taken.degraded)
        return Effect.as(save(taken), taken.snapshot)
      })
    )
  }

  /** The attempt has ended: what is under way is given up, and whoever was left behind keeps nothing more. */
  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    this.closed = true
    return this.running === undefined ? Effect.void : Fiber.interrupt(this.running)
  })

  /** Keeps everything once more, after `close`. */
  final(reason: Reason): Effect.Effect<WorkspaceSnapshot.WorkspaceSnapshot | undefined> {
    return this.leniently(this.take(reason))
  }

  onIteration(iteration: number): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (Math.abs(iteration - this.snapshotAt) < this.setup.every) return Effect.void
      this.snapshotAt = iteration
      return this.inBackground("interval")
    })
  }

  readonly onMutation: Effect.Effect<void> = Effect.suspend(() => {
    const now = this.setup.watch.now()
    if (now - this.mutationAt < this.setup.afterMutationMillis) return Effect.void
    this.mutationAt = now
    return this.inBackground("tool")
  })

  readonly onPhase: Effect.Effect<void> = Effect.suspend(() => this.inBackground("phase"))

  /** Waits: a phase that is recorded as completed is not run again, so its files must be there. */
  readonly onPhaseEnd: Effect.Effect<void> = Effect.suspend(() => {
    const under = this.running === undefined ? Effect.void : Effect.asVoid(Fiber.await(this.running))
    return Effect.andThen(under, Effect.asVoid(this.leniently(this.take("phase"))))
  })

  /** Forgets what was kept: the run succeeded. What a failure leaves is found by the next sweep. */
  prune(): Effect.Effect<void> {
    const { runId, workspace } = this.setup
    return Effect.suspend(() => workspace.prune(runId, { cwd: this.cwd, snapshot: this.newest })).pipe(
      Effect.catch((error) => Effect.logWarning("The snapshots of a run that succeeded could not be pruned", error)),
      Effect.asVoid
    )
  }

  /** The agent does not wait for a periodic snapshot. What changes while one is taken is in the next one. */
  private inBackground(reason: Reason): Effect.Effect<void> {
    return Effect.withFiber((parent) => {
      if (this.closed) return Effect.void
      if (this.running !== undefined) {
        this.next = reason
        return Effect.void
      }
      const fiber = Effect.runForkWith(parent.context)(this.leniently(this.take(reason)))
      this.running = fiber
      fiber.addObserver(() => {
        this.running = undefined
        const { next } = this
        this.next = undefined
        if (next !== undefined) Effect.runForkWith(parent.context)(this.inBackground(next))
      })
      return Effect.void
    })
  }

  /** Reasoning is never lost because of git: what fails here is said once and does not end the run. */
  private leniently<A>(effect: Effect.Effect<A, WorkspaceError>): Effect.Effect<A | undefined> {
    return Effect.catch(effect, (error) => {
      this.warn(error)
      return Effect.as(Effect.logWarning("The files of a run could not be kept", error), undefined)
    })
  }

  private warn(error: WorkspaceError): void {
    if (!this.warned) this.setup.warn(error)
    this.warned = true
  }
}
