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

/** A worktree inside another one would be a nested repository, and inside a git folder it would corrupt that. */
const refuseInside = Effect.fnUntraced(function*(deps: Deps, folder: string) {
  const parent = yield* nearest(deps, folder)
  const inside = yield* deps.git(["rev-parse", "--absolute-git-dir"], { cwd: parent }).pipe(
    Effect.map(({ out }) => out.trim()),
    Effect.catchTag("NotARepository", () => Effect.undefined)
  )
  if (inside !== undefined) {
    return yield* new TargetNotEmpty({ path: folder, detail: `it lies inside the repository ${inside}` })
  }
})

/** The folder of all restored worktrees of a repository, outside of it. */
const folderOf = ({ options, path }: Deps, { common }: Repository): string => {
  // The main worktree, also where the repository was opened through a linked one.
  const main = path.basename(common) === ".git" ? path.dirname(common) : common
  return options.worktrees ?? path.join(path.dirname(main), `${path.basename(main)}.everbeat`)
}

/** Where the worktree of a snapshot goes when the caller names no folder: the first of these that is free. */
export const defaultTargets = (
  deps: Deps,
  repository: Repository,
  snapshot: WorkspaceSnapshot
): ReadonlyArray<string> => {
  const name = deps.path.join(folderOf(deps, repository), `${keyOf(snapshot.runId)}-${snapshot.seq}`)
  return Array.from({ length: maxTargets }, (_, index) => index === 0 ? name : `${name}-${index + 1}`)
}

/** A folder that nothing is in. */
export const choose = Effect.fnUntraced(function*(
  deps: Deps,
  repository: Repository,
  snapshot: WorkspaceSnapshot,
  wanted: string | undefined
): Effect.fn.Return<string, WorkspaceError> {
  const candidates = wanted === undefined
    ? defaultTargets(deps, repository, snapshot)
    : [deps.path.resolve(wanted)]
  for (const folder of candidates) {
    if (!(yield* isFree(deps, folder))) continue
    yield* refuseInside(deps, folder)
    return folder
  }
  return yield* new TargetNotEmpty({ path: candidates[0] ?? "", detail: "it is not empty" })
})
