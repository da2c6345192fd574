import { OpenAIAgents } from "@everbeat/adapter-openai-agents"
import type { AgentContext as EffectContext } from "@everbeat/core"
import type { AgentContext } from "@everbeat/core/promise"
import { Agent } from "@openai/agents"
import type { Effect } from "effect"
import { describe, expect, it } from "tstyche"
import { z } from "zod"

declare const ctx: AgentContext<OpenAIAgents.Message>
declare const effectContext: EffectContext.AgentContext<OpenAIAgents.Message>

const agent = new Agent({ name: "x", outputType: z.object({ closed: z.boolean() }) })

describe("a run of the Agents SDK", () => {
  it("has the output of its agent", () => {
    const result = OpenAIAgents.loop(ctx, { agent })
    expect<Awaited<typeof result>["finalOutput"]>().type.toBe<{ closed: boolean } | undefined>()
  })

  it("takes no session and no conversation of the server", () => {
    expect(OpenAIAgents.loop).type.not.toBeCallableWith(ctx, { agent, run: { conversationId: "c" } })
    expect(OpenAIAgents.loop).type.toBeCallableWith(ctx, { agent, run: { context: undefined } })
  })

  it("runs in an agent of Effect", () => {
    const run = OpenAIAgents.run(effectContext, async (ctx) => ctx.attempt)
    expect(run).type.toBe<Effect.Effect<number, unknown>>()
  })
})
