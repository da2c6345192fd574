import type { AgentName } from "@everbeat/core/AgentName"
import type * as Heartbeat from "@everbeat/core/Heartbeat"
import type * as Schema from "effect/Schema"
import type { AgentAuth } from "../AgentAuth.ts"
import type { RateLimit, RoutesOptions, Services } from "../HeartbeatHandler.ts"

/** Options after their defaults, with a look-up that is safe for any name. */
export interface Resolved<R> {
  readonly find: (agentName: AgentName) => Heartbeat.Any<R> | null | undefined
  readonly auth: AgentAuth<R>
  readonly basePath: string
  readonly maxBodyBytes: number
  readonly payload: Schema.Codec<unknown, unknown> | undefined
  readonly respondWithinMs: number | undefined
  readonly failOnError: boolean
  readonly rateLimit: RateLimit | undefined
  readonly operatorTokens: ReadonlyArray<string>
  readonly publicReadiness: boolean
  readonly publicDescription: boolean
  readonly docs: boolean
  readonly waitUntil: ((promise: Promise<unknown>) => void) | undefined
}

export const resolve = <H extends Heartbeat.Any, A>(options: RoutesOptions<H, A>): Resolved<Services<H> | A> => {
  const { auth, basePath, heartbeats, maxBodyBytes = 262_144 } = options
  if (!Number.isSafeInteger(maxBodyBytes) || maxBodyBytes < 1) {
    throw new TypeError(`maxBodyBytes ${maxBodyBytes} is not a positive integer.`)
  }
  const find = typeof heartbeats === "function"
    ? heartbeats
    : (agentName: AgentName) => (Object.hasOwn(heartbeats, agentName) ? heartbeats[agentName] : undefined)
  checkLimits(options)
  const { docs = false, errorStatus = 200, operatorTokens = [], publicDescription = false, publicReadiness = false } =
    options
  return {
    // `Services<H>` is computed from exactly these heartbeats; the compiler cannot follow it through the look-up.
    find: find as Resolved<Services<H> | A>["find"],
    auth,
    basePath: resolveBasePath(basePath),
    maxBodyBytes,
    // Whatever it decodes to: steps get what it encodes to again.
    payload: options.payload as Schema.Codec<unknown, unknown> | undefined,
    respondWithinMs: options.respondWithinMs,
    failOnError: errorStatus === 500,
    rateLimit: options.rateLimit,
    operatorTokens,
    publicReadiness,
    publicDescription,
    docs,
    waitUntil: options.waitUntil
  }
}

export const resolveBasePath = (basePath: string = ""): string => {
  if (!/^(?:\/(?!\.{1,2}(?:\/|$))[\w.~-]+)*\/?$/u.test(basePath)) {
    throw new TypeError(`basePath '${basePath}' is not a path such as '/internal'.`)
  }
  return basePath.replace(/\/$/u, "")
}

const checkLimits = (
  { errorStatus = 200, operatorTokens = [], rateLimit, respondWithinMs = 0 }: Pick<
    RoutesOptions<Heartbeat.Any, never>,
    "errorStatus" | "operatorTokens" | "rateLimit" | "respondWithinMs"
  >
): void => {
  if (!Number.isSafeInteger(respondWithinMs) || respondWithinMs < 0 || respondWithinMs > 2 ** 31 - 1) {
    throw new TypeError(`respondWithinMs ${respondWithinMs} is not a number of milliseconds, zero or more.`)
  }
  if (errorStatus !== 200 && errorStatus !== 500) throw new TypeError("errorStatus is neither 200 nor 500.")
  if (rateLimit !== undefined && !(isPositive(rateLimit.limit) && isPositive(rateLimit.windowMs))) {
    throw new TypeError("rateLimit is not a limit of passes and a window of milliseconds, both positive integers.")
  }
  // Not the value itself: it may be the token, put there by mistake.
  if (operatorTokens.some((digest) => !/^[0-9a-f]{64}$/iu.test(digest))) {
    throw new TypeError("An element of operatorTokens is not a SHA-256 of 64 hexadecimal digits: see AgentToken.hash.")
  }
}

const isPositive = (count: number): boolean => Number.isSafeInteger(count) && count >= 1
