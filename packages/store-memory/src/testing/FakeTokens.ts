/**
 * Tokens of agents for tests over HTTP, without a table and without secrets.
 *
 * @since 0.1.0
 */

/**
 * Who a fake token stands for: a principal of `@everbeat/http`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Principal {
  readonly agentName: string
  readonly tokenId: string
  readonly scopes?: ReadonlyArray<"heartbeat" | "read" | "resume">
}

/**
 * Tokens, and who they stand for.
 *
 * @category models
 * @since 0.1.0
 */
export interface FakeTokens {
  /** Makes a token of an agent, which may do everything, or what the scopes say. */
  readonly of: (agentName: string, scopes?: ReadonlyArray<"heartbeat" | "read" | "resume">) => string
  /** The header of a request with a new token of that agent. */
  readonly authorization: (agentName: string) => { readonly authorization: string }
  /** From now on the token is not valid. */
  readonly revoke: (token: string) => void
  /** The `auth` option of a handler: tells who a token stands for; `null` of one that is not valid. */
  readonly verify: (token: string) => Principal | null
}

/**
 * Creates an empty set of tokens.
 *
 * **Gotchas**
 *
 * Anybody can guess them. They are for tests.
 *
 * **Example** (Testing a host over HTTP)
 *
 * ```ts
 * import { heartbeat } from "@everbeat/core/promise"
 * import { createHandler } from "@everbeat/http/promise"
 * import { FakeTokens, TestEverbeat } from "@everbeat/store-memory/testing"
 *
 * const tokens = FakeTokens.make()
 * await using test = TestEverbeat.make({ heartbeats: { triage: heartbeat().step("greet", () => "hello") } })
 * const handler = createHandler(test.everbeat, { auth: tokens.verify })
 *
 * const post = async (agentName: string) => {
 *   const url = "http://localhost/api/agents/triage/heartbeat"
 *   const request = new Request(url, { method: "POST", headers: tokens.authorization(agentName) })
 *   return (await handler.fetch(request)).status
 * }
 * await post("triage") // => 200
 * await post("somebody-else") // => 403
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (): FakeTokens => {
  const known = new Map<string, Principal>()
  let made = 0
  const of: FakeTokens["of"] = (agentName, scopes) => {
    const tokenId = `fake-${++made}`
    const token = `${tokenId}-of-${agentName}`
    known.set(token, scopes === undefined ? { agentName, tokenId } : { agentName, tokenId, scopes })
    return token
  }
  return {
    of,
    authorization: (agentName) => ({ authorization: `Bearer ${of(agentName)}` }),
    revoke: (token) => void known.delete(token),
    verify: (token) => known.get(token) ?? null
  }
}
