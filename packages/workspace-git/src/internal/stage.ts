import type { RunId } from "@everbeat/core/RunId"
import type { WorkspaceError } from "@everbeat/core/WorkspaceError"
import type { SkippedPath } from "@everbeat/core/WorkspaceSnapshot"
import * as Effect from "effect/Effect"
import { display, pathList } from "./bytes.ts"
import type { Deps } from "./deps.ts"
import { keyOf } from "./names.ts"
import * as Plan from "./plan.ts"
import type { Repository } from "./repository.ts"
import { scan } from "./scan.ts"
import * as SideIndex from "./sideIndex.ts"

const maxRetries = 20

/** A worktree, as it was when it was looked at. */
export interface Staged {
  readonly tree: string
  readonly head: string | undefined
  readonly branch: string | undefined
  readonly changes: Plan.Plan["changes"]
  readonly created: number
  readonly skipped: ReadonlyArray<SkippedPath>
  readonly skippedCount: number
  /** Nothing had to be written: the private index holds the tree of the newest snapshot already. */
  readonly untouched: boolean
}

/** How to look. */
export interface StageOptions {
  readonly runId: RunId
  /** Only these paths. */
  readonly paths?: ReadonlyArray<string> | undefined
  /** Nothing may be left for the next time. */
  readonly thorough: boolean
}

const unreadable = /^fatal: Unable to process path ([^\n]*(?:\n(?!fatal:|error:)[^\n]+)*)$/m

/**
 * Brings paths into the private index. git stops at the first one that it cannot
 * read, and takes none: that one is left out, and the others are tried again.
 */
const update = Effect.fnUntraced(function*(deps: Deps, { top }: Repository, index: string, plan: Plan.Plan) {
  const { git } = deps
  const failed: Array<string> = []
  let paths = plan.update
  while (paths.length > 0) {
    const ran = yield* git(["update-index", "--add", "--remove", "--replace", "-z", "--stdin"], {
      cwd: top,
      index,
      input: pathList(paths),
      writes: true
    }).pipe(
      Effect.as(undefined),
      Effect.catchTag("GitFailed", (error) => {
        const bad = unreadable.exec(error.stderr)?.[1]
        return bad === undefined || !paths.includes(bad) || failed.length >= maxRetries
          ? Effect.fail(error)
          : Effect.succeed(bad)
      })
    )
    if (ran === undefined) break
    failed.push(ran)
    paths = paths.filter((path) => path !== ran)
  }
  if (plan.forget.length > 0) {
    yield* git(["update-index", "--force-remove", "-z", "--stdin"], { cwd: top, index, input: pathList(plan.forget) })
  }
  return failed
})

const attempt = Effect.fnUntraced(function*(
  deps: Deps,
  repository: Repository,
  options: StageOptions
): Effect.fn.Return<Staged, WorkspaceError> {
  const key = keyOf(options.runId)
  const { top } = repository
  const side = deps.state.side(repository, key)
  const index = SideIndex.fileOf(deps, repository, key)
  yield* SideIndex.ensure(deps, repository, index, side)
  const scanned = yield* scan(deps, repository, index, options.paths)
  const forced = yield* SideIndex.forced(deps, repository, index, side, options.thorough)
  const plan = Plan.make(top, scanned, forced, deps.options)
  const base = {
    head: scanned.head,
    branch: scanned.branch,
    created: plan.created,
    changes: plan.changes,
    skipped: plan.skipped,
    skippedCount: plan.skippedCount
  }
  if (plan.update.length === 0 && plan.forget.length === 0 && side.tree !== undefined) {
    return { ...base, tree: side.tree, untouched: true }
  }
  // From here until the snapshot is published the index is ahead of it: nobody may take it for unchanged.
  side.tree = undefined
  const failed = yield* update(deps, repository, index, plan)
  const tree = (yield* deps.git(["write-tree"], { cwd: top, index, writes: true })).out.trim()
  const lost = new Set(failed)
  const changes = lost.size === 0 ? plan.changes : plan.changes.filter(({ path }) => !lost.has(path))
  return {
    ...base,
    tree,
    changes,
    skipped: [...plan.skipped, ...failed.map((path) => ({ path: display(path), reason: "unreadable" as const }))],
    skippedCount: plan.skippedCount + failed.length,
    untouched: false
  }
})

const staleAfterMillis = 10_000

/** A lock that no live command can hold any more: we hold the worktree, and commands end with their deadline. */
const isStale = Effect.fnUntraced(function*({ fs }: Deps, lock: string) {
  const info = yield* Effect.option(fs.stat(lock))
  if (info._tag === "None") return true
  const now = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
  const since = info.value.mtime
  return since._tag === "Some" && now - since.value.getTime() > staleAfterMillis
})

/** Looks at the files and writes what is new of them to the object store. Publishes nothing. */
export const stage = (
  deps: Deps,
  repository: Repository,
  options: StageOptions
): Effect.Effect<Staged, WorkspaceError> => {
  const index = SideIndex.fileOf(deps, repository, keyOf(options.runId))
  const again = attempt(deps, repository, options)
  return again.pipe(
    Effect.catchIf(SideIndex.isCorrupt, () => Effect.andThen(SideIndex.remove(deps, index), again)),
    Effect.catchTag("IndexLocked", (error) =>
      error.path !== `${index}.lock` && error.path !== `${index}.new.lock`
        ? Effect.fail(error)
        : Effect.flatMap(isStale(deps, error.path), (stale) =>
          stale ? Effect.andThen(SideIndex.unlock(deps, index), again) : Effect.fail(error))),
    // A command that was killed leaves its lock behind.
    Effect.onInterrupt(() => SideIndex.unlock(deps, index))
  )
}
