/** Real servers of node, for the time of a test. */
import { HeartbeatHandler, NodeAdapter } from "@everbeat/http"
import { Effect } from "effect"
import { createServer, type RequestListener } from "node:http"
import { type AddressInfo, connect, type Server } from "node:net"
import { acquire, auth, heartbeats, host } from "./harness.ts"

/** Listens until the test ends; answers the port. */
export const serve = (server: Server & { readonly closeAllConnections?: () => void }) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<Server>((resume) => {
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      () =>
        Effect.sync(() => {
          server.close()
          server.closeAllConnections?.() // a server of HTTP/2 has none
        })
    ),
    () => (server.address() as AddressInfo).port
  )

export const listen = (listener: RequestListener) => serve(createServer(listener))

/** The heartbeats of the harness, for a server of node. */
export const serving = Effect.gen(function*() {
  const verify = yield* auth
  const handler = yield* acquire(() => HeartbeatHandler.make({ heartbeats, auth: verify, layer: host }))
  return { handler, node: NodeAdapter.toNodeHandler(handler) }
})

/** Sends a request as it is written, and answers all that comes back, as latin1. */
export const sendText = (port: number, text: string, encoding: "latin1" | "utf8" = "utf8") =>
  Effect.callback<string>((resume) => {
    let answer = ""
    const socket = connect(port, "127.0.0.1")
    socket.setEncoding("latin1").on("data", (chunk) => {
      answer += String(chunk)
    }).on("error", () => {}).on("close", () => resume(Effect.succeed(answer)))
    socket.write(text, encoding)
  })
