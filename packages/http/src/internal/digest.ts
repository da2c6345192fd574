import * as Digest from "effect/crypto/Digest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"

/** SHA-256 of a token. */
export const sha256 = (token: Redacted.Redacted): Effect.Effect<Uint8Array> =>
  Effect.flatMap(Digest.Digest, (digest) =>
    // `Redacted.value` only here and where a token leaves for the host's own verification.
    Effect.orDie(digest.digest(Digest.sha256, new TextEncoder().encode(Redacted.value(token))))).pipe(
      Effect.provide(Digest.layerWebCrypto)
    )

/** Compares two digests in a time that depends on their length only. */
export const isSame = (a: Uint8Array, b: Uint8Array): boolean => {
  if (a.length !== b.length) return false
  let difference = 0
  for (let index = 0; index < a.length; index++) difference |= (a[index] ?? 0) ^ (b[index] ?? 0)
  return difference === 0
}
