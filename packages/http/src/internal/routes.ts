/** The routes of the API, for the fetch handler and for hosts that run on Effect. */
import type { AgentName } from "@everbeat/core/AgentName"
import type { HeartbeatEngine } from "@everbeat/core/HeartbeatEngine"
import { type RunFilter, RunStore } from "@everbeat/core/RunStore"
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiError from "effect/http-api/HttpApiError"
import * as OpenApi from "effect/http-api/OpenApi"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import { EverbeatApi, RequestSchema } from "../EverbeatApi.ts"
import * as Problem from "../Problem.ts"
import { ResumeRequest } from "../RunProgress.ts"
import { wantsEvents } from "./accepts.ts"
import { addressesOf, lookUp, refuseMethod } from "./addresses.ts"
import { layerAnyToken, layerAuthorization, makeRequireAny, requireOperator } from "./authenticate.ts"
import { envelope } from "./envelope.ts"
import { parseEventId } from "./feed.ts"
import { makeHeartbeat } from "./heartbeatRoute.ts"
import { describeIssues } from "./issues.ts"
import { logStoreError } from "./logStoreError.ts"
import { withPayload } from "./openApi.ts"
import type { Resolved } from "./options.ts"
import { listRuns } from "./page.ts"
import { readAs } from "./payload.ts"
import { storeUnavailable } from "./problemOf.ts"
import { makeCounted } from "./requestMetric.ts"
import { makeTraced } from "./requestSpan.ts"
import { respond } from "./respond.ts"
import { makeRunActions } from "./runRoutes.ts"
import { offered } from "./services.ts"
import { HandlerState, makeShared } from "./shared.ts"
import { limited } from "./storeLimit.ts"

const layerAgents = (options: Resolved<never>) =>
  HttpApiBuilder.group(
    EverbeatApi,
    "agents",
    Effect.fnUntraced(function*(handlers) {
      const runs = yield* RunStore
      const shared = yield* HandlerState
      const { cancel } = yield* makeRunActions(options.basePath, shared)
      const heartbeat = yield* makeHeartbeat(options, shared)

      return handlers
        .handleRaw("heartbeat", (asked) => answer(heartbeat(asked)))
        .handle("listRuns", ({ params, query }) =>
          listRuns(runs, filterOf(params.agentName, query), query).pipe(
            logStoreError,
            Effect.mapError((error) => error._tag === "StoreError" ? storeUnavailable(error) : error),
            answer
          ))
        .handle("getRun", ({ params: { agentName, runId }, request }) => {
          if (!wantsEvents(request.headers["accept"])) return answer(shared.find(agentName, runId))
          const seen = parseEventId(request.headers["last-event-id"] ?? "")
          return answer(shared.follow(agentName, runId, seen?.runId === runId ? seen : undefined))
        })
        .handle("cancelRun", ({ params }) => answer(cancel(params)))
    })
  )

const filterOf = (agentName: AgentName, { callerId, from, kind, status, until }: RunFilter): RunFilter => ({
  agentName,
  callerId,
  from,
  kind,
  status,
  until
})

const layerCheckpoints = ({ basePath, maxBodyBytes }: Resolved<never>) =>
  HttpApiBuilder.group(
    EverbeatApi,
    "checkpoints",
    Effect.fnUntraced(function*(handlers) {
      const { discard, get, list, resume } = yield* makeRunActions(basePath, yield* HandlerState)
      return handlers
        .handle("listCheckpoints", ({ params, query }) => answer(list(params.agentName, query)))
        .handle("getCheckpoint", ({ params }) => answer(get(params)))
        .handleRaw("resumeCheckpoint", ({ params, request }) =>
          answer(Effect.flatMap(readAs(request, maxBodyBytes, ResumeRequest), (asked) =>
            resume(params, asked))))
        .handle("discardCheckpoint", ({ params }) =>
          answer(discard(params)))
    })
  )

const layerHealth = HttpApiBuilder.group(
  EverbeatApi,
  "health",
  Effect.fnUntraced(function*(handlers) {
    const { checkpoints } = offered(yield* Effect.context<never>())
    const ready = checkpoints === undefined
      ? Effect.void
      : limited("ping", () => checkpoints.ping).pipe(logStoreError, Effect.mapError(storeUnavailable))
    return handlers
      .handle("live", () => Effect.succeed(pass))
      .handle("ready", () => answer(Effect.as(ready, pass)))
  })
)

const pass = { status: "pass" } as const

/** Metrics, for operators: they name all agents. */
const metrics = ({ operatorTokens }: Resolved<never>) =>
  requireOperator(operatorTokens).pipe(
    Effect.andThen(PrometheusMetrics.format()),
    Effect.map((text) => HttpServerResponse.text(text, { contentType: "text/plain; version=0.0.4; charset=utf-8" })),
    answer
  )

const answer = <A, R>(effect: Effect.Effect<A, Problem.Problem, R>): Effect.Effect<
  A | HttpServerResponse.HttpServerResponse,
  never,
  R
> => Effect.catch(effect, respond)

/** What the schema library says about parameters, as one problem. */
const layerRequestSchema = Layer.succeed(
  RequestSchema,
  (httpEffect) =>
    Effect.catch(
      httpEffect,
      (error) =>
        HttpApiError.HttpApiSchemaError.is(error) && error.kind !== "Body" && error.kind !== "ResponseHeaders"
          ? respond(new Problem.InvalidRequest({ detail: describeIssues(error.kind.toLowerCase(), error.cause.issue) }))
          : Effect.fail(error)
    )
)

const otherMethods = (options: Resolved<never>) =>
  Effect.gen(function*() {
    const router = yield* HttpRouter.HttpRouter
    const methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"] as const
    for (const [path, allowed] of addressesOf(options)) {
      for (const method of methods) {
        if (!allowed.some((one) => one === method)) yield* router.add(method, path, respond(refuseMethod(allowed)))
      }
    }
    if (options.operatorTokens.length > 0) yield* router.add("GET", "/api/metrics", metrics(options))
  })

/** The document tells where the API is, below the base path, and what the host wants as a payload. */
const apiAt = ({ basePath, payload }: Resolved<never>) =>
  EverbeatApi.annotateMerge(OpenApi.annotations({
    servers: [{ url: basePath === "" ? "/" : basePath }],
    ...(payload === undefined ? undefined : { transform: withPayload(payload) })
  }))

/** Three megabytes, which only a host that shows the page loads. */
const layerPage = (api: ReturnType<typeof apiAt>): Layer.Layer<never, never, HttpRouter.HttpRouter> =>
  Layer.unwrap(Effect.map(
    Effect.promise(() => import("effect/http-api/HttpApiScalar")),
    (HttpApiScalar) => HttpApiScalar.layer(api, { path: "/api/docs" })
  ))

/** The description as a document and, where the host wants it, as a page that has the document in it. */
const layerDescription = (options: Resolved<never>) => {
  const api = apiAt(options)
  let document: HttpServerResponse.HttpServerResponse | undefined
  const described = Effect.sync(() => document ??= HttpServerResponse.jsonUnsafe(OpenApi.fromApi(api)))
  const layer = Layer.merge(
    HttpRouter.add("GET", "/api/openapi.json", described),
    options.docs ? layerPage(api) : Layer.empty
  )
  return options.publicDescription
    ? layer
    : Layer.provide(
      layer,
      Layer.unwrap(Effect.map(makeRequireAny(options), (required) => HttpRouter.middleware(required).layer))
    )
}

/** In a host that runs on Effect nobody else counts the requests of the API, and names their spans. */
const makeAround = (options: Resolved<never>, inHost: boolean) => {
  if (!inHost) return envelope
  const addresses = lookUp(options)
  const traced = makeTraced(addresses, options.basePath)
  const counted = makeCounted(addresses)
  return <E, R>(handled: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>) =>
    traced(counted(envelope(handled)))
}

const layerErased = (
  options: Resolved<never>,
  inHost: boolean
): Layer.Layer<HandlerState, never, HttpRouter.HttpRouter | HeartbeatEngine | RunStore> =>
  Layer.mergeAll(
    HttpApiBuilder.layer(apiAt(options)),
    Layer.effectDiscard(otherMethods(options)),
    layerDescription(options)
  ).pipe(
    Layer.provide([layerAgents(options), layerCheckpoints(options), layerHealth]),
    Layer.provideMerge(Layer.effect(HandlerState, makeShared)),
    Layer.provide([
      layerRequestSchema,
      layerAuthorization(options.auth),
      layerAnyToken(options),
      HttpServer.layerServices
    ]),
    Layer.provide(HttpRouter.middleware(makeAround(options, inHost)).layer),
    Layer.provide(Layer.effect(
      HttpRouter.HttpRouter,
      Effect.map(
        HttpRouter.HttpRouter,
        (router) => options.basePath === "" ? router : router.prefixed(options.basePath)
      )
    ))
  )

/** Adds the routes to the router in context: of a fetch handler, or of a host that runs on Effect. */
export const layerRoutes = <R>(
  options: Resolved<R>,
  { inHost }: { readonly inHost: boolean }
): Layer.Layer<HandlerState, never, HttpRouter.HttpRouter | HeartbeatEngine | RunStore | R> =>
  // The routes capture everything in context; that it holds `R` is what this signature demands.
  layerErased(options as Resolved<never>, inHost)
