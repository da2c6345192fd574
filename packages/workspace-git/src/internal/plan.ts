import type { ChangedPath, SkippedPath } from "@everbeat/core/WorkspaceSnapshot"
import { display } from "./bytes.ts"
import type { Limits, Resolved } from "./deps.ts"
import { sizeOf } from "./files.ts"
import { type Entry, type Scan, untracked } from "./scan.ts"

/** What of a scan goes into the snapshot. Paths are bytes. */
export interface Plan {
  readonly update: ReadonlyArray<string>
  /** Secrets that the user has staged: out of the private index. */
  readonly forget: ReadonlyArray<string>
  readonly changes: ReadonlyArray<Pick<ChangedPath, "path" | "status">>
  readonly created: number
  readonly skipped: ReadonlyArray<SkippedPath>
  readonly skippedCount: number
}

interface Candidate {
  readonly path: string
  readonly bytes: number
}

const folderOf = (path: string): string => path.slice(0, path.lastIndexOf("/") + 1)

const topOf = (path: string): string => path.slice(0, path.indexOf("/") + 1)

const countBy = (candidates: ReadonlyArray<Candidate>, keyOf: (path: string) => string): Map<string, number> => {
  const counts = new Map<string, number>()
  for (const { path } of candidates) counts.set(keyOf(path), (counts.get(keyOf(path)) ?? 0) + 1)
  return counts
}

class Skips {
  readonly listed: Array<SkippedPath> = []
  count = 0
  add(path: string, reason: SkippedPath["reason"], bytes?: number, files = 1): void {
    this.count += files
    this.listed.push({ path: display(path), reason, ...(bytes === undefined ? undefined : { bytes }) })
  }
}

/** Leaves out folders that suddenly hold very many files, then what is too much in all: large groups first. */
const cap = (candidates: ReadonlyArray<Candidate>, already: number, limits: Limits, skips: Skips) => {
  const perFolder = countBy(candidates, folderOf)
  for (const [folder, files] of perFolder) {
    if (files > limits.maxNewFilesPerFolder) skips.add(folder === "" ? "./" : folder, "too-many", undefined, files)
  }
  const rest = candidates.filter(({ path }) => (perFolder.get(folderOf(path)) ?? 0) <= limits.maxNewFilesPerFolder)
  // A group of thousands (installed packages, build output) must not push out the few files that the agent wrote.
  const perTop = countBy(rest, topOf)
  const ordered = [...rest].sort((a, b) => (perTop.get(topOf(a.path)) ?? 0) - (perTop.get(topOf(b.path)) ?? 0))
  const taken: Array<string> = []
  let bytes = 0
  for (const candidate of ordered) {
    if (already + taken.length >= limits.maxNewFiles || bytes + candidate.bytes > limits.maxNewBytes) {
      skips.add(candidate.path, "too-many", candidate.bytes)
    } else {
      taken.push(candidate.path)
      bytes += candidate.bytes
    }
  }
  return taken
}

/**
 * A file that HEAD has and the private index has not is shown as deleted, and
 * as untracked when it is there. An ignored one is shown as deleted only: the
 * agent has committed it by force.
 */
const withReturned = (top: string, entries: ReadonlyArray<Entry>): ReadonlyArray<Entry> => {
  const there = new Set(entries.flatMap(({ path, untracked }) => untracked ? [path] : []))
  return entries.map((entry) =>
    entry.gone && !there.has(entry.path) && sizeOf(top, entry.path) !== undefined
      ? { ...entry, status: "M", deleted: false, stale: true }
      : entry
  )
}

/** Decides what of a scan is kept. Reads the sizes of changed files, and no file. */
export const make = (
  top: string,
  scan: Scan,
  forced: ReadonlyArray<string>,
  { isSecret, limits }: Resolved
): Plan => {
  const scanned = new Set(scan.entries.map(({ path }) => path))
  const added = forced.filter((path) => !scanned.has(path)).map(untracked)
  const entries = [...withReturned(top, scan.entries), ...added]
  const skips = new Skips()
  const update: Array<string> = []
  const forget: Array<string> = []
  const candidates: Array<Candidate> = []
  const left = new Set<string>()
  let captured = 0

  const decide = (entry: Entry): void => {
    const { path } = entry
    const leave = (reason: SkippedPath["reason"], bytes?: number) => {
      left.add(path)
      skips.add(path, reason, bytes)
    }
    if (path.endsWith("/")) return leave("nested-repository")
    if (entry.dirtySubmodule) skips.add(path, "submodule-dirty")
    if (entry.isNew && isSecret(path)) {
      if (!entry.untracked) forget.push(path)
      return leave("secret")
    }
    if (entry.isNew && !entry.untracked) captured++
    if (!entry.stale) return
    if (entry.deleted || entry.submodule) {
      update.push(path)
      return
    }
    const bytes = sizeOf(top, path)
    const max = entry.isNew ? limits.maxNewFileBytes : limits.maxFileBytes
    if (bytes !== undefined && bytes > max) {
      // A version that was small enough stays in the snapshot.
      if (entry.untracked) left.add(path)
      skips.add(path, "too-large", bytes)
    } else if (entry.untracked) {
      // Gone again: there is nothing to keep.
      if (bytes === undefined) left.add(path)
      else candidates.push({ path, bytes })
    } else update.push(path)
  }
  for (const entry of entries) decide(entry)

  const taken = cap(candidates, captured, limits, skips)
  const kept = new Set(taken)
  const changes = entries.flatMap(({ path, status, untracked }) =>
    status === undefined || left.has(path) || (untracked && !kept.has(path)) ? [] : [{ path, status }]
  )
  return {
    update: [...update, ...taken],
    forget,
    changes,
    created: changes.filter(({ status }) => status === "A").length,
    skipped: skips.listed,
    skippedCount: skips.count
  }
}
