/** The loop: asks the model, runs its tools, saves at the points where that is durable. */
import type { AgentContext } from "@everbeat/core/AgentContext"
import type { SaveError, WriteError } from "@everbeat/core/Checkpointer"
import * as Continuation from "@everbeat/core/Continuation"
import type * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import type * as Response from "effect/ai/Response"
import type * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { answer, type Handlers, type Policy, unanswered } from "./call.ts"
import { callsOf } from "./transcript.ts"

/** What a turn of the model is made of, streamed or not. */
export type Part = Response.AnyPart

export interface Plan<E, R, PE, PR> extends Policy<PE, PR> {
  readonly handlers: Handlers<E, R>
  readonly system: string | undefined
  readonly prompt: Prompt.RawInput | undefined
  readonly maxIterations: number
  readonly concurrency: number | "unbounded"
  readonly toolChoice: LanguageModel.ToolChoice<string> | undefined
  readonly onPart: ((part: Part) => Effect.Effect<unknown, PE, PR>) | undefined
}

/** How the loop ended: with the model's last word, or because it may ask no more. */
export interface Ended {
  readonly exhausted: boolean
  readonly text: string
  readonly messages: ReadonlyArray<Prompt.Message>
  readonly iterations: number
}

export const run = Effect.fnUntraced(function*<E, R, PE, PR>(
  ctx: AgentContext<Prompt.Message>,
  plan: Plan<E, R, PE, PR>
): Effect.fn.Return<
  Ended,
  E | PE | AiError.AiError | SaveError | WriteError,
  R | PR | LanguageModel.LanguageModel
> {
  const { checkpoint } = ctx
  let messages = opening(ctx, plan.prompt)
  let iteration = ctx.resume?.iteration ?? 0
  const ended = (exhausted: boolean): Ended => ({
    exhausted,
    text: lastWord(messages),
    messages,
    iterations: iteration
  })
  // The last word was saved, and the end of the run was not.
  if (ctx.resume !== undefined && isLastWord(messages)) return ended(false)
  yield* checkpoint.save({ messages })
  while (iteration < plan.maxIterations) {
    const parts = yield* ask(plan, messages)
    const said = Prompt.fromResponseParts(parts).content
    messages = messages.concat(said)
    iteration += 1
    // With the answer saved, a call that is cut off is known to the next attempt: its calls are told apart by their ids.
    yield* checkpoint.save({ messages, iteration })
    const calls = said.flatMap(callsOf)
    // Of an answer that says nothing, the text is not that of the one before.
    if (calls.length === 0) return { ...ended(false), text: lastWord(said) }
    const incomplete = incompleteReason(parts)
    const results = yield* Effect.forEach(calls, (call) =>
      incomplete === undefined
        ? answer(ctx, plan.handlers, plan, call, messages)
        : Effect.succeed(unanswered(call, "execution-interrupted", incomplete)), { concurrency: plan.concurrency })
    messages = messages.concat(Prompt.toolMessage({ content: results }))
    yield* checkpoint.save({ messages })
  }
  return ended(true)
})

// internal

/** What the model is told first: as the agent's `continuation` says after a resume. */
const opening = (
  { meta, resume }: AgentContext<Prompt.Message>,
  prompt: Prompt.RawInput | undefined
): ReadonlyArray<Prompt.Message> => {
  if (resume === undefined) return prompt === undefined ? user(meta.prompt) : Prompt.make(prompt).content
  const { messages, original, prompt: told } = resume.continuation
  if (told === Continuation.goOn && isLastWord(messages)) return messages
  // Without a conversation the run begins again with what it began with.
  const first = prompt === undefined || messages.length > 0 ? user(original) : Prompt.make(prompt).content
  return [...messages, ...first, ...user(told)]
}

const user = (text: string | undefined): ReadonlyArray<Prompt.Message> =>
  text === undefined || text === "" ? [] : [Prompt.userMessage({ content: [Prompt.textPart({ text })] })]

/** One turn of the model. Its calls are not run here, and not checked: what is wrong with them is told to the model. */
const ask = <E, R, PE, PR>(
  { handlers, onPart, system, toolChoice }: Plan<E, R, PE, PR>,
  messages: ReadonlyArray<Prompt.Message>
): Effect.Effect<ReadonlyArray<Part>, PE | AiError.AiError, PR | LanguageModel.LanguageModel> => {
  const instructions = system === undefined ? [] : [Prompt.systemMessage({ content: system })]
  const options = {
    prompt: Prompt.fromMessages([...instructions, ...messages]),
    // The services that the schemas of the tools need are among those of the handlers.
    toolkit: handlers as unknown as Toolkit.WithHandler<{}>,
    disableToolCallResolution: true,
    toolCallValidation: "deferred",
    // The names are those of the tools that were just put aside.
    ...(toolChoice === undefined ? undefined : { toolChoice: toolChoice as LanguageModel.ToolChoice<never> })
  } as const
  if (onPart === undefined) {
    return Effect.map(LanguageModel.generateText(options), ({ content }): ReadonlyArray<Part> => content)
  }
  return Stream.runCollect(Stream.tap(LanguageModel.streamText(options), onPart))
}

/** As `LanguageModel`: after any other reason the calls may be cut off in the middle. */
const complete: ReadonlySet<string> = new Set(["stop", "tool-calls", "pause"])

const incompleteReason = (parts: ReadonlyArray<Part>): string | undefined => {
  const finish = parts.find((part) => part.type === "finish" && !complete.has(part.reason))
  return finish?.type === "finish"
    ? `The answer ended early (${finish.reason}), so this call was not executed.`
    : undefined
}

const isLastWord = (messages: ReadonlyArray<Prompt.Message>): boolean => {
  const said = messages.at(-1)
  return said?.role === "assistant" && callsOf(said).length === 0
}

const lastWord = (messages: ReadonlyArray<Prompt.Message>): string => {
  const said = messages.findLast((message) => message.role === "assistant")
  return said?.role === "assistant"
    ? said.content.flatMap((part) => part.type === "text" ? [part.text] : []).join("")
    : ""
}
