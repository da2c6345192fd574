/** A host that runs on Effect and adds the routes to its router. */
import { NodeHttpServer } from "@effect/platform-node"
import { HeartbeatHandler } from "@everbeat/http"
import { Effect, Exit, Layer, Scope } from "effect"
import { HttpRouter } from "effect/http"
import { createServer } from "node:http"
import { closing, type Mount } from "./mount.ts"

export const effectHost: Mount = {
  name: "Effect, HttpRouter",
  parsed: "none",
  serve: async ({ layer, ...options }) => {
    const server = createServer()
    const scope = Scope.makeUnsafe()
    const routes = HeartbeatHandler.layer(options)
    const app = HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true }).pipe(
      Layer.provide(
        NodeHttpServer.layer(() => server, { port: 0, host: "127.0.0.1", gracefulShutdownTimeout: "1 second" })
      ),
      Layer.provide(layer)
    )
    await Effect.runPromise(Layer.buildWithScope(app, scope))
    const address = server.address()
    return {
      port: typeof address === "object" && address !== null ? address.port : 0,
      dispose: () => Effect.runPromise(Scope.close(scope, Exit.void)),
      close: () => server.listening ? closing(server) : Promise.resolve()
    }
  }
}
