/** The heartbeat: authenticated by now, limited, read, begun, and answered in one of three ways. */
import type { AgentName } from "@everbeat/core/AgentName"
import * as Heartbeat from "@everbeat/core/Heartbeat"
import type { HeartbeatEngine } from "@everbeat/core/HeartbeatEngine"
import type { AnyReport } from "@everbeat/core/Report"
import { isRunId, type RunId } from "@everbeat/core/RunId"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import { AgentPrincipal } from "../AgentPrincipal.ts"
import * as Problem from "../Problem.ts"
import { wantsEvents } from "./accepts.ts"
import { conclude, headersOf } from "./conclude.ts"
import { parseEventId } from "./feed.ts"
import { framesOf, respondEvents } from "./follow.ts"
import { parseIdempotencyKey } from "./idempotencyKey.ts"
import { logStoreError } from "./logStoreError.ts"
import type { Resolved } from "./options.ts"
import { readPayload } from "./payload.ts"
import { applied, parsePrefer, patienceOf, type Preferences } from "./prefer.ts"
import { problemOf } from "./problemOf.ts"
import { makeRateLimit } from "./rateLimit.ts"
import { reportJson } from "./reportJson.ts"
import { respond } from "./respond.ts"
import type { Shared } from "./shared.ts"
import { spanned } from "./spanned.ts"

interface Asked {
  readonly headers: {
    readonly "idempotency-key"?: string
    readonly prefer?: string
    readonly "last-event-id"?: string
  }
  readonly params: { readonly agentName: AgentName }
  readonly request: HttpServerRequest
}

/** The services of a pass. What it takes over from the request is an allow-list, for the request carries the token. */
const servicesFor = (host: Context.Context<HeartbeatEngine>, request: Context.Context<never>) => {
  const span = Context.getOrUndefined(request, Tracer.ParentSpan)
  const traced = span === undefined ? host : Context.add(host, Tracer.ParentSpan, span)
  return Context.add(traced, References.CurrentLogAnnotations, Context.get(request, References.CurrentLogAnnotations))
}

export const makeHeartbeat = Effect.fnUntraced(function*(options: Resolved<never>, shared: Shared) {
  const { basePath, failOnError, find, maxBodyBytes, respondWithinMs, waitUntil } = options
  const services = Context.omit(Scope.Scope)(yield* Effect.context<HeartbeatEngine>())
  const limit = yield* makeRateLimit(options.rateLimit)

  const answerOf = (report: AnyReport, preferences: Preferences) => {
    const failing = failOnError || preferences.failOnError
    const answer = conclude(report, failing)
    const preferenceApplied = applied(preferences, { accepted: false, failed: answer instanceof Problem.PassFailed })
    const headers = {
      ...headersOf(report),
      ...(preferenceApplied === undefined ? undefined : { "preference-applied": preferenceApplied })
    }
    return answer instanceof Error
      ? Effect.map(respond(answer), HttpServerResponse.setHeaders(headers))
      // Not as a value: the union of what the endpoint may answer would be searched for its schema.
      : Effect.succeed(HttpServerResponse.jsonUnsafe(reportJson(answer), { headers }))
  }

  const accepted = (agentName: AgentName, runId: RunId, preferences: Preferences) => {
    const location = `${basePath}/api/agents/${agentName}/runs/${runId}`
    const preferenceApplied = applied(preferences, { accepted: true, failed: false })
    return HttpApiSchema.withHeaders({
      body: { runId, agentName, status: "running" as const, location },
      headers: {
        location,
        "everbeat-run-id": runId,
        ...(preferenceApplied === undefined ? undefined : { "preference-applied": preferenceApplied })
      }
    })
  }

  /** The host's hook is the host's: what it throws does not undo a pass that was begun. */
  const handOver = (pass: Heartbeat.Pass<unknown, unknown>): Effect.Effect<void> =>
    waitUntil === undefined ?
      Effect.void :
      Effect.sync(() => waitUntil(Effect.runPromise(Effect.exit(pass.report)))).pipe(
        Effect.catchCause((cause) => Effect.logError(`waitUntil failed: ${Cause.pretty(cause)}`))
      )

  return Effect.fnUntraced(function*({ headers, params: { agentName }, request }: Asked) {
    const arrived = yield* Clock.currentTimeMillis
    const found = find(agentName)
    if (found === undefined || found === null) return yield* new Problem.AgentNotFound({})
    const events = wantsEvents(request.headers["accept"])
    // A client that comes back for the rest of the events never begins another pass.
    if (events && headers["last-event-id"] !== undefined && headers["last-event-id"] !== "") {
      const seen = parseEventId(headers["last-event-id"])
      if (seen === undefined || !isRunId(seen.runId)) {
        return yield* new Problem.InvalidRequest({ detail: "Last-Event-ID is none of this API: send none to begin." })
      }
      // Its scope is that of heartbeats: what agents did is for who may read runs.
      return yield* shared.follow(agentName, seen.runId, seen, "heartbeat")
    }
    yield* limit(agentName)
    const { tokenId } = yield* AgentPrincipal
    const preferences = parsePrefer(headers.prefer)
    const key = yield* parseIdempotencyKey(headers["idempotency-key"])
    const payload = yield* readPayload(request, maxBodyBytes, options.payload)
    // Whoever hangs up now does so before the pass is begun, or after it is known here.
    const pass = yield* Effect.uninterruptible(
      Heartbeat.start(found, { agent: agentName, callerId: tokenId, key, payload }).pipe(
        Effect.updateContext((request: Context.Context<never>) => servicesFor(services, request)),
        Effect.tap((pass) => Effect.andThen(shared.passes.add(pass), handOver(pass))),
        logStoreError,
        Effect.mapError(problemOf)
      )
    )
    if (events) {
      const feed = yield* shared.passes.feedOf(pass.runId, pass)
      if (feed !== undefined) return respondEvents(framesOf(feed, undefined), shared.streams)
    }
    // Waiting is all that the request does: who hangs up does not cut the pass.
    const report = Effect.mapError(pass.report, problemOf)
    const patience = patienceOf(preferences, respondWithinMs)
    if (patience === undefined || pass.origin === "replayed") return yield* answerOf(yield* report, preferences)
    const left = patience - ((yield* Clock.currentTimeMillis) - arrived)
    const early = left <= 0 ? Option.none() : yield* Effect.timeoutOption(report, left)
    return Option.isSome(early)
      ? yield* answerOf(early.value, preferences)
      : accepted(agentName, pass.runId, preferences)
  }, spanned("HeartbeatHandler.heartbeat"))
})
