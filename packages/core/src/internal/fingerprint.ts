import * as Digest from "effect/crypto/Digest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { InvalidInput } from "../PassError.ts"

/** JSON with sorted keys: two payloads that mean the same have the same text. */
const canonical = (value: Schema.Json): string => {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`
  if (typeof value !== "object" || value === null) return JSON.stringify(value)
  const fields = Object.entries(value)
  fields.sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${fields.map(([key, field]) => `${JSON.stringify(key)}:${canonical(field)}`).join(",")}}`
}

const isJson = Schema.is(Schema.Json)

/**
 * The canonical text of a payload. Callers without the type checker can send
 * anything: what is not JSON, or so deep that it cannot be walked, is refused
 * before it gets into a store.
 */
export const canonicalPayload = (payload: Schema.Json): Effect.Effect<string, InvalidInput> =>
  Effect.try({
    try: () => {
      if (!isJson(payload)) throw new TypeError("not JSON")
      return canonical(payload)
    },
    catch: () => new InvalidInput({ field: "payload", detail: "it is not JSON, or nested too deeply" })
  })

/** What tells two payloads of one idempotency key apart: SHA-256 of the canonical JSON. */
export const fingerprint = (canonical: string | undefined): Effect.Effect<string> =>
  canonical === undefined
    ? Effect.succeed("none")
    : Effect.flatMap(Digest.Digest, (digest) => digest.digestHex(Digest.sha256, new TextEncoder().encode(canonical)))
      .pipe(Effect.provide(Digest.layerWebCrypto))
