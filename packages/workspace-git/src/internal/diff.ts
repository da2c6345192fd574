import type { Workspace } from "@everbeat/core/Workspace"
import { SnapshotGone, type WorkspaceError } from "@everbeat/core/WorkspaceError"
import type { ChangedPath, ChangeSummary } from "@everbeat/core/WorkspaceSnapshot"
import * as Effect from "effect/Effect"
import { display } from "./bytes.ts"
import type { Deps } from "./deps.ts"
import { isObjectId } from "./names.ts"
import { open, type Repository } from "./repository.ts"

/** Entries and skipped paths that a checkpoint lists: it must stay small. */
export const maxListed = 100

const sum = (numbers: ReadonlyArray<number | null>): number => numbers.reduce<number>((a, b) => a + (b ?? 0), 0)

const byPath = (a: { readonly path: string }, b: { readonly path: string }): number =>
  a.path < b.path ? -1 : a.path > b.path ? 1 : 0

/** A summary without line counts, from what a scan told. */
export const summaryOf = (changes: ReadonlyArray<Pick<ChangedPath, "path" | "status">>): ChangeSummary => ({
  files: changes.length,
  added: null,
  deleted: null,
  created: changes.filter(({ status }) => status === "A").length,
  entries: [...changes].sort(byPath).slice(0, maxListed).map(({ path, status }) => ({
    path: display(path),
    status,
    added: null,
    deleted: null
  })),
  truncated: changes.length > maxListed
})

const isUnder = (path: string, named: string): boolean => path === named || path.startsWith(`${named}/`)

/**
 * A summary of a scan that looked at some paths only: what was known of all the
 * others still holds. `undefined` when not all of that is known.
 */
export const merged = (
  before: ChangeSummary,
  named: ReadonlyArray<string>,
  changes: ReadonlyArray<Pick<ChangedPath, "path" | "status">>
): ChangeSummary | undefined => {
  if (before.truncated) return undefined
  const others = before.entries.filter(({ path }) => !named.some((name) => isUnder(path, name)))
  const now = summaryOf(changes)
  const entries = [...others.map((entry) => ({ ...entry, added: null, deleted: null })), ...now.entries].sort(byPath)
  if (now.truncated || entries.length > maxListed) return undefined
  const created = entries.filter(({ status }) => status === "A").length
  return { files: entries.length, added: null, deleted: null, created, entries, truncated: false }
}

const statuses: Record<string, ChangedPath["status"]> = { A: "A", D: "D", T: "T" }

const countOf = (text: string | undefined): number | null => text === undefined || text === "-" ? null : Number(text)

const parse = (out: string): ChangeSummary => {
  const changed = new Map<string, ChangedPath>()
  const tokens = out.split("\0")
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at] ?? ""
    if (token.startsWith(":")) {
      const path = tokens[++at] ?? ""
      const status = statuses[token.slice(token.lastIndexOf(" ") + 1, token.lastIndexOf(" ") + 2)] ?? "M"
      changed.set(path, { path: display(path), status, added: null, deleted: null })
    } else {
      const [added, deleted, ...rest] = token.split("\t")
      const path = rest.join("\t")
      const entry = changed.get(path)
      if (entry !== undefined) changed.set(path, { ...entry, added: countOf(added), deleted: countOf(deleted) })
    }
  }
  const entries = [...changed.values()].sort(byPath)
  return {
    files: entries.length,
    added: sum(entries.map(({ added }) => added)),
    deleted: sum(entries.map(({ deleted }) => deleted)),
    created: entries.filter(({ status }) => status === "A").length,
    entries: entries.slice(0, maxListed),
    truncated: entries.length > maxListed
  }
}

const common = ["diff-tree", "-r", "--no-renames", "--no-commit-id", "--no-ext-diff", "--no-textconv"] as const

const ends = (base: string | null, commit: string): ReadonlyArray<string> =>
  base === null ? ["--root", commit] : [base, commit]

/** What a snapshot changes on its base, with line counts. Without a base, `commit` must be a commit. */
export const summarize = (
  deps: Deps,
  { top }: Repository,
  base: string | null,
  commit: string
): Effect.Effect<ChangeSummary, WorkspaceError> =>
  Effect.map(
    deps.git([...common, "--raw", "--numstat", "-z", ...ends(base, commit)], { cwd: top }),
    ({ out }) => parse(out)
  )

const decoder = new TextDecoder("utf-8")

/** The text of what a snapshot changes, up to so many bytes. */
const patchOf = (
  deps: Deps,
  { top }: Repository,
  base: string | null,
  commit: string,
  maxBytes: number
): Effect.Effect<{ readonly text: string; readonly truncated: boolean }, WorkspaceError> =>
  Effect.map(
    deps.git([...common, "-p", "--no-color", "--full-index", ...ends(base, commit)], {
      cwd: top,
      maxBytes,
      overflow: "truncate"
    }),
    ({ bytes, truncated }) => ({ text: decoder.decode(bytes), truncated })
  )

/** The paths of a kind of change, as bytes. */
export const pathsOf = (
  deps: Deps,
  top: string,
  base: string | null,
  commit: string,
  filter: string
): Effect.Effect<ReadonlyArray<string>, WorkspaceError> =>
  Effect.map(
    deps.git([...common, "--name-only", "-z", `--diff-filter=${filter}`, ...ends(base, commit)], { cwd: top }),
    ({ out }) => out.split("\0").filter((path) => path !== "")
  )

/** Tells what snapshots change on their bases. */
export const make = (deps: Deps): Workspace["Service"]["diff"] =>
  Effect.fn("Workspace.diff")(function*(snapshot, options) {
    const { base, commit } = snapshot
    const ids = base === null ? [commit] : [base, commit]
    if (!ids.every(isObjectId)) return yield* new SnapshotGone({ commit, detail: "it was not taken with git" })
    const repository = yield* open(deps, options?.cwd)
    const gone = (error: WorkspaceError) =>
      error._tag === "GitFailed" && /bad object|unknown revision|not a tree|unable to read/i.test(error.stderr)
        ? new SnapshotGone({ commit, detail: "it is not in this repository" })
        : error
    const summary = yield* Effect.mapError(summarize(deps, repository, base, commit), gone)
    const max = options?.maxPatchBytes ?? 0
    const patch = max > 0 ? yield* patchOf(deps, repository, base, commit, max) : undefined
    return { summary, patch }
  })
