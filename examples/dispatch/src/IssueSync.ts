import { Context, DateTime, Effect, Layer, Option, Schema } from "effect"
import { Forge } from "./Forge.ts"
import type { ForgeError } from "./ForgeError.ts"
import { type Issue, RepositoryName } from "./Issue.ts"
import { Mirror } from "./Mirror.ts"
import type { TrackerUnavailable } from "./TrackerError.ts"

/** What a sync brought into the mirror. */
export const RepositorySync = Schema.Struct({
  repository: RepositoryName,
  /** Issues the repository has now. */
  issues: Schema.Int,
  open: Schema.Int,
  /** Issues that are new, gone or different since the previous sync. */
  changed: Schema.Int,
  pages: Schema.Int,
  /** Pages the forge did not need to send again. */
  unchangedPages: Schema.Int,
  syncedAt: Schema.DateTimeUtcFromString
})

/** What a sync brought into the mirror. */
export type RepositorySync = typeof RepositorySync.Type

/**
 * Pulls the forge's state of a repository into the mirror. Tickets are not touched: that is the `Reconciler`'s work. If
 * the forge fails, the mirror keeps the last state it had.
 */
export class IssueSync extends Context.Service<IssueSync, {
  /** Syncs one repository. */
  readonly syncRepository: (repository: string) => Effect.Effect<RepositorySync, ForgeError | TrackerUnavailable>
}>()("@everbeat/example-dispatch/IssueSync") {
  /** Syncs from the forge into the mirror. */
  static readonly layer: Layer.Layer<IssueSync, never, Forge | Mirror> = Layer.effect(
    IssueSync,
    Effect.gen(function*() {
      const forge = yield* Forge
      const mirror = yield* Mirror

      const syncRepository = Effect.fn("IssueSync.syncRepository")(function*(repository: string) {
        yield* Effect.annotateCurrentSpan({ repository })
        const askedAt = yield* DateTime.now
        const listing = yield* forge.issues(repository)
        const before = yield* mirror.put({ repository, issues: listing.issues, askedAt })
        return {
          repository,
          issues: listing.issues.length,
          open: listing.issues.filter((issue) => issue.state === "open").length,
          changed: countChanges(
            Option.match(before, { onNone: () => [], onSome: ({ issues }) => issues }),
            listing.issues
          ),
          pages: listing.pages,
          unchangedPages: listing.unchangedPages,
          syncedAt: askedAt
        }
      })

      return IssueSync.of({ syncRepository })
    })
  )
}

// internal

const countChanges = (before: ReadonlyArray<Issue>, after: ReadonlyArray<Issue>): number => {
  // The forge moves the time of an issue with every change, also of fields that Dispatch does not read.
  const versionOf = (issue: Issue) =>
    JSON.stringify([DateTime.toEpochMillis(issue.updatedAt), issue.title, issue.state, issue.assignee, issue.url])
  const known = new Map(before.map((issue) => [issue.number, versionOf(issue)]))
  const current = new Set(after.map((issue) => issue.number))
  return after.filter((issue) => known.get(issue.number) !== versionOf(issue)).length +
    before.filter((issue) => !current.has(issue.number)).length
}
