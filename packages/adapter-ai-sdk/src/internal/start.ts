/** Where an attempt goes on. */
import * as Continuation from "@everbeat/core/Continuation"
import type { ModelMessage } from "ai"
import type { Context } from "../AiSdk.ts"
import { contentOf } from "./content.ts"
import type { Content, FinishReason } from "./model.ts"
import { callsOf } from "./transcript.ts"

/** An answer that an earlier attempt has paid for. */
export interface Replay {
  readonly content: Array<Content>
  readonly finishReason: FinishReason
}

export interface Start {
  readonly messages: Array<ModelMessage>
  readonly iteration: number
  /** What the model would be asked for, and need not be. */
  readonly replay: Replay | undefined
}

/** Why the model ended, kept with a last message that did not end by itself. No provider looks at it. */
export const finishedBy = (message: ModelMessage, reason: FinishReason): ModelMessage =>
  reason === "stop" || callsOf(message).length > 0
    ? message
    : { ...message, providerOptions: { ...message.providerOptions, everbeat: { finishReason: reason } } }

const reasonOf = ({ providerOptions }: ModelMessage): FinishReason => {
  const reason = providerOptions?.["everbeat"]?.["finishReason"]
  return reason === "length" || reason === "content-filter" || reason === "other" ? reason : "stop"
}

const user = (content: string): ModelMessage => ({ role: "user", content })

const said = (text: string | undefined): ReadonlyArray<ModelMessage> =>
  text === undefined || text === "" ? [] : [user(text)]

export const startOf = (
  { meta, resume }: Pick<Context, "meta" | "resume">,
  initial: ReadonlyArray<ModelMessage> | undefined,
  maxIterations: number
): Start => {
  const first = initial ?? [user(meta.prompt ?? "")]
  if (resume === undefined) return { messages: [...first], iteration: 0, replay: undefined }
  const { iteration } = resume
  const { messages, prompt } = resume.continuation
  if (messages.length === 0) return { messages: [...first, ...said(prompt)], iteration, replay: undefined }

  const last = messages.at(-1)
  const isAsked = prompt !== "" && prompt !== Continuation.goOn
  if (last?.role === "assistant" && callsOf(last).length === 0 && !isAsked) {
    // The answer was stored, and the end of the run was not.
    const replay = { content: contentOf(last), finishReason: reasonOf(last) }
    return { messages: messages.slice(0, -1), iteration, replay }
  }
  const all = [...messages, ...said(prompt)]
  if (iteration < maxIterations) return { messages: all, iteration, replay: undefined }
  // The loop had been stopped by its limit.
  const spoken = messages.findLast(({ role }) => role === "assistant")
  const content = spoken?.role === "assistant" ? contentOf(spoken) : []
  return { messages: all, iteration, replay: { content, finishReason: "tool-calls" } }
}
