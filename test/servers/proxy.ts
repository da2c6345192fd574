/** A way to a server that counts bytes and can be cut, at any byte and for any time. */
import { once } from "node:events"
import { createConnection, createServer, type Socket } from "node:net"

/** The way, and what a test does to it. */
export interface Proxy {
  /** The address of the server with the port of the proxy. */
  readonly url: string
  /** Bytes that clients sent and received, over all connections. */
  readonly bytes: { sent: number; received: number }
  /** Cuts every connection: what is under way has no answer. */
  readonly cut: () => void
  /** Cuts every connection and takes no new one until `up`. */
  readonly down: () => void
  readonly up: () => void
  /** Lets so many more bytes through to the server, then calls `then` once and lets nothing more through, either way. */
  readonly stopAfter: (bytes: number, then: () => void) => void
  /** Lets everything to the server through and nothing back from now on; calls `then` once at the first answer. */
  readonly withholdAnswers: (then: () => void) => void
  /** Holds everything back for so long, either way, from now on. */
  readonly delay: (millis: number) => void
  /** Lets everything through again, at once. */
  readonly restore: () => void
  readonly close: () => void
}

/**
 * Calls later what is called now, by a delay that may change, and never in another order: bytes of a connection do not
 * overtake each other, also when a timer comes late.
 */
export const inOrder = (delayMillis: () => number): (call: () => void) => void => {
  const waiting: Array<{ readonly at: number; readonly call: () => void }> = []
  let last = 0
  const callThoseDue = (): void => {
    for (let next = waiting[0]; next !== undefined; next = waiting[0]) {
      const early = next.at - performance.now()
      if (early > 0) return void setTimeout(callThoseDue, early)
      waiting.shift()
      next.call()
    }
  }
  return (call) => {
    const now = performance.now()
    last = Math.max(last, now + delayMillis())
    if (last <= now && waiting.length === 0) return call()
    waiting.push({ at: last, call })
    if (waiting.length === 1) setTimeout(callThoseDue, last - now)
  }
}

export const startProxy = async (target: string, defaultPort: number): Promise<Proxy> => {
  const address = new URL(target)
  const bytes = { sent: 0, received: 0 }
  const sockets = new Set<Socket>()
  let isDown = false
  let left = Infinity
  let onStop: (() => void) | undefined
  let onAnswer: (() => void) | undefined
  let isSilent = false
  let delayMillis = 0
  const cut = (): void => sockets.forEach((socket) => socket.destroy())
  const stop = (): void => {
    isSilent = true
    onStop?.()
    onStop = undefined
  }
  const server = createServer((client) => {
    if (isDown) return client.destroy()
    const [there, back] = [inOrder(() => delayMillis), inOrder(() => delayMillis)]
    const upstream = createConnection({ host: address.hostname, port: Number(address.port || defaultPort) })
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on("error", () => {})
      socket.on("close", () => {
        sockets.delete(socket)
        client.destroy()
        upstream.destroy()
      })
    }
    client.on("data", (chunk: Buffer) => {
      bytes.sent += chunk.length
      if (left === Infinity) return there(() => upstream.write(chunk))
      const part = chunk.subarray(0, left)
      left -= part.length
      // The test goes on when the server has what it was to get.
      if (part.length > 0) there(() => upstream.write(part, () => left === 0 && stop()))
      else stop()
    })
    upstream.on("data", (chunk: Buffer) => {
      bytes.received += chunk.length
      if (!isSilent) return back(() => client.write(chunk))
      onAnswer?.()
      onAnswer = undefined
    })
  }).listen(0, "127.0.0.1")
  await once(server, "listening")
  const own = server.address()
  if (own === null || typeof own === "string") throw new Error("the proxy has no port")
  const through = new URL(target)
  through.hostname = "127.0.0.1"
  through.port = String(own.port)
  return {
    url: through.href,
    bytes,
    cut,
    down: () => {
      isDown = true
      cut()
    },
    up: () => {
      isDown = false
    },
    stopAfter: (count, then) => {
      left = count
      onStop = then
    },
    withholdAnswers: (then) => {
      isSilent = true
      onAnswer = then
    },
    delay: (millis) => {
      delayMillis = millis
    },
    restore: () => {
      left = Infinity
      delayMillis = 0
      isSilent = false
      onStop = onAnswer = undefined
      cut() // what was held back on a connection would be missing
    },
    close: () => {
      server.close()
      cut()
    }
  }
}
