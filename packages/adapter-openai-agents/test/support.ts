/** The loop under test: the real Agents SDK, with a model that follows the script. */
import { OpenAIAgents } from "@everbeat/adapter-openai-agents"
import { Agent } from "@everbeat/core"
import { Agent as OpenAIAgent, type AgentInputItem, tool } from "@openai/agents"
import { assistantMessage, functionCall, modelResponder, ScriptedModel } from "@openai/agents/testing"
import { Effect, Schema } from "effect"
import { z } from "zod"
import type { Make, Settings } from "../../../test/loops/processes.ts"
import { type Made, next } from "../../../test/loops/script.ts"
import type { World } from "../../../test/loops/world.ts"

/** What a conversation says of the calls in it. */
const madeIn = (input: string | ReadonlyArray<AgentInputItem>): ReadonlyArray<Made> => {
  const items = typeof input === "string" ? [] : input
  const results = new Map(
    items.flatMap((item) =>
      item.type === "function_call_result" ? [[item.callId, JSON.stringify(item.output)] as const] : []
    )
  )
  return items.flatMap((item) =>
    item.type === "function_call" ? [{ name: item.name, result: results.get(item.callId) }] : []
  )
}

/** A model that answers as often as it is asked. */
const model = (world: World): ScriptedModel => {
  const answer = modelResponder(({ request }) => {
    scripted.enqueue(answer)
    const made = madeIn(request.input)
    world.told.push(made.map(({ result = "no result" }) => result))
    const turn = next(made)
    return turn.calls === undefined
      ? [assistantMessage(turn.text)]
      : turn.calls.map(({ id, name }) => functionCall(name, { issue: 7 }, { callId: id }))
  })
  const scripted = new ScriptedModel([answer])
  return scripted
}

const tools = ({ act }: World) =>
  ["look", "comment", "label", "close"].map((name) =>
    tool({
      name,
      description: name,
      parameters: z.object({ issue: z.number() }),
      execute: (_input, _context, details) =>
        Effect.runPromise(act(name), details?.signal === undefined ? {} : { signal: details.signal })
    })
  )

const agent = (
  world: World,
  { maxIterations, onStoreFailure = "continue", timeout = "1 minute" }: Settings,
  streamed: boolean
) =>
  Agent.make("closer", {
    ...OpenAIAgents.options,
    result: Schema.String,
    timeout,
    backoff: () => 0,
    maxAttempts: 5,
    checkpoint: { onStoreFailure },
    run: (ctx) =>
      OpenAIAgents.run(ctx, async (ctx) => {
        const { finalOutput } = await OpenAIAgents.loop(ctx, {
          agent: new OpenAIAgent({ name: "closer", model: model(world), tools: tools(world) }),
          maxTurns: maxIterations,
          mutates: (name) => name !== "look",
          onEvent: streamed ? () => {} : undefined
        })
        return String(finalOutput)
      })
  })

export const make: Make = (world, settings = {}) => agent(world, settings, false)

export const makeStreamed: Make = (world, settings = {}) => agent(world, settings, true)
