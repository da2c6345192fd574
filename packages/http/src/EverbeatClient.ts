/**
 * Typed client of the HTTP API, for programs that run on Effect.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpApiClient from "effect/http-api/HttpApiClient"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import { Authorization, EverbeatApi } from "./EverbeatApi.ts"

/**
 * Options of a client.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Address of the host, with the base path in front of `/api` where it has one. */
  readonly baseUrl: string
  /** The agent's token, or where to get it before each request. */
  readonly token: Redacted.Redacted | Effect.Effect<Redacted.Redacted>
  /** Changes the client before it is used: retries, circuit breakers, logs. */
  readonly transformClient?: ((client: HttpClient.HttpClient) => HttpClient.HttpClient) | undefined
}

/**
 * Service that calls the HTTP API: a method for each endpoint of `EverbeatApi`.
 *
 * **Details**
 *
 * Problems arrive as the errors of `Problem`, to be caught by their tag. What
 * the transport or the decoding says fails with the errors of Effect's client.
 *
 * **Gotchas**
 *
 * Nothing is retried. To repeat a heartbeat safely, send an `idempotency-key`
 * with it, the same one each time.
 *
 * @category services
 * @since 0.1.0
 */
export class EverbeatClient extends Context.Service<EverbeatClient, HttpApiClient.ForApi<typeof EverbeatApi>>()(
  "@everbeat/http/EverbeatClient"
) {}

/**
 * Creates a client on the `HttpClient` in context.
 *
 * **Example** (Calling a heartbeat)
 *
 * ```ts
 * import { EverbeatClient } from "@everbeat/http"
 * import { AgentName } from "@everbeat/core"
 * import { Effect, Layer, Redacted } from "effect"
 * import { FetchHttpClient } from "effect/http"
 *
 * const beat = Effect.gen(function*() {
 *   const client = yield* EverbeatClient.make({ baseUrl: "https://dispatch.example", token: Redacted.make("s3cret") })
 *   return yield* client.agents.heartbeat({
 *     params: { agentName: AgentName.make("triage") },
 *     headers: { "idempotency-key": "2026-11-21" },
 *     payload: null
 *   })
 * })
 *
 * const unauthorized = Response.json({
 *   type: "https://everbeat.dev/problems/unauthorized",
 *   title: "Missing or invalid agent token",
 *   status: 401,
 *   detail: "The token is not valid here.",
 *   reason: "invalid"
 * }, { status: 401, headers: { "content-type": "application/problem+json" } })
 *
 * const answer = await beat.pipe(
 *   Effect.catchTag("Unauthorized", (problem) => Effect.succeed(problem.reason)),
 *   Effect.provide(FetchHttpClient.layer),
 *   Effect.provideService(FetchHttpClient.Fetch, async () => unauthorized),
 *   Effect.runPromise
 * )
 * answer // => "invalid"
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  { baseUrl, token, transformClient = (client) => client }: Options
): Effect.Effect<EverbeatClient["Service"], never, HttpClient.HttpClient> => {
  const authorize = (request: HttpClientRequest.HttpClientRequest) =>
    Effect.map(
      Effect.isEffect(token) ? token : Effect.succeed(token),
      (token) => HttpClientRequest.bearerToken(request, token)
    )
  return HttpApiClient.make(EverbeatApi, {
    // Its paths begin with a slash, and are appended.
    baseUrl: baseUrl.replace(/\/+$/u, ""),
    transformClient: (client) => HttpClient.mapRequestEffect(transformClient(client), authorize)
  }).pipe(
    // Each request gets its token above, also those that need it no more than a probe does.
    Effect.provide(HttpApiMiddleware.layerClient(Authorization, ({ next, request }) => next(request)))
  )
}

/**
 * Layer that provides a client on the `HttpClient` in context.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<EverbeatClient, never, HttpClient.HttpClient> =>
  Layer.effect(EverbeatClient, make(options))
