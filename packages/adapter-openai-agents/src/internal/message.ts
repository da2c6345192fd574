/** The codec of the messages. */
import * as MessageCodec from "@everbeat/core/MessageCodec"
import { protocol } from "@openai/agents"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaTransformation from "effect/SchemaTransformation"
import type { Message } from "../OpenAIAgents.ts"

// Looked at in full when they are read; the items that are saved come from the SDK itself.
const isMessage = (value: unknown): value is Message => Array.isArray(value)

const issue = (message: string): SchemaIssue.Issue => new SchemaIssue.InvalidValue({ message })

const decode = (json: Schema.Json): Effect.Effect<Message, SchemaIssue.Issue> => {
  const parsed = protocol.ModelItem.array().safeParse(json)
  // The value as it was, not as it was parsed: that has no field which this version of the SDK does not know.
  if (parsed.success && isMessage(json)) return Effect.succeed(json)
  const [first] = parsed.error?.issues ?? []
  return Effect.fail(issue(`they are no items of this version of the Agents SDK: ${first?.message}`))
}

/** Items are JSON but for fields that are `undefined`. */
const encode = (message: Message): Effect.Effect<Schema.Json, SchemaIssue.Issue> =>
  Effect.try({
    try: (): Schema.Json => JSON.parse(JSON.stringify(message)),
    catch: (error) => issue(String(error))
  })

const schema = Schema.Json.pipe(
  Schema.decodeTo(
    Schema.declare(isMessage, { identifier: "AgentInputItems" }),
    SchemaTransformation.transformEffect({ decode, encode })
  )
)

export const codec = (options?: MessageCodec.Options): MessageCodec.MessageCodec<Message> =>
  MessageCodec.make(schema, options)
