/** The life of a fetch handler: built at the first request, drained and closed at the end. */
import type { AgentRun } from "@everbeat/core/AgentRun"
import type * as Heartbeat from "@everbeat/core/Heartbeat"
import { HeartbeatEngine } from "@everbeat/core/HeartbeatEngine"
import { SettledHub } from "@everbeat/core/promise/SettledHub"
import type { RunStore } from "@everbeat/core/RunStore"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { constTrue } from "effect/Function"
import * as HttpRouter from "effect/http/HttpRouter"
import { ClientAbort, isHttpServerError } from "effect/http/HttpServerError"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { HeartbeatHandler, Options } from "../HeartbeatHandler.ts"
import * as Problem from "../Problem.ts"
import { type Lookup, lookUp } from "./addresses.ts"
import { makeAnswer } from "./answer.ts"
import { enveloped, requestIdOf } from "./envelope.ts"
import { type Exchange, type Incoming, offerExchange } from "./exchange.ts"
import type { Resolved } from "./options.ts"
import { retryAfterSeconds } from "./problemOf.ts"
import { refuse } from "./refuse.ts"
import { requestCounter } from "./requestMetric.ts"
import { makeTraced, ownSpans } from "./requestSpan.ts"
import { respond } from "./respond.ts"
import { layerRoutes } from "./routes.ts"
import { offered } from "./services.ts"
import { HandlerState } from "./shared.ts"
import { writeOf } from "./writes.ts"

type Lifecycle = Pick<Options<Heartbeat.Any, never, never>, "graceMs" | "onSettled">

interface App {
  readonly answer: (request: Incoming) => Promise<HttpServerResponse.HttpServerResponse>
  /** Ends the passes, then answers whoever waits, lets the answers out, then closes the layer. */
  readonly shutdown: (
    graceMs: number,
    settled: Effect.Effect<unknown>,
    written: Effect.Effect<unknown>
  ) => Effect.Effect<void>
}

/** How long requests may take to answer after their passes have ended, before they are cut. */
const lingerMs = 1000

/** How long an adapter may take to write what was answered. */
const writeMs = 5000

export const makeHost = <R, E>(
  options: Resolved<R>,
  layer: Layer.Layer<HeartbeatEngine | RunStore | R, E>,
  { graceMs: defaultGraceMs = 10_000, onSettled }: Lifecycle
): HeartbeatHandler => {
  const hub = new SettledHub(onSettled)
  const { pathOf } = lookUp(options)
  const inFlight = new Set<Promise<HttpServerResponse.HttpServerResponse>>()
  const writing = new Set<Promise<void>>()
  let stop = (): void => {}
  const stopped = new Promise<undefined>((resolve) => {
    stop = () => resolve(undefined)
  })
  let building: Fiber.Fiber<App, E> | undefined
  let disposing: Promise<void> | undefined
  checkGrace(defaultGraceMs)

  const ready = async (): Promise<App | undefined> => {
    const fiber = building ??= Effect.runFork(build(options, layer, hub))
    const exit = await Effect.runPromise(Fiber.await(fiber))
    if (Exit.isSuccess(exit)) return exit.value
    if (building === fiber) building = undefined // the next request tries again
    return undefined
  }

  /** Nothing when the client goes away, or the handler is disposed, while the layer is being built. */
  const readyFor = (signal: AbortSignal): App | Promise<App | undefined> => {
    const built = building?.pollUnsafe()
    return built !== undefined && Exit.isSuccess(built)
      ? built.value
      : until(signal, Promise.race([ready(), stopped]))
  }

  const serve = async (request: Incoming): Promise<HttpServerResponse.HttpServerResponse> => {
    // Of the process, not of its services: it must not be killed because they start slowly, fail to, or end.
    if (/^(?:GET|HEAD)$/u.test(request.method) && pathOf({ originalUrl: request.url }) === "/api/health") {
      return alive(request)
    }
    const app = disposing === undefined ? await readyFor(request.signal) : undefined
    if (disposing !== undefined) return refuse(request, shuttingDown)
    if (request.signal.aborted) return refuse(request, new Problem.ClientClosedRequest({}))
    return app === undefined ? refuse(request, notReady) : app.answer(request)
  }

  const exchange: Exchange = async (request, written) => {
    const pending = serve(request)
    inFlight.add(pending)
    if (written !== undefined) {
      writing.add(written)
      void written.then(() => writing.delete(written))
    }
    try {
      const response = await pending
      return disposing === undefined ? response : HttpServerResponse.setHeader(response, "connection", "close")
    } finally {
      inFlight.delete(pending)
    }
  }

  const fetch: HeartbeatHandler["fetch"] = async (request) =>
    HttpServerResponse.toWeb(await exchange(request, writeOf(request)), { withoutBody: request.method === "HEAD" })

  const settled = Effect.promise(() => Promise.allSettled(inFlight))
  const allWritten = Effect.timeoutOption(Effect.promise(() => Promise.allSettled(writing)), writeMs)

  const shutdown = (graceMs: number): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (building === undefined) return Effect.void
      const exit = building.pollUnsafe()
      if (exit !== undefined) {
        return Exit.isSuccess(exit)
          ? exit.value.shutdown(graceMs, settled, allWritten)
          : Effect.void
      }
      // Acquiring may not be interruptible: what is built in the end is closed then, whether or not anybody waits.
      const closed = Fiber.interrupt(building).pipe(
        Effect.andThen(Fiber.await(building)),
        Effect.flatMap((exit) => Exit.isSuccess(exit) ? exit.value.shutdown(0, settled, Effect.void) : Effect.void)
      )
      return Effect.forkDetach(closed).pipe(
        Effect.flatMap(Fiber.await),
        Effect.timeoutOption(graceMs),
        Effect.andThen(allWritten),
        Effect.asVoid
      )
    }).pipe(
      Effect.catchCause((cause) =>
        Effect.logError(`The services of the heartbeat handler could not be closed: ${Cause.pretty(cause)}`)
      ),
      Effect.andThen(Effect.timeoutOption(Effect.promise(() => hub.called), lingerMs)),
      Effect.ensuring(Effect.sync(() => hub.end())),
      Effect.asVoid
    )

  const dispose: HeartbeatHandler["dispose"] = ({ graceMs = defaultGraceMs } = {}) => {
    checkGrace(graceMs)
    // Set before the first effect runs: requests that arrive meanwhile are refused.
    disposing ??= Promise.resolve().then(() => {
      stop()
      return Effect.runPromise(shutdown(graceMs))
    })
    return disposing
  }

  offerExchange(fetch, exchange)
  return { fetch, dispose, settled: hub, [Symbol.asyncDispose]: () => dispose() }
}

const checkGrace = (graceMs: number): void => {
  if (!(graceMs >= 0)) throw new TypeError(`graceMs ${graceMs} is not a number of milliseconds, zero or more.`)
}

/** What is waited for, or nothing when the signal aborts first. It leaves no listener behind. */
const until = <A>(signal: AbortSignal, waited: Promise<A>): Promise<A | undefined> =>
  new Promise((resolve, reject) => {
    const onAbort = (): void => resolve(undefined)
    if (signal.aborted) return onAbort()
    signal.addEventListener("abort", onAbort, { once: true })
    waited.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort))
  })

const build = <R, E>(
  options: Resolved<R>,
  layer: Layer.Layer<HeartbeatEngine | RunStore | R, E>,
  hub: SettledHub<AgentRun>
): Effect.Effect<App, E> =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const context = yield* layerRoutes(options, { inHost: false }).pipe(
      Layer.provideMerge(layerRouter),
      Layer.provideMerge(layer),
      Layer.buildWithScope(scope),
      Effect.onExit((exit) => Exit.isSuccess(exit) ? Effect.void : Scope.close(scope, exit)),
      Effect.tapCause((cause) =>
        Effect.logError(`The services of the heartbeat handler could not be started: ${Cause.pretty(cause)}`)
      )
    )
    const addresses = lookUp(options)
    const told = yield* tell(context, hub, scope)
    const requests = new Set<Fiber.Fiber<unknown, unknown>>()
    const handled = Context.get(context, HttpRouter.HttpRouter).asHttpEffect().pipe(
      Effect.catchCause((cause) =>
        Effect.tap(
          respond(problemOfCause(cause, addresses)),
          Cause.hasDies(cause) ? Effect.logError(`A request ended with a defect: ${Cause.pretty(cause)}`) : Effect.void
        )
      ),
      Effect.tap(({ status }) =>
        Effect.flatMap(HttpServerRequest, (request) => Metric.update(requestCounter(addresses, request, status), 1))
      )
    )
    const traced = makeTraced(addresses, options.basePath)(handled)
    const tracked = Effect.withFiber((fiber) => {
      requests.add(fiber)
      fiber.addObserver(() => requests.delete(fiber))
      return traced
    })
    const answer = makeAnswer(tracked)
    const services = Context.merge(context, ownSpans(context, constTrue))
    const { drain } = Context.get(context, HeartbeatEngine)
    const { streams } = Context.get(context, HandlerState)
    return {
      answer: (request) => answer(request, services),
      shutdown: (graceMs, settled, written) =>
        drain(graceMs).pipe(
          Effect.andThen(Effect.timeoutOption(told, lingerMs)),
          Effect.andThen(Effect.timeoutOption(Effect.andThen(settled, streams.over), lingerMs)),
          Effect.andThen(Effect.sync(() => {
            for (const fiber of [...requests]) fiber.interruptUnsafe()
          })),
          Effect.andThen(Effect.timeoutOption(settled, lingerMs)),
          Effect.andThen(written),
          Effect.ensuring(Scope.close(scope, Exit.void))
        )
    }
  })

/** Passes the settled runs on; answers how to wait for those of the engine, which ends. */
const tell = (
  context: Context.Context<HeartbeatEngine>,
  hub: SettledHub<AgentRun>,
  scope: Scope.Scope
): Effect.Effect<Effect.Effect<unknown>> => {
  const { supervisor } = offered(context)
  const pass = (settled: Stream.Stream<AgentRun>) =>
    Stream.runForEach(settled, (run) => Effect.sync(() => hub.publish(run))).pipe(
      Effect.forkIn(scope, { startImmediately: true })
    )
  return Effect.map(
    Effect.all([
      pass(Context.get(context, HeartbeatEngine).settled),
      supervisor === undefined ? Effect.void : pass(supervisor.settled)
    ]),
    ([fiber]) => Fiber.await(fiber)
  )
}

const alive = (request: Incoming): HttpServerResponse.HttpServerResponse =>
  enveloped(
    HttpServerResponse.jsonUnsafe({ status: "pass" }, { contentType: "application/health+json" }),
    requestIdOf(request.headers.get("x-request-id"))
  )

const layerRouter = Layer.provide(
  HttpRouter.layer,
  // Names are case-sensitive and may be long: a bad one is to meet authentication, not a missing route.
  Layer.succeed(HttpRouter.RouterConfig, { caseSensitive: true, ignoreDuplicateSlashes: false, maxParamLength: 8192 })
)

const problemOfCause = (cause: Cause.Cause<unknown>, addresses: Lookup): Problem.Problem => {
  for (const reason of cause.reasons) {
    if (reason._tag === "Fail" && isHttpServerError(reason.error) && reason.error.reason._tag === "RouteNotFound") {
      // The router knows some methods by name; an address refuses all others alike.
      return addresses.methodNotAllowed(reason.error.reason.request) ?? new Problem.RouteNotFound({})
    }
    if (reason._tag === "Interrupt") {
      return reason.annotations.has(ClientAbort.key) ? new Problem.ClientClosedRequest({}) : shuttingDown
    }
  }
  return new Problem.InternalError({})
}

const shuttingDown = new Problem.ShuttingDown({ retryAfterSeconds })
const notReady = new Problem.NotReady({ retryAfterSeconds })
