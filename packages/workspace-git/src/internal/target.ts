import { TargetNotEmpty, type WorkspaceError } from "@everbeat/core/WorkspaceError"
import type { WorkspaceSnapshot } from "@everbeat/core/WorkspaceSnapshot"
import * as Effect from "effect/Effect"
import type { Deps } from "./deps.ts"
import { keyOf } from "./names.ts"
import type { Repository } from "./repository.ts"

const maxTargets = 1000

const isFree = ({ fs }: Deps, folder: string): Effect.Effect<boolean> =>
  fs.readDirectory(folder).pipe(
    Effect.map((names) => names.length === 0),
    Effect.catch((error) => Effect.succeed(error.reason._tag === "NotFound"))
  )

const nearest = Effect.fnUntraced(function*({ fs, path }: Deps, folder: string) {
  let at = path.dirname(folder)
  while (!(yield* Effect.orElseSucceed(fs.exists(at), () => false)) && path.dirname(at) !== at) at = path.dirname(at)
  return at
})

/**
 * A worktree inside another one would be a nested repository, and inside a git folder it would corrupt that. The
 * repository may be nested itself: then what is beside it is too, and the one around it is told to ignore it.
 */
const refuseInside = Effect.fnUntraced(function*(deps: Deps, folder: string, beside: boolean) {
  const parent = yield* nearest(deps, folder)
  const inside = yield* deps.git(["rev-parse", "--is-inside-git-dir", "--absolute-git-dir"], { cwd: parent }).pipe(
    Effect.map(({ out }) => out.trim().split("\n")),
    Effect.catchTag("NotARepository", () => Effect.undefined)
  )
  if (inside === undefined) return
  const [inGitDir, gitDir = ""] = inside
  if (!beside || inGitDir === "true") {
    return yield* new TargetNotEmpty({ path: folder, detail: `it lies inside the repository ${gitDir}` })
  }
  const { fs, path } = deps
  const all = path.dirname(folder)
  yield* fs.makeDirectory(all, { recursive: true }).pipe(
    Effect.andThen(fs.writeFileString(path.join(all, ".gitignore"), "*\n", { flag: "wx" })),
    Effect.ignore // it is there already, or adding the worktree says what is wrong
  )
})

/** The main worktree, also where the repository was opened through a linked one. */
const mainOf = Effect.fnUntraced(function*({ git, path }: Deps, { common, top }: Repository) {
  if (path.basename(common) === ".git") return path.dirname(common)
  // A submodule: its git folder is inside that of the repository around it.
  const config = ["config", "--file", path.join(common, "config"), "--get", "core.worktree"] as const
  const { code, out } = yield* git(config, { cwd: top, ok: [0, 1] })
  return code === 0 ? path.resolve(common, out.replace(/\n$/, "")) : common
})

/** The folder of all restored worktrees of a repository, outside of it. */
const folderOf = Effect.fnUntraced(function*(deps: Deps, repository: Repository) {
  const { options, path } = deps
  if (options.worktrees !== undefined) return options.worktrees
  const main = yield* mainOf(deps, repository)
  return path.join(path.dirname(main), `${path.basename(main)}.everbeat`)
})

/** Where the worktree of a snapshot goes when the caller names no folder: the first of these that is free. */
export const defaultTargets = Effect.fnUntraced(function*(
  deps: Deps,
  repository: Repository,
  snapshot: WorkspaceSnapshot
): Effect.fn.Return<ReadonlyArray<string>, WorkspaceError> {
  const name = deps.path.join(yield* folderOf(deps, repository), `${keyOf(snapshot.runId)}-${snapshot.seq}`)
  return Array.from({ length: maxTargets }, (_, index) => index === 0 ? name : `${name}-${index + 1}`)
})

/** A folder that nothing is in. */
export const choose = Effect.fnUntraced(function*(
  deps: Deps,
  repository: Repository,
  snapshot: WorkspaceSnapshot,
  wanted: string | undefined
): Effect.fn.Return<string, WorkspaceError> {
  const candidates = wanted === undefined
    ? yield* defaultTargets(deps, repository, snapshot)
    : [deps.path.resolve(wanted)]
  const beside = wanted === undefined && deps.options.worktrees === undefined
  for (const folder of candidates) {
    if (!(yield* isFree(deps, folder))) continue
    yield* refuseInside(deps, folder, beside)
    return folder
  }
  return yield* new TargetNotEmpty({ path: candidates[0] ?? "", detail: "it is not empty" })
})
