/** What the matrix of hosts asks of each of them. */
import type { Heartbeat } from "@everbeat/core"
import type { AgentAuth, HeartbeatHandler } from "@everbeat/http"
import type { Server } from "node:http"
import type { host } from "../harness.ts"

export interface HostOptions {
  readonly heartbeats: HeartbeatHandler.Heartbeats<Heartbeat.Any>
  readonly auth: AgentAuth.AgentAuth
  readonly layer: typeof host
  /** Path in front of `/api`. */
  readonly basePath: string
  /** Whether the host parses JSON before the handler. */
  readonly parser: boolean
}

/** A host that listens. */
export interface Mounted {
  readonly port: number
  /** Ends the passes, as the guide of the host says. */
  readonly dispose: () => Promise<void>
  /** Closes the server and waits for its connections, without cutting them. */
  readonly close: () => Promise<void>
}

export interface Mount {
  readonly name: string
  /** What becomes of a body that the host parsed before; hosts without a parser in front have no such case. */
  readonly parsed: "rebuilt" | "told" | "none"
  /** Whether the host reads every body itself: what is wrong with it is its own to answer. */
  readonly readsBodies?: boolean
  /** Installs what `npm ci` of the repository does not. */
  readonly prepare?: () => Promise<void>
  readonly serve: (options: HostOptions) => Promise<Mounted>
  /** The same for any fetch handler: how answers are streamed. */
  readonly serveFetch?: (fetch: (request: Request) => Promise<Response>) => Promise<Mounted>
}

/** Lets a server of `node:http` listen. */
export const listening = async (server: Server, dispose: () => Promise<void>): Promise<Mounted> => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    dispose,
    close: () => closing(server)
  }
}

export const closing = (server: Server): Promise<void> =>
  new Promise((resolve) => {
    server.close(() => resolve())
    server.closeIdleConnections()
  })
