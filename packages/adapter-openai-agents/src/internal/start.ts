/** Where an attempt goes on. */
import * as Continuation from "@everbeat/core/Continuation"
import type { Context, Message } from "../OpenAIAgents.ts"
import { callsOf, transcript, user } from "./transcript.ts"

export interface Start {
  readonly messages: ReadonlyArray<Message>
  readonly iteration: number
  /** The last word of the model, when it was saved and the end of the run was not. It is not in `messages`. */
  readonly replay: Message | undefined
}

const said = (text: string | undefined): ReadonlyArray<Message> => text === undefined || text === "" ? [] : [user(text)]

export const startOf = (
  { meta, resume }: Pick<Context, "meta" | "resume">,
  initial: ReadonlyArray<Message> | undefined
): Start => {
  const first = initial ?? said(meta.prompt)
  if (resume === undefined) return { messages: first, iteration: 0, replay: undefined }
  const { iteration } = resume
  const { messages, prompt } = resume.continuation
  if (messages.length === 0) return { messages: [...first, ...said(prompt)], iteration, replay: undefined }
  const last = messages.at(-1)
  const isAsked = prompt !== "" && prompt !== Continuation.goOn
  return last !== undefined && transcript.role(last) === "assistant" && callsOf(last).length === 0 && !isAsked
    ? { messages: messages.slice(0, -1), iteration, replay: last }
    : { messages: [...messages, ...said(prompt)], iteration, replay: undefined }
}
