/** The routes of the API, for the fetch handler and for hosts that run on Effect. */
import type { AgentName } from "@everbeat/core/AgentName"
import * as Heartbeat from "@everbeat/core/Heartbeat"
import type { HeartbeatEngine } from "@everbeat/core/HeartbeatEngine"
import type { AnyReport } from "@everbeat/core/Report"
import type { RunId } from "@everbeat/core/RunId"
import { RunStore } from "@everbeat/core/RunStore"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiError from "effect/http-api/HttpApiError"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as References from "effect/References"
import * as SchemaIssue from "effect/SchemaIssue"
import * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import { AgentPrincipal } from "../AgentPrincipal.ts"
import { EverbeatApi, RequestSchema } from "../EverbeatApi.ts"
import * as HeartbeatReport from "../HeartbeatReport.ts"
import * as Problem from "../Problem.ts"
import { addresses, refuseMethod } from "./addresses.ts"
import { layerAuthorization } from "./authenticate.ts"
import { envelope } from "./envelope.ts"
import { parseIdempotencyKey } from "./idempotencyKey.ts"
import type { Resolved } from "./options.ts"
import { listRuns } from "./page.ts"
import { readPayload } from "./payload.ts"
import { problemOf, retryAfterSeconds, storeUnavailable } from "./problemOf.ts"
import { respond } from "./respond.ts"
import { limited } from "./storeLimit.ts"

const layerAgents = ({ find, maxBodyBytes }: Resolved<never>) =>
  HttpApiBuilder.group(
    EverbeatApi,
    "agents",
    Effect.fnUntraced(function*(handlers) {
      const runs = yield* RunStore
      const services = Context.omit(Scope.Scope)(yield* Effect.context<HeartbeatEngine>())

      const heartbeat = Effect.fn("HeartbeatHandler.heartbeat")(function*(
        agentName: AgentName,
        keyHeader: string | undefined,
        request: HttpServerRequest.HttpServerRequest
      ) {
        const found = find(agentName)
        if (found === undefined || found === null) return yield* new Problem.AgentNotFound({})
        const { tokenId } = yield* AgentPrincipal
        const key = yield* parseIdempotencyKey(keyHeader)
        const payload = yield* readPayload(request, maxBodyBytes)
        const pass = yield* Heartbeat.start(found, { agent: agentName, callerId: tokenId, key, payload }).pipe(
          Effect.updateContext((request: Context.Context<never>) => Context.merge(services, keptOf(request))),
          logStoreError,
          Effect.mapError(problemOf)
        )
        // Waiting is all that the request does: who hangs up does not cut the pass.
        const report: AnyReport = yield* Effect.mapError(pass.report, problemOf)
        const body = HeartbeatReport.fromReport(report)
        if (report.errors.some(({ code, step }) => code === "RunNotRecorded" && step === undefined)) {
          return yield* new Problem.RunNotRecorded({
            detail: "The steps ran; their report is below. The next heartbeat settles this run, and steps without a "
              + "stored outcome run again.",
            runId: body.runId,
            report: body,
            retryAfterSeconds
          })
        }
        return HttpApiSchema.withHeaders({
          body,
          headers: {
            "everbeat-status": body.status,
            "everbeat-run-id": body.runId,
            ...(report.origin === "replayed" ? { "idempotency-replayed": "true" as const } : undefined)
          }
        })
      })

      return handlers
        .handleRaw("heartbeat", ({ headers, params, request }) =>
          answer(heartbeat(params.agentName, headers["idempotency-key"], request)))
        .handle("listRuns", ({ params, query }) =>
          listRuns(runs, { agentName: params.agentName, status: query.status }, query).pipe(
            logStoreError,
            Effect.mapError((error) =>
              error._tag === "StoreError" ? storeUnavailable(error) : error
            ),
            answer
          ))
        .handle("getRun", ({ params: { agentName, runId } }) =>
          limited("get", () =>
            runs.get(runId)).pipe(
              logStoreError,
              Effect.mapError((error) =>
                error._tag === "StoreError" ? storeUnavailable(error) : notFound(runId)
              ),
              // A foreign run is not found, as if it did not exist.
              Effect.filterOrFail((run) => run.agentName === agentName, () => notFound(runId)),
              answer
            ))
    })
  )

const answer = <A, R>(effect: Effect.Effect<A, Problem.Problem, R>): Effect.Effect<A | HttpServerResponse, never, R> =>
  Effect.catch(effect, respond)

/** What a pass takes over from the request: an allow-list, for the request itself carries the token. */
const keptOf = Context.pick(Tracer.ParentSpan, References.CurrentLogAnnotations)

const notFound = (runId: RunId): Problem.RunNotFound =>
  new Problem.RunNotFound({
    detail: `No run ${runId} of this agent is known. Check the id; settled runs are pruned after their retention.`
  })

const logStoreError = <A, E extends { readonly _tag: string }, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.tapError(
    effect,
    (error) =>
      error._tag === "StoreError"
        ? Effect.logWarning(`A request failed at the store: ${Cause.pretty(Cause.fail(error))}`)
        : Effect.void
  )

/** What the schema library says about parameters, as one problem. */
const layerRequestSchema = Layer.succeed(
  RequestSchema,
  (httpEffect) =>
    Effect.catch(
      httpEffect,
      (error) =>
        HttpApiError.HttpApiSchemaError.is(error) && error.kind !== "Body" && error.kind !== "ResponseHeaders"
          ? respond(new Problem.InvalidRequest({ detail: issuesOf(error) }))
          : Effect.fail(error)
    )
)

const formatIssues = SchemaIssue.makeFormatterStandardSchemaV1()

const issuesOf = ({ cause, kind }: HttpApiError.HttpApiSchemaError): string =>
  formatIssues(cause.issue).issues.map(({ message, path = [] }) =>
    `${
      [kind.toLowerCase(), ...path.map((segment) => String(typeof segment === "object" ? segment.key : segment))].join(
        "."
      )
    }: ${message}`
  ).join("; ")

const otherMethods = Effect.gen(function*() {
  const router = yield* HttpRouter.HttpRouter
  const methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"] as const
  for (const [path, allowed] of addresses) {
    for (const method of methods) {
      if (method === allowed) continue
      yield* router.add(method, path, respond(refuseMethod(allowed)))
    }
  }
})

/** The document tells where the API is: below the base path. */
const apiAt = (basePath: string) =>
  basePath === "" ? EverbeatApi : EverbeatApi.annotateMerge(OpenApi.annotations({ servers: [{ url: basePath }] }))

const layerErased = (
  options: Resolved<never>
): Layer.Layer<never, never, HttpRouter.HttpRouter | HeartbeatEngine | RunStore> =>
  Layer.merge(
    HttpApiBuilder.layer(apiAt(options.basePath), { openapiPath: "/api/openapi.json" }),
    Layer.effectDiscard(otherMethods)
  ).pipe(
    Layer.provide(layerAgents(options)),
    Layer.provide([layerRequestSchema, layerAuthorization(options.auth), HttpServer.layerServices]),
    Layer.provide(HttpRouter.middleware(envelope).layer),
    Layer.provide(Layer.effect(
      HttpRouter.HttpRouter,
      Effect.map(
        HttpRouter.HttpRouter,
        (router) => options.basePath === "" ? router : router.prefixed(options.basePath)
      )
    ))
  )

/** Adds the routes to the router in context. */
export const layerRoutes = <R>(
  options: Resolved<R>
): Layer.Layer<never, never, HttpRouter.HttpRouter | HeartbeatEngine | RunStore | R> =>
  // The routes capture everything in context; that it holds `R` is what this signature demands.
  layerErased(options as Resolved<never>)
