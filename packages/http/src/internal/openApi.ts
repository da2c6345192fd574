/** Corrections of the generated OpenAPI document, where the generator says less or something else than what is served. */
type Json = Record<string, unknown>

const isRecord = (u: unknown): u is Json => typeof u === "object" && u !== null && !Array.isArray(u)

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
  const responses = isRecord(operation["responses"]) ? operation["responses"] : {}
  const ok = isRecord(responses["200"]) ? responses["200"] : {}
  const content = isRecord(ok["content"]) ? ok["content"] : {}
  return {
    ...operation,
    responses: {
      ...responses,
      200: { ...ok, content: { ...content, "text/event-stream": { schema: { type: "string" } } } }
    }
  }
}
