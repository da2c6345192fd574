/** Where an attempt goes on. */
import * as Continuation from "@everbeat/core/Continuation"
import type { AssistantModelMessage, ModelMessage, ToolResultPart } from "ai"
import type { Context } from "../AiSdk.ts"
import type { FinishReason } from "./model.ts"
import { callsOf } from "./transcript.ts"

/** An answer of the model that is given again: what it began was not finished. */
export interface Replay {
  readonly message: AssistantModelMessage
  /** What its calls were answered with; the others never started. */
  readonly results: ReadonlyMap<string, ToolResultPart>
  readonly finishReason: FinishReason
}

export interface Start {
  readonly messages: Array<ModelMessage>
  readonly iteration: number
  /** The answer to `messages`. */
  readonly replay: Replay | undefined
}

/** Why the model ended, kept with a last message that did not end by itself. No provider looks at it. */
export const finishedBy = (message: AssistantModelMessage, reason: FinishReason): AssistantModelMessage =>
  reason === "stop" || callsOf(message).length > 0
    ? message
    : { ...message, providerOptions: { ...message.providerOptions, everbeat: { finishReason: reason } } }

const reasonOf = (message: AssistantModelMessage): FinishReason => {
  if (callsOf(message).length > 0) return "tool-calls"
  const reason = message.providerOptions?.["everbeat"]?.["finishReason"]
  return reason === "length" || reason === "content-filter" || reason === "other" ? reason : "stop"
}

const user = (content: string): ModelMessage => ({ role: "user", content })

export const startOf = (
  { meta, resume }: Pick<Context, "meta" | "resume">,
  initial: ReadonlyArray<ModelMessage> | undefined,
  maxIterations: number
): Start => {
  const first = initial ?? [user(meta.prompt ?? "")]
  if (resume === undefined) return { messages: [...first], iteration: 0, replay: undefined }
  const { continuation: { messages, prompt }, iteration } = resume
  const told = prompt === "" ? [] : [user(prompt)]
  if (messages.length === 0) return { messages: [...first, ...told], iteration, replay: undefined }
  if (prompt === "" || prompt === Continuation.goOn) {
    const at = messages.findLastIndex(({ role }) => role === "assistant")
    const replay = replayOf(resume, messages.slice(Math.max(0, at)), iteration >= maxIterations)
    if (replay !== undefined) return { messages: messages.slice(0, at), iteration, replay }
  }
  return { messages: [...messages, ...told], iteration, replay: undefined }
}

type Resume = NonNullable<Context["resume"]>

const replayOf = (
  { repaired }: Resume,
  [message, ...rest]: ReadonlyArray<ModelMessage>,
  isOver: boolean
): Replay | undefined => {
  if (message?.role !== "assistant") return undefined
  const replay = { message, finishReason: reasonOf(message) }
  const calls = callsOf(message)
  // It was stored, and the end of the run was not.
  if (calls.length === 0) return rest.length === 0 ? { ...replay, results: new Map() } : undefined
  const parts = rest.flatMap((following) => (following.role === "tool" ? following.content : [undefined]))
  const isPlain = typeof message.content === "string" ||
    message.content.every(({ type }) => type !== "tool-approval-request")
  const results = new Map<string, ToolResultPart>()
  for (const part of parts) {
    // Somebody else is asked for something: the SDK knows how to go on.
    if (part?.type !== "tool-result" || !isPlain) return undefined
    results.set(part.toolCallId, part)
  }
  const fresh = calls.filter(({ id }) => repaired.findLast((answer) => answer.id === id)?.how === "not-executed")
  if (fresh.length === 0 && !isOver) return undefined // the model is the next one to say something
  for (const { id } of fresh) results.delete(id)
  return { ...replay, results }
}
