/**
 * `Workspace` on the git binary, 2.31 or newer.
 *
 * A snapshot is a commit of the files as they are, made with a private index
 * and kept by refs that only this service uses. It reads the user's repository
 * and adds objects and refs to it: HEAD, the index, the stash, branches, files,
 * hooks, signing and configuration of the user stay as they are.
 *
 * @since 0.1.0
 */
import * as NodeChildProcessSpawner from "@effect/platform-node-shared/NodeChildProcessSpawner"
import * as NodeFileSystem from "@effect/platform-node-shared/NodeFileSystem"
import * as NodePath from "@effect/platform-node-shared/NodePath"
import { Workspace } from "@everbeat/core/Workspace"
import type { Durability } from "@everbeat/core/WorkspaceSnapshot"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { FileSystem } from "effect/FileSystem"
import * as Layer from "effect/Layer"
import { Path } from "effect/Path"
import { ChildProcessSpawner } from "effect/process/ChildProcessSpawner"
import type { Deps } from "./internal/deps.ts"
import * as Diff from "./internal/diff.ts"
import * as Git from "./internal/git.ts"
import * as List from "./internal/list.ts"
import * as Prune from "./internal/prune.ts"
import * as Restore from "./internal/restore.ts"
import { isSecret } from "./internal/secrets.ts"
import * as Snapshot from "./internal/snapshot.ts"
import { State } from "./internal/state.ts"

/**
 * Options of the workspace.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * A folder of the repository, for callers that name none.
   *
   * @default "."
   */
  readonly cwd?: string | undefined
  /**
   * The git binary.
   *
   * @default "git"
   */
  readonly binary?: string | undefined
  /**
   * Whether the newest snapshot of a run is also the branch `checkpoint/<run>`, which people see. Without it only hidden
   * refs are kept. `git push --all` and `git clone` copy branches.
   *
   * @default true
   */
  readonly branch?: boolean | undefined
  /**
   * Where files are kept: in the repository (`"local"`), in the checkpoint too (`"inline"`), or on a remote too (`"push"`).
   *
   * @default "local"
   */
  readonly durability?: Durability | undefined
  /**
   * Bytes that the bundle of an inline snapshot may take. A larger one is kept in the repository only.
   *
   * @default 8388608
   */
  readonly maxBundleBytes?: number | undefined
  /**
   * Where `"push"` keeps snapshots: the name or URL of a remote.
   *
   * @default "origin"
   */
  readonly remote?: string | undefined
  /**
   * How long the remote may take to answer.
   *
   * @default "30 seconds"
   */
  readonly remoteTimeout?: Duration.Input | undefined
  /** The folder of restored worktrees. Absent: beside the repository, with its name and `.everbeat`. */
  readonly worktrees?: string | undefined
  readonly limits?: Limits | undefined
  readonly secrets?: Secrets | undefined
}

/**
 * Caps on what a snapshot takes in. What is left out is in `skipped`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Limits {
  /**
   * Bytes of a file that HEAD does not have.
   *
   * @default 10485760
   */
  readonly maxNewFileBytes?: number | undefined
  /**
   * Bytes of any other file.
   *
   * @default 104857600
   */
  readonly maxFileBytes?: number | undefined
  /**
   * New files in one folder: above it, none of them is taken.
   *
   * @default 1000
   */
  readonly maxNewFilesPerFolder?: number | undefined
  /**
   * New files in a snapshot.
   *
   * @default 2000
   */
  readonly maxNewFiles?: number | undefined
  /**
   * Bytes of the new files of one snapshot.
   *
   * @default 104857600
   */
  readonly maxNewBytes?: number | undefined
}

/**
 * Which new files are left out as secrets, by their path in the repository.
 * Names such as `.env`, `id_rsa` and `*.pem` always are, unless `allow` has
 * them. What HEAD has already is no secret any more.
 *
 * @category models
 * @since 0.1.0
 */
export interface Secrets {
  readonly patterns?: ReadonlyArray<RegExp> | undefined
  readonly allow?: ReadonlyArray<RegExp> | undefined
}

const mebibyte = 1024 * 1024

/**
 * Creates the workspace from the host's platform services.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  options: Options = {}
): Effect.fn.Return<Workspace["Service"], never, ChildProcessSpawner | FileSystem | Path> {
  const { limits, secrets } = options
  const git = Git.make(yield* ChildProcessSpawner, options.binary ?? "git")
  const deps: Deps = {
    git,
    fs: yield* FileSystem,
    path: yield* Path,
    state: new State(),
    options: {
      cwd: options.cwd ?? ".",
      branch: options.branch ?? true,
      durability: options.durability ?? "local",
      remote: options.remote ?? "origin",
      remoteTimeout: options.remoteTimeout ?? "30 seconds",
      maxBundleBytes: options.maxBundleBytes ?? 8 * mebibyte,
      worktrees: options.worktrees,
      limits: {
        maxNewFileBytes: limits?.maxNewFileBytes ?? 10 * mebibyte,
        maxFileBytes: limits?.maxFileBytes ?? 100 * mebibyte,
        maxNewFilesPerFolder: limits?.maxNewFilesPerFolder ?? 1000,
        maxNewFiles: limits?.maxNewFiles ?? 2000,
        maxNewBytes: limits?.maxNewBytes ?? 100 * mebibyte
      },
      isSecret: isSecret(secrets?.patterns ?? [], secrets?.allow ?? [])
    }
  }
  return Workspace.of({
    snapshot: Snapshot.make(deps),
    restore: Restore.make(deps),
    diff: Diff.make(deps),
    list: List.make(deps),
    prune: Prune.prune(deps),
    sweep: Prune.sweep(deps)
  })
})

/**
 * Layer that provides the workspace on the platform services of the host: those
 * of `@effect/platform-node`, for example.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerPlatform = (
  options?: Options
): Layer.Layer<Workspace, never, ChildProcessSpawner | FileSystem | Path> => Layer.effect(Workspace, make(options))

/**
 * Layer that provides the workspace with options, on Node.js.
 *
 * **Example** (Keeping files in the checkpoint too)
 *
 * ```ts no-run
 * import { Workspace } from "@everbeat/core"
 * import { GitWorkspace } from "@everbeat/workspace-git"
 * import { Effect } from "effect"
 *
 * const layer = GitWorkspace.layerWith({ cwd: "checkouts/api", durability: "inline" })
 * const program = Effect.flatMap(Workspace.Workspace, (workspace) => workspace.list())
 *
 * await Effect.runPromise(Effect.provide(program, layer))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerWith = (options: Options): Layer.Layer<Workspace> => {
  const files = Layer.merge(NodeFileSystem.layer, NodePath.layer)
  return layerPlatform(options).pipe(
    Layer.provide(Layer.provideMerge(NodeChildProcessSpawner.layer, files))
  )
}

/**
 * Layer that provides the workspace for the repository of the current folder,
 * on Node.js.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Workspace> = layerWith({})
