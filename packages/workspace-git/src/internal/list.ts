import { isRunId, type RunId } from "@everbeat/core/RunId"
import type { SnapshotRef, Workspace } from "@everbeat/core/Workspace"
import { SnapshotReason } from "@everbeat/core/WorkspaceSnapshot"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Buffer } from "node:buffer"
import { toText } from "./bytes.ts"
import type { Deps } from "./deps.ts"
import { hiddenOf, hiddenRef, isObjectId, roots, seqOf } from "./names.ts"
import { open, type Repository } from "./repository.ts"

const isReason = Schema.is(SnapshotReason)

/** The ends of the fields and of the records: neither occurs in a ref, and trailers are lines. */
const format = "%(refname)%1f%(objectname)%1f%(committerdate:unix)%1f%(contents:body)%1e"

/** What a snapshot says of itself: all that is known when its checkpoint is lost. */
const parse = (record: string): ReadonlyArray<SnapshotRef> => {
  const [ref = "", commit = "", seconds = "", body = ""] = record.replace(/^\n/, "").split("\x1f")
  const trailer = (name: string): string | undefined => new RegExp(`^Everbeat-${name}: (.*)$`, "m").exec(body)?.[1]
  const runId = trailer("Run")
  const reason = trailer("Reason")
  const seq = seqOf(ref)
  // A ref that was not written by us, or under the name of another run, is left alone.
  if (!isRunId(runId) || !isReason(reason) || hiddenRef(runId, seq) !== ref) return []
  const base = trailer("Base") ?? null
  const branch = trailer("Branch")
  return [{
    runId,
    seq,
    ref,
    commit,
    base: base !== null && isObjectId(base) ? base : null,
    branch: branch === undefined ? null : toText(branch) ?? null,
    reason,
    committedAt: Number(seconds) * 1000
  }]
}

/** The snapshots that a repository holds, newest first. */
export const refsOf = (deps: Deps, { top }: Repository, runId: RunId | undefined) =>
  Effect.map(
    deps.git(["for-each-ref", `--format=${format}`, runId === undefined ? roots[0] ?? "" : hiddenOf(runId)], {
      cwd: top
    }),
    ({ bytes }) =>
      Buffer.from(bytes).toString("latin1").split("\x1e").flatMap(parse).sort((a, b) =>
        b.committedAt - a.committedAt || (a.runId === b.runId ? b.seq - a.seq : a.runId < b.runId ? 1 : -1)
      )
  )

/** Lists snapshots by their refs. */
export const make = (deps: Deps): Workspace["Service"]["list"] =>
  Effect.fn("Workspace.list")(function*(filter) {
    const repository = yield* open(deps, filter?.cwd)
    return yield* refsOf(deps, repository, filter?.runId)
  })
