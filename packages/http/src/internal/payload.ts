/** Reads the optional JSON body of a request. */
import * as ByteSize from "effect/ByteSize"
import * as Effect from "effect/Effect"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as Schema from "effect/Schema"
import * as Problem from "../Problem.ts"
import { describeIssues } from "./issues.ts"

type Json = Schema.Json

type Refused =
  | Problem.BodyAlreadyConsumed
  | Problem.InvalidPayload
  | Problem.InvalidRequest
  | Problem.PayloadTooLarge
  | Problem.UnsupportedMediaType

/** Deeper values break recursive code on the way to the store. */
const maxDepth = 100

export const readPayload = Effect.fnUntraced(function*(
  request: HttpServerRequest,
  maxBytes: number,
  schema: Schema.Codec<unknown, unknown> | undefined
): Effect.fn.Return<Json | undefined, Refused> {
  if (isConsumed(request.source)) return yield* new Problem.BodyAlreadyConsumed({})
  const announced = request.headers["content-length"] ?? ""
  // `Number` reads more than digits: what is no length must not decide what becomes of the body.
  if (!/^\d*$/u.test(announced)) {
    return yield* new Problem.InvalidRequest({ detail: "Content-Length is not a number of bytes. Correct it." })
  }
  const bytes = yield* request.arrayBuffer.pipe(
    Effect.provideService(HttpIncomingMessage.MaxBodySize, ByteSize.bytes(maxBytes)),
    Effect.mapError((error) =>
      error.reason._tag === "RequestParseError" && error.reason.reason === "BodyTooLarge"
        ? new Problem.PayloadTooLarge({ maxBytes, detail: `Send at most ${maxBytes} bytes.` })
        : new Problem.InvalidRequest({ detail: "The body could not be read to its end. Send the request again." })
    )
  )
  if (bytes.byteLength === 0) {
    // The sender announced bytes and none arrived: running with an empty payload would be silently wrong.
    if (Number(announced) > 0) return yield* new Problem.BodyAlreadyConsumed({})
    return undefined
  }
  const refusal = refuseType(request.headers)
  if (refusal !== undefined) return yield* new Problem.UnsupportedMediaType({ detail: refusal })
  const value = yield* parse(bytes)
  return schema === undefined || value === undefined ? value : yield* conform(schema, value)
})

/** A body of the API's own: names that it does not know are refused, for they are mostly misspelt ones that it does. */
export const readAs = <A>(
  request: HttpServerRequest,
  maxBytes: number,
  schema: Schema.Codec<A, unknown>
): Effect.Effect<A | undefined, Refused> =>
  Effect.flatMap(
    readPayload(request, maxBytes, undefined),
    (value) =>
      value === undefined ? Effect.undefined : Effect.mapError(
        Schema.decodeUnknownEffect(schema)(value, { errors: "all", onExcessProperty: "error" }),
        ({ issue }) => new Problem.InvalidPayload({ detail: describeIssues("payload", issue) })
      )
  )

/** The value as its schema writes it: steps can decode it again, and what the schema does not know is not in it. */
const conform = (schema: Schema.Codec<unknown, unknown>, value: Json): Effect.Effect<Json, Problem.InvalidPayload> =>
  Schema.decodeUnknownEffect(schema)(value, { errors: "all" }).pipe(
    Effect.flatMap(Schema.encodeUnknownEffect(Schema.toCodecJson(schema))),
    Effect.mapError(({ issue }) => new Problem.InvalidPayload({ detail: describeIssues("payload", issue) }))
  )

const isConsumed = (source: object): boolean =>
  "bodyUsed" in source && (source.bodyUsed === true || ("body" in source && isLocked(source.body)))

const isLocked = (body: unknown): boolean =>
  typeof body === "object" && body !== null && "locked" in body && body.locked === true

const jsonType = /^application\/(?:[\w.+-]+\+)?json\s*(?:;|$)/iu

const refuseType = (headers: Readonly<Record<string, string | undefined>>): string | undefined => {
  const coding = headers["content-encoding"] ?? "identity"
  if (coding.toLowerCase() !== "identity") return "Send the body without Content-Encoding."
  const type = headers["content-type"]
  return type === undefined || jsonType.test(type)
    ? undefined
    : "Send the body as 'Content-Type: application/json' (curl: --json), or send none."
}

const parse = (bytes: ArrayBuffer): Effect.Effect<Json | undefined, Problem.InvalidRequest> =>
  Effect.suspend(() => {
    let value: Json
    try {
      value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes))
    } catch {
      // The parser's message quotes the body, which may hold what the log must not.
      return malformed("The body is not valid JSON in UTF-8. Correct it, or send none.")
    }
    if (isTooDeep(value)) return malformed(`The body is nested deeper than ${maxDepth} levels.`)
    // An absent body and `null` are alike for the steps and under an idempotency key.
    return Effect.succeed(value ?? undefined)
  })

const malformed = (detail: string) => Effect.fail(new Problem.InvalidRequest({ detail }))

const isTooDeep = (value: Json): boolean => {
  let level: ReadonlyArray<Json> = [value]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > maxDepth) return true
    level = level.flatMap((item): ReadonlyArray<Json> =>
      typeof item === "object" && item !== null ? Object.values(item) : []
    )
  }
  return false
}
