/**
 * Serves heartbeats over HTTP, in any host that speaks `fetch`.
 *
 * @since 0.1.0
 */
import type { AgentName } from "@everbeat/core/AgentName"
import type { AgentRun } from "@everbeat/core/AgentRun"
import type * as Heartbeat from "@everbeat/core/Heartbeat"
import type { HeartbeatEngine } from "@everbeat/core/HeartbeatEngine"
import type { RunStore } from "@everbeat/core/RunStore"
import * as Effect from "effect/Effect"
import type { HttpRouter } from "effect/http/HttpRouter"
import * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"
import type { AgentAuth } from "./AgentAuth.ts"
import { lookUp } from "./internal/addresses.ts"
import { makeHost } from "./internal/host.ts"
import { resolve, resolveBasePath } from "./internal/options.ts"
import { ownSpans } from "./internal/requestSpan.ts"
import { layerRoutes } from "./internal/routes.ts"
import { layerSettled, settledRuns } from "./internal/settledRuns.ts"

/**
 * How agents map to heartbeats: by name, or with a function, so that one
 * heartbeat that does not care whose it is serves many agents.
 *
 * **Details**
 *
 * It is asked only for the agent of a verified token. No heartbeat is answered
 * with 404.
 *
 * @category models
 * @since 0.1.0
 */
export type Heartbeats<H extends Heartbeat.Any> =
  | Readonly<Record<string, H>>
  | ((agentName: AgentName) => H | null | undefined)

/**
 * The services that the steps of a heartbeat need.
 *
 * **Gotchas**
 *
 * A heartbeat whose type was widened to `Heartbeat.Any` has forgotten its
 * services: none are demanded for it.
 *
 * @category utility types
 * @since 0.1.0
 */
export type Services<H> = H extends Heartbeat.Heartbeat<string, unknown, unknown, infer R>
  // While the compiler still infers `H`, it checks the layer against the constraint, whose services are `unknown`.
  ? unknown extends R ? never : R
  : never

/**
 * Options of the routes.
 *
 * @category models
 * @since 0.1.0
 */
export interface RoutesOptions<H extends Heartbeat.Any, A> {
  readonly heartbeats: Heartbeats<H>
  readonly auth: AgentAuth<A>
  /**
   * Path in front of `/api`, such as `/internal`.
   *
   * @default ""
   */
  readonly basePath?: string | undefined
  /**
   * How long a request body may be.
   *
   * @default 262144
   */
  readonly maxBodyBytes?: number | undefined
  /**
   * Schema of the request's body, where there is one: another body is refused with 422. Steps read what it encodes to as
   * `payload` of `Step.Current`, and decode it with the same schema.
   */
  readonly payload?: Schema.Codec<any, Schema.Json> | undefined // oxlint-disable-line typescript/no-explicit-any
  /**
   * How long a heartbeat may take to answer, in milliseconds. Then the answer is 202 with the `Location` of the run, and
   * the pass goes on. Absent: as long as the pass takes. A caller's `Prefer: wait=n` only shortens it.
   */
  readonly respondWithinMs?: number | undefined
  /**
   * Status of the answer to a pass that ended with the status `error`: 500 answers the problem `pass-failed`, which has
   * the report in it, for schedulers that look at nothing else. A caller gets the same with `Prefer:
   * everbeat-fail-on=error`.
   *
   * @default 200
   */
  readonly errorStatus?: 200 | 500 | undefined
  /** How often each agent may call its heartbeat. Absent: as often as it likes. */
  readonly rateLimit?: RateLimit | undefined
  /**
   * SHA-256 digests of tokens for operators, who read `/api/metrics` (there without any only a 404), `/api/ready` and the
   * description of the API: see `AgentToken.hash`.
   */
  readonly operatorTokens?: ReadonlyArray<string> | undefined
  /**
   * Whether `/api/ready` answers without a token, for probes that cannot send one.
   *
   * @default false
   */
  readonly publicReadiness?: boolean | undefined
  /**
   * Whether `/api/docs` shows the description of the API as a page. Like the description itself it needs a token, of any
   * agent or of an operator, which browsers do not send by themselves: see `publicDescription`.
   *
   * @default false
   */
  readonly docs?: boolean | undefined
  /**
   * Whether `/api/openapi.json`, and `/api/docs` where it is on, answer without a token. They name neither agents nor
   * runs, but show the schema of `payload`.
   *
   * @default false
   */
  readonly publicDescription?: boolean | undefined
  /**
   * Is handed a promise for every pass that a request began, which resolves when the pass has ended: for platforms that
   * freeze the process after the answer.
   */
  readonly waitUntil?: ((promise: Promise<unknown>) => void) | undefined
  /**
   * Is told of every run that was settled in this process: passes, and runs of agents when the layer provides the
   * `AgentSupervisor`. A failure of it is logged.
   */
  readonly onSettled?: ((run: AgentRun) => void | Promise<void>) | undefined
}

/**
 * How often each agent may call its heartbeat.
 *
 * **Details**
 *
 * A call beyond is answered with 429 and `Retry-After`. Calls are counted by the
 * `RateLimiter` of `effect/persistence` where the layer provides one, for all
 * processes together; otherwise by this process. When the counting itself
 * fails, the call is let through.
 *
 * @category models
 * @since 0.1.0
 */
export interface RateLimit {
  /** Calls in one window. */
  readonly limit: number
  readonly windowMs: number
}

/**
 * Options of a handler.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<H extends Heartbeat.Any, A, E> extends RoutesOptions<H, A> {
  /**
   * Provides the engine, its run store, and what the steps and the token
   * verification need. Built at the first request, closed by `dispose`.
   */
  readonly layer: Layer.Layer<HeartbeatEngine | RunStore | Services<H> | NoInfer<A>, E>
  /**
   * How long `dispose` waits for the passes in flight, in milliseconds: zero
   * or more.
   *
   * @default 10000
   */
  readonly graceMs?: number | undefined
}

/**
 * Serves requests until it is disposed.
 *
 * **Details**
 *
 * `fetch` never rejects: whatever happens is a response. `dispose` refuses what
 * comes in from now on (503 with `Retry-After`), waits up to `graceMs` for the
 * passes in flight, interrupts the rest (another process continues them),
 * answers whoever still waits, waits up to 5 seconds until `NodeAdapter` has
 * written those answers, and closes the layer. A stream of events is waited for
 * while its client reads it. Every further call answers the
 * same promise. It does not reject: what fails while the layer closes is logged.
 * While the layer is still being built, who waits is refused at once, and
 * `dispose` waits no longer than `graceMs`; a build that ends later is closed
 * then.
 *
 * @category models
 * @since 0.1.0
 */
export interface HeartbeatHandler extends AsyncDisposable {
  readonly fetch: (request: Request) => Promise<Response>
  readonly dispose: (options?: { readonly graceMs?: number | undefined }) => Promise<void>
  /**
   * The runs that are settled in this process from now on, for alerts; it ends when the handler is disposed. A slow
   * reader loses the oldest of 1,024 runs, and never slows one.
   */
  readonly settled: AsyncIterable<AgentRun>
}

/**
 * Creates a handler from heartbeats, authentication and the host's services.
 *
 * **Details**
 *
 * The layer is built at the first request. When that fails, requests are
 * answered with the problem `not-ready`, and a later request tries again.
 *
 * **Gotchas**
 *
 * The handler installs no signal handlers: when the process is told to stop,
 * await `dispose`, then close the server, and only then cut the connections
 * that are left.
 *
 * **Example** (Serving one agent)
 *
 * ```ts
 * import { Heartbeat, HeartbeatEngine, Step } from "@everbeat/core"
 * import { AgentAuth, HeartbeatHandler } from "@everbeat/http"
 * import { MemoryStore } from "@everbeat/store-memory"
 * import { Effect, Layer } from "effect"
 *
 * const greet = Step.make("greet", Effect.log("hello"))
 * const handler = HeartbeatHandler.make({
 *   heartbeats: { triage: Heartbeat.make("greeting", [greet]) },
 *   auth: AgentAuth.make(() => Effect.succeed({ agentName: "triage", tokenId: "triage-1" })),
 *   layer: HeartbeatEngine.layer.pipe(Layer.provideMerge(MemoryStore.layer))
 * })
 *
 * const response = await handler.fetch(
 *   new Request("http://localhost/api/agents/triage/heartbeat", {
 *     method: "POST",
 *     headers: { authorization: "Bearer s3cret" }
 *   })
 * )
 * await handler.dispose()
 *
 * response.status // => 200
 * response.headers.get("everbeat-status") // => "ok"
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <H extends Heartbeat.Any, E, A = never>(options: Options<H, A, E>): HeartbeatHandler => {
  if (!Layer.isLayer(options.layer)) {
    throw new TypeError(
      `layer is not a Layer of the "effect" that @everbeat/http uses. Run "npm ls effect", and "npm dedupe" when there are two.`
    )
  }
  return makeHost(resolve(options), options.layer, options)
}

/**
 * Layer that adds the routes to the router of a host that runs on Effect.
 *
 * **Details**
 *
 * The engine in context drains when its own scope closes. Requests are counted in `everbeat_http_requests_total`, and
 * `onSettled` is told of settled runs until the scope of the layer closes; see also {@link settled}.
 *
 * **Gotchas**
 *
 * Unknown addresses and the router's configuration are the host's: with the
 * default `maxParamLength` of 100 a longer agent name is a plain 404 there. Set
 * it to 128 or more, and `caseSensitive` to `true`.
 *
 * The span of a request is made by the host's server, before any route: give the server {@link layerSpans}. What the
 * server logs of a request, its address among it, is the host's too: `disableLogger` turns it off.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <H extends Heartbeat.Any, A = never>(
  options: RoutesOptions<H, A>
): Layer.Layer<never, never, HttpRouter | HeartbeatEngine | RunStore | Services<H> | A> =>
  Layer.merge(layerRoutes(resolve(options), { inHost: true }), layerSettled(options.onSettled))

/**
 * Layer that lets the routes of {@link layer} make the spans of their requests, in place of the host's server.
 *
 * **Details**
 *
 * Such a span is named by method and route, and tells of the address what the API knows: no other name of a query, no
 * value but `limit`, and no part of the path that is not the name of an agent or the id of a run, or looks like a token.
 * Requests of the host's own routes, and those that the host's `HttpMiddleware.TracerDisabledWhen` leaves out, are as
 * before.
 *
 * **Gotchas**
 *
 * Provide it to the layer that serves, not to the routes alone. Addresses that no route answers are the host's.
 *
 * **Example** (Serving with spans of routes)
 *
 * ```ts
 * import { HeartbeatHandler } from "@everbeat/http"
 * import { Effect, Layer } from "effect"
 * import { HttpMiddleware, HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
 *
 * const own = HttpRouter.add("GET", "/", HttpServerResponse.text("the host's own page"))
 * const serving = (app: typeof own) => Layer.merge(app, HeartbeatHandler.layerSpans({ basePath: "/internal" }))
 *
 * const isLeft = Effect.map(HttpMiddleware.TracerDisabledWhen, (isDisabled) => (path: string) =>
 *   isDisabled(HttpServerRequest.fromWeb(new Request(`http://localhost${path}`))))
 * const left = await Effect.runPromise(Effect.provide(isLeft, HeartbeatHandler.layerSpans({ basePath: "/internal" })))
 *
 * Layer.isLayer(serving(own)) // => true
 * left("/internal/api/agents/triage/runs") // => true
 * left("/") // => false
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerSpans = (
  options: Pick<RoutesOptions<Heartbeat.Any, never>, "basePath" | "docs" | "operatorTokens"> = {}
): Layer.Layer<never> => {
  const { docs = false, operatorTokens = [] } = options
  const { pathOf } = lookUp({ basePath: resolveBasePath(options.basePath), docs, operatorTokens })
  return Layer.effectContext(
    Effect.map(Effect.context<never>(), (context) => ownSpans(context, (request) => pathOf(request) !== undefined))
  )
}

/**
 * The runs that are settled in this process from now on, of passes, and of agents where the `AgentSupervisor` is in
 * context, for hosts that run on Effect. It ends with them. A slow reader loses the oldest of 1,024 runs.
 *
 * @category streams
 * @since 0.1.0
 */
export const settled: Stream.Stream<AgentRun, never, HeartbeatEngine> = settledRuns
