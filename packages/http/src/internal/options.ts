import type { AgentName } from "@everbeat/core/AgentName"
import type * as Heartbeat from "@everbeat/core/Heartbeat"
import type { AgentAuth } from "../AgentAuth.ts"
import type { RoutesOptions, Services } from "../HeartbeatHandler.ts"

/** Options after their defaults, with a look-up that is safe for any name. */
export interface Resolved<R> {
  readonly find: (agentName: AgentName) => Heartbeat.Any<R> | null | undefined
  readonly auth: AgentAuth<R>
  readonly basePath: string
  readonly maxBodyBytes: number
}

export const resolve = <H extends Heartbeat.Any, A>(options: RoutesOptions<H, A>): Resolved<Services<H> | A> => {
  const { auth, basePath = "", heartbeats, maxBodyBytes = 262_144 } = options
  if (!/^(?:\/(?!\.{1,2}(?:\/|$))[\w.~-]+)*\/?$/u.test(basePath)) {
    throw new TypeError(`basePath '${basePath}' is not a path such as '/internal'.`)
  }
  if (!Number.isSafeInteger(maxBodyBytes) || maxBodyBytes < 1) {
    throw new TypeError(`maxBodyBytes ${maxBodyBytes} is not a positive integer.`)
  }
  const find = typeof heartbeats === "function"
    ? heartbeats
    : (agentName: AgentName) => (Object.hasOwn(heartbeats, agentName) ? heartbeats[agentName] : undefined)
  return {
    // `Services<H>` is computed from exactly these heartbeats; the compiler cannot follow it through the look-up.
    find: find as Resolved<Services<H> | A>["find"],
    auth,
    basePath: basePath.replace(/\/$/u, ""),
    maxBodyBytes
  }
}
