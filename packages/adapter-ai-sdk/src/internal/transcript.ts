/** What Everbeat has to know of the messages of the AI SDK. */
import type { Adapter, Answer, Call } from "@everbeat/core/Transcript"
import type { AssistantModelMessage, ModelMessage, ToolModelMessage, ToolResultPart } from "ai"
import * as Result from "effect/Result"
import * as Json from "./json.ts"
import { recordedOutput } from "./recorded.ts"

type AssistantPart = Exclude<AssistantModelMessage["content"], string>[number]
type ToolPart = ToolModelMessage["content"][number]

const partsOf = (message: AssistantModelMessage): ReadonlyArray<AssistantPart> =>
  typeof message.content === "string" ? [] : message.content

/** The calls of an assistant that are to be executed here. */
export const callsOf = (message: ModelMessage): ReadonlyArray<Call> =>
  message.role !== "assistant" ? [] : partsOf(message).flatMap((part) => {
    if (part.type !== "tool-call" || part.providerExecuted === true) return []
    const input = Json.encode(part.input)
    return {
      id: part.toolCallId,
      name: part.toolName,
      ...(Result.isSuccess(input) ? { input: input.success } : undefined)
    }
  })

/** The refusal of a call that the provider would have executed is part of its own protocol. */
const isOurs = (part: ToolPart): part is ToolResultPart =>
  part.type === "tool-result" &&
  !(part.output.type === "execution-denied" && part.output.providerOptions?.["openai"]?.["approvalId"] !== undefined)

const shown = ({ output }: ToolResultPart): string => {
  switch (output.type) {
    case "text":
    case "error-text":
      return output.value
    case "json":
    case "error-json":
      return JSON.stringify(output.value)
    case "execution-denied":
      return output.reason ?? "The execution was denied."
    case "content":
      return output.value.flatMap((item) => (item.type === "text" ? [item.text] : [])).join("\n")
  }
}

const textOf = (message: ModelMessage): string => {
  if (typeof message.content === "string") return message.content
  const texts = message.role === "tool"
    ? message.content.filter(isOurs).map(shown)
    : message.content.flatMap((part) => (part.type === "text" ? [part.text] : []))
  return texts.join("\n")
}

const outputOf = ({ isError, result, text }: Answer): ToolResultPart["output"] => {
  if (isError) return { type: "error-text", value: text }
  return result === undefined ? { type: "text", value: text } : recordedOutput(result)
}

const resultOf = (answer: Answer): ToolResultPart => ({
  type: "tool-result",
  toolCallId: answer.id,
  toolName: answer.name,
  output: outputOf(answer)
})

const tool = (content: Array<ToolPart>): ToolModelMessage => ({ role: "tool", content })

export const transcript: Adapter<ModelMessage> = {
  role: (message) => message.role,
  text: textOf,
  calls: callsOf,
  results: (message) =>
    message.role === "tool" ? message.content.filter(isOurs).map(({ toolCallId }) => toolCallId) : [],
  answer: (answers) => [tool(answers.map(resultOf))],
  grouped: {
    join: (message, answers) => {
      if (message.role !== "tool") return undefined
      const behind = message.content.findLastIndex(isOurs) + 1
      const content = [...message.content.slice(0, behind), ...answers.map(resultOf), ...message.content.slice(behind)]
      return { ...message, content }
    },
    pick: (message, keep, rest) => {
      if (message.role !== "tool") return rest ? message : undefined
      let position = 0
      const content = message.content.filter((part) => (isOurs(part) ? keep(position++) : rest))
      return content.length === 0 ? undefined : { ...message, content }
    }
  }
}
