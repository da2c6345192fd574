/**
 * Tokens of agents, for hosts that issue their own:
 * `evb_<environment>_<tokenId>_<secret><checksum>`.
 *
 * The prefix lets scanners find a token that leaked, the id finds its row
 * without a search, and the checksum tells a typo from a guess before any store
 * is asked. The secret is 32 random bytes, so a plain SHA-256 protects it at rest.
 *
 * @since 0.1.0
 */
import { randomBytesUnsafe } from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Hex from "effect/encoding/Hex"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { AgentAuth, AuthRequest } from "./AgentAuth.ts"
import type { Principal } from "./AgentPrincipal.ts"
import { isSame, sha256 } from "./internal/digest.ts"
import { checksumOf, isEnvironment, isId, partsOf, secretLength, textOfBytes } from "./internal/tokenText.ts"

/**
 * A token that was made just now. Hand `token` to the agent and forget it;
 * store `tokenId` and `sha256`.
 *
 * @category models
 * @since 0.1.0
 */
export interface NewToken {
  readonly token: Redacted.Redacted
  readonly tokenId: string
  /** SHA-256 of the token, 64 lowercase hexadecimal digits. */
  readonly sha256: string
}

/**
 * What can be read from a token without knowing its secret. It proves nothing.
 *
 * @category models
 * @since 0.1.0
 */
export interface TokenParts {
  readonly environment: string
  readonly tokenId: string
}

/**
 * Creates a token of 32 random bytes.
 *
 * **Details**
 *
 * `environment` has up to 16 lowercase letters and digits, `tokenId` up to 64
 * letters and digits; a random one is made when it is absent. Other values are a
 * `TypeError`.
 *
 * **Example** (Issuing a token)
 *
 * ```ts
 * import { AgentToken } from "@everbeat/http"
 * import { Effect } from "effect"
 *
 * const issued = await Effect.runPromise(AgentToken.create({ environment: "live", tokenId: "triage1" }))
 *
 * issued.sha256.length // => 64
 * AgentToken.parse(issued.token) // => { environment: "live", tokenId: "triage1" }
 * await Effect.runPromise(AgentToken.verify(issued.token, [issued.sha256])) // => true
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const create = (
  options: { readonly environment?: string | undefined; readonly tokenId?: string | undefined } = {}
): Effect.Effect<NewToken> =>
  Effect.suspend(() => {
    const { environment = "live", tokenId = textOfBytes(randomBytesUnsafe(8), 11) } = options
    if (!isEnvironment(environment)) {
      throw new TypeError(
        `AgentToken.create: environment '${environment}' is not 1 to 16 lowercase letters and digits.`
      )
    }
    if (!isId(tokenId)) {
      throw new TypeError(`AgentToken.create: tokenId '${tokenId}' is not 1 to 64 letters and digits.`)
    }
    const text = `evb_${environment}_${tokenId}_${textOfBytes(randomBytesUnsafe(32), secretLength)}`
    const token = Redacted.make(`${text}${checksumOf(text)}`)
    return Effect.map(hash(token), (sha256) => ({ token, tokenId, sha256 }))
  })

/**
 * Returns the parts of a token, or nothing when it has another format or its
 * checksum does not fit.
 *
 * @category getters
 * @since 0.1.0
 */
export const parse = (token: Redacted.Redacted): TokenParts | undefined => partsOf(Redacted.value(token))

/**
 * Computes the SHA-256 of a token, for the host's table: 64 lowercase
 * hexadecimal digits.
 *
 * @category getters
 * @since 0.1.0
 */
export const hash = (token: Redacted.Redacted): Effect.Effect<string> => Effect.map(sha256(token), Hex.encode)

/**
 * Tells whether a token has one of the digests. Every digest is compared in
 * constant time; one that is malformed matches nothing.
 *
 * **Details**
 *
 * Two digests are the old and the new token of an agent while it is rotated.
 *
 * @category getters
 * @since 0.1.0
 */
export const verify = (token: Redacted.Redacted, digests: ReadonlyArray<string>): Effect.Effect<boolean> =>
  Effect.map(sha256(token), (sent) => {
    let found = false
    for (const digest of digests) {
      const bytes = Hex.decode(digest)
      // No early exit: the time must not tell which digest matched.
      if (isSame(Result.isSuccess(bytes) ? bytes.success : nothing, sent)) found = true
    }
    return found
  })

/**
 * What a host knows of a token: whose it is, and one digest, or two while it is
 * rotated.
 *
 * @category models
 * @since 0.1.0
 */
export interface StoredToken extends Omit<Principal, "tokenId"> {
  readonly sha256: string | ReadonlyArray<string>
}

/**
 * Creates authentication from the host's table of tokens, looked up by the id
 * in the token.
 *
 * **Details**
 *
 * `find` answers the row of a token id, or `null`. It is not asked for a token
 * of another format or with a wrong checksum. Of an unknown id the digest is
 * compared all the same, so that the time tells nothing.
 *
 * **Example** (Verifying against a table)
 *
 * ```ts
 * import { AgentToken } from "@everbeat/http"
 * import { Effect } from "effect"
 *
 * const issued = await Effect.runPromise(AgentToken.create({ tokenId: "triage1" }))
 * const table = new Map([["triage1", { agentName: "triage", sha256: issued.sha256 }]])
 * const auth = AgentToken.auth((tokenId) => Effect.succeed(table.get(tokenId) ?? null))
 *
 * const request = { method: "POST", path: "/api/agents/triage/heartbeat", agentName: "triage", headers: {} }
 * const principal = await Effect.runPromise(auth.verify(issued.token, request))
 * principal // => { agentName: "triage", tokenId: "triage1" }
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const auth = <E, R>(
  find: (tokenId: string, request: AuthRequest) => Effect.Effect<StoredToken | null | undefined, E, R>
): AgentAuth<R> => ({
  verify: (token, request) =>
    Effect.gen(function*() {
      const parts = parse(token)
      if (parts === undefined) return null
      const row = yield* find(parts.tokenId, request)
      const digests = row === null || row === undefined ? dummy : [row.sha256].flat()
      const isKnown = yield* verify(token, digests)
      if (!isKnown || row === null || row === undefined) return null
      const { agentName, scopes } = row
      const { tokenId } = parts
      return scopes === undefined ? { agentName, tokenId } : { agentName, tokenId, scopes }
    })
})

// internal

const nothing = new Uint8Array(32)

/** The digest of no token that anybody knows. */
const dummy: ReadonlyArray<string> = ["0".repeat(64)]
