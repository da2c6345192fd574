/** The codec of the messages of the AI SDK. */
import * as MessageCodec from "@everbeat/core/MessageCodec"
import { type ModelMessage, modelMessageSchema } from "ai"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaTransformation from "effect/SchemaTransformation"
import * as Json from "./json.ts"

const roles: ReadonlySet<unknown> = new Set(["system", "user", "assistant", "tool"])

/** What providers and tools put into a message is theirs: it is checked when it comes back from a store. */
const isMessage = (u: unknown): u is ModelMessage =>
  typeof u === "object" && u !== null && "content" in u && "role" in u && roles.has(u.role)

const issueAt = (path: ReadonlyArray<PropertyKey>, message: string): SchemaIssue.Issue => {
  const issue = new SchemaIssue.InvalidValue({ message })
  return path.length === 0 ? issue : new SchemaIssue.Pointer(path, issue)
}

const decode = (json: Schema.Json): Effect.Effect<ModelMessage, SchemaIssue.Issue> => {
  const message = Result.try({ try: () => Json.decode(json), catch: String })
  if (Result.isFailure(message)) return Effect.fail(issueAt([], message.failure))
  const parsed = modelMessageSchema.safeParse(message.success)
  // The value as it was, not as it was parsed: that has no field which this version of the SDK does not know.
  if (parsed.success && isMessage(message.success)) return Effect.succeed(message.success)
  const [first] = parsed.error?.issues ?? []
  return Effect.fail(issueAt(first?.path ?? [], `it is no message of this version of the AI SDK: ${first?.message}`))
}

const schema = Schema.Json.pipe(
  Schema.decodeTo(
    Schema.declare(isMessage, { identifier: "ModelMessage" }),
    SchemaTransformation.transformEffect({
      decode,
      encode: (message) =>
        Effect.mapError(Effect.fromResult(Json.encode(message)), ({ detail, path }) => issueAt(path, detail))
    })
  )
)

export const codec = (options?: MessageCodec.Options): MessageCodec.MessageCodec<ModelMessage> =>
  MessageCodec.make(schema, options)
