import type { Restored, RestoreInput, Workspace } from "@everbeat/core/Workspace"
import { RestoreNotExact, SnapshotGone, SnapshotTimeout, type WorkspaceError } from "@everbeat/core/WorkspaceError"
import type { WorkspaceSnapshot } from "@everbeat/core/WorkspaceSnapshot"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { display, pathList, split, toText } from "./bytes.ts"
import type { Deps } from "./deps.ts"
import * as Diff from "./diff.ts"
import * as Durable from "./durable.ts"
import { hiddenRef, isObjectId, keyOf } from "./names.ts"
import { transact } from "./publish.ts"
import { isAtLeast, open, openOr, type Repository } from "./repository.ts"
import * as Snapshot from "./snapshot.ts"
import { stage, type Staged } from "./stage.ts"
import { choose, defaultTargets } from "./target.ts"

const has = ({ git }: Deps, { top }: Repository, commit: string) =>
  Effect.map(
    git(["cat-file", "-e", `${commit}^{tree}`], { cwd: top, ok: [0, 1, 128], env: { GIT_NO_LAZY_FETCH: "1" } }),
    ({ code }) => code === 0
  )

/** The repository that has the snapshot: that of its worktree, if it is still there, before any other. */
const holder = Effect.fnUntraced(function*(deps: Deps, { cwd, snapshot }: RestoreInput) {
  const main = deps.path.dirname(snapshot.repository)
  for (const folder of new Set([snapshot.worktree.path, cwd, undefined, main])) {
    const repository = yield* Effect.option(open(deps, folder))
    if (repository._tag === "Some" && (yield* has(deps, repository.value, snapshot.commit))) return repository.value
  }
  return undefined
})

/** Makes the commit of the snapshot present in a clone, and answers which. */
const obtain = Effect.fnUntraced(function*(
  deps: Deps,
  input: RestoreInput
): Effect.fn.Return<Repository, WorkspaceError> {
  const { bundle, cwd, snapshot } = input
  const { commit } = snapshot
  const ids = [commit, snapshot.tree, ...(snapshot.base === null ? [] : [snapshot.base])]
  if (snapshot.kind !== "git" || !ids.every(isObjectId)) {
    return yield* new SnapshotGone({ commit, detail: "it was not taken with git" })
  }
  const found = yield* holder(deps, input)
  if (found !== undefined) return found
  // The one that was named, the one that the workspace was made with, or the old one.
  const repository = yield* Effect.catch(
    openOr(deps, cwd),
    (error) => Effect.mapError(open(deps, snapshot.worktree.path), () => error)
  )
  if (bundle !== undefined) {
    yield* Durable.unbundle(deps, repository, snapshot, bundle)
  } else if (snapshot.pushed !== undefined) yield* Durable.fetch(deps, repository, snapshot)
  if (!(yield* has(deps, repository, commit))) {
    return yield* new SnapshotGone({
      commit,
      detail: "it was pruned, or it was kept on another machine only (durability \"local\")"
    })
  }
  return repository
})

/** gc removes what no ref names: the commit may be here, but only just. */
const hold = Effect.fnUntraced(
  function*(deps: Deps, repository: Repository, { commit, runId, seq }: WorkspaceSnapshot) {
    const ref = hiddenRef(runId, seq)
    const { code } = yield* deps.git(["show-ref", "--verify", "-q", ref], { cwd: repository.top, ok: [0, 1, 128] })
    if (code !== 0) yield* transact(deps, repository, [`create ${ref}\0${commit}\0`])
  }
)

/** A worktree of this repository at a path, if there is one. */
const worktreeAt = Effect.fnUntraced(function*(deps: Deps, repository: Repository, path: string) {
  const found = yield* Effect.option(open(deps, path))
  return found._tag === "Some" && found.value.common === repository.common && found.value.top === path
    ? found.value
    : undefined
})

const stageAt = (deps: Deps, worktree: Repository, { runId }: WorkspaceSnapshot) =>
  deps.state.worktree(worktree).semaphore.withPermits(1)(stage(deps, worktree, { runId, thorough: true }))

/** Puts files on disk that a sparse checkout leaves out: the agent wrote them all the same. */
const fillSparse = Effect.fnUntraced(function*(deps: Deps, top: string, { base, commit }: WorkspaceSnapshot) {
  const { git } = deps
  const sparse = yield* git(["config", "--type=bool", "--default=false", "core.sparseCheckout"], { cwd: top })
  if (sparse.out.trim() !== "true") return
  const changed = new Set(yield* Diff.pathsOf(deps, top, base, commit, "d"))
  const hidden = split((yield* git(["ls-files", "-t", "-z"], { cwd: top })).out)
    .flatMap((line) => line.startsWith("S ") && changed.has(line.slice(2)) ? [line.slice(2)] : [])
  if (hidden.length === 0) return
  const input = pathList(hidden)
  yield* git(["update-index", "--no-skip-worktree", "-z", "--stdin"], { cwd: top, input })
  yield* git(["checkout-index", "-f", "-u", "-z", "--stdin"], { cwd: top, input })
})

const checkExact = Effect.fnUntraced(function*({ git }: Deps, top: string) {
  const { out } = yield* git(["status", "--porcelain", "-z", "--untracked-files=all"], { cwd: top })
  const paths = split(out).map((line) => display(line.slice(3)))
  if (paths.length > 0) return yield* new RestoreNotExact({ path: top, paths })
})

/** New files that are ignored were in the user's index on purpose: they have to be again, or the next snapshot misses them. */
const readdIgnored = Effect.fnUntraced(function*(deps: Deps, top: string, { base, commit }: WorkspaceSnapshot) {
  const { git } = deps
  const added = yield* Diff.pathsOf(deps, top, base, commit, "A")
  if (added.length === 0) return
  // This command knows no literal pathspecs: after "./" nothing is magic.
  const input = pathList(added.map((path) => `./${path}`))
  const { out } = yield* git(["check-ignore", "-z", "--stdin"], { cwd: top, input, ok: [0, 1] })
  if (out === "") return
  yield* git(["add", "-f", "-N", "--pathspec-from-file=-", "--pathspec-file-nul"], {
    cwd: top,
    input: pathList(split(out).map((path) => path.slice(2))),
    env: { GIT_LITERAL_PATHSPECS: "1" }
  })
})

const tipOf = ({ git }: Deps, top: string, branch: string) =>
  Effect.map(
    git(["rev-parse", "-q", "--verify", `refs/heads/${branch}^{commit}`], { cwd: top, ok: [0, 1, 128] }),
    ({ code, out }) => code === 0 ? out.trim() : undefined
  )

const freeBranch = Effect.fnUntraced(function*(deps: Deps, top: string, branch: string) {
  for (let number = 1; number < 1000; number++) {
    const name = `${branch}-resume-${number}`
    if ((yield* tipOf(deps, top, name)) === undefined) return name
  }
  return `${branch}-resume`
})

/** Puts the worktree on the branch of the snapshot, or on a new one where that has moved or is taken. */
const switchTo = Effect.fnUntraced(function*(deps: Deps, top: string, base: string, branch: string) {
  const { git } = deps
  const valid = yield* git(["check-ref-format", `refs/heads/${branch}`], { cwd: top, ok: [0, 1] })
  if (valid.code !== 0 || branch.startsWith("-")) return null
  if ((yield* tipOf(deps, top, branch)) === base) {
    const switched = yield* git(["switch", "-q", "--no-guess", branch], { cwd: top, ok: [0, 128] })
    if (switched.code === 0) return branch
  }
  const name = yield* freeBranch(deps, top, branch)
  // A name that git cannot work with (a branch called HEAD) is no reason to leave the files behind.
  const { code } = yield* git(["switch", "-q", "-c", name], { cwd: top, ok: [0, 128] })
  return code === 0 ? name : null
})

/** Before the first commit there is nothing to build on: an empty index, and a branch that is not there yet. */
const unborn = Effect.fnUntraced(function*(deps: Deps, top: string, branch: string | null) {
  const name = yield* freeBranch(deps, top, branch ?? "main")
  yield* deps.git(["symbolic-ref", "HEAD", `refs/heads/${name}`], { cwd: top })
  yield* deps.git(["read-tree", "--empty"], { cwd: top })
  return name
})

/** Adds a worktree that has the files of the snapshot, committed. */
const add = Effect.fnUntraced(function*(deps: Deps, repository: Repository, { snapshot, target }: RestoreInput) {
  const { git } = deps
  const { commit, worktree } = snapshot
  // The entry of a worktree that was deleted by hand keeps its branch and its folder's name taken.
  if (worktree.linked && !(yield* Effect.orElseSucceed(deps.fs.exists(worktree.path), () => false))) {
    yield* git(["worktree", "prune"], { cwd: repository.top })
  }
  const top = yield* choose(deps, repository, snapshot, target)
  yield* git(["-c", "checkout.workers=8", "worktree", "add", "-q", "--detach", top, commit], { cwd: repository.top })
  return top
})

/** Puts a worktree that is on no branch where the agent was. */
const attach = Effect.fnUntraced(function*(deps: Deps, top: string, { branch, snapshot }: RestoreInput) {
  const { base } = snapshot
  if (base === null || snapshot.branch === null || branch === "detached") return null
  return yield* switchTo(deps, top, base, snapshot.branch)
})

/** Makes of a worktree that `add` has added one like the agent's: on its branch, its changes uncommitted again. */
const complete = Effect.fnUntraced(function*(deps: Deps, repository: Repository, input: RestoreInput, top: string) {
  const { git } = deps
  const { snapshot } = input
  const { base } = snapshot
  yield* fillSparse(deps, top, snapshot)
  yield* checkExact(deps, top)
  let on: string | null = null
  if (base === null) on = yield* unborn(deps, top, snapshot.branch)
  else {yield* git(["reset", "-q", "--mixed", ...(isAtLeast(repository, 37) ? ["--no-refresh"] : []), base], {
      cwd: top
    })}
  yield* readdIgnored(deps, top, snapshot)
  if (base !== null) on = yield* attach(deps, top, input)
  const links = yield* git(["ls-files", "-s", "-z"], { cwd: top })
  const submodules = split(links.out).flatMap((line) =>
    line.startsWith("160000 ") ? [display(line.slice(line.indexOf("\t") + 1))] : []
  )
  deps.state.side(yield* open(deps, top), keyOf(snapshot.runId)).tree = undefined
  return { ...restoredAt(deps, snapshot, top), inPlace: false, branch: on, submodules }
})

/** A folder below the top. What a checkpoint says leads nowhere else. */
const inside = ({ path }: Deps, top: string, subfolder: string): string => {
  const folder = path.join(top, subfolder)
  return folder.startsWith(top + path.sep) ? folder : top
}

const restoredAt = (deps: Deps, snapshot: WorkspaceSnapshot, top: string) => ({
  path: top,
  cwd: inside(deps, top, snapshot.worktree.subfolder),
  base: snapshot.base,
  complete: snapshot.skippedCount === 0,
  snapshot
})

/** Restores snapshots. */
export const make = (deps: Deps): Workspace["Service"]["restore"] => {
  const snapshotOf = Snapshot.make(deps)

  const inPlace = (worktree: Repository, snapshot: WorkspaceSnapshot, staged: Staged): Restored => ({
    ...restoredAt(deps, snapshot, worktree.top),
    inPlace: true,
    // The agent may have committed since: what counts is where the worktree is.
    base: staged.head ?? null,
    branch: staged.branch === undefined ? null : toText(staged.branch) ?? null,
    preRestore: undefined,
    submodules: []
  })

  const restore = Effect.fnUntraced(function*(input: RestoreInput): Effect.fn.Return<Restored, WorkspaceError> {
    const { snapshot } = input
    const repository = yield* obtain(deps, input)
    yield* hold(deps, repository, snapshot)
    let preRestore: WorkspaceSnapshot | undefined
    const here = yield* worktreeAt(deps, repository, snapshot.worktree.path)
    if (here !== undefined) {
      const staged = yield* stageAt(deps, here, snapshot)
      const equal = staged.tree === snapshot.tree
      if (equal && input.target === undefined) return inPlace(here, snapshot, staged)
      // It is not touched; that it can be read back later too is worth a try, and not worth a failure.
      const kept = equal ? undefined : yield* Effect.option(
        snapshotOf({ runId: snapshot.runId, cwd: here.top, reason: "pre-restore", previous: snapshot })
      )
      preRestore = kept?._tag === "Some" && kept.value._tag === "Taken" ? kept.value.snapshot : undefined
    }
    const wanted = input.newest === true ? preRestore ?? snapshot : snapshot
    const put: RestoreInput = { ...input, snapshot: wanted }
    // An attempt that ended before its first snapshot has left a worktree that is as good as a fresh one.
    const [before = ""] = yield* defaultTargets(deps, repository, snapshot)
    const earlier = input.target === undefined ? yield* worktreeAt(deps, repository, before) : undefined
    if (earlier !== undefined) {
      const staged = yield* stageAt(deps, earlier, wanted)
      if (staged.tree === wanted.tree) {
        // One that was killed while it restored has left it half done.
        if (staged.head === wanted.commit) {
          return { ...yield* complete(deps, repository, put, earlier.top), preRestore }
        }
        const there = { ...inPlace(earlier, wanted, staged), preRestore }
        return there.branch === null && there.base === wanted.base
          ? { ...there, branch: yield* attach(deps, earlier.top, put) }
          : there
      }
    }
    const top = yield* add(deps, repository, put)
    return { ...yield* complete(deps, repository, put, top), preRestore }
  })

  return Effect.fn("Workspace.restore")((input) => {
    const millis = Duration.toMillis(input.deadline ?? "2 minutes")
    return Effect.timeoutOrElse(restore(input), {
      duration: millis,
      orElse: () => Effect.fail(new SnapshotTimeout({ operation: "restore", millis }))
    })
  })
}
