/** Raw DEFLATE on the Compression Streams of the platform: Node 20 and browsers have them. */
import * as Effect from "effect/Effect"

const through = async (bytes: Uint8Array, transform: CompressionStream | DecompressionStream): Promise<Uint8Array> => {
  // Never on shared memory: made by `TextEncoder`, by the cipher or by Base64.
  const input = new Blob([bytes as BlobPart]).stream()
  return new Uint8Array(await new Response(input.pipeThrough(transform)).arrayBuffer())
}

/** As much as there may be, and no more: a few bytes can inflate to a thousand times as many. */
const atMost = (limit: number): TransformStream<Uint8Array, Uint8Array> => {
  let length = 0
  return new TransformStream({
    transform: (chunk, controller) => {
      length += chunk.length
      if (length > limit) controller.error(new InflatedTooLarge(limit))
      else controller.enqueue(chunk)
    }
  })
}

/** The cause of a failure to inflate what would be longer than allowed. */
export class InflatedTooLarge extends Error {
  constructor(limit: number) {
    super(`its compressed body holds more than ${limit} bytes (maxInflatedBytes)`)
  }
}

export const deflate = (bytes: Uint8Array): Effect.Effect<Uint8Array> =>
  Effect.promise(() => through(bytes, new CompressionStream("deflate-raw")))

export const inflate = (bytes: Uint8Array, limit: number): Effect.Effect<Uint8Array, unknown> =>
  Effect.tryPromise({
    try: async () => {
      const inflated = new Blob([bytes as BlobPart]).stream().pipeThrough(new DecompressionStream("deflate-raw"))
      return new Uint8Array(await new Response(inflated.pipeThrough(atMost(limit))).arrayBuffer())
    },
    catch: (cause) => cause
  })
