/** What tool calls and results are in the items of the Agents SDK. */
import type { Adapter, Answer, Call, Role } from "@everbeat/core/Transcript"
import type { AgentInputItem } from "@openai/agents"
import * as Result from "effect/Result"
import type { Json } from "effect/Schema"
import type { Message } from "../OpenAIAgents.ts"

type FunctionCall = Extract<AgentInputItem, { readonly type: "function_call" }>
type FunctionResult = Extract<AgentInputItem, { readonly type: "function_call_result" }>

const isCall = (item: AgentInputItem): item is FunctionCall => item.type === "function_call"

const isResult = (item: AgentInputItem): item is FunctionResult => item.type === "function_call_result"

const roleOfItem = (item: AgentInputItem): Role => {
  if (isResult(item)) return "tool"
  // An item without a role is something that the model made: a call, a thought, a search.
  return "role" in item && (item.role === "user" || item.role === "system") ? item.role : "assistant"
}

/** Items as messages: what one side said without a break. */
export const grouped = (items: ReadonlyArray<AgentInputItem>): ReadonlyArray<Message> => {
  const messages: Array<Array<AgentInputItem>> = []
  let role: Role | undefined
  for (const item of items) {
    const next = roleOfItem(item)
    if (next === role && next !== "user") messages.at(-1)?.push(item)
    else messages.push([item])
    role = next
  }
  return messages
}

const roleOf = ([first]: Message): Role => first === undefined ? "user" : roleOfItem(first)

/** What the arguments say; they are the text of a model, and only shown. */
const inputOf = (text: string): Json => Result.getOrElse(Result.try((): Json => JSON.parse(text)), () => text)

export const callsOf = (message: Message): ReadonlyArray<Call> =>
  message.filter(isCall).map(({ arguments: input, callId, name }) => ({ id: callId, name, input: inputOf(input) }))

const resultsOf = (message: Message): ReadonlyArray<string> => message.filter(isResult).map(({ callId }) => callId)

const textOf = (content: unknown): string => {
  if (typeof content === "string") return content
  const parts: ReadonlyArray<unknown> = Array.isArray(content) ? content : [content]
  return parts.flatMap((part) =>
    typeof part === "object" && part !== null && "text" in part && typeof part.text === "string" ? [part.text] : []
  ).join("\n")
}

const textOfItem = (item: AgentInputItem): string => {
  if (isResult(item)) return textOf(item.output)
  return "role" in item ? textOf(item.content) : ""
}

const itemOf = ({ id, name, text }: Answer): AgentInputItem => ({
  type: "function_call_result",
  name,
  callId: id,
  status: "completed",
  output: { type: "text", text }
})

export const user = (text: string): Message => [{ type: "message", role: "user", content: text }]

export const transcript: Adapter<Message> = {
  role: roleOf,
  text: (message) => message.map(textOfItem).filter((text) => text !== "").join("\n"),
  calls: callsOf,
  results: resultsOf,
  answer: (answers) => [answers.map(itemOf)],
  grouped: {
    join: (message, answers) => {
      if (roleOf(message) !== "tool") return undefined
      const last = message.findLastIndex(isResult)
      return [...message.slice(0, last + 1), ...answers.map(itemOf), ...message.slice(last + 1)]
    },
    pick: (message, keep, rest) => {
      let position = 0
      const kept = message.filter((item) => isResult(item) ? keep(position++) : rest)
      return kept.length === 0 ? undefined : kept
    }
  }
}
