import { AiSdk } from "@everbeat/adapter-ai-sdk"
import { Agent } from "@everbeat/core"
import { agent, json } from "@everbeat/core/promise"
import { generateText, streamText, tool, ToolLoopAgent } from "ai"
import { MockLanguageModelV4 } from "ai/test"
import { Schema } from "effect"
import { z } from "zod"

export type Model = ConstructorParameters<typeof MockLanguageModelV4>[0]
type DoGenerate = Extract<NonNullable<Model>["doGenerate"], (...input: never) => unknown>
type DoStream = Extract<NonNullable<Model>["doStream"], (...input: never) => unknown>
export type Asked = Parameters<DoGenerate>[0]
export type Answer = Awaited<ReturnType<DoGenerate>>
type Stream = Awaited<ReturnType<DoStream>>["stream"]
export type Part = Stream extends ReadableStream<infer P> ? P : never

const usage = {
  inputTokens: { total: 1, noCache: 1, cacheRead: undefined, cacheWrite: undefined },
  outputTokens: { total: 1, text: 1, reasoning: undefined }
}

export const answer = (content: Answer["content"], finishReason?: Answer["finishReason"]["unified"]): Answer => ({
  content,
  finishReason: {
    unified: finishReason ?? (content.some(({ type }) => type === "tool-call") ? "tool-calls" : "stop"),
    raw: undefined
  },
  usage,
  warnings: []
})
export const text = (text: string): Answer["content"][number] => ({ type: "text", text })
export const toolCall = (toolCallId: string, toolName: string, input: unknown = {}): Answer["content"][number] => ({
  type: "tool-call",
  toolCallId,
  toolName,
  input: JSON.stringify(input)
})

/** What a provider would stream of an answer. */
export const partsOf = ({ content, finishReason }: Answer): ReadonlyArray<Part> => [
  { type: "stream-start", warnings: [] },
  ...content.flatMap((part, at): ReadonlyArray<Part> => {
    if (part.type !== "text" && part.type !== "reasoning") return [part]
    const id = String(at)
    const half = Math.ceil(part.text.length / 2)
    const metadata = part.providerMetadata === undefined ? {} : { providerMetadata: part.providerMetadata }
    return [
      { type: `${part.type}-start`, id },
      { type: `${part.type}-delta`, id, delta: part.text.slice(0, half) },
      { type: `${part.type}-delta`, id, delta: part.text.slice(half) },
      { type: `${part.type}-end`, id, ...metadata }
    ]
  }),
  { type: "finish", finishReason, usage }
]

/** A model that answers what the function says, at once or as a stream. */
export const modelOf = (reply: (asked: Asked) => Answer | Promise<Answer>) =>
  new MockLanguageModelV4({
    doGenerate: async (asked) => reply(asked),
    doStream: async (asked) => {
      const parts = partsOf(await reply(asked))
      return {
        stream: new ReadableStream<Part>({
          start: (controller) => {
            for (const part of parts) controller.enqueue(part)
            controller.close()
          }
        })
      }
    }
  })

/** What is outside of all processes. */
export class World {
  /** Each mutation, as it took effect. */
  readonly applied: Array<string> = []
  /** What each process asked its model, by what the model decided. */
  readonly asked: Array<string> = []
}

const mutations = [["comment", "close"], ["publish"]] as const

type Result = Extract<Asked["prompt"][number], { readonly role: "tool" }>["content"][number]

const outcomes = (prompt: Asked["prompt"]) => {
  const done = new Set<string>()
  const unsure = new Set<string>()
  let inspected = false
  const learn = (part: Result) => {
    if (part.type !== "tool-result") return
    const { output, toolName } = part
    if (toolName === "inspect") {
      inspected = true
      unsure.clear()
      if (output.type === "json" && Array.isArray(output.value)) {
        for (const name of output.value) done.add(String(name))
      }
      if (output.type.startsWith("error")) inspected = done.size > 0
      return
    }
    if (output.type === "error-text" && output.value.startsWith("INTERRUPTED")) unsure.add(toolName)
    if (output.type === "json" || output.type === "text") done.add(toolName)
  }
  for (const message of prompt) if (message.role === "tool") { for (const part of message.content) learn(part) }
  return { done, unsure, inspected }
}

/** What the model decides: it knows only what the conversation tells, and checks what it is told to check. */
const decide = (prompt: Asked["prompt"]): ReadonlyArray<string> => {
  const { done, inspected, unsure } = outcomes(prompt)
  if (!inspected || unsure.size > 0) return ["inspect"]
  for (const stage of mutations) {
    const missing = stage.filter((name) => !done.has(name))
    if (missing.length > 0) return missing
  }
  return []
}

/** What a model reads of a result. */
export const shownOutput = (output: Extract<Result, { readonly type: "tool-result" }>["output"]): string => {
  if (!("value" in output)) return output.type
  return typeof output.value === "string" ? output.value : JSON.stringify(output.value)
}

type Alive = () => Promise<void>

/** Looks at the state, comments and closes in parallel, publishes, is done. `alive` never resolves in a dead process. */
const scriptedModel = (world: World, alive: Alive) =>
  modelOf(async ({ prompt }) => {
    await alive()
    const names = decide(prompt)
    world.asked.push(names.join("+") || "done")
    return names.length === 0
      ? answer([
        { type: "reasoning", text: "All is done.", providerMetadata: { mock: { signature: "s1" } } },
        text("done")
      ])
      : answer(names.map((name) => toolCall(`${name}-${prompt.length}`, name, { issue: 7 })))
  })

const inputSchema = z.object({ issue: z.number() })

const toolsOf = (world: World, alive: Alive) => {
  const apply = (name: string) =>
    tool({
      inputSchema,
      execute: async () => {
        await alive()
        world.applied.push(name)
        await alive()
        return `ok: ${name}`
      }
    })
  return {
    inspect: tool({
      inputSchema,
      metadata: { everbeat: { mutates: false } },
      execute: async () => {
        await alive()
        return [...world.applied]
      }
    }),
    comment: apply("comment"),
    close: apply("close"),
    publish: apply("publish")
  }
}

type Tools = ReturnType<typeof toolsOf>

/** The three ways to run a loop of the SDK. */
export const drivers: Record<string, (loop: AiSdk.Loop<Tools>) => Promise<string>> = {
  generateText: async (loop) => (await generateText({ ...loop, instructions: "Release." })).text,
  streamText: async (loop) => {
    const result = streamText({ ...loop, instructions: "Release.", onError: () => {} })
    let streamed = ""
    for await (const part of result.stream) if (part.type === "text-delta") streamed += part.text
    return (await result.text) && streamed
  },
  ToolLoopAgent: async ({ abortSignal, messages, ...settings }) =>
    (await new ToolLoopAgent({ ...settings, instructions: "Release." }).generate({ messages, abortSignal })).text
}

type Drive = (loop: AiSdk.Loop<Tools>) => Promise<string>

/** An agent of Effect that releases something, once. */
export const effectReleaser = (drive: Drive, world: World, alive: Alive) =>
  Agent.make("release-notes", {
    ...AiSdk.options,
    result: Schema.String,
    maxAttempts: 10,
    backoff: () => 0,
    run: (ctx) =>
      AiSdk.run(ctx, (ctx) =>
        drive(AiSdk.loop(ctx, { model: scriptedModel(world, alive), tools: toolsOf(world, alive) })))
  })

/** The same as an async function. */
export const promiseReleaser = (drive: Drive, world: World, alive: Alive) =>
  agent("release-notes", {
    ...AiSdk.options,
    result: json<string>(),
    maxAttempts: 10,
    backoff: () => 0,
    run: async (ctx) => drive(AiSdk.loop(ctx, { model: scriptedModel(world, alive), tools: toolsOf(world, alive) }))
  })
