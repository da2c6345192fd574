/** Raw DEFLATE on the Compression Streams of the platform: Node 20 and browsers have them. */
import * as Effect from "effect/Effect"

const through = async (bytes: Uint8Array, transform: CompressionStream | DecompressionStream): Promise<Uint8Array> => {
  // Never on shared memory: made by `TextEncoder`, by the cipher or by Base64.
  const input = new Blob([bytes as BlobPart]).stream()
  return new Uint8Array(await new Response(input.pipeThrough(transform)).arrayBuffer())
}

export const deflate = (bytes: Uint8Array): Effect.Effect<Uint8Array> =>
  Effect.promise(() => through(bytes, new CompressionStream("deflate-raw")))

export const inflate = (bytes: Uint8Array): Effect.Effect<Uint8Array, unknown> =>
  Effect.tryPromise({
    try: () => through(bytes, new DecompressionStream("deflate-raw")),
    catch: (cause) => cause
  })
