import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { RunId } from "../../RunId.ts"
import type { MemoryFiles, MemoryOptions, SnapshotInput, SnapshotRef, Workspace } from "../../Workspace.ts"
import { BundleUnusable, RefConflict, SnapshotGone, TargetNotEmpty } from "../../WorkspaceError.ts"
import type { ChangedPath, ChangeSummary, WorkspaceSnapshot } from "../../WorkspaceSnapshot.ts"
import { fingerprint } from "../fingerprint.ts"

type Folder = ReadonlyMap<string, string>

/** The tags come from the caller: its module is not complete when it loads this one. */
interface Tags {
  readonly Workspace: typeof Workspace
  readonly MemoryFiles: typeof MemoryFiles
}

const textOf = (folder: Folder): string => JSON.stringify([...folder].sort(([a], [b]) => (a < b ? -1 : 1)))

const linesOf = (text: string): number => text === "" ? 0 : text.split("\n").length - (text.endsWith("\n") ? 1 : 0)

const summaryOf = (folder: Folder): ChangeSummary => {
  const entries = [...folder].sort(([a], [b]) => (a < b ? -1 : 1)).map(([path, text]): ChangedPath => ({
    path,
    status: "A",
    added: linesOf(text),
    deleted: 0
  }))
  const added = entries.reduce((sum, entry) => sum + (entry.added ?? 0), 0)
  return { files: entries.length, added, deleted: 0, created: entries.length, entries, truncated: false }
}

const bundleOf = (text: string): Uint8Array => new TextEncoder().encode(text)

const folderOf = (text: string): Folder => new Map<string, string>(JSON.parse(text))

/** What is kept of one snapshot. */
interface Entry {
  readonly snapshot: WorkspaceSnapshot
  readonly text: string
}

const refOf = ({ snapshot }: Entry): SnapshotRef => ({
  runId: snapshot.runId,
  seq: snapshot.seq,
  ref: snapshot.refs[0] ?? "",
  commit: snapshot.commit,
  base: snapshot.base,
  branch: snapshot.branch,
  reason: snapshot.reason,
  committedAt: DateTime.toEpochMillis(snapshot.createdAt)
})

/** Both services on one set of folders. */
export const make = Effect.fnUntraced(function*(options: MemoryOptions, tags: Tags) {
  const { cwd: home = "/workspace", durability = "local" } = options
  const folders = new Map<string, Map<string, string>>()
  const kept = new Map<string, Entry>()

  const drop = (entries: ReadonlyArray<Entry>) => {
    for (const { snapshot } of entries) kept.delete(snapshot.commit)
    return { pruned: entries.map(({ snapshot }) => ({ ref: snapshot.refs[0] ?? "", commit: snapshot.commit })) }
  }
  const of = (runId: RunId | undefined): ReadonlyArray<Entry> =>
    [...kept.values()]
      .filter(({ snapshot }) => runId === undefined || snapshot.runId === runId)
      .sort((a, b) => b.snapshot.seq - a.snapshot.seq)

  const files = tags.MemoryFiles.of({
    write: (cwd, path, text) =>
      Effect.sync(() => {
        folders.set(cwd, (folders.get(cwd) ?? new Map<string, string>()).set(path, text))
      }),
    remove: (cwd, path) =>
      Effect.sync(() => {
        folders.get(cwd)?.delete(path)
      }),
    read: (cwd) =>
      Effect.sync(() => {
        const folder = folders.get(cwd)
        return folder === undefined ? undefined : Object.fromEntries(folder)
      }),
    lose: (cwd, options) =>
      Effect.sync(() => {
        folders.delete(cwd)
        if (options?.snapshots === true) kept.clear()
      })
  })

  const snapshot = Effect.fnUntraced(function*(input: SnapshotInput) {
    const { cwd = home, previous, reason, runId } = input
    const folder = folders.get(cwd) ?? new Map<string, string>()
    const text = textOf(folder)
    const tree = yield* fingerprint(text)
    if (previous?.tree === tree) return { _tag: "Unchanged" as const, snapshot: previous }
    const seq = input.seq ?? Math.max(previous?.seq ?? 0, of(runId)[0]?.snapshot.seq ?? 0) + 1
    const ref = `${runId}/${seq}`
    if (of(runId).some((entry) => entry.snapshot.seq === seq)) {
      return yield* new RefConflict({ ref, detail: "a snapshot of this number exists" })
    }
    const bundle = durability === "inline" ? bundleOf(text) : undefined
    const snapshot: WorkspaceSnapshot = {
      version: 1,
      kind: "memory",
      runId,
      seq,
      reason,
      createdAt: yield* DateTime.now,
      repository: "memory",
      worktree: { path: cwd, linked: false, subfolder: "" },
      commit: yield* fingerprint(`${ref} ${tree}`),
      tree,
      base: null,
      start: null,
      branch: null,
      refs: [ref],
      summary: summaryOf(folder),
      skipped: [],
      skippedCount: 0,
      operation: "none",
      durability,
      ...(bundle === undefined ? undefined : { bundle: { bytes: bundle.length, sha256: tree } }),
      gitVersion: "",
      durationMs: 0
    }
    kept.set(snapshot.commit, { snapshot, text })
    return { _tag: "Taken" as const, snapshot, bundle, degraded: undefined }
  })

  const textFor = Effect.fnUntraced(function*(snapshot: WorkspaceSnapshot, bundle: Uint8Array | undefined) {
    const entry = kept.get(snapshot.commit)
    if (entry !== undefined) return entry.text
    if (bundle === undefined) {
      return yield* new SnapshotGone({ commit: snapshot.commit, detail: "it is not kept in this memory" })
    }
    const text = new TextDecoder().decode(bundle)
    if ((yield* fingerprint(text)) !== snapshot.tree) {
      return yield* new BundleUnusable({ detail: "it is damaged", missing: [] })
    }
    kept.set(snapshot.commit, { snapshot, text })
    return text
  })

  const workspace = tags.Workspace.of({
    snapshot,
    restore: Effect.fnUntraced(function*({ bundle, newest = false, snapshot: asked, target }) {
      const original = asked.worktree.path
      const current = folders.get(original)
      const wanted = yield* textFor(asked, bundle)
      const differs = current !== undefined && textOf(current) !== wanted
      const taken = differs
        ? yield* snapshot({ runId: asked.runId, cwd: original, reason: "pre-restore", previous: asked })
        : undefined
      const preRestore = taken?.snapshot
      const restored = newest ? preRestore ?? asked : asked
      const text = restored === asked ? wanted : yield* textFor(restored, undefined)
      const inPlace = target === undefined && current !== undefined && !differs
      let path = target ?? original
      if (target === undefined && !inPlace) {
        for (let n = 1; (folders.get(path)?.size ?? 0) > 0; n++) path = `${original}-${n}`
      }
      if (!inPlace && (folders.get(path)?.size ?? 0) > 0) {
        return yield* new TargetNotEmpty({ path, detail: "it has files" })
      }
      if (!inPlace) folders.set(path, new Map(folderOf(text)))
      return {
        path,
        cwd: path,
        inPlace,
        base: null,
        branch: null,
        complete: true,
        snapshot: restored,
        preRestore,
        submodules: []
      }
    }),
    diff: (snapshot) => Effect.succeed({ summary: snapshot.summary, patch: undefined }),
    list: (filter) => Effect.sync(() => of(filter?.runId).map(refOf)),
    prune: (runId, options) => Effect.sync(() => drop(of(runId).slice(options?.keepLast ?? 0))),
    sweep: Effect.fnUntraced(function*({ keep, ttl = "7 days" }) {
      const oldest = (yield* Clock.currentTimeMillis) - Duration.toMillis(ttl)
      const old = of(undefined).filter(({ snapshot }) =>
        !keep.includes(snapshot.runId) && DateTime.toEpochMillis(snapshot.createdAt) < oldest
      )
      const report = drop(old)
      return { ...report, healed: [], indexes: 0, missing: keep.filter((runId) => of(runId).length === 0) }
    })
  })

  return Context.make(tags.Workspace, workspace).pipe(Context.add(tags.MemoryFiles, files))
})
