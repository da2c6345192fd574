import { GitFailed, GitTooOld, NotARepository, RefusedRoot, type WorkspaceError } from "@everbeat/core/WorkspaceError"
import type { WorkspaceSnapshot } from "@everbeat/core/WorkspaceSnapshot"
import * as Effect from "effect/Effect"
import { homedir } from "node:os"
import { toText } from "./bytes.ts"
import type { Deps } from "./deps.ts"
import { roots } from "./names.ts"

/** A worktree, and the repository that it belongs to. All paths are absolute. */
export interface Repository {
  readonly top: string
  readonly gitDir: string
  readonly common: string
  readonly index: string
  /** Where this worktree keeps private indexes. */
  readonly side: string
  /** The agent's folder below the top, `""` or with a closing slash. */
  readonly subfolder: string
  readonly version: string
}

const needed = "2.31"

const versionOf = Effect.fnUntraced(function*({ git, state }: Deps, cwd: string) {
  if (state.version !== undefined) return state.version
  const { out } = yield* git(["version"], { cwd })
  const [, version = "0", major = "0", minor = "0"] = /((\d+)\.(\d+)[\w.-]*)/.exec(out) ?? []
  if (Number(major) < 2 || (Number(major) === 2 && Number(minor) < 31)) {
    return yield* new GitTooOld({ version, needed })
  }
  state.version = version
  return version
})

/** Whether this git is at least 2.`minor`. */
export const isAtLeast = ({ version }: Repository, minor: number): boolean => {
  const [major = 0, second = 0] = version.split(".").map(Number)
  return major > 2 || second >= minor
}

const questions = [
  ["--show-toplevel"],
  ["--git-dir"],
  ["--git-common-dir"],
  ["--git-path", "index"],
  ["--git-path", "everbeat"],
  ["--show-prefix"]
]

const locate = Effect.fnUntraced(function*({ git }: Deps, cwd: string) {
  const ask = (flags: ReadonlyArray<string>) =>
    Effect.map(git(["rev-parse", "--path-format=absolute", ...flags], { cwd }), ({ out }) => out.replace(/\n$/, ""))
  const lines = (yield* ask(questions.flat())).split("\n")
  // A folder with a line break in its name: one question at a time is not ambiguous.
  const answers = lines.length === questions.length ? lines : yield* Effect.forEach(questions, ask)
  const texts = answers.map(toText)
  const [top, gitDir, common, index, side, subfolder] = texts
  if (
    top === undefined || gitDir === undefined || common === undefined || index === undefined || side === undefined ||
    subfolder === undefined
  ) {
    return yield* new GitFailed({ command: "rev-parse", exitCode: 0, stderr: `the path of ${cwd} is not UTF-8` })
  }
  return { top, gitDir, common, index, side, subfolder }
})

/** An empty ref is what a power loss leaves of it: `gc`, `fetch` and deleting it fail until the file is gone. */
export const heal = Effect.fnUntraced(function*({ fs, path }: Deps, common: string) {
  const healed: Array<string> = []
  for (const root of roots) {
    const folder = path.join(common, root)
    const names = yield* Effect.orElseSucceed(
      fs.readDirectory(folder, { recursive: true }),
      (): ReadonlyArray<string> => []
    )
    for (const name of names) {
      const file = path.join(folder, name)
      const info = yield* Effect.option(fs.stat(file))
      if (info._tag === "Some" && info.value.type === "File" && info.value.size === 0n) {
        yield* Effect.ignore(fs.remove(file))
        healed.push(root + name.split(path.sep).join("/"))
      }
    }
  }
  return healed
})

const refuseRoot = Effect.fnUntraced(function*({ fs, path }: Deps, top: string) {
  const home = yield* Effect.orElseSucceed(fs.realPath(homedir()), () => homedir())
  const above = path.relative(top, home)
  const holdsHome = !above.startsWith("..") && !path.isAbsolute(above)
  if (holdsHome || path.dirname(top) === top) return yield* new RefusedRoot({ path: top })
})

/**
 * The agent may write `.git/config`, where `core.worktree` names any folder as the top: a snapshot would hold what is there.
 * A true top has a `.git` that leads to the repository, also in a worktree or a submodule.
 */
const refuseRedirected = Effect.fnUntraced(function*(
  { fs, path }: Deps,
  { gitDir, top }: Pick<Repository, "top" | "gitDir">
) {
  const dotGit = path.join(top, ".git")
  const real = (file: string) => Effect.orElseSucceed(fs.realPath(file), () => file)
  const pointer = yield* Effect.orElseSucceed(fs.readFileString(dotGit), () => "")
  const [, target] = /^gitdir: (.+?)\r?\n?$/s.exec(pointer) ?? []
  const leadsTo = target === undefined ? dotGit : path.resolve(top, target)
  if ((yield* real(leadsTo)) !== (yield* real(gitDir))) return yield* new NotARepository({ path: top })
})

/** Finds the repository of a folder, and checks that snapshots of it can be taken. */
export const open = Effect.fnUntraced(function*(
  deps: Deps,
  folder: string | undefined
): Effect.fn.Return<Repository, WorkspaceError> {
  const cwd = deps.path.resolve(folder ?? deps.options.cwd)
  const exists = (path: string) => Effect.orElseSucceed(deps.fs.exists(path), () => false)
  const cached = deps.state.repositories.get(cwd)
  if (cached !== undefined && (yield* exists(cwd)) && (yield* exists(cached.gitDir))) return cached
  deps.state.repositories.delete(cwd)
  if (!(yield* exists(cwd))) return yield* new NotARepository({ path: cwd })
  const version = yield* versionOf(deps, cwd)
  const located = yield* locate(deps, cwd)
  yield* refuseRoot(deps, located.top)
  yield* refuseRedirected(deps, located)
  yield* heal(deps, located.common)
  const repository = { ...located, version }
  deps.state.repositories.set(cwd, repository)
  return repository
})

/** The repository of a folder, or that of the workspace where there is none any more. */
export const openOr = (deps: Deps, folder: string | undefined): Effect.Effect<Repository, WorkspaceError> =>
  folder === undefined
    ? open(deps, undefined)
    : Effect.catchTag(
      open(deps, folder),
      "NotARepository",
      (error) => Effect.mapError(open(deps, undefined), () => error)
    )

/** Looks again at the next operation: a folder may have been removed or replaced. */
export const reopen = (deps: Deps, folder: string | undefined): Effect.Effect<void> =>
  Effect.sync(() => {
    deps.state.repositories.delete(deps.path.resolve(folder ?? deps.options.cwd))
  })

const operations: ReadonlyArray<readonly [WorkspaceSnapshot["operation"], ReadonlyArray<string>]> = [
  ["rebase", ["rebase-merge", "rebase-apply"]],
  ["merge", ["MERGE_HEAD"]],
  ["cherry-pick", ["CHERRY_PICK_HEAD"]],
  ["revert", ["REVERT_HEAD"]],
  ["bisect", ["BISECT_LOG"]]
]

/** What the user or the agent is in the middle of. */
export const operationOf = Effect.fnUntraced(function*({ fs, path }: Deps, { gitDir }: Repository) {
  for (const [operation, files] of operations) {
    for (const file of files) {
      if (yield* Effect.orElseSucceed(fs.exists(path.join(gitDir, file)), () => false)) return operation
    }
  }
  return "none" as const
})

/** The paths that a caller named, relative to the top. What lies elsewhere is left out. */
export const relativePaths = (
  { path }: Deps,
  { top }: Repository,
  paths: ReadonlyArray<string>
): ReadonlyArray<string> =>
  paths.flatMap((named) => {
    const relative = path.relative(top, path.resolve(top, named))
    const outside = relative === "" || relative.startsWith("..") || path.isAbsolute(relative)
    return outside ? [] : [relative.split(path.sep).join("/")]
  })
