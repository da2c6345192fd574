/**
 * Dispatch in a host that runs on Effect: the routes of Everbeat are a layer beside those of the host, in one router, on the
 * server of `@effect/platform-node`. Whoever closes its scope drains it.
 */
import { NodeHttpServer } from "@effect/platform-node"
import { AgentAuth, HeartbeatHandler } from "@everbeat/http"
import { Effect, Layer } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { createServer } from "node:http"
import { AgentTokens } from "./AgentTokens.ts"
import * as DispatchApi from "./DispatchApi.ts"
import { dispatchHeartbeat } from "./DispatchHeartbeat.ts"

const heartbeats = HeartbeatHandler.layer({
  heartbeats: () => dispatchHeartbeat,
  auth: AgentAuth.make((token) =>
    Effect.gen(function*() {
      const tokens = yield* AgentTokens
      const agentName = yield* tokens.verify(token)
      return agentName === null ? null : { agentName, tokenId: agentName }
    })
  )
})

/** Needs the services of Dispatch (`Host.layerServices`), its tokens and its repositories. */
export const layer = (port: number) =>
  HttpRouter.serve(Layer.merge(heartbeats, DispatchApi.layer), {
    disableLogger: true,
    disableListenLog: true,
    // The longest name of an agent has 128 characters.
    routerConfig: { maxParamLength: 128, caseSensitive: true }
  }).pipe(
    Layer.provideMerge(
      NodeHttpServer.layer(createServer, { port, host: "127.0.0.1", gracefulShutdownTimeout: "5 seconds" })
    )
  )

/** Where the server of the context listens. */
export const url = HttpServer.addressFormattedWith(Effect.succeed)
