import type { Transcript } from "@everbeat/core"
import { Context, Effect, Layer } from "effect"
import { randomUUID } from "node:crypto"
import * as Script from "./Script.ts"

/** A language model: given a conversation, it says the next thing. Put the client of a provider behind it. */
export class Model extends Context.Service<Model, {
  /** The next turn of the assistant. One without calls of tools is its last. */
  readonly next: (conversation: ReadonlyArray<Transcript.Message>) => Effect.Effect<Transcript.Message>
}>()("Model") {
  /**
   * A model that follows `Script`, without a network. It remembers nothing: like a real one, it knows of a step only what
   * the conversation tells. An agent that is told too little, or too much, repeats a step or leaves it out.
   */
  static readonly layerScripted = (options: ScriptedOptions = {}): Layer.Layer<Model> =>
    Layer.sync(Model, () => {
      let stallAt = options.stallAt
      return {
        next: Effect.fn("Model.next")(function*(conversation): Effect.fn.Return<Transcript.Message> {
          const index = Script.steps.findIndex(({ title }) => !isDone(conversation, title))
          if (index + 1 === stallAt) {
            stallAt = undefined
            return yield* Effect.never
          }
          yield* Effect.sleep(options.latency ?? 0)
          const step = Script.steps[index]
          if (step === undefined) return { role: "assistant", content: "All steps are done." }
          return {
            role: "assistant",
            content: step.title,
            calls: step.calls.map(({ input, name }) => ({ id: `call_${randomUUID().slice(0, 8)}`, name, input }))
          }
        })
      }
    })
}

interface ScriptedOptions {
  /** How long it thinks, in milliseconds. */
  readonly latency?: number | undefined
  /** The number of a step for which it never answers, the first time that it is asked. */
  readonly stallAt?: number | undefined
}

/** The model said it and its calls were answered; or it is told so in a note, after a resume. */
const isDone = (conversation: ReadonlyArray<Transcript.Message>, title: string): boolean =>
  conversation.some(({ content, role }) =>
    role === "assistant" ? content === title : role === "user" && content.includes(`done: ${title}`)
  )
