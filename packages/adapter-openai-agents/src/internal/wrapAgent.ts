/** An agent, and those it hands over to, with models and tools that record. */
import { Agent, type AgentOutputType, getHandoff, getTransferMessage, type Model, type Runner } from "@openai/agents"
import type { Message } from "../OpenAIAgents.ts"
import type { State } from "./state.ts"
import { transcript } from "./transcript.ts"
import { wrapModel } from "./wrapModel.ts"
import { type Mutates, wrapTool } from "./wrapTool.ts"

// Agents of a graph have contexts and outputs of their own; only the host knows them.
// oxlint-disable-next-line typescript/no-explicit-any
type AnyAgent = Agent<any, AgentOutputType>

/** The model that the runner would take. */
const resolver = (agent: AnyAgent, { config }: Runner) => async (): Promise<Model> => {
  const selected = agent.model || config.model || Agent.DEFAULT_MODEL_PLACEHOLDER
  return typeof selected === "string" ? config.modelProvider.getModel(selected) : selected
}

/** Makes the copies. An agent that occurs twice has one. */
export const wrapAgent = (state: State, runner: Runner, mutates: Mutates | undefined) => {
  const copies = new Map<AnyAgent, AnyAgent>()
  const wrap = wrapTool(state, mutates)
  const copyOf = (agent: AnyAgent): AnyAgent => {
    const known = copies.get(agent)
    if (known !== undefined) return known
    const { modelSettings } = agent
    const copy = agent.clone({ model: wrapModel(state, resolver(agent, runner)), modelSettings, handoffs: [] })
    copies.set(agent, copy)
    // Tools of MCP servers come and go: they are wrapped when the SDK asks for them.
    copy.getAllTools = async (...args: Parameters<AnyAgent["getAllTools"]>) => {
      const tools = await agent.getAllTools(...args)
      return tools.map(wrap)
    }
    // Who listens to the agent hears its copy.
    copy.emit = agent.emit.bind(agent)
    copy.handoffs = agent.handoffs.map((to) => to instanceof Agent ? copyOf(to) : to.clone({ agent: copyOf(to.agent) }))
    return copy
  }
  return copyOf
}

/** Who had the word last: each hand-over that was answered moves it on. */
export const activeAgent = (first: AnyAgent, messages: ReadonlyArray<Message>): AnyAgent => {
  let active = first
  for (const item of messages.flat()) {
    if (item.type !== "function_call_result") continue
    const next = active.handoffs.map((to) => getHandoff(to)).find(({ toolName }) => toolName === item.name)
    // A call that was closed on resume, or one that the SDK refused, has handed over nothing.
    if (next !== undefined && transcript.text([item]) === getTransferMessage(next.agent)) active = next.agent
  }
  return active
}
