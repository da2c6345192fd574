import type { SnapshotInput, Taken, Unchanged, Workspace } from "@everbeat/core/Workspace"
import { SnapshotTimeout, type WorkspaceError } from "@everbeat/core/WorkspaceError"
import { type ChangeSummary, isFinal, type WorkspaceSnapshot } from "@everbeat/core/WorkspaceSnapshot"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { toText } from "./bytes.ts"
import type { Deps } from "./deps.ts"
import * as Diff from "./diff.ts"
import * as Durable from "./durable.ts"
import { isObjectId, keyOf } from "./names.ts"
import { publish, type Published } from "./publish.ts"
import { open, operationOf, relativePaths, reopen, type Repository } from "./repository.ts"
import { stage, type Staged } from "./stage.ts"
import type { WorktreeState } from "./state.ts"

const maxBackOffMillis = 10 * 60_000

/** A full scan is due after so many that looked only at what the agent named. */
const fullScanEvery = 10

/** More paths than this do not fit into one command. */
const maxNamed = 500

/** Only a snapshot of this kind, with object ids that can be given to commands. */
const usable = (previous: WorkspaceSnapshot | undefined): WorkspaceSnapshot | undefined =>
  previous?.kind === "git" && [previous.commit, previous.tree].every(isObjectId) ? previous : undefined

const isUnchanged = (deps: Deps, input: SnapshotInput, previous: WorkspaceSnapshot, staged: Staged): boolean =>
  previous.tree === staged.tree && previous.base === (staged.head ?? null) &&
  // What could not be made durable before is tried again while there is time.
  (previous.durability === deps.options.durability || !isFinal(input.reason))

/** What a scan has told, where it is enough for a summary. */
const listed = (
  staged: Staged,
  previous: WorkspaceSnapshot | undefined,
  paths: ReadonlyArray<string> | undefined
): ChangeSummary | undefined => {
  if (paths === undefined) return Diff.summaryOf(staged.changes)
  return previous?.base === (staged.head ?? null) ? Diff.merged(previous.summary, paths, staged.changes) : undefined
}

/** Line counts cost a process more: for a final snapshot beside the others, for any other one on demand. */
const summarize = (
  deps: Deps,
  repository: Repository,
  staged: Staged,
  publishing: Effect.Effect<{ readonly commit: string }, WorkspaceError>,
  known: ChangeSummary | undefined
): Effect.Effect<ChangeSummary> => {
  if (known !== undefined) return Effect.succeed(known)
  const counted = staged.head === undefined
    ? Effect.flatMap(publishing, ({ commit }) => Diff.summarize(deps, repository, null, commit))
    : Diff.summarize(deps, repository, staged.head, staged.tree)
  // The snapshot is published, or will be: that its lines cannot be counted does not undo it.
  return Effect.orElseSucceed(counted, () => Diff.summaryOf(staged.changes))
}

/** A snapshot that the repository holds. It is not known yet where else. */
interface Draft {
  readonly _tag: "Draft"
  readonly staged: Staged
  readonly published: Published
  readonly summary: ChangeSummary
  readonly previous: WorkspaceSnapshot | undefined
  readonly started: number
}

const take = Effect.fnUntraced(function*(
  deps: Deps,
  repository: Repository,
  input: SnapshotInput,
  paths: ReadonlyArray<string> | undefined
): Effect.fn.Return<Draft | Unchanged, WorkspaceError> {
  const started = yield* Clock.currentTimeMillis
  const { reason, runId } = input
  const previous = usable(input.previous)
  const side = deps.state.side(repository, keyOf(runId))
  const covered = [...side.named]
  const staged = yield* stage(deps, repository, { runId, paths, thorough: isFinal(reason) })
  if (paths === undefined) {
    // Not what was named meanwhile: the scan may have passed it already.
    for (const path of covered) side.named.delete(path)
    side.partial = 0
  } else side.partial++
  if (previous !== undefined && isUnchanged(deps, input, previous, staged)) {
    side.tree = staged.tree
    return { _tag: "Unchanged", snapshot: previous }
  }
  const publishing = yield* Effect.cached(
    publish(deps, repository, { runId, reason, previous, seq: input.seq, staged })
  )
  const known = isFinal(reason) ? undefined : listed(staged, previous, paths)
  const [published, summary] = yield* Effect.all(
    [publishing, summarize(deps, repository, staged, publishing, known)],
    { concurrency: 2 }
  )
  side.tree = staged.tree
  return { _tag: "Draft", staged, published, summary, previous, started }
})

/** Makes a published snapshot durable and describes it. From here on nothing can make it fail. */
const finish = Effect.fnUntraced(function*(
  deps: Deps,
  repository: Repository,
  { reason, runId }: SnapshotInput,
  { previous, published, staged, started, summary }: Draft
) {
  const { commit, refs, seq } = published
  const base = staged.head ?? null
  const start = previous === undefined ? base : previous.start
  const { bundle, degraded, fields } = yield* Durable.make(deps, repository, { runId, seq, commit, start, previous })
  if (degraded !== undefined) {
    yield* Effect.logWarning("A snapshot is kept in its repository only").pipe(
      Effect.annotateLogs({ runId, reason: degraded.message })
    )
  }
  const createdAt = yield* DateTime.now
  const snapshot: WorkspaceSnapshot = {
    version: 1,
    kind: "git",
    runId,
    seq,
    reason,
    createdAt,
    repository: repository.common,
    worktree: {
      path: repository.top,
      linked: repository.gitDir !== repository.common,
      subfolder: repository.subfolder.replace(/\/$/, "")
    },
    commit,
    tree: staged.tree,
    base,
    start,
    branch: staged.branch === undefined ? null : toText(staged.branch) ?? null,
    refs,
    summary,
    skipped: staged.skipped.slice(0, Diff.maxListed),
    skippedCount: staged.skippedCount,
    operation: yield* operationOf(deps, repository),
    ...fields,
    gitVersion: repository.version,
    durationMs: DateTime.toEpochMillis(createdAt) - started
  }
  yield* warnOnce(deps, repository, snapshot)
  return { _tag: "Taken" as const, snapshot, bundle, degraded }
})

const warnOnce = Effect.fnUntraced(function*(deps: Deps, repository: Repository, snapshot: WorkspaceSnapshot) {
  const run = deps.state.run(repository, keyOf(snapshot.runId))
  if (snapshot.skippedCount === 0 || run.warned) return
  run.warned = true
  yield* Effect.logWarning("A snapshot leaves out files of the run").pipe(
    Effect.annotateLogs({ runId: snapshot.runId, count: snapshot.skippedCount, first: snapshot.skipped[0] })
  )
})

const within = <A>(
  effect: Effect.Effect<A, WorkspaceError>,
  millis: number,
  operation: string
): Effect.Effect<A, WorkspaceError> =>
  Effect.timeoutOrElse(effect, {
    duration: millis,
    orElse: () => Effect.fail(new SnapshotTimeout({ operation, millis }))
  })

/** A final snapshot looks at everything; when there is no time for that, at what the agent named. */
const takeFinal = Effect.fnUntraced(function*(
  deps: Deps,
  repository: Repository,
  input: SnapshotInput,
  millis: number
): Effect.fn.Return<Draft | Unchanged, WorkspaceError> {
  const { named } = deps.state.side(repository, keyOf(input.runId))
  const full = take(deps, repository, input, undefined)
  if (named.size === 0 || named.size > maxNamed) return yield* within(full, millis, "snapshot")
  const paths = [...named]
  // One deadline over both: most of it for the full scan.
  return yield* Effect.catchTag(
    within(full, millis * 0.7, "snapshot"),
    "SnapshotTimeout",
    () => within(take(deps, repository, input, paths), millis * 0.3, "snapshot of the named paths")
  )
})

const takePeriodic = Effect.fnUntraced(function*(
  deps: Deps,
  repository: Repository,
  input: SnapshotInput,
  millis: number,
  worktree: WorktreeState
): Effect.fn.Return<Draft | Unchanged, WorkspaceError> {
  const side = deps.state.side(repository, keyOf(input.runId))
  const known = input.paths !== undefined && side.tree !== undefined && side.named.size <= maxNamed
    && side.named.size > 0 && side.partial < fullScanEvery
  const result = yield* within(
    take(deps, repository, input, known ? [...side.named] : undefined),
    millis,
    "snapshot"
  ).pipe(
    Effect.tapErrorTag("SnapshotTimeout", () =>
      Effect.flatMap(Clock.currentTimeMillis, (now) =>
        Effect.sync(() => {
          worktree.backOffMillis = Math.min(Math.max(worktree.backOffMillis, millis) * 2, maxBackOffMillis)
          worktree.notBefore = now + worktree.backOffMillis
        })))
  )
  worktree.backOffMillis = 0
  return result
})

/** Takes snapshots: one at a time in a worktree. */
export const make = (deps: Deps): Workspace["Service"]["snapshot"] =>
  Effect.fn("Workspace.snapshot")(function*(input) {
    const final = isFinal(input.reason)
    const millis = Duration.toMillis(input.deadline ?? (final ? "10 seconds" : "5 seconds"))
    const repository = yield* within(open(deps, input.cwd), millis, "opening the repository")
    const worktree = deps.state.worktree(repository)
    const side = deps.state.side(repository, keyOf(input.runId))
    const named = relativePaths(deps, repository, input.paths ?? [])
    for (const path of named) side.named.add(path)
    // A path that cannot be placed (through a link, for example) may be one in here: only a full scan finds it.
    if (named.length < (input.paths ?? []).length) side.partial = fullScanEvery
    const work = final
      ? takeFinal(deps, repository, input, millis)
      : takePeriodic(deps, repository, input, millis, worktree)
    const watched = Effect.tapError(work, () => reopen(deps, input.cwd)).pipe(
      Effect.flatMap((result): Effect.Effect<Taken | Unchanged> =>
        result._tag === "Draft" ? finish(deps, repository, input, result) : Effect.succeed(result)
      )
    )
    if (final) return yield* worktree.semaphore.withPermits(1)(watched)
    if ((yield* Clock.currentTimeMillis) < worktree.notBefore) return { _tag: "Skipped", why: "back-off" }
    const taken = yield* worktree.semaphore.withPermitsIfAvailable(1)(watched)
    return Option.getOrElse(taken, () => ({ _tag: "Skipped" as const, why: "busy" as const }))
  })
