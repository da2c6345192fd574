/** Dispatch as a process: its services, the heartbeat endpoint and its own API on one port. */
import { HeartbeatEngine } from "@everbeat/core"
import { AgentAuth, HeartbeatHandler, NodeAdapter } from "@everbeat/http"
import { ByteSize, type Config, Effect, Layer, Option, Schema } from "effect"
import { HttpIncomingMessage, HttpRouter, HttpServer } from "effect/http"
import { createServer } from "node:http"
import { AgentTokens } from "./AgentTokens.ts"
import { Claims } from "./Claims.ts"
import type { Configuration, StoreAddress } from "./Configuration.ts"
import * as DispatchApi from "./DispatchApi.ts"
import { dispatchHeartbeat, Repositories } from "./DispatchHeartbeat.ts"
import { Forge } from "./Forge.ts"
import { IssueSync } from "./IssueSync.ts"
import { LocalForge } from "./LocalForge.ts"
import { Mirror } from "./Mirror.ts"
import { Reconciler } from "./Reconciler.ts"
import { Reporting } from "./Reporting.ts"
import * as Store from "./Store.ts"
import { Tracker } from "./Tracker.ts"

/** The port that Dispatch was told to listen on cannot be used. */
export class PortUnavailable extends Schema.TaggedError<PortUnavailable>()("PortUnavailable", {
  port: Schema.Int,
  reason: Schema.String
}) {
  override get message(): string {
    return `Cannot listen on port ${this.port} (${this.reason}). Set PORT to a free port.`
  }
}

const layerOnState = (engine: HeartbeatEngine.Options) =>
  Layer.mergeAll(
    IssueSync.layer,
    Reconciler.layer,
    Claims.layer,
    Reporting.layerState,
    HeartbeatEngine.layerWith(engine)
  ).pipe(Layer.provideMerge(Layer.mergeAll(Mirror.layerState, Tracker.layerState)))

/** Dispatch's services and the engine, in memory. */
export const layerServices = layerOnState({}).pipe(Layer.provideMerge(Store.layerMemory))

/** Dispatch's services and the engine, on the store of the configuration. */
export const layerServicesOn = (store: StoreAddress, engine: HeartbeatEngine.Options = {}) =>
  layerOnState(engine).pipe(Layer.provideMerge(Store.layer(store)))

/** The forge and the repositories to look after: those of the configuration, else the bundled ones. */
export const layerForge = (
  configuration: Pick<Configuration, "forgeUrl" | "repositories">
): Layer.Layer<Forge | Repositories, Config.ConfigError, LocalForge> => {
  const forge = Option.isSome(configuration.forgeUrl) ? Forge.layer : LocalForge.layerForge()
  const repositories = Layer.effect(
    Repositories,
    Effect.map(LocalForge, (local) => Option.getOrElse(configuration.repositories, () => local.repositories))
  )
  return Layer.merge(forge, repositories)
}

/** Everything that requests need. */
export type HostServices = Layer.Success<typeof layerServices> | AgentTokens | Repositories

/** Serves Dispatch on the loopback interface until the scope closes; 0 is any free port. */
export const serve = Effect.fnUntraced(function*(port: number) {
  const context = yield* Effect.context<HostServices>()
  const services = Layer.succeedContext(context)

  const heartbeats = HeartbeatHandler.make({
    heartbeats: () => dispatchHeartbeat,
    auth: AgentAuth.make((token) =>
      Effect.gen(function*() {
        const tokens = yield* AgentTokens
        const agentName = yield* tokens.verify(token)
        return agentName === null ? null : { agentName, tokenId: agentName }
      })
    ),
    layer: services
  })
  const api = HttpRouter.toWebHandler(
    DispatchApi.layer.pipe(
      Layer.provideMerge(services),
      Layer.provide(HttpServer.layerServices),
      Layer.provideMerge(Layer.succeed(HttpIncomingMessage.MaxBodySize, ByteSize.fromInputUnsafe("16 KiB")))
    ),
    { disableLogger: true }
  )
  /** Requests to Dispatch's own API that are being answered. */
  const own = new Set<Promise<Response>>()
  const answer = (request: Request): Promise<Response> => {
    const response = Promise.resolve(
      DispatchApi.refuse(request.method, new URL(request.url).pathname) ?? api.handler(request)
    )
    own.add(response)
    return response.finally(() => own.delete(response))
  }
  const listener = NodeAdapter.toNodeHandler({
    fetch: (request) =>
      /^\/api\/(issues|reports)(\/|$)/.test(new URL(request.url).pathname)
        ? answer(request)
        : heartbeats.fetch(request)
  })

  const server = createServer((request, response) => void listener(request, response))
  yield* Effect.callback<void, PortUnavailable>((resume) => {
    server.once("error", (error) => resume(Effect.fail(new PortUnavailable({ port, reason: error.message }))))
    server.listen(port, "127.0.0.1", () => resume(Effect.void))
  })
  const closed = Effect.callback<void>((resume) => {
    server.close(() => resume(Effect.void))
    server.closeIdleConnections()
  })
  yield* Effect.addFinalizer(() =>
    Effect.gen(function*() {
      // First the passes and the requests of people, so that their callers get their answers; then the connections.
      const answered = Effect.promise(() => Promise.allSettled(own))
      yield* Effect.all([
        Effect.promise(() => heartbeats.dispose({ graceMs: 10_000 })),
        Effect.timeoutOption(answered, "10 seconds")
      ], { concurrency: 2, discard: true })
      yield* Effect.timeoutOption(closed, "2 seconds")
      server.closeAllConnections()
      yield* Effect.promise(() => api.dispose())
    })
  )
  const address = server.address()
  const actual = typeof address === "object" && address !== null ? address.port : port
  return { url: `http://127.0.0.1:${actual}` }
})
