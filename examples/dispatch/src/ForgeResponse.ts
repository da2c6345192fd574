import { DateTime, Effect, Option, Stream } from "effect"
import type { HttpClientError, HttpClientResponse } from "effect/http"
import {
  type ForgeError,
  ForgePayloadRefused,
  ForgeUnavailable,
  RateLimited,
  RepositoryNotFound,
  TokenRefused
} from "./ForgeError.ts"

/** Reads the body of an answer, up to a size. */
export const readText = (
  repository: string,
  url: string,
  response: HttpClientResponse.HttpClientResponse,
  maxBytes: number
): Effect.Effect<string, ForgePayloadRefused | HttpClientError.HttpClientError> => {
  let bytes = 0
  return response.stream.pipe(
    Stream.mapEffect((chunk) => {
      bytes += chunk.byteLength
      return bytes > maxBytes
        ? new ForgePayloadRefused({ repository, url, reason: `it is larger than ${maxBytes} bytes` })
        : Effect.succeed(chunk)
    }),
    Stream.decodeText,
    Stream.mkString,
    Effect.catchReason("HttpClientError", "EmptyBodyError", () => Effect.succeed(""))
  )
}

/** Says why a request failed; fetch hides the reason behind several layers of causes. */
export const describeFailure = (error: unknown): string => {
  let deepest = error
  while (deepest instanceof Error && deepest.cause instanceof Error) {
    deepest = deepest.cause
  }
  return deepest instanceof Error && deepest.message !== "" ? deepest.message : String(deepest)
}

/** The address of the next page in a `Link` header. */
export const nextLink = (header: string | undefined): string | undefined => {
  for (const [, address, parameters] of (header ?? "").matchAll(/<([^>]*)>([^<]*)/gu)) {
    if (address !== undefined && /;\s*rel="?next"?\s*(?:$|[;,])/u.test(parameters ?? "")) {
      return address
    }
  }
  return undefined
}

/**
 * Resolves an address that the forge sent and refuses it unless it lists issues at the forge's own origin. Dispatch
 * sends its token along, so a forge, or whoever changes its answers, must not be able to choose who receives it.
 */
export const followableLink = (
  repository: string,
  root: URL,
  url: string,
  link: string
): Effect.Effect<string, ForgePayloadRefused> => {
  const target = URL.canParse(link, url) ? new URL(link, url) : undefined
  if (target === undefined) {
    return new ForgePayloadRefused({ repository, url, reason: "it links to something that is not an address" })
  }
  if (target.origin !== root.origin) {
    const reason = `it links to ${target.origin}, and Dispatch only talks to ${root.origin}`
    return new ForgePayloadRefused({ repository, url, reason })
  }
  return target.pathname.endsWith("/issues")
    ? Effect.succeed(`${target.origin}${target.pathname}${target.search}`)
    : new ForgePayloadRefused({ repository, url, reason: `it links to ${target.pathname}, which does not list issues` })
}

/** Says what an answer without issues means. */
export const refusal = Effect.fnUntraced(function*(
  repository: string,
  url: string,
  response: HttpClientResponse.HttpClientResponse,
  body: string,
  tokenSent: boolean
): Effect.fn.Return<never, ForgeError> {
  const { headers, status } = response
  if (status >= 500) {
    return yield* new ForgeUnavailable({ repository, url, reason: `status ${status}` })
  }
  const limited = headers["x-ratelimit-remaining"] === "0" || headers["retry-after"] !== undefined ||
    /rate limit/iu.test(body)
  if (status === 429 || (status === 403 && limited)) {
    return yield* new RateLimited({ repository, resetAt: yield* resetAt(headers) })
  }
  switch (status) {
    case 401:
    case 403:
      return yield* new TokenRefused({ repository, status, tokenSent })
    case 404:
    case 410:
      return yield* new RepositoryNotFound({ repository })
    default:
      return yield* new ForgePayloadRefused({ repository, url, reason: `status ${status} instead of a page of issues` })
  }
})

// internal

const resetAt = Effect.fnUntraced(function*(headers: HttpClientResponse.HttpClientResponse["headers"]) {
  const now = yield* DateTime.now
  const wait = headers["retry-after"]
  if (wait !== undefined) {
    const until = /^\d{1,9}$/u.test(wait)
      ? Option.some(DateTime.add(now, { seconds: Number(wait) }))
      : Option.map(DateTime.make(wait), DateTime.toUtc)
    if (Option.isSome(until)) {
      return until.value
    }
  }
  const reset = headers["x-ratelimit-reset"]
  // Without a usable time GitHub asks clients to wait for at least a minute.
  return reset !== undefined && /^\d{1,11}$/u.test(reset)
    ? DateTime.fromEpochSeconds(Number(reset))
    : DateTime.add(now, { minutes: 1 })
})
