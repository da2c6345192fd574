import type { RunId } from "@everbeat/core/RunId"
import type { PruneReport, SnapshotRef, SweepReport, Workspace } from "@everbeat/core/Workspace"
import type { WorkspaceError } from "@everbeat/core/WorkspaceError"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Deps } from "./deps.ts"
import * as Durable from "./durable.ts"
import { refsOf } from "./list.ts"
import { branchRef, keyOf } from "./names.ts"
import { load, transact } from "./publish.ts"
import { heal, open, openOr, type Repository } from "./repository.ts"
import * as SideIndex from "./sideIndex.ts"

/** The folders of private indexes in all worktrees of a repository. */
const sideFolders = Effect.fnUntraced(function*({ fs, path }: Deps, { common }: Repository) {
  const linked = path.join(common, "worktrees")
  const names = yield* Effect.orElseSucceed(fs.readDirectory(linked), (): ReadonlyArray<string> => [])
  return [path.join(common, "everbeat"), ...names.map((name) => path.join(linked, name, "everbeat"))]
})

const removeIndexes = Effect.fnUntraced(function*(deps: Deps, repository: Repository, key: string) {
  for (const folder of yield* sideFolders(deps, repository)) {
    yield* SideIndex.remove(deps, deps.path.join(folder, `${key}.index`))
  }
})

/** Forgets refs of one run: all of them in one transaction, each only when it is still what it was. */
const forget = Effect.fnUntraced(function*(
  deps: Deps,
  repository: Repository,
  runId: RunId,
  refs: ReadonlyArray<SnapshotRef>,
  everything: boolean
): Effect.fn.Return<PruneReport["pruned"], WorkspaceError> {
  const { run, own } = yield* load(deps, repository, runId)
  const pruned = refs.map(({ commit, ref }) => ({ ref, commit }))
  // A branch that somebody moved on is not ours any more.
  if (everything && run.branch !== undefined && own.has(run.branch)) {
    pruned.push({ ref: branchRef(runId), commit: run.branch })
  }
  if (pruned.length > 0) {
    yield* transact(deps, repository, pruned.map(({ commit, ref }) => `delete ${ref}\0${commit}\0`))
  }
  deps.state.forget(repository, keyOf(runId))
  if (everything) yield* removeIndexes(deps, repository, keyOf(runId))
  return pruned
})

const forgetRemote = Effect.fnUntraced(function*(
  deps: Deps,
  repository: Repository,
  runId: RunId,
  kept: ReadonlySet<string>
) {
  if (deps.options.durability !== "push") return
  const refs = yield* Durable.listRemote(deps, repository, runId)
  yield* Durable.removeRemote(deps, repository, refs.filter((ref) => !kept.has(ref)))
})

/** Whether work that exists nowhere else would be forgotten: no worktree has it, and no branch. */
const isOnlyCopy = Effect.fnUntraced(function*(
  deps: Deps,
  { top }: Repository,
  worktree: string | undefined,
  newest: SnapshotRef | undefined
) {
  if (worktree === undefined || newest === undefined) return false
  if (yield* Effect.orElseSucceed(deps.fs.exists(worktree), () => false)) return false
  const tree = (yield* deps.git(["rev-parse", `${newest.commit}^{tree}`], { cwd: top })).out.trim()
  const { out } = yield* deps.git(
    ["for-each-ref", "--format=%(tree) %(refname)", "refs/heads", "refs/remotes", "refs/tags"],
    { cwd: top }
  )
  return !out.split("\n").some((line) => line.startsWith(tree) && !line.endsWith(branchRef(newest.runId)))
})

/** Forgets the snapshots of a run. */
export const prune = (deps: Deps): Workspace["Service"]["prune"] =>
  Effect.fn("Workspace.prune")(function*(runId, options) {
    // The worktree of a run that succeeded may be gone already.
    const repository = yield* openOr(deps, options?.cwd)
    const refs = yield* refsOf(deps, repository, runId)
    const bySeq = [...refs].sort((a, b) => b.seq - a.seq)
    const only = yield* isOnlyCopy(deps, repository, options?.snapshot?.worktree.path, bySeq[0])
    const keep = Math.max(options?.keepLast ?? 0, only ? 1 : 0)
    const pruned = yield* forget(deps, repository, runId, bySeq.slice(keep), keep === 0)
    yield* forgetRemote(deps, repository, runId, new Set(bySeq.slice(0, keep).map(({ ref }) => ref)))
    if (pruned.length > 0) {
      // git keeps objects without a ref for about two weeks: the log is the way back.
      yield* Effect.logDebug("Pruned the snapshots of a run").pipe(Effect.annotateLogs({ runId, pruned }))
    }
    return { pruned }
  })

/** A run that has not published yet has an index and no ref. */
const orphanAfterMillis = 60 * 60_000

const sweepIndexes = Effect.fnUntraced(function*(
  deps: Deps,
  repository: Repository,
  live: ReadonlySet<string>,
  now: number
) {
  const { fs, path } = deps
  let count = 0
  for (const folder of yield* sideFolders(deps, repository)) {
    const names = yield* Effect.orElseSucceed(fs.readDirectory(folder), (): ReadonlyArray<string> => [])
    for (const name of names) {
      const [key = ""] = name.split(".")
      const file = path.join(folder, name)
      const info = yield* Effect.option(fs.stat(file))
      if (live.has(key) || info._tag === "None" || info.value.mtime._tag === "None") continue
      if (now - info.value.mtime.value.getTime() < orphanAfterMillis) continue
      yield* Effect.ignore(fs.remove(file, { force: true }))
      count++
    }
  }
  return count
})

/** Removes what crashed processes and old runs left. */
export const sweep = (deps: Deps): Workspace["Service"]["sweep"] =>
  Effect.fn("Workspace.sweep")(function*(policy): Effect.fn.Return<SweepReport, WorkspaceError> {
    const repository = yield* open(deps, policy.cwd)
    const healed = yield* heal(deps, repository.common)
    const now = yield* Clock.currentTimeMillis
    const oldest = now - Duration.toMillis(policy.ttl ?? "7 days")
    const keep = new Set(policy.keep)
    const byRun = new Map<RunId, Array<SnapshotRef>>()
    for (const ref of yield* refsOf(deps, repository, undefined)) {
      byRun.set(ref.runId, [...(byRun.get(ref.runId) ?? []), ref])
    }
    const pruned: Array<PruneReport["pruned"][number]> = []
    const live = new Set<string>(policy.keep.map(keyOf))
    for (const [runId, refs] of byRun) {
      if (keep.has(runId) || refs.some(({ committedAt }) => committedAt > oldest)) {
        live.add(keyOf(runId))
        continue
      }
      pruned.push(...yield* forget(deps, repository, runId, refs, true))
      // The remote is looked after when it answers: the next sweep finds nothing here any more, its owner does.
      yield* Effect.ignore(forgetRemote(deps, repository, runId, new Set()))
    }
    const indexes = yield* sweepIndexes(deps, repository, live, now)
    yield* deps.git(["worktree", "prune"], { cwd: repository.top })
    return { pruned, healed, indexes, missing: policy.keep.filter((runId) => !byRun.has(runId)) }
  })
