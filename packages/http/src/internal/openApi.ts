/** Corrections of the generated OpenAPI document, where the generator says less or something else than what is served. */
import * as Schema from "effect/Schema"

type Json = Record<string, unknown>

const isRecord = (u: unknown): u is Json => typeof u === "object" && u !== null && !Array.isArray(u)

const recordOf = (u: unknown): Json => isRecord(u) ? u : {}

/** An absent body is accepted; the generator calls every body required. */
export const optionalBody = (operation: Json): Json => ({
  ...operation,
  requestBody: { ...(isRecord(operation["requestBody"]) ? operation["requestBody"] : undefined), required: false }
})

/** In a query everything is text; for readers and generated clients `limit` is a number. */
export const numericLimit = (operation: Json): Json => ({
  ...operation,
  parameters: Array.isArray(operation["parameters"])
    ? operation["parameters"].map((parameter: unknown) =>
      isRecord(parameter) && parameter["name"] === "limit"
        ? { ...parameter, schema: { type: "integer", minimum: 1, maximum: 200, default: 50 } }
        : parameter
    )
    : []
})

/** The live progress is another form of the same answer, which the generator cannot express beside JSON. */
export const eventStream = (operation: Json): Json => {
  const responses = recordOf(operation["responses"])
  const ok = recordOf(responses["200"])
  const content = recordOf(ok["content"])
  return {
    ...operation,
    responses: {
      ...responses,
      200: { ...ok, content: { ...content, "text/event-stream": { schema: { type: "string" } } } },
      204: { description: "The run has ended, and the event of Last-Event-ID was its last one: do not connect again" }
    }
  }
}

/** The payload of the heartbeat is any JSON to the API, and what its host declares to those who call that host. */
export const withPayload = (payload: Schema.Codec<unknown, unknown>) => {
  // References of the generator are relative to a document of its own.
  const { definitions, schema }: { definitions: Json; schema: Json } = JSON.parse(
    JSON.stringify(Schema.toJsonSchemaDocument(payload)).replaceAll(`"#/$defs/`, `"#/components/schemas/Payload.`)
  )
  const named = Object.fromEntries(Object.entries(definitions).map(([name, schema]) => [`Payload.${name}`, schema]))
  return (document: Json): Json => {
    const components = recordOf(document["components"])
    const paths = recordOf(document["paths"])
    const path = "/api/agents/{agentName}/heartbeat"
    const item = recordOf(paths[path])
    const post = {
      ...recordOf(item["post"]),
      requestBody: { required: false, content: { "application/json": { schema } } }
    }
    return {
      ...document,
      paths: { ...paths, [path]: { ...item, post } },
      components: { ...components, schemas: { ...recordOf(components["schemas"]), ...named } }
    }
  }
}
