/** What is recorded of the result of a tool: the same that the model is shown. */
import type { ToolResultPart } from "ai"
import * as Result from "effect/Result"
import type { Json as JsonValue } from "effect/Schema"
import * as Json from "./json.ts"

type Output = ToolResultPart["output"]

/** Marks the record of a tool that makes the output of the model itself. */
const mark = "$everbeat-output"

/** The JSON that the SDK makes of a result. */
const plain = (value: unknown): JsonValue => {
  const text: string | undefined = JSON.stringify(value)
  return text === undefined ? null : JSON.parse(text)
}

interface Ended {
  readonly toolCallId: string
  readonly input: unknown
  readonly output: unknown
}

/** A tool that may make the output of the model itself. */
export interface Showing {
  readonly toModelOutput?: ((call: Ended) => Output | PromiseLike<Output>) | undefined
}

/** Fails with what is to be told of a result that cannot be recorded. */
export const record = async (
  tool: Showing,
  call: Ended
): Promise<Result.Result<JsonValue, Json.Offence>> => {
  const { toModelOutput } = tool
  if (toModelOutput !== undefined) {
    try {
      return Result.map(Json.encode(await toModelOutput(call)), (output): JsonValue => ({ [mark]: output }))
    } catch (error) {
      return Result.fail({ path: [], detail: `its toModelOutput threw ${String(error)}` })
    }
  }
  try {
    return Result.succeed(plain(call.output))
  } catch (error) {
    // Where it is; the message of `JSON.stringify` says what.
    const found = Json.encode(call.output)
    if (Result.isFailure(found)) return Result.fail(found.failure)
    return Result.fail({ path: [], detail: error instanceof Error ? error.message : String(error) })
  }
}

const isOutput = (value: unknown): value is Output => typeof value === "object" && value !== null && "type" in value

/** What the model is shown of a recorded result: what it would have been shown of the result itself. */
export const recordedOutput = (recorded: JsonValue): Output => {
  if (typeof recorded === "string") return { type: "text", value: recorded }
  if (typeof recorded === "object" && recorded !== null && mark in recorded) {
    const output = Json.decode(Object.fromEntries(Object.entries(recorded))[mark] ?? null)
    if (isOutput(output)) return output
  }
  // A copy that may be changed, as the types of the SDK want it.
  return { type: "json", value: JSON.parse(JSON.stringify(recorded)) }
}
