import type { AgentName } from "@everbeat/core"
import { Context, Effect, Layer, Redacted } from "effect"
import { createHash, timingSafeEqual } from "node:crypto"

/** Dispatch's own token flow: opaque tokens, each of one agent. Only digests are kept. */
export class AgentTokens extends Context.Service<AgentTokens, {
  /** The agent that the token belongs to, or `null`. */
  readonly verify: (token: Redacted.Redacted) => Effect.Effect<AgentName.AgentName | null>
}>()("@everbeat/example-dispatch/AgentTokens") {
  /** Tokens from the configuration. */
  static readonly layer = (
    tokens: ReadonlyArray<{ readonly agent: AgentName.AgentName; readonly token: Redacted.Redacted }>
  ): Layer.Layer<AgentTokens> => {
    const known = tokens.map(({ agent, token }) => ({ agent, digest: digestOf(token) }))
    return Layer.succeed(AgentTokens, {
      verify: (token) =>
        Effect.sync(() => {
          const digest = digestOf(token)
          // Every entry is compared, in constant time: how long it takes says nothing about the tokens.
          return known.reduce<AgentName.AgentName | null>(
            (found, entry) => timingSafeEqual(entry.digest, digest) ? entry.agent : found,
            null
          )
        })
    })
  }
}

// internal

const digestOf = (token: Redacted.Redacted): Buffer => createHash("sha256").update(Redacted.value(token)).digest()
