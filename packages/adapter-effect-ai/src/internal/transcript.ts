/** What tool calls and results are in the messages of `effect/ai`. */
import type { Adapter, Answer, Role } from "@everbeat/core/Transcript"
import * as Prompt from "effect/ai/Prompt"
import type { Json } from "effect/Schema"

/** Results that the provider made itself belong to its own calls, which nobody has to answer. */
const isResult = (part: Prompt.ToolMessagePart | Prompt.AssistantMessagePart): part is Prompt.ToolResultPart =>
  part.type === "tool-result" && !part.providerExecuted

const resultsOf = (message: Prompt.Message): ReadonlyArray<Prompt.ToolResultPart> =>
  message.role === "tool" ? message.content.filter(isResult) : []

/** The calls that a message makes, without those that the provider executes itself. */
export const callsOf = (message: Prompt.Message): ReadonlyArray<Prompt.ToolCallPart> =>
  message.role === "assistant"
    ? message.content.filter((part): part is Prompt.ToolCallPart => part.type === "tool-call" && !part.providerExecuted)
    : []

const resultText = ({ modelOutput, result }: Prompt.ToolResultPart): string =>
  modelOutput !== undefined
    ? Prompt.toolModelOutputToText(modelOutput)
    : typeof result === "string"
    ? result
    : JSON.stringify(result)

const text = (message: Prompt.Message): string => {
  if (message.role === "system") return message.content
  if (message.role === "tool") return resultsOf(message).map(resultText).join("\n")
  const parts: ReadonlyArray<Prompt.Part> = message.content
  return parts.flatMap((part) => part.type === "text" ? [part.text] : []).join("\n")
}

const partOf = ({ id, isError, name, result, text }: Answer): Prompt.ToolResultPart =>
  Prompt.toolResultPart({ id, name, isFailure: isError, result: result ?? text, providerExecuted: false })

/** The message with other content, and everything else of it. */
const withContent = (
  { options }: Prompt.ToolMessage,
  content: ReadonlyArray<Prompt.ToolMessagePart>
): Prompt.ToolMessage => Prompt.toolMessage({ content: [...content], options })

const join = (message: Prompt.Message, answers: ReadonlyArray<Answer>): Prompt.Message | undefined => {
  if (message.role !== "tool") return undefined
  const last = message.content.findLastIndex(isResult)
  const parts = answers.map(partOf)
  return withContent(message, [...message.content.slice(0, last + 1), ...parts, ...message.content.slice(last + 1)])
}

const pick = (
  message: Prompt.Message,
  keep: (position: number) => boolean,
  rest: boolean
): Prompt.Message | undefined => {
  if (message.role !== "tool") return rest ? message : undefined
  let position = 0
  const content = message.content.filter((part) => isResult(part) ? keep(position++) : rest)
  return content.length === 0 ? undefined : withContent(message, content)
}

export const adapter: Adapter<Prompt.Message> = {
  role: (message): Role => message.role,
  text,
  // What a model passed to a tool was JSON before it came here; it is only shown.
  calls: (message) => callsOf(message).map(({ id, name, params }) => ({ id, name, input: params as Json })),
  results: (message) => resultsOf(message).map(({ id }) => id),
  answer: (answers) => [Prompt.toolMessage({ content: answers.map(partOf) })],
  grouped: { join, pick }
}
