/** The same loop in an agent of the Promise facade. */
import { assert, describe, it } from "@effect/vitest"
import { OpenAIAgents } from "@everbeat/adapter-openai-agents"
import { agent, json } from "@everbeat/core/promise"
import { TestEverbeat } from "@everbeat/store-memory/testing"
import { Agent as OpenAIAgent, tool } from "@openai/agents"
import { assistantMessage, functionCall, modelResponder, ScriptedModel } from "@openai/agents/testing"
import { z } from "zod"

describe("an agent of the Promise facade", () => {
  it("goes on after a timeout in the middle of a tool, and is told of it", async () => {
    const changes: Array<string> = []
    const told: Array<string> = []
    let bothBegun = (): void => {}
    const begun = new Promise<void>((resolve) => (bothBegun = resolve))
    const closer = agent("closer", {
      ...OpenAIAgents.options,
      result: json<string>(),
      timeout: "3 seconds",
      backoff: () => 0,
      run: async (ctx) => {
        const model = new ScriptedModel([
          ctx.attempt === 1
            ? [functionCall("close", {}, { callId: "c1" }), functionCall("comment", {}, { callId: "c2" })]
            : modelResponder(({ request }) => {
              told.push(JSON.stringify(request.input))
              return [assistantMessage("It is closed.")]
            })
        ])
        const act = (name: string, stuck: boolean) =>
          tool({
            name,
            description: name,
            parameters: z.object({}),
            execute: (_input, _context, details) => {
              changes.push(name)
              if (changes.length === 2) bothBegun()
              return stuck
                ? new Promise<string>((_, reject) =>
                  details?.signal?.addEventListener("abort", () => reject(new Error("gone")))
                )
                : "done"
            }
          })
        const { finalOutput } = await OpenAIAgents.loop(ctx, {
          agent: new OpenAIAgent({ name: "closer", model, tools: [act("close", true), act("comment", false)] })
        })
        return String(finalOutput)
      }
    })
    await using test = TestEverbeat.make({ agents: [closer] })
    const run = await test.everbeat.agent.start(closer, { prompt: "Close it" })
    await begun
    await test.advance("3 seconds")
    assert.strictEqual(await run.result(), "It is closed.")
    assert.deepStrictEqual(changes.toSorted(), ["close", "comment"])
    assert.lengthOf(told, 1)
    assert.match(told[0] ?? "", /"callId":"c1"[^}]*\{[^}]*outcome unknown/)
    assert.match(told[0] ?? "", /"callId":"c2"[^}]*\{[^}]*done/)
  })
})
