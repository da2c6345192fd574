/** Counts statements where nobody can hide one: on the wire, in front of a real server. */
import { Effect } from "effect"
import { once } from "node:events"
import { createConnection, createServer, type Socket } from "node:net"
import { url } from "./database.ts"

const execute = "E".charCodeAt(0)
const query = "Q".charCodeAt(0)

/** Calls `onStatement` for each statement that a client sends: the protocol is a type, a length and a body. */
const watch = (socket: Socket, onStatement: () => void): void => {
  let pending = Buffer.alloc(0)
  let started = false
  socket.on("data", (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk])
    while (pending.length >= 5) {
      const head = started ? 1 : 0
      const length = head + pending.readInt32BE(head)
      if (pending.length < length) return
      if (started && (pending[0] === execute || pending[0] === query)) onStatement()
      started = true
      pending = pending.subarray(length)
    }
  })
}

/** A way to the server that counts. */
export const countingProxy = Effect.acquireRelease(
  Effect.promise(async () => {
    const target = new URL(url())
    const count = { statements: 0 }
    const sockets = new Set<Socket>()
    const server = createServer((client) => {
      const upstream = createConnection({ host: target.hostname, port: Number(target.port || 5432) })
      for (const socket of [client, upstream]) {
        sockets.add(socket)
        socket.on("error", () => {})
        socket.on("close", () => void [client.destroy(), upstream.destroy()])
      }
      watch(client, () => void count.statements++)
      client.pipe(upstream).pipe(client)
    }).listen(0, "127.0.0.1")
    await once(server, "listening")
    const address = server.address()
    if (address === null || typeof address === "string") throw new Error("the proxy has no port")
    const through = new URL(target)
    through.hostname = "127.0.0.1"
    through.port = String(address.port)
    const close = (): void => {
      server.close()
      for (const socket of sockets) socket.destroy()
    }
    /** As if the network went away: what is under way has no answer. */
    const cut = (): void => {
      for (const socket of sockets) socket.destroy()
    }
    return { url: through.href, count, cut, close }
  }),
  ({ close }) => Effect.sync(close)
)
