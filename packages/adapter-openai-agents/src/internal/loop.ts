/** Runs an agent of the SDK with everything recorded. */
import {
  type Agent,
  type AgentInputItem,
  type AgentOutputType,
  MaxTurnsExceededError,
  type NonStreamRunOptions,
  Runner,
  type RunResult,
  type RunState,
  type StreamedRunResult
} from "@openai/agents"
import type { Context, LoopOptions } from "../OpenAIAgents.ts"
import { startOf } from "./start.ts"
import { State } from "./state.ts"
import { grouped, user } from "./transcript.ts"
import { activeAgent, wrapAgent } from "./wrapAgent.ts"

const limitOf = (maxTurns = 10): number => {
  if (Number.isSafeInteger(maxTurns) && maxTurns >= 1) return maxTurns
  throw new TypeError(`OpenAIAgents.loop: maxTurns must be a whole number of at least 1, not ${String(maxTurns)}`)
}

const messagesOf = (input: string | ReadonlyArray<AgentInputItem> | undefined) =>
  input === undefined ? undefined : typeof input === "string" ? [user(input)] : grouped(input)

// oxlint-disable-next-line typescript/no-explicit-any -- as the SDK declares the agents that it runs
export const run = async <TContext, TAgent extends Agent<any, any>>(
  context: Context,
  options: LoopOptions<TContext, TAgent>
): Promise<RunResult<TContext, TAgent> | StreamedRunResult<TContext, TAgent>> => {
  const { agent, approve, input, maxTurns, mutates, onEvent } = options
  // What a run tells of itself stays in the process, unless the host has a runner that says otherwise.
  const runner = options.runner ?? new Runner({ tracingDisabled: true })
  const start = startOf(context, messagesOf(input))
  const limit = limitOf(maxTurns)
  const left = limit - start.iteration
  const exceeded = (at?: MaxTurnsExceededError["state"]) =>
    new MaxTurnsExceededError(`Max turns (${limit}) exceeded`, at)
  if (left <= 0 && start.replay === undefined) throw exceeded()
  const state = new State(context, start)
  const copyOf = wrapAgent(state, runner, mutates)
  const active = activeAgent(agent, start.messages)
  type Run = RunState<TContext, TAgent>
  const shared: NonStreamRunOptions<TContext, TAgent> = {
    ...options.run,
    maxTurns: Math.max(left, 1),
    signal: state.signal
  }
  const once = async (from: Array<AgentInputItem> | Run) => {
    // The copy has the context and the output of its original.
    const copy = copyOf(active as Agent<unknown, AgentOutputType>) as unknown as TAgent
    if (onEvent === undefined) return runner.run<TAgent, TContext>(copy, from, shared)
    const result = await runner.run<TAgent, TContext>(copy, from, { ...shared, stream: true })
    for await (const event of result) await onEvent(event)
    await result.completed
    return result
  }
  try {
    let result = await once(start.messages.flat())
    while ((result.interruptions ?? []).length > 0) {
      for (const item of result.interruptions ?? []) {
        // oxlint-disable-next-line eslint/no-await-in-loop -- a person is asked one thing at a time
        if (await approve?.(item)) result.state.approve(item)
        else result.state.reject(item)
      }
      // oxlint-disable-next-line eslint/no-await-in-loop -- one turn after the other
      result = await once(result.state)
    }
    state.throwIfFailed()
    return result
  } catch (error) {
    // The SDK wraps what a tool throws, and would hide why the loop was stopped.
    state.throwIfFailed()
    // The SDK knows of this attempt alone.
    throw error instanceof MaxTurnsExceededError ? exceeded(error.state) : error
  }
}
