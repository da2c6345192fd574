import * as Digest from "effect/crypto/Digest"
import * as Effect from "effect/Effect"
import type { Json } from "effect/Schema"
import { InvalidInput } from "../PassError.ts"

/** JSON with sorted keys: two payloads that mean the same have the same text. */
const canonical = (value: Json): string => {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`
  if (typeof value !== "object" || value === null) return JSON.stringify(value)
  const fields = Object.entries(value).filter(([, field]) => field !== undefined)
  fields.sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${fields.map(([key, field]) => `${JSON.stringify(key)}:${canonical(field)}`).join(",")}}`
}

/** What tells two payloads of one idempotency key apart: SHA-256 of the canonical JSON. */
export const fingerprint = (payload: Json | undefined): Effect.Effect<string, InvalidInput> => {
  if (payload === undefined) return Effect.succeed("none")
  return Effect.gen(function*() {
    const text = yield* Effect.try({
      try: () => canonical(payload),
      catch: () => new InvalidInput({ field: "payload", detail: "it is nested too deeply or is not JSON" })
    })
    const digest = yield* Digest.Digest
    return yield* digest.digestHex(Digest.sha256, new TextEncoder().encode(text))
  }).pipe(Effect.provide(Digest.layerWebCrypto))
}
