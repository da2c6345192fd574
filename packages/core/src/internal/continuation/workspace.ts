/**
 * What a resumed agent is told of its files.
 */
import type { Skipped, Workspace } from "../../Continuation.ts"
import { body, bytesOf, name } from "./fence.ts"
import { limited, type Section } from "./section.ts"

const maxLines = 40
const maxSkipped = 12

const restored: Record<Workspace["restored"], string> = {
  "in-place": "The files are in place: the workspace is the one in which the earlier attempt worked.",
  "fresh":
    "The files are in place: they were restored into a fresh workspace. Use the path below, also where the notes or "
    + "the conversation name another one.",
  "failed":
    "The files of the earlier attempt could not be restored. The workspace may hold an older state or nothing: look "
    + "at it before you rely on the notes.",
  "none": "No files of the earlier attempt were saved. The workspace is as it was left."
}

const inexact = "They are not exactly as they were saved: compare before you rely on them."

const behind =
  "The earlier attempt was lost with its workspace: what it changed after this snapshot is missing, also where a "
  + "tool call is said to have succeeded. Compare before you rely on it."

const isThere = ({ restored }: Workspace): boolean => restored === "in-place" || restored === "fresh"

export const workspaceOf = (workspace: Workspace | undefined, patchBytes: number): Section | undefined => {
  if (workspace === undefined) return undefined
  const diff = diffOf(workspace, patchBytes)
  return {
    heading: "## Files",
    intro: [
      restored[workspace.restored],
      isThere(workspace) && !workspace.exact ? inexact : "",
      isThere(workspace) && workspace.behind === true ? behind : "",
      typeof diff !== "string" ? "" : `The diff shows what ${isThere(workspace) ? "is" : "is not"} in place.`,
      typeof diff !== "number" ? "" : `… ${diff} bytes of diff left out.`
    ].filter((line) => line !== "").join(" "),
    data: [
      { what: "workspace", body: linesOf(workspace).map((line) => `| ${line}`).join("\n") },
      ...(typeof diff === "string" ? [{ what: "diff", body: diff }] : [])
    ]
  }
}

/** What a conversation does not know of its files: that they are elsewhere, or not as it left them. */
export const movedFiles = (workspace: Workspace | undefined): Section | undefined =>
  workspace === undefined || (workspace.restored === "in-place" && workspace.exact && workspace.behind !== true)
    ? undefined
    : workspaceOf({ ...workspace, patch: undefined }, 0)

const linesOf = (workspace: Workspace): ReadonlyArray<string> => {
  const details = ([["path", workspace.path], ["branch", workspace.branch], ["base", workspace.base], [
    "snapshot",
    workspace.commit
  ]] as const).flatMap(([what, value]) => typeof value === "string" ? [`${what}: ${name(value, 512)}`] : [])
  const skipped = limited(
    workspace.skipped.map(({ path, reason }) => `not in the snapshot: ${name(path, 256)} (${name(reason, 64)})`),
    maxSkipped,
    "not in the snapshot"
  )
  const entries = limited(
    workspace.entries.map(({ added, deleted, path, status }) => {
      const lines = typeof added === "number" && typeof deleted === "number" ? ` +${added} -${deleted}` : ""
      return `${status} ${name(path, 256)}${lines}`
    }),
    maxLines - details.length - skipped.length,
    "files changed",
    Math.max(workspace.files ?? 0, workspace.entries.length)
  )
  return [...details, ...entries, ...skipped]
}

/** The diff, or how large it is when it is too large. */
const diffOf = ({ patch = "", skipped }: Workspace, maxBytes: number): string | number | undefined => {
  const diff = withoutSkipped(patch, skipped).replace(/\r?\n$/, "")
  if (diff.trim() === "") return undefined
  const bytes = bytesOf(diff)
  // Rendering makes it longer: there is no need to when it is too long already.
  if (bytes > maxBytes) return bytes
  const rendered = body(diff, Infinity)
  return bytesOf(rendered) > maxBytes ? bytes : rendered
}

/** A file was left out of the snapshot for a reason: nothing of it may come in through the diff. */
const withoutSkipped = (patch: string, skipped: ReadonlyArray<Skipped>): string => {
  if (skipped.length === 0) return patch
  const headers = new Set(
    skipped.flatMap(({ path }) => [`diff --git a/${path} b/${path}`, `diff --git "a/${path}" "b/${path}"`])
  )
  return patch.split(/^(?=diff --git )/m).filter((part) => !headers.has(part.split(/\r?\n/, 1)[0] ?? "")).join("")
}
