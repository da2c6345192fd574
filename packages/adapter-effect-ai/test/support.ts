/** The loop under test: the real `effect/ai`, with a model that follows the script. */
import { EffectAi } from "@everbeat/adapter-effect-ai"
import { Agent } from "@everbeat/core"
import { Effect, Layer, Schema, Stream } from "effect"
import { LanguageModel, type Prompt, type Response, Tool, Toolkit } from "effect/ai"
import type { Make, Settings } from "../../../test/loops/processes.ts"
import { type Made, next, type Turn } from "../../../test/loops/script.ts"
import type { World } from "../../../test/loops/world.ts"

const change = (name: "comment" | "label" | "close") =>
  Tool.make(name, { parameters: Schema.Struct({ issue: Schema.Int }), success: Schema.Unknown })

const look = Tool.make("look", { parameters: Schema.Struct({ issue: Schema.Int }), success: Schema.Unknown })

const tools = Toolkit.make(
  look.annotate(Tool.Readonly, true),
  change("comment"),
  change("label"),
  change("close")
)

/** What a conversation says of the calls in it. */
const madeIn = ({ content }: Prompt.Prompt): ReadonlyArray<Made> => {
  const results = new Map<string, string>()
  for (const message of content) {
    for (const part of message.role === "tool" ? message.content : []) {
      if (part.type === "tool-result") results.set(part.id, JSON.stringify(part.result))
    }
  }
  return content.flatMap((message) =>
    message.role === "assistant"
      ? message.content.flatMap((part) =>
        part.type === "tool-call" ? [{ name: part.name, result: results.get(part.id) }] : []
      )
      : []
  )
}

const partsOf = (turn: Turn): Array<Response.PartEncoded> =>
  turn.calls === undefined
    ? [{ type: "text", text: turn.text } as const]
    : turn.calls.map(({ id, name }) => ({ type: "tool-call", id, name, params: { issue: 7 } }) as const)

const deltasOf = (turn: Turn): ReadonlyArray<Response.StreamPartEncoded> =>
  turn.calls === undefined
    ? [
      { type: "text-start", id: "t" } as const,
      { type: "text-delta", id: "t", delta: turn.text } as const,
      { type: "text-end", id: "t" } as const
    ]
    : turn.calls.map(({ id, name }) => ({ type: "tool-call", id, name, params: { issue: 7 } }) as const)

const model = (world: World) => {
  const turn = (prompt: Prompt.Prompt): Turn => {
    const made = madeIn(prompt)
    world.told.push(made.flatMap(({ result }) => result === undefined ? ["no result"] : [result.replace(/^"/, "")]))
    return next(made)
  }
  return Layer.effect(
    LanguageModel.LanguageModel,
    LanguageModel.make({
      generateText: ({ prompt }) => Effect.sync(() => partsOf(turn(prompt))),
      streamText: ({ prompt }) => Stream.unwrap(Effect.sync(() => Stream.fromIterable(deltasOf(turn(prompt)))))
    })
  )
}

const handlers = ({ act }: World) =>
  tools.toLayer({
    look: () => act("look"),
    comment: () => act("comment"),
    label: () => act("label"),
    close: () => act("close")
  })

const agent = (
  world: World,
  { maxIterations, onStoreFailure = "continue", timeout = "1 minute" }: Settings,
  streamed: boolean
) =>
  Agent.make("closer", {
    ...EffectAi.options,
    result: Schema.String,
    timeout,
    backoff: () => 0,
    maxAttempts: 5,
    checkpoint: { onStoreFailure },
    run: (ctx) =>
      EffectAi.loop(ctx, {
        toolkit: tools,
        maxIterations,
        onPart: streamed ? () => Effect.void : undefined
      }).pipe(
        Effect.map(({ text }) => text),
        Effect.provide(Layer.mergeAll(model(world), handlers(world)))
      )
  })

export const make: Make = (world, settings = {}) => agent(world, settings, false)

export const makeStreamed: Make = (world, settings = {}) => agent(world, settings, true)
