import { Step } from "@everbeat/core"
import { Context, Effect, Schema } from "effect"

export class RateLimited extends Schema.TaggedError<RateLimited>()("RateLimited", { repo: Schema.String }) {}
export class TokenRevoked extends Schema.TaggedError<TokenRevoked>()("TokenRevoked", {}) {}
export class MissingOwner extends Schema.TaggedError<MissingOwner>()("MissingOwner", { count: Schema.Int }) {}
export class Stale extends Schema.TaggedError<Stale>()("Stale", {}) {}
export class WriteFailed extends Schema.TaggedError<WriteFailed>()("WriteFailed", {}) {}
export class Untagged {
  readonly reason = "x"
}

export interface Issue {
  readonly url: string
  readonly owner: string | null
}
export class Forge extends Context.Service<Forge, {
  readonly openIssues: Effect.Effect<ReadonlyArray<Issue>, RateLimited | TokenRevoked>
}>()("test/Forge") {}
export class Db extends Context.Service<Db, {
  readonly put: (count: number) => Effect.Effect<void, WriteFailed>
}>()("test/Db") {}

export const Issues = Schema.Struct({ urls: Schema.Array(Schema.String) })
export type Issues = typeof Issues.Type

/** Every channel at once: a result, two warnings, two failures, a service. */
export const syncIssues = Step.make("sync-issues", { result: Issues }, () =>
  Effect.gen(function*() {
    const forge = yield* Forge
    const issues = yield* forge.openIssues
    for (const issue of issues) yield* Step.touch(issue.url)
    if (issues.length > 3) yield* Step.warn(new MissingOwner({ count: issues.length }))
    if (issues.length > 5) yield* Step.warn(new Stale())
    return { urls: issues.map(({ url }) => url) }
  }))

export const plain = Step.make("plain", Effect.succeed(1))

export const reconcile = Step.make(
  "reconcile",
  { after: { syncIssues }, result: Schema.Int },
  ({ syncIssues }) =>
    Effect.gen(function*() {
      const db = yield* Db
      yield* db.put(syncIssues.urls.length)
      return syncIssues.urls.length
    })
)

export const report = Step.make(
  "report",
  { after: { count: reconcile } },
  ({ count }) => Effect.log(count.toFixed())
)
