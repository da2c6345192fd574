import { AiSdk } from "@everbeat/adapter-ai-sdk"
import { Agent } from "@everbeat/core"
import { agent, json } from "@everbeat/core/promise"
import { generateText, isStepCount, type LanguageModel, type ModelMessage, streamText, tool, ToolLoopAgent } from "ai"
import { Schema } from "effect"
import { describe, expect, it } from "tstyche"
import { z } from "zod"

declare const model: LanguageModel
declare const context: AiSdk.Context
const look = tool({ inputSchema: z.object({ at: z.number() }), execute: ({ at }) => ({ seen: at }) })

describe("AiSdk.loop", () => {
  it("keeps the types of the tools for whoever runs the loop", async () => {
    const loop = AiSdk.loop(context, { model, tools: { look }, stopWhen: isStepCount(3) })
    expect(loop.tools).type.toBe<{ look: typeof look }>()
    const { staticToolResults } = await generateText({ ...loop, instructions: "Look." })
    expect(staticToolResults[0]?.output).type.toBe<{ seen: number } | undefined>()
    expect(await streamText(loop).text).type.toBe<string>()
    const { abortSignal, messages, ...settings } = loop
    expect(new ToolLoopAgent(settings).generate).type.toBeCallableWith({ messages, abortSignal })
  })

  it("needs no tools", () => {
    expect(generateText).type.toBeCallableWith(AiSdk.loop(context, { model }))
    expect(AiSdk.loop).type.not.toBeCallableWith(context, { tools: { look } })
  })
})

describe("AiSdk.options", () => {
  it("make the messages of an agent those of the SDK", () => {
    Agent.make("effect", {
      ...AiSdk.options,
      result: Schema.String,
      run: (ctx) => {
        expect(ctx.resume?.messages).type.toBe<ReadonlyArray<ModelMessage> | undefined>()
        return AiSdk.run(ctx, async (ctx) => (await generateText(AiSdk.loop(ctx, { model }))).text)
      }
    })
    agent("promise", {
      ...AiSdk.options,
      result: json<string>(),
      run: async (ctx) => {
        expect(ctx.resume?.messages).type.toBe<ReadonlyArray<ModelMessage> | undefined>()
        return (await generateText(AiSdk.loop(ctx, { model }))).text
      }
    })
  })
})
