import type { RunId } from "@everbeat/core/RunId"
import { GitFailed, RefConflict, type WorkspaceError } from "@everbeat/core/WorkspaceError"
import type { SnapshotReason, WorkspaceSnapshot } from "@everbeat/core/WorkspaceSnapshot"
import * as Effect from "effect/Effect"
import { Buffer } from "node:buffer"
import type { Deps } from "./deps.ts"
import { branchRef, hiddenOf, hiddenRef, keptRefs, keyOf, seqOf } from "./names.ts"
import type { Repository } from "./repository.ts"
import type { Staged } from "./stage.ts"
import type { RunState } from "./state.ts"

/** What to publish. */
export interface PublishInput {
  readonly runId: RunId
  readonly reason: SnapshotReason
  readonly previous: WorkspaceSnapshot | undefined
  readonly seq: number | undefined
  readonly staged: Staged
}

/** What was published. */
export interface Published {
  readonly seq: number
  readonly commit: string
  readonly refs: ReadonlyArray<string>
}

/** Reads what the repository holds of a run: another process may have published. */
export const load = Effect.fnUntraced(function*(deps: Deps, repository: Repository, runId: RunId) {
  const run = deps.state.run(repository, keyOf(runId))
  const { out } = yield* deps.git(
    ["for-each-ref", "--format=%(objectname) %(refname)", hiddenOf(runId), branchRef(runId)],
    { cwd: repository.top }
  )
  const refs = out.split("\n").filter((line) => line !== "").map((line) => {
    const [commit = "", name = ""] = line.split(" ")
    return { commit, name }
  })
  run.names = refs.flatMap(({ name }) => seqOf(name) > 0 ? [name] : []).sort()
  run.branch = refs.find(({ name }) => name === branchRef(runId))?.commit
  return { run, own: new Set(refs.filter(({ name }) => seqOf(name) > 0).map(({ commit }) => commit)) }
})

const messageOf = ({ reason, runId, staged }: PublishInput, seq: number): Buffer =>
  Buffer.from(
    [
      `everbeat checkpoint ${keyOf(runId)} #${seq}`,
      "",
      `Everbeat-Run: ${keyOf(runId)}`,
      `Everbeat-Seq: ${seq}`,
      `Everbeat-Reason: ${reason}`,
      ...(staged.head === undefined ? [] : [`Everbeat-Base: ${staged.head}`]),
      ...(staged.branch === undefined ? [] : [`Everbeat-Branch: ${staged.branch}`]),
      ""
    ].join("\n"),
    "latin1"
  )

const commitTree = (deps: Deps, { top }: Repository, input: PublishInput, seq: number) =>
  Effect.map(
    deps.git(
      [
        "commit-tree",
        input.staged.tree,
        ...(input.staged.head === undefined ? [] : ["-p", input.staged.head]),
        "-F",
        "-"
      ],
      { cwd: top, input: messageOf(input, seq), writes: true }
    ),
    ({ out }) => out.trim()
  )

/** One transaction: all of the refs move, or none does. */
export const transact = (
  deps: Deps,
  repository: Repository,
  commands: ReadonlyArray<string>
): Effect.Effect<void, WorkspaceError> =>
  deps.git(["update-ref", "--no-deref", "-z", "--stdin"], {
    cwd: repository.top,
    input: Buffer.from(commands.join(""), "latin1"),
    writes: true
  }).pipe(
    Effect.asVoid,
    Effect.catchTag("GitFailed", (error) => {
      const conflict = /cannot (?:lock|update) ref '([^']*)': ([^\n]*)/.exec(error.stderr)
      return Effect.fail(
        conflict === null ? error : new RefConflict({ ref: conflict[1] ?? "", detail: conflict[2] ?? "" })
      )
    }),
    Effect.uninterruptible
  )

const isBlocked = (error: RefConflict, runId: RunId): boolean =>
  error.ref === branchRef(runId) && /exists; cannot create|there are still refs under/.test(error.detail)

/** Says which refs change: what follows here is what the repository will hold. */
const move = Effect.fnUntraced(function*(
  deps: Deps,
  repository: Repository,
  input: PublishInput,
  run: RunState,
  seq: number,
  commit: string
) {
  const { runId } = input
  const ref = hiddenRef(runId, seq)
  const withBranch = deps.options.branch && !run.branchBlocked && input.reason !== "pre-restore"
  const names = [...run.names, ref].sort()
  // What the checkpoint names stays, however many snapshots are published without a record.
  const recorded = input.previous === undefined ? undefined : hiddenRef(runId, input.previous.seq)
  const out = names.slice(0, Math.max(0, names.length - keptRefs)).filter((name) => name !== ref && name !== recorded)
  const commands = [`create ${ref}\0${commit}\0`, ...out.map((name) => `delete ${name}\0\0`)]
  const branch = `update ${branchRef(runId)}\0${commit}\0${run.branch ?? "0".repeat(commit.length)}\0`
  const moved = yield* transact(deps, repository, withBranch ? [...commands, branch] : commands).pipe(
    Effect.as(withBranch),
    Effect.catchTag("RefConflict", (error) => {
      if (!withBranch || !isBlocked(error, runId)) return Effect.fail(error)
      run.branchBlocked = true
      return Effect.logWarning("A branch of the user is in the way of the checkpoint branch; only hidden refs are kept")
        .pipe(
          Effect.annotateLogs({ branch: error.ref, detail: error.detail }),
          Effect.andThen(transact(deps, repository, commands)),
          Effect.as(false)
        )
    })
  )
  run.names = names.filter((name) => !out.includes(name))
  if (moved) run.branch = commit
  run.last = commit
  return moved ? [ref, branchRef(runId)] : [ref]
  // What is remembered must follow what was done, also when the deadline comes in between.
}, Effect.uninterruptible)

/**
 * Commits a staged tree and makes the refs of the run point at it.
 *
 * An attempt that ended between its refs and its record leaves refs that no
 * record names: the next attempt counts on from them. For who goes on from the
 * snapshot that it has published itself, a ref that moved means that somebody
 * else writes the same run.
 */
export const publish = Effect.fnUntraced(function*(
  deps: Deps,
  repository: Repository,
  input: PublishInput
): Effect.fn.Return<Published, WorkspaceError> {
  const { previous, runId } = input
  const run = deps.state.run(repository, keyOf(runId))
  const adopt = Effect.gen(function*() {
    const { own } = yield* load(deps, repository, runId)
    const foreign = run.branch !== undefined && !own.has(run.branch) && run.branch !== previous?.commit
    if (foreign && deps.options.branch && !run.branchBlocked) {
      return yield* new RefConflict({ ref: branchRef(runId), detail: "it points at what is no snapshot of this run" })
    }
  })
  const elsewhere = previous !== undefined && previous.commit !== run.last
  // Without a branch, nothing of what is published here says that the first number was used and has fallen out.
  if (elsewhere || (run.last === undefined && !deps.options.branch)) yield* adopt

  const once = Effect.gen(function*() {
    const highest = Math.max(previous?.seq ?? 0, seqOf(run.names.at(-1) ?? ""))
    const seq = input.seq ?? highest + 1
    if (!Number.isSafeInteger(seq) || seq < 1 || seq > 999_999) {
      return yield* new GitFailed({ command: "update-ref", exitCode: -1, stderr: `${seq} numbers no snapshot` })
    }
    const commit = yield* commitTree(deps, repository, input, seq)
    const refs = yield* move(deps, repository, input, run, seq, commit)
    return { seq, commit, refs }
  })
  return yield* Effect.catchTag(
    once,
    "RefConflict",
    (error) =>
      elsewhere || run.last !== undefined || input.seq !== undefined ? Effect.fail(error) : Effect.andThen(adopt, once)
  )
})
