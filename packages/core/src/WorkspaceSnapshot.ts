/**
 * What a checkpoint says about the files of its run.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { RunId } from "./RunId.ts"

/**
 * Schema of why a snapshot is taken. The last five are final: they scan
 * everything, wait for their turn and get a longer deadline.
 *
 * @category schemas
 * @since 0.1.0
 */
export const SnapshotReason = Schema.Literals([
  "interval",
  "tool",
  "phase",
  "pre-restore",
  "manual",
  "timeout",
  "interrupt",
  "shutdown"
])

/**
 * Why a snapshot is taken.
 *
 * @category models
 * @since 0.1.0
 */
export type SnapshotReason = typeof SnapshotReason.Type

/**
 * Schema of a path that a snapshot does not hold.
 *
 * @category schemas
 * @since 0.1.0
 */
export const SkippedPath = Schema.Struct({
  path: Schema.String,
  reason: Schema.Literals(["too-large", "too-many", "secret", "nested-repository", "submodule-dirty", "unreadable"]),
  bytes: Schema.optionalKey(Schema.Finite)
})

/**
 * A path that a snapshot does not hold, and why.
 *
 * @category models
 * @since 0.1.0
 */
export interface SkippedPath extends Schema.Schema.Type<typeof SkippedPath> {}

/**
 * Schema of one changed path. Line counts are `null` for binary files, and
 * where they were not counted.
 *
 * @category schemas
 * @since 0.1.0
 */
export const ChangedPath = Schema.Struct({
  path: Schema.String,
  /** Added, modified, deleted, or of another type than in the base. */
  status: Schema.Literals(["A", "M", "D", "T"]),
  added: Schema.NullOr(Schema.Int),
  deleted: Schema.NullOr(Schema.Int)
})

/**
 * One path that differs between the base and the snapshot.
 *
 * @category models
 * @since 0.1.0
 */
export interface ChangedPath extends Schema.Schema.Type<typeof ChangedPath> {}

/**
 * Schema of what changed since the base commit.
 *
 * @category schemas
 * @since 0.1.0
 */
export const ChangeSummary = Schema.Struct({
  files: Schema.Int,
  /** Lines in all files. `null` where they were not counted: ask for the `diff`. */
  added: Schema.NullOr(Schema.Int),
  deleted: Schema.NullOr(Schema.Int),
  /** Files that the base does not have. */
  created: Schema.Int,
  /** The first ones in the order of their paths. */
  entries: Schema.Array(ChangedPath),
  truncated: Schema.Boolean
})

/**
 * What changed since the base commit.
 *
 * @category models
 * @since 0.1.0
 */
export interface ChangeSummary extends Schema.Schema.Type<typeof ChangeSummary> {}

/**
 * Schema of where the files of a snapshot are kept.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Durability = Schema.Literals(["local", "inline", "push"])

/**
 * Where the files of a snapshot are kept: in the repository (`local`), in the
 * checkpoint too (`inline`), or on a remote too (`push`).
 *
 * @category models
 * @since 0.1.0
 */
export type Durability = typeof Durability.Type

/**
 * Schema of a snapshot.
 *
 * @category schemas
 * @since 0.1.0
 */
export const WorkspaceSnapshot = Schema.Struct({
  version: Schema.Literal(1),
  kind: Schema.Literals(["git", "memory"]),
  runId: RunId,
  seq: Schema.Int,
  reason: SnapshotReason,
  createdAt: Schema.DateTimeUtcFromString,
  /** The object store that holds it. */
  repository: Schema.String,
  /** The top folder of the files, and the agent's folder in it (`""` for the top). */
  worktree: Schema.Struct({ path: Schema.String, linked: Schema.Boolean, subfolder: Schema.String }),
  commit: Schema.String,
  tree: Schema.String,
  /** The commit that the changes are made on. `null` before the first commit. */
  base: Schema.NullOr(Schema.String),
  /** The base of the first snapshot of the run: later ones may build on commits of the agent. */
  start: Schema.NullOr(Schema.String),
  branch: Schema.NullOr(Schema.String),
  refs: Schema.Array(Schema.String),
  summary: ChangeSummary,
  /** The first paths that were left out. The snapshot is complete when `skippedCount` is 0. */
  skipped: Schema.Array(SkippedPath),
  skippedCount: Schema.Int,
  /** What was going on in the worktree. Its state is not part of the snapshot. */
  operation: Schema.Literals(["none", "merge", "rebase", "cherry-pick", "revert", "bisect"]),
  durability: Durability,
  /** With `inline`: what the bundle is known by. */
  bundle: Schema.optionalKey(Schema.Struct({ bytes: Schema.Int, sha256: Schema.String })),
  /** With `push`: where the snapshot and those before it are. */
  pushed: Schema.optionalKey(Schema.Struct({ remote: Schema.String, refs: Schema.Array(Schema.String) })),
  /** Why the files are less durable than asked for. */
  degraded: Schema.optionalKey(Schema.String),
  gitVersion: Schema.String,
  durationMs: Schema.Finite
})

/**
 * The state of an agent's files at one moment.
 *
 * **Details**
 *
 * It names what holds the files and says what they are, in a few kilobytes. The
 * files themselves are in the commit, and with durability `inline` in a bundle
 * that travels beside it.
 *
 * @category models
 * @since 0.1.0
 */
export interface WorkspaceSnapshot extends Schema.Schema.Type<typeof WorkspaceSnapshot> {}

/**
 * A snapshot with the bundle that holds its files, if it has one.
 *
 * @category models
 * @since 0.1.0
 */
export interface Kept {
  readonly snapshot: WorkspaceSnapshot
  readonly bundle?: Uint8Array | undefined
}

/**
 * Error returned for a text that holds no snapshot, or one of a newer version.
 *
 * @category errors
 * @since 0.1.0
 */
export class SnapshotUnreadable extends Schema.TaggedError<SnapshotUnreadable>("@everbeat/core/SnapshotUnreadable")(
  "SnapshotUnreadable",
  { detail: Schema.String }
) {
  override get message(): string {
    return `What the checkpoint says about the workspace cannot be read: ${this.detail}`
  }
}

const Stored = Schema.fromJsonString(
  Schema.Struct({ ...WorkspaceSnapshot.fields, data: Schema.optionalKey(Schema.Uint8ArrayFromBase64) })
)
const encodeStored = Schema.encodeSync(Stored)
const decodeStored = Schema.decodeEffect(Stored)

/**
 * Returns the text that a checkpoint stores about the workspace.
 *
 * **Details**
 *
 * The text is the JSON of the snapshot, with the bundle in it. The workspace is a
 * field of its own in every store: it is written when it changes, not with each
 * save, lists do not read it, and the codec of the run encrypts it. A bundle of
 * 8 MiB takes less than the 16 MiB that a codec allows by default.
 *
 * @category utility types
 * @since 0.1.0
 */
export const encode = (kept: Kept): string =>
  encodeStored(kept.bundle === undefined ? kept.snapshot : { ...kept.snapshot, data: kept.bundle })

/**
 * Reads the text that a checkpoint stores about the workspace. The empty text
 * holds none.
 *
 * @category utility types
 * @since 0.1.0
 */
export const decode = (text: string): Effect.Effect<Kept | undefined, SnapshotUnreadable> =>
  text === ""
    ? Effect.undefined
    : decodeStored(text).pipe(
      Effect.map(({ data, ...snapshot }) => data === undefined ? { snapshot } : { snapshot, bundle: data }),
      Effect.mapError((error) => new SnapshotUnreadable({ detail: error.message }))
    )

/**
 * Returns `true` for a reason whose snapshot must be complete: nothing may be
 * left for the next one.
 *
 * @category getters
 * @since 0.1.0
 */
export const isFinal = (reason: SnapshotReason): boolean =>
  reason !== "interval" && reason !== "tool" && reason !== "phase"
