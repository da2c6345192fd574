import type { WorkspaceError } from "@everbeat/core/WorkspaceError"
import type { ChangedPath } from "@everbeat/core/WorkspaceSnapshot"
import * as Effect from "effect/Effect"
import type { Deps } from "./deps.ts"
import type { Repository } from "./repository.ts"

/** One path that is not as in HEAD. */
export interface Entry {
  readonly path: string
  /** Against HEAD. `undefined`: it is as in HEAD after all, or only a submodule's own files changed. */
  readonly status: ChangedPath["status"] | undefined
  /** The private index does not know the file yet. */
  readonly untracked: boolean
  /** HEAD does not have it. */
  readonly isNew: boolean
  /** The private index is behind the worktree. */
  readonly stale: boolean
  readonly submodule: boolean
  /** A submodule that has commits or files of its own. */
  readonly dirtySubmodule: boolean
  readonly deleted: boolean
  /** HEAD has it, the private index has not. */
  readonly gone: boolean
}

/** What `git status` tells, in one process. */
export interface Scan {
  readonly head: string | undefined
  readonly branch: string | undefined
  readonly entries: ReadonlyArray<Entry>
}

const statusOf = (head: string, worktree: string): Entry["status"] => {
  if (head === "000000") return worktree === "000000" ? undefined : "A"
  if (worktree === "000000") return "D"
  return head.slice(0, 2) === worktree.slice(0, 2) ? "M" : "T"
}

const tracked = (line: string): Entry => {
  const unmerged = line.startsWith("u")
  const fields = line.split(" ")
  const [, xy = "..", sub = "N...", head = "000000"] = fields
  const worktree = (unmerged ? fields[6] : fields[5]) ?? "000000"
  const submodule = sub.startsWith("S")
  const dirtySubmodule = submodule && sub !== "S..."
  const moved = !submodule || sub[1] === "C"
  return {
    path: fields.slice(unmerged ? 10 : 8).join(" "),
    status: submodule && !moved && xy[0] === "." ? undefined : statusOf(unmerged ? fields[4] ?? head : head, worktree),
    untracked: false,
    isNew: head === "000000" && !unmerged,
    stale: unmerged || (xy[1] !== "." && moved),
    submodule,
    dirtySubmodule,
    deleted: worktree === "000000",
    gone: xy === "D." && !submodule
  }
}

/** A file that the private index does not know. */
export const untracked = (path: string): Entry => ({
  path,
  status: "A",
  untracked: true,
  isNew: true,
  stale: true,
  submodule: false,
  dirtySubmodule: false,
  deleted: false,
  gone: false
})

const parse = (out: string): Scan => {
  let head: string | undefined
  let branch: string | undefined
  const entries: Array<Entry> = []
  for (const line of out.split("\0")) {
    if (line.startsWith("# branch.oid ")) head = line.slice(13) === "(initial)" ? undefined : line.slice(13)
    else if (line.startsWith("# branch.head ")) branch = line.slice(14) === "(detached)" ? undefined : line.slice(14)
    else if (line.startsWith("1 ") || line.startsWith("u ")) entries.push(tracked(line))
    else if (line.startsWith("? ")) entries.push(untracked(line.slice(2)))
  }
  return { head, branch, entries }
}

/** Compares the worktree with a private index and with HEAD. `paths` limits what is looked at. */
export const scan = (
  { git }: Deps,
  { top }: Repository,
  index: string,
  paths?: ReadonlyArray<string>
): Effect.Effect<Scan, WorkspaceError> =>
  Effect.map(
    git(
      [
        "status",
        "--porcelain=v2",
        "--branch",
        "-z",
        "--untracked-files=all",
        "--no-renames",
        "--ignore-submodules=none",
        ...(paths === undefined ? [] : ["--", ...paths])
      ],
      { cwd: top, index, env: { GIT_LITERAL_PATHSPECS: "1", GIT_NO_LAZY_FETCH: "1" } }
    ),
    ({ out }) => parse(out)
  )
