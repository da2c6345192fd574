/** A way to a database that stops between two words of a host, so that a test can kill the host exactly there. */
import { Effect, type Scope } from "effect"
import { once } from "node:events"
import { connect, createServer, type Socket } from "node:net"

export interface HoldingProxy {
  /** The address of the database by way of the proxy. */
  readonly url: string
  /**
   * Waits until the host names the document for the `nth` time. From then on nothing passes, either with these words
   * `before` or `after` they reached the database.
   */
  readonly hold: (document: string, nth: number, when: "before" | "after") => Effect.Effect<void>
}

interface Trap {
  readonly pattern: RegExp
  left: number
  readonly when: "before" | "after"
  readonly caught: () => void
}

export const holdingProxy = (url: string): Effect.Effect<HoldingProxy, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const { hostname, port } = new URL(url)
      const sockets = new Set<Socket>()
      let trap: Trap | undefined
      let holds = false
      const server = createServer((host) => {
        const database = connect(Number(port), hostname)
        for (const [socket, other] of [[host, database], [database, host]] as const) {
          sockets.add(socket)
          socket.setNoDelay(true)
          socket.on("error", () => other.destroy())
          socket.on("close", () => other.destroy())
        }
        host.on("data", (data) => {
          if (holds) return
          if (trap !== undefined && trap.pattern.test(data.toString("latin1")) && --trap.left === 0) {
            holds = true
            if (trap.when === "after") database.write(data)
            trap.caught()
            return
          }
          database.write(data)
        })
        database.on("data", (data) => {
          if (!holds) host.write(data)
        })
      }).listen(0, "127.0.0.1")
      await once(server, "listening")
      const address = server.address()
      const ours = new URL(url)
      ours.port = String(typeof address === "object" && address !== null ? address.port : 0)
      const hold: HoldingProxy["hold"] = (document, nth, when) =>
        Effect.callback((resume) => {
          // One value of a statement: Postgres tells its length before it, Redis ends it with a line.
          const pattern = new RegExp(`[\\x${document.length.toString(16).padStart(2, "0")}\\n]${document}[\\r\\0]`)
          trap = { pattern, left: nth, when, caught: () => resume(Effect.void) }
        })
      return {
        url: ours.href,
        hold,
        close: () => {
          for (const socket of sockets) socket.destroy()
          server.close()
        }
      }
    }),
    ({ close }) => Effect.sync(close)
  )
