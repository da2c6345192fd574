/**
 * Dispatch's own HTTP API, for people and for agents that work on tickets. It calls the same services as the steps of
 * the heartbeat.
 */
import { Effect, Layer, Redacted, Schema } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { AgentTokens } from "./AgentTokens.ts"
import { Claims } from "./Claims.ts"
import { Repositories } from "./DispatchHeartbeat.ts"
import { IssueSync, RepositorySync } from "./IssueSync.ts"
import { Reconciler, TicketChange } from "./Reconciler.ts"
import { Report, Reporting } from "./Reporting.ts"
import { Ticket } from "./Ticket.ts"
import { Tracker } from "./Tracker.ts"

const SyncResult = Schema.Struct({
  synced: Schema.Array(RepositorySync),
  failed: Schema.Array(Schema.Struct({ code: Schema.String, message: Schema.String, hint: Schema.String })),
  changes: Schema.Array(TicketChange)
})

const json = <A>(schema: Schema.Codec<A, unknown>) => HttpServerResponse.schemaJson(Schema.toCodecJson(schema))

const problem = (status: number, title: string, error: { readonly message: string; readonly hint?: string }) =>
  HttpServerResponse.jsonUnsafe(
    { type: "about:blank", title, status, detail: [error.message, error.hint].filter(Boolean).join(". ") },
    { status, contentType: "application/problem+json" }
  )

/** Whoever has a token may use the API; the name of its agent is what claims are made with. */
const authenticated = <E, R>(
  handle: (agent: string) => Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
) =>
  Effect.gen(function*() {
    const { headers } = yield* HttpServerRequest.HttpServerRequest
    const [, token = ""] = /^Bearer +(\S+)$/i.exec(headers["authorization"] ?? "") ?? []
    const tokens = yield* AgentTokens
    const agent = token === "" ? null : yield* tokens.verify(Redacted.make(token))
    if (agent !== null) return yield* handle(agent)
    return HttpServerResponse.setHeader(
      problem(401, "Missing or invalid token", { message: "Send 'Authorization: Bearer' with a token of Dispatch." }),
      "www-authenticate",
      "Bearer realm=\"dispatch\""
    )
  })

const sync = authenticated(() =>
  Effect.gen(function*() {
    const issueSync = yield* IssueSync
    const reconciler = yield* Reconciler
    const repositories = yield* Repositories
    const results = yield* Effect.forEach(
      repositories,
      (repository) => Effect.result(issueSync.syncRepository(repository)),
      { concurrency: 4 }
    )
    const lost = results.find((result) => result._tag === "Failure" && result.failure._tag === "TrackerUnavailable")
    if (lost?._tag === "Failure") return yield* lost.failure
    const synced = results.flatMap((result) => result._tag === "Success" ? [result.success] : [])
    const failed = results.flatMap((result) =>
      result._tag === "Failure"
        ? [{ code: result.failure._tag, message: result.failure.message, hint: result.failure.hint }]
        : []
    )
    const changes = yield* reconciler.reconcile(synced.map(({ repository }) => repository))
    return yield* json(SyncResult)({ synced, failed, changes })
  })
)

const tickets = authenticated(() =>
  Effect.gen(function*() {
    const tracker = yield* Tracker
    const repositories = yield* Repositories
    const lists = yield* Effect.forEach(repositories, (repository) => tracker.list(repository))
    return yield* json(Schema.Array(Ticket))(lists.flat())
  })
)

const IssueUrl = Schema.String.check(Schema.isMaxLength(2048))

const claim = authenticated((agent) =>
  Effect.gen(function*() {
    const { headers } = yield* HttpServerRequest.HttpServerRequest
    if (!/^application\/json\b/i.test(headers["content-type"] ?? "")) {
      return problem(415, "Unsupported media type", { message: "Send JSON with 'Content-Type: application/json'." })
    }
    const { url } = yield* HttpServerRequest.schemaBodyJson(Schema.Struct({ url: IssueUrl }))
    const claims = yield* Claims
    return yield* json(Ticket)(yield* claims.claim(agent, url))
  }).pipe(
    Effect.catchTags({
      TicketClaimed: (error) => Effect.succeed(problem(409, "Ticket is claimed", error)),
      TicketClosed: (error) => Effect.succeed(problem(409, "Ticket is closed", error)),
      TicketNotFound: (error) => Effect.succeed(problem(404, "No such ticket", error)),
      HttpServerError: (error) => Effect.succeed(problem(400, "Bad request", error)),
      SchemaError: () =>
        Effect.succeed(problem(400, "Bad request", { message: "Send JSON with the 'url' of the issue." }))
    })
  )
)

const reports = authenticated(() =>
  Effect.flatMap(Reporting, ({ reports }) => Effect.flatMap(reports, json(Schema.Array(Report))))
)

/** What every route answers when the tracker is down, or when Dispatch has a bug. */
const answered = <E extends { readonly _tag: string; readonly message: string; readonly hint?: string }, R>(
  route: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
) =>
  Effect.catch(route, (error) =>
    Effect.succeed(
      error._tag === "TrackerUnavailable"
        ? HttpServerResponse.setHeader(problem(503, "Tracker unavailable", error), "retry-after", "5")
        : problem(500, "Internal server error", { message: "See Dispatch's log." })
    ))

/** The routes; add them to a router. */
export const layer = Layer.mergeAll(
  HttpRouter.add("POST", "/api/issues/sync", answered(sync)),
  HttpRouter.add("GET", "/api/issues", answered(tickets)),
  HttpRouter.add("POST", "/api/issues/claim", answered(claim)),
  HttpRouter.add("GET", "/api/reports", answered(reports))
)

const methods: Readonly<Record<string, string>> = {
  "/api/issues/sync": "POST",
  "/api/issues": "GET",
  "/api/issues/claim": "POST",
  "/api/reports": "GET"
}

/** What a request gets that no route takes. */
export const refuse = (method: string, path: string): Response | undefined => {
  const allowed = Object.hasOwn(methods, path) ? methods[path] : undefined
  if (allowed === method) return undefined
  const [status, title] = allowed === undefined
    ? [404, "No such address"] as const
    : [405, "Method not allowed"] as const
  return new Response(JSON.stringify({ type: "about:blank", title, status }), {
    status,
    headers: { "content-type": "application/problem+json", ...(allowed === undefined ? undefined : { allow: allowed }) }
  })
}
