import type { Durability } from "@everbeat/core/WorkspaceSnapshot"
import type * as Duration from "effect/Duration"
import type { FileSystem } from "effect/FileSystem"
import type { Path } from "effect/Path"
import type { Git } from "./git.ts"
import type { State } from "./state.ts"

/** Caps on what a snapshot takes in. */
export interface Limits {
  readonly maxNewFileBytes: number
  readonly maxFileBytes: number
  readonly maxNewFilesPerFolder: number
  readonly maxNewFiles: number
  readonly maxNewBytes: number
}

/** The options of the workspace, with their defaults filled in. */
export interface Resolved {
  readonly cwd: string
  readonly branch: boolean
  readonly durability: Durability
  readonly remote: string
  readonly remoteTimeout: Duration.Input
  readonly maxBundleBytes: number
  readonly worktrees: string | undefined
  readonly limits: Limits
  readonly isSecret: (path: string) => boolean
}

/** What every operation works with. */
export interface Deps {
  readonly git: Git
  readonly fs: FileSystem
  readonly path: Path
  readonly options: Resolved
  readonly state: State
}
