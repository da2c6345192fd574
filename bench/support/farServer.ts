/** A way to PostgreSQL that takes its time, and counts the statements that pass. */
import { Effect } from "effect"
import { once } from "node:events"
import { createConnection, createServer, type Socket } from "node:net"

const sslRequest = 80_877_103

/** Counts what is executed in a stream of messages of the protocol: a letter and a length each, at first none. */
const counter = (onStatement: () => void) => {
  let rest: Buffer = Buffer.alloc(0)
  let isStarting = true
  return (chunk: Buffer): void => {
    const data = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    let at = 0
    for (;;) {
      const head = isStarting ? 0 : 1
      if (at + head + 4 > data.length) break
      const end = at + head + data.readUInt32BE(at + head)
      if (end > data.length) break
      if (isStarting) {
        // Whoever asks for encryption begins once more.
        isStarting = data.length >= at + 8 && data.readUInt32BE(at + 4) === sslRequest
      } else {
        const letter = data[at]
        if (letter === 0x45 || letter === 0x51) onStatement()
      }
      at = end
    }
    rest = data.subarray(at)
  }
}

/** The address of the server with another port, from which it is so many milliseconds to the server, and as many back. */
export const farServer = (target: string, oneWayMillis: number) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const address = new URL(target)
      const sockets = new Set<Socket>()
      let statements = 0
      const later = (act: () => unknown): void => {
        if (oneWayMillis === 0) act()
        else setTimeout(act, oneWayMillis)
      }
      const server = createServer({ noDelay: true }, (client) => {
        const upstream = createConnection({ host: address.hostname, port: Number(address.port), noDelay: true })
        const count = counter(() => statements++)
        client.on("data", (chunk) => {
          count(chunk)
          later(() => upstream.write(chunk))
        })
        upstream.on("data", (chunk) => later(() => client.write(chunk)))
        for (const [socket, other] of [[client, upstream], [upstream, client]] as const) {
          sockets.add(socket)
          socket.on("error", () => {})
          socket.on("close", () => {
            sockets.delete(socket)
            later(() => other.end())
          })
        }
      }).listen(0, "127.0.0.1")
      await once(server, "listening")
      const own = server.address()
      if (own === null || typeof own === "string") throw new Error("the proxy has no port")
      const url = new URL(target)
      url.hostname = "127.0.0.1"
      url.port = String(own.port)
      return {
        url: url.href,
        statements: () => statements,
        close: () => {
          server.close()
          for (const socket of sockets) socket.destroy()
        }
      }
    }),
    (proxy) => Effect.sync(proxy.close)
  )
