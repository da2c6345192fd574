/**
 * Snapshots of an agent's files.
 *
 * An agent that changes files has progress that its messages do not hold. A
 * workspace keeps uncommitted files at safety points, puts them back for the
 * attempt that continues the run, and forgets them when the run succeeded. The
 * files of the user are read, never written: what is restored goes into a fresh
 * worktree, unless the old one is still as it was.
 *
 * `@everbeat/workspace-git` implements the service with git.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as memory from "./internal/workspace/memory.ts"
import * as none from "./internal/workspace/none.ts"
import type { RunId } from "./RunId.ts"
import type { WorkspaceError } from "./WorkspaceError.ts"
import type { ChangeSummary, Kept, SnapshotReason, WorkspaceSnapshot } from "./WorkspaceSnapshot.ts"

/**
 * What to snapshot.
 *
 * @category models
 * @since 0.1.0
 */
export interface SnapshotInput {
  readonly runId: RunId
  /** The agent's folder. Absent: the one that the workspace was made with. */
  readonly cwd?: string | undefined
  readonly reason: SnapshotReason
  /** The newest snapshot of the run, also one that another attempt took. */
  readonly previous?: WorkspaceSnapshot | undefined
  /**
   * Number of the snapshot; of two callers with the same one, the second gets `RefConflict`. Absent: one more than that
   * of `previous`, or than what a crashed attempt had published without recording it.
   */
  readonly seq?: number | undefined
  /**
   * All paths that changed since the newest snapshot, relative to the top of the worktree: nothing else is looked at.
   * Final snapshots scan everything all the same, and fall back to these paths when that takes too long.
   */
  readonly paths?: ReadonlyArray<string> | undefined
  /**
   * How long it may take until it is kept in the repository; bundles and remotes have limits of their own. A periodic
   * snapshot that misses it is not tried again for a while.
   *
   * @default "10 seconds" for a final snapshot, "5 seconds" for others
   */
  readonly deadline?: Duration.Input | undefined
}

/**
 * Answer of `snapshot`: a new one was published.
 *
 * @category models
 * @since 0.1.0
 */
export interface Taken extends Kept {
  readonly _tag: "Taken"
  readonly snapshot: WorkspaceSnapshot
  /** With durability `inline`: give it back to `restore`. `WorkspaceSnapshot.encode` stores it with the snapshot. */
  readonly bundle: Uint8Array | undefined
  /** Why the files are kept in the repository only, where more was asked for: mostly `BundleTooLarge` or `RemoteFailed`. */
  readonly degraded: WorkspaceError | undefined
}

/**
 * Answer of `snapshot`: the files are as they were in `previous`, and nothing
 * was written.
 *
 * @category models
 * @since 0.1.0
 */
export interface Unchanged {
  readonly _tag: "Unchanged"
  readonly snapshot: WorkspaceSnapshot
}

/**
 * Answer of `snapshot`: none was taken. There is no workspace (`none`), another
 * one of the same worktree is under way (`busy`), or the last ones took too long
 * (`back-off`). Final snapshots are never skipped for the last two reasons.
 *
 * @category models
 * @since 0.1.0
 */
export interface Skipped {
  readonly _tag: "Skipped"
  readonly why: "none" | "busy" | "back-off"
}

/**
 * What to restore, and where.
 *
 * @category models
 * @since 0.1.0
 */
export interface RestoreInput {
  readonly snapshot: WorkspaceSnapshot
  /** The bundle that came with the snapshot. */
  readonly bundle?: Uint8Array | undefined
  /**
   * Whether to restore what the original worktree holds now, where it is still there: an attempt that was killed had
   * changed files since its last snapshot. It is kept as a snapshot first, and restored elsewhere like any other.
   *
   * @default false
   */
  readonly newest?: boolean | undefined
  /** A folder of the repository to restore with, where the original one is gone. Absent: that of the workspace. */
  readonly cwd?: string | undefined
  /** A folder that does not exist or is empty. Absent: one named after the run, beside the repository. */
  readonly target?: string | undefined
  /**
   * `"switch"` puts the worktree on the branch of the snapshot, or on a new one where that is taken or has moved.
   *
   * @default "switch"
   */
  readonly branch?: "switch" | "detached" | undefined
  /** @default "2 minutes" */
  readonly deadline?: Duration.Input | undefined
}

/**
 * Where the files are again.
 *
 * @category models
 * @since 0.1.0
 */
export interface Restored {
  /** The top of the worktree, and the agent's folder in it. */
  readonly path: string
  readonly cwd: string
  /** The original worktree was still as it was, and is used as it is. */
  readonly inPlace: boolean
  /** The commit that the changes are made on: they are uncommitted again. */
  readonly base: string | null
  readonly branch: string | null
  /** The snapshot holds everything that the agent had. Else `snapshot.skipped` names what is missing. */
  readonly complete: boolean
  /** What was restored: the snapshot that was asked for or, with `newest`, what the original worktree held. */
  readonly snapshot: WorkspaceSnapshot
  /** What the original worktree held, when it was there but different: it was not touched. */
  readonly preRestore: WorkspaceSnapshot | undefined
  /** Submodules are not filled in: these are empty. */
  readonly submodules: ReadonlyArray<string>
}

/**
 * What to show of a snapshot.
 *
 * @category models
 * @since 0.1.0
 */
export interface DiffOptions {
  readonly cwd?: string | undefined
  /** Bytes of patch text. 0 leaves the patch out. @default 0 */
  readonly maxPatchBytes?: number | undefined
}

/**
 * What a snapshot changes on its base.
 *
 * @category models
 * @since 0.1.0
 */
export interface WorkspaceDiff {
  readonly summary: ChangeSummary
  readonly patch: { readonly text: string; readonly truncated: boolean } | undefined
}

/**
 * A snapshot that the repository holds, as its refs tell: enough to find the
 * work of a run without its checkpoint.
 *
 * @category models
 * @since 0.1.0
 */
export interface SnapshotRef {
  readonly runId: RunId
  readonly seq: number
  readonly ref: string
  readonly commit: string
  readonly base: string | null
  readonly branch: string | null
  readonly reason: SnapshotReason
  readonly committedAt: number
}

/**
 * Which snapshots to forget.
 *
 * @category models
 * @since 0.1.0
 */
export interface PruneOptions {
  readonly cwd?: string | undefined
  /** How many of the newest snapshots stay. @default 0 */
  readonly keepLast?: number | undefined
  /** The newest snapshot of the run: it stays when its worktree is gone and no branch holds what it has. */
  readonly snapshot?: WorkspaceSnapshot | undefined
}

/**
 * What was forgotten: refs, with the commits that they named.
 *
 * @category models
 * @since 0.1.0
 */
export interface PruneReport {
  readonly pruned: ReadonlyArray<{ readonly ref: string; readonly commit: string }>
}

/**
 * What a sweep may remove.
 *
 * @category models
 * @since 0.1.0
 */
export interface SweepPolicy {
  readonly cwd?: string | undefined
  /** Runs whose snapshots stay, whatever their age: those in flight. */
  readonly keep: ReadonlyArray<RunId>
  /** Age after which the snapshots of other runs go. @default "7 days" */
  readonly ttl?: Duration.Input | undefined
}

/**
 * What a sweep removed.
 *
 * @category models
 * @since 0.1.0
 */
export interface SweepReport extends PruneReport {
  /** Refs that a power loss had left empty: they break `git gc` and `git fetch`. */
  readonly healed: ReadonlyArray<string>
  /** Private indexes of runs that are over. */
  readonly indexes: number
  /** Runs of `keep` that have no snapshot here. */
  readonly missing: ReadonlyArray<RunId>
}

/**
 * Service that keeps, restores and forgets the files of runs.
 *
 * @category services
 * @since 0.1.0
 */
export class Workspace extends Context.Service<Workspace, {
  /** Keeps the files as they are now. Nothing that the user sees changes but the branch `checkpoint/<run>`. */
  readonly snapshot: (input: SnapshotInput) => Effect.Effect<Taken | Unchanged | Skipped, WorkspaceError>

  /** Puts the files of a snapshot in place, uncommitted as they were. It never writes into a folder that has files. */
  readonly restore: (input: RestoreInput) => Effect.Effect<Restored, WorkspaceError>

  /** Tells what a snapshot changes on its base. */
  readonly diff: (
    snapshot: WorkspaceSnapshot,
    options?: DiffOptions
  ) => Effect.Effect<WorkspaceDiff, WorkspaceError>

  /** Lists the snapshots that are here, newest first. */
  readonly list: (
    filter?: { readonly runId?: RunId | undefined; readonly cwd?: string | undefined }
  ) => Effect.Effect<ReadonlyArray<SnapshotRef>, WorkspaceError>

  /**
   * Forgets the snapshots of a run that succeeded. The work must be committed, or its worktree still there. It never
   * removes a worktree. Repeating it forgets nothing more.
   */
  readonly prune: (runId: RunId, options?: PruneOptions) => Effect.Effect<PruneReport, WorkspaceError>

  /** Removes what crashed processes and old runs left. For the background, at start and then now and then. */
  readonly sweep: (policy: SweepPolicy) => Effect.Effect<SweepReport, WorkspaceError>
}>()("@everbeat/core/Workspace") {}

/**
 * The files of agents in memory, for tests: folders of named texts.
 *
 * @category testing
 * @since 0.1.0
 */
export class MemoryFiles extends Context.Service<MemoryFiles, {
  readonly write: (cwd: string, path: string, text: string) => Effect.Effect<void>
  readonly remove: (cwd: string, path: string) => Effect.Effect<void>
  /** The files of a folder, by path. `undefined` when there is no such folder. */
  readonly read: (cwd: string) => Effect.Effect<Readonly<Record<string, string>> | undefined>
  /** Loses a folder, as a machine that is gone does. With `snapshots` all that was kept is lost too. */
  readonly lose: (cwd: string, options?: { readonly snapshots?: boolean | undefined }) => Effect.Effect<void>
}>()("@everbeat/core/Workspace/MemoryFiles") {}

/**
 * Options of the workspace in memory.
 *
 * @category models
 * @since 0.1.0
 */
export interface MemoryOptions {
  /** The agent's folder where the caller names none. @default "/workspace" */
  readonly cwd?: string | undefined
  /** With `"inline"` snapshots carry a bundle, which restores them where they are not kept. @default "local" */
  readonly durability?: "local" | "inline" | undefined
}

/**
 * Layer for agents without files: every snapshot is skipped.
 *
 * **Example** (No files to keep)
 *
 * ```ts
 * import { AgentName, RunId, Workspace } from "@everbeat/core"
 * import { Effect } from "effect"
 *
 * const runId = RunId.make(AgentName.make("triage"))
 * const program = Effect.flatMap(Workspace.Workspace, (_) => _.snapshot({ runId, reason: "timeout" }))
 *
 * await Effect.runPromise(Effect.provide(program, Workspace.layerNone)) // => { _tag: "Skipped", why: "none" }
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerNone: Layer.Layer<Workspace> = Layer.succeed(Workspace, none.make())

/**
 * Layer for tests: folders and their snapshots in memory.
 *
 * **Example** (Losing and restoring files)
 *
 * ```ts
 * import { AgentName, RunId, Workspace } from "@everbeat/core"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const files = yield* Workspace.MemoryFiles
 *   const workspace = yield* Workspace.Workspace
 *   yield* files.write("/work", "notes.md", "half done")
 *   const taken = yield* workspace.snapshot({
 *     runId: RunId.make(AgentName.make("coder")),
 *     cwd: "/work",
 *     reason: "timeout"
 *   })
 *   yield* files.lose("/work")
 *   if (taken._tag !== "Taken") return undefined
 *   const restored = yield* workspace.restore({ snapshot: taken.snapshot })
 *   return yield* files.read(restored.path)
 * })
 *
 * await Effect.runPromise(Effect.provide(program, Workspace.layerMemory())) // => { "notes.md": "half done" }
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory = (options: MemoryOptions = {}): Layer.Layer<Workspace | MemoryFiles> =>
  Layer.effectContext(memory.make(options, { Workspace, MemoryFiles }))
