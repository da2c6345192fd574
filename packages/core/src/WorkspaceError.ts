/**
 * Errors of the `Workspace` service.
 *
 * Each says what is wrong with the folder, the repository or the snapshot, and
 * carries a hint on what to do. None of them means that files of the user were
 * changed.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

const key = "@everbeat/core/WorkspaceError"

/**
 * Error returned for a folder that lies in no repository.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotARepository extends Schema.TaggedError<NotARepository>(`${key}/NotARepository`)("NotARepository", {
  path: Schema.String
}) {
  override get message(): string {
    return `${this.path} lies in no git repository.`
  }
  get hint(): string {
    return "Give the agent a folder inside a repository, or use Workspace.layerNone."
  }
}

/**
 * Error returned for a repository without a worktree: it has no files to keep.
 *
 * @category errors
 * @since 0.1.0
 */
export class BareRepository extends Schema.TaggedError<BareRepository>(`${key}/BareRepository`)("BareRepository", {
  path: Schema.String
}) {
  override get message(): string {
    return `The repository at ${this.path} has no worktree.`
  }
  get hint(): string {
    return "Add a worktree with \"git worktree add\" and give the agent that folder."
  }
}

/**
 * Error returned for a repository that belongs to another user: git refuses to
 * work in it.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotTrusted extends Schema.TaggedError<NotTrusted>(`${key}/NotTrusted`)("NotTrusted", {
  path: Schema.String
}) {
  override get message(): string {
    return `git does not trust the repository at ${this.path}: it belongs to another user.`
  }
  get hint(): string {
    return `If it is yours, run: git config --global --add safe.directory '${this.path}'`
  }
}

/**
 * Error returned for a worktree that is the home folder or the root of the file
 * system: a snapshot of it would read everything.
 *
 * @category errors
 * @since 0.1.0
 */
export class RefusedRoot extends Schema.TaggedError<RefusedRoot>(`${key}/RefusedRoot`)("RefusedRoot", {
  path: Schema.String
}) {
  override get message(): string {
    return `${this.path} is not snapshotted: it is a home folder or the root of the file system.`
  }
  get hint(): string {
    return "Give the agent a repository of its own."
  }
}

/**
 * Error returned when the git binary cannot be started.
 *
 * @category errors
 * @since 0.1.0
 */
export class GitMissing extends Schema.TaggedError<GitMissing>(`${key}/GitMissing`)("GitMissing", {
  binary: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return `"${this.binary}" cannot be started.`
  }
  get hint(): string {
    return "Install git 2.31 or newer, or use Workspace.layerNone."
  }
}

/**
 * Error returned when the git binary is older than what is needed.
 *
 * @category errors
 * @since 0.1.0
 */
export class GitTooOld extends Schema.TaggedError<GitTooOld>(`${key}/GitTooOld`)("GitTooOld", {
  version: Schema.String,
  needed: Schema.String
}) {
  override get message(): string {
    return `git ${this.version} is too old: ${this.needed} or newer is needed.`
  }
}

/**
 * Error returned when a git command failed for a reason without an error of
 * its own.
 *
 * @category errors
 * @since 0.1.0
 */
export class GitFailed extends Schema.TaggedError<GitFailed>(`${key}/GitFailed`)("GitFailed", {
  command: Schema.String,
  /** -1 when a signal ended the command. */
  exitCode: Schema.Int,
  stderr: Schema.String
}) {
  override get message(): string {
    return `git ${this.command} ended with code ${this.exitCode}: ${this.stderr.trim()}`
  }
}

/**
 * Error returned when an operation did not end before its deadline.
 *
 * @category errors
 * @since 0.1.0
 */
export class SnapshotTimeout extends Schema.TaggedError<SnapshotTimeout>(`${key}/SnapshotTimeout`)("SnapshotTimeout", {
  operation: Schema.String,
  millis: Schema.Finite
}) {
  override get message(): string {
    return `${this.operation} did not end within ${this.millis} ms.`
  }
  get hint(): string {
    return "Give it a longer deadline, or let the agent name the paths it changed."
  }
}

/**
 * Error returned when somebody else moved a ref of the run: nothing was
 * published.
 *
 * @category errors
 * @since 0.1.0
 */
export class RefConflict extends Schema.TaggedError<RefConflict>(`${key}/RefConflict`)("RefConflict", {
  ref: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `${this.ref} was changed by somebody else: ${this.detail}`
  }
  get hint(): string {
    return "Another process may be running the same run, or somebody moved the checkpoint branch."
  }
}

/**
 * Error returned when another process holds the lock of the run's side index.
 *
 * @category errors
 * @since 0.1.0
 */
export class IndexLocked extends Schema.TaggedError<IndexLocked>(`${key}/IndexLocked`)("IndexLocked", {
  path: Schema.String
}) {
  override get message(): string {
    return `${this.path} is held by another process.`
  }
}

/**
 * Error returned when a required filter (git-lfs, for example) is not
 * installed.
 *
 * @category errors
 * @since 0.1.0
 */
export class FilterMissing extends Schema.TaggedError<FilterMissing>(`${key}/FilterMissing`)("FilterMissing", {
  filter: Schema.String,
  stderr: Schema.String
}) {
  override get message(): string {
    return `The filter "${this.filter}" failed: ${this.stderr.trim()}`
  }
  get hint(): string {
    return `Install what "git config filter.${this.filter}.clean" names.`
  }
}

/**
 * Error returned when the restored files differ from the snapshot. The worktree
 * is kept for inspection.
 *
 * @category errors
 * @since 0.1.0
 */
export class RestoreNotExact extends Schema.TaggedError<RestoreNotExact>(`${key}/RestoreNotExact`)("RestoreNotExact", {
  path: Schema.String,
  paths: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `${this.path} differs from its snapshot: ${this.paths.slice(0, 5).join(", ")}`
  }
}

/**
 * Error returned when the folder to restore into has files already, or lies
 * inside another checkout.
 *
 * @category errors
 * @since 0.1.0
 */
export class TargetNotEmpty extends Schema.TaggedError<TargetNotEmpty>(`${key}/TargetNotEmpty`)("TargetNotEmpty", {
  path: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `Nothing was restored into ${this.path}: ${this.detail}.`
  }
  get hint(): string {
    return "Name a folder that does not exist or is empty, outside every checkout."
  }
}

/**
 * Error returned when the files of a snapshot are not here: pruned, or kept on
 * another machine only.
 *
 * @category errors
 * @since 0.1.0
 */
export class SnapshotGone extends Schema.TaggedError<SnapshotGone>(`${key}/SnapshotGone`)("SnapshotGone", {
  commit: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `Snapshot ${this.commit} is not here: ${this.detail}`
  }
}

/**
 * Error returned when a bundle would take more bytes than allowed. The snapshot
 * is kept in the repository only.
 *
 * @category errors
 * @since 0.1.0
 */
export class BundleTooLarge extends Schema.TaggedError<BundleTooLarge>(`${key}/BundleTooLarge`)("BundleTooLarge", {
  maxBytes: Schema.Int
}) {
  override get message(): string {
    return `The files of the run take more than ${this.maxBytes} bytes: they are kept in this repository only.`
  }
  get hint(): string {
    return "Raise maxBundleBytes, or use durability \"push\"."
  }
}

/**
 * Error returned when a bundle cannot be used here: it is damaged, or builds on
 * commits that this clone does not have.
 *
 * @category errors
 * @since 0.1.0
 */
export class BundleUnusable extends Schema.TaggedError<BundleUnusable>(`${key}/BundleUnusable`)("BundleUnusable", {
  detail: Schema.String,
  /** Commits that this clone lacks. */
  missing: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `The bundle of the snapshot cannot be used: ${this.detail}`
  }
  get hint(): string {
    return this.missing.length === 0 ? "The checkpoint is damaged." : "Fetch the missing commits, then restore again."
  }
}

/**
 * Error returned when the remote did not take or give a snapshot.
 *
 * @category errors
 * @since 0.1.0
 */
export class RemoteFailed extends Schema.TaggedError<RemoteFailed>(`${key}/RemoteFailed`)("RemoteFailed", {
  operation: Schema.Literals(["push", "fetch", "list"]),
  remote: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `The ${this.operation} of a snapshot at the remote "${this.remote}" failed: ${this.detail.trim()}`
  }
}

/**
 * Everything that can go wrong with a workspace.
 *
 * @category errors
 * @since 0.1.0
 */
export type WorkspaceError =
  | NotARepository
  | BareRepository
  | NotTrusted
  | RefusedRoot
  | GitMissing
  | GitTooOld
  | GitFailed
  | SnapshotTimeout
  | RefConflict
  | IndexLocked
  | FilterMissing
  | RestoreNotExact
  | TargetNotEmpty
  | SnapshotGone
  | BundleTooLarge
  | BundleUnusable
  | RemoteFailed
