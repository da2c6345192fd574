/**
 * Authentication of agents: who a bearer token stands for.
 *
 * Tokens are the host's. {@link make} and {@link fromPromise} plug in its own
 * verification; {@link tokens} serves hosts that have none. Either way the
 * token travels as `Redacted`, so that it appears in no log, span or error.
 *
 * @since 0.1.0
 */
import { isAgentName } from "@everbeat/core/AgentName"
import * as Effect from "effect/Effect"
import * as Hex from "effect/encoding/Hex"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { Principal, Scope } from "./AgentPrincipal.ts"
import { isSame, sha256 } from "./internal/digest.ts"
import { areScopes, isTokenId } from "./internal/principal.ts"

/**
 * What is known of a request when its token is verified. Nothing of it is
 * verified itself.
 *
 * @category models
 * @since 0.1.0
 */
export interface AuthRequest {
  readonly method: string
  /** Path as the host's server saw it, without the query. */
  readonly path: string
  /** The agent that the address names; empty where it names none, as `/api/ready` and `/api/openapi.json`. */
  readonly agentName: string
  /** Headers in lower case, without `authorization`, `proxy-authorization` and `cookie`. */
  readonly headers: Readonly<Record<string, string>>
}

/**
 * Tells who a token stands for.
 *
 * **Details**
 *
 * `verify` answers the principal, or `null` (or nothing) for a token that is not valid
 * (unknown, expired, revoked: the caller cannot tell them apart). A failure
 * means that nothing is known, and is answered with 503; so is anything that is
 * not a principal, and no answer within 10 seconds. It is not called for
 * an absent token or one with spaces or control characters. Whether the
 * principal may act for the agent in the address is checked afterwards, in one
 * place.
 *
 * @category models
 * @since 0.1.0
 */
export interface AgentAuth<out R = never> {
  readonly verify: (
    token: Redacted.Redacted,
    request: AuthRequest
  ) => Effect.Effect<Principal | null | undefined, unknown, R>
}

/**
 * Creates authentication from the host's own verification.
 *
 * **Example** (Verifying with a token table)
 *
 * ```ts
 * import { AgentAuth } from "@everbeat/http"
 * import { Effect, Redacted } from "effect"
 *
 * const table = new Map([["s3cret", { agentName: "triage", tokenId: "triage-1" }]])
 * const auth = AgentAuth.make((token) => Effect.succeed(table.get(Redacted.value(token)) ?? null))
 *
 * const request = { method: "POST", path: "/api/agents/triage/heartbeat", agentName: "triage", headers: {} }
 * await Effect.runPromise(auth.verify(Redacted.make("s3cret"), request)) // => { agentName: "triage", tokenId: "triage-1" }
 * await Effect.runPromise(auth.verify(Redacted.make("guess"), request)) // => null
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <E, R>(
  verify: (token: Redacted.Redacted, request: AuthRequest) => Effect.Effect<Principal | null | undefined, E, R>
): AgentAuth<R> => ({ verify })

/**
 * Creates authentication from a verification that answers a promise.
 *
 * **Details**
 *
 * `signal` aborts when the client goes away. A rejected promise means that
 * nothing is known about the token.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromPromise = (
  verify: (
    token: Redacted.Redacted,
    request: AuthRequest,
    signal: AbortSignal
  ) => Principal | null | undefined | Promise<Principal | null | undefined>
): AgentAuth => ({
  verify: (token, request) =>
    Effect.tryPromise({
      try: async (signal) => verify(token, request, signal),
      catch: (cause) => cause
    })
})

/**
 * One token that {@link tokens} accepts.
 *
 * @category models
 * @since 0.1.0
 */
export interface TokenEntry {
  readonly agentName: string
  /** Names the token in records and logs. */
  readonly tokenId: string
  /** SHA-256 of the token, 64 hexadecimal digits: see {@link digest}. */
  readonly sha256: string
  /** What the token may do; everything when absent. */
  readonly scopes?: ReadonlyArray<Scope> | undefined
}

/**
 * Creates authentication from a list of SHA-256 digests, for hosts without a
 * token flow of their own.
 *
 * **Details**
 *
 * Only digests are held, and every one is compared in constant time. An agent
 * may have two entries, or more, while its token is rotated. An entry that is
 * malformed or doubled throws a `TypeError`.
 *
 * **Gotchas**
 *
 * A plain SHA-256 protects tokens that cannot be guessed: make them of 32
 * random bytes, never of a passphrase.
 *
 * **Example** (Accepting one token)
 *
 * ```ts
 * import { AgentAuth } from "@everbeat/http"
 * import { Effect, Redacted } from "effect"
 *
 * const token = Redacted.make("evb_live_triage1_3q2r8x5c7v9b1n4m6k8j0h2g4f6d8s0a")
 * const sha256 = await Effect.runPromise(AgentAuth.digest(token))
 * const auth = AgentAuth.tokens([{ agentName: "triage", tokenId: "triage-1", sha256 }])
 *
 * const request = { method: "POST", path: "/api/agents/triage/heartbeat", agentName: "triage", headers: {} }
 * const principal = await Effect.runPromise(auth.verify(token, request))
 * principal?.tokenId // => "triage-1"
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const tokens = (entries: ReadonlyArray<TokenEntry>): AgentAuth => {
  const known = entries.map((entry) => ({ principal: principalOf(entry), bytes: bytesOf(entry) }))
  if (new Set(entries.map((entry) => entry.sha256.toLowerCase())).size !== entries.length) {
    throw new TypeError("AgentAuth.tokens: two entries have the same sha256; every token belongs to one agent.")
  }
  return {
    verify: (token) =>
      Effect.map(sha256(token), (sent) => {
        let found: Principal | null = null
        // No early exit: the time must not tell which entry matched.
        for (const entry of known) {
          if (isSame(entry.bytes, sent)) found = entry.principal
        }
        return found
      })
  }
}

/**
 * Computes the SHA-256 of a token as {@link tokens} expects it: 64 lowercase
 * hexadecimal digits.
 *
 * **Example** (Computing a digest)
 *
 * ```ts
 * import { AgentAuth } from "@everbeat/http"
 * import { Effect, Redacted } from "effect"
 *
 * const sha256 = await Effect.runPromise(AgentAuth.digest(Redacted.make("abc")))
 * sha256.slice(0, 16) // => "ba7816bf8f01cfea"
 * ```
 *
 * @category getters
 * @since 0.1.0
 */
export const digest = (token: Redacted.Redacted): Effect.Effect<string> => Effect.map(sha256(token), Hex.encode)

// internal

const principalOf = ({ agentName, scopes, tokenId }: TokenEntry): Principal => {
  if (!isAgentName(agentName)) {
    throw new TypeError(`AgentAuth.tokens: '${agentName}' is not an agent's name.`)
  }
  if (!isTokenId(tokenId)) throw new TypeError(`AgentAuth.tokens: the tokenId of an entry of '${agentName}' is empty.`)
  if (!areScopes(scopes)) {
    throw new TypeError(
      `AgentAuth.tokens: the scopes of '${tokenId}' are not a list of 'heartbeat', 'read' and 'resume'.`
    )
  }
  return scopes === undefined || scopes === null ? { agentName, tokenId } : { agentName, tokenId, scopes }
}

const bytesOf = ({ sha256, tokenId }: TokenEntry): Uint8Array => {
  const bytes = Hex.decode(sha256)
  // Not the value itself: a host that puts the token there by mistake must not find it in its log.
  if (Result.isFailure(bytes) || bytes.success.length !== 32) {
    throw new TypeError(`AgentAuth.tokens: the sha256 of '${tokenId}' is not 64 hexadecimal digits.`)
  }
  return bytes.success
}
