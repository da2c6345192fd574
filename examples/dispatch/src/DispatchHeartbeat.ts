/**
 * The heartbeat of every agent that works for Dispatch. The steps only call Dispatch's own services: people trigger the
 * same sync with `POST /api/issues/sync`.
 */
import { Heartbeat, Step } from "@everbeat/core"
import { Context, Effect, Schema } from "effect"
import { Claims } from "./Claims.ts"
import { IssueSync, RepositorySync } from "./IssueSync.ts"
import { Reconciler } from "./Reconciler.ts"
import { Reporting } from "./Reporting.ts"

/** The repositories that Dispatch looks after, in the order in which it reports on them. */
export class Repositories extends Context.Service<Repositories, ReadonlyArray<string>>()(
  "@everbeat/example-dispatch/Repositories"
) {}

/**
 * Pulls the issues of every repository. A repository that fails is a warning, the others still sync; without a tracker
 * to keep them in, nothing does: critical. They sync side by
 * side, but what they report is in the order of the repositories.
 */
const syncIssues = Step.make(
  "sync-issues",
  { result: Schema.Array(RepositorySync) },
  () =>
    Effect.gen(function*() {
      const repositories = yield* Repositories
      const sync = yield* IssueSync
      const results = yield* Effect.forEach(
        repositories,
        (repository) => Effect.result(sync.syncRepository(repository)),
        { concurrency: 4 }
      )
      const synced: Array<RepositorySync> = []
      for (const result of results) {
        if (result._tag === "Success") synced.push(result.success)
        else if (result.failure._tag === "TrackerUnavailable") return yield* result.failure
        else yield* Step.warn(result.failure)
      }
      return synced
    })
)

/** Brings the tickets in line with what synced in this pass. Without it Dispatch would hand out stale work: critical. */
const reconcile = Step.make("reconcile", { after: { syncIssues } }, ({ syncIssues }) =>
  Effect.gen(function*() {
    const reconciler = yield* Reconciler
    const changes = yield* reconciler.reconcile(syncIssues.map(({ repository }) => repository))
    for (const { url } of changes) yield* Step.touch(url)
  }))

/** Gives back what agents claimed and then left lying. */
const releaseStaleClaims = Step.make(
  "release-stale-claims",
  Effect.gen(function*() {
    const claims = yield* Claims
    for (const { url } of yield* claims.releaseStale) yield* Step.touch(url)
  })
)

/** Counts the tickets. The run's id is the report's: a continued pass leaves one report. */
const report = Step.make("report", { after: { reconcile, releaseStaleClaims } }, () =>
  Effect.gen(function*() {
    const reporting = yield* Reporting
    const repositories = yield* Repositories
    const { runId } = yield* Step.Current
    yield* reporting.compose(runId, repositories)
  }))

/** One heartbeat for all agents: nothing in it knows who asks. */
export const dispatchHeartbeat = Heartbeat.make(
  "dispatch",
  [
    // Each request to the forge has a limit of its own; a repository has many pages.
    syncIssues.pipe(Step.timeout("1 minute")),
    reconcile,
    releaseStaleClaims,
    report
  ],
  { durability: "sync" }
)
