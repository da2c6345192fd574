import * as Effect from "effect/Effect"
import type * as Core from "../../Agent.ts"
import type { AgentHandle as CoreHandle } from "../../AgentHandle.ts"
import { AgentSupervisor } from "../../AgentSupervisor.ts"
import { HeartbeatEngine } from "../../HeartbeatEngine.ts"
import type { AnyAgent, StartOptions } from "../Agent.ts"
import type { AgentHandle } from "../AgentHandle.ts"
import type { Agents, ResumeOptions } from "../Everbeat.ts"
import { UnknownAgentError } from "../EverbeatError.ts"
import { definitionOf, handleOf, isAgent } from "./agent.ts"
import { resumeChecks } from "./checkpoints.ts"
import { describe } from "./checks.ts"
import type { Host } from "./host.ts"
import { inputs, payloadOf, runIdOf, startChecks } from "./inputs.ts"
import { present } from "./present.ts"
import { settledOf } from "./records.ts"

type Definition = Core.Agent<string, unknown, unknown, unknown, never>

export const makeAgents = (host: Host, agents: ReadonlyMap<string, Definition>): Agents<AnyAgent> => {
  const find = (given: unknown): Definition => {
    const name = isAgent(given) ? given.name : given
    const found = typeof name === "string" ? agents.get(name) : undefined
    if (found !== undefined && (!isAgent(given) || definitionOf(given) === found)) return found
    const text = isAgent(given) ? describe(given.name) : describe(given)
    throw new UnknownAgentError(String(name), `There is no agent ${text} here.`, {
      hint: `Give it to createEverbeat: else nobody could continue its runs. There are ${
        [...agents.keys()].join(", ") || "no agents"
      }.`
    })
  }

  // What the agent answers, its definition says; here it is not known.
  const handle = (core: CoreHandle<unknown, unknown>) =>
    handleOf(core, (effect) => host.wait(effect)) as AgentHandle<never>

  return {
    start: async (given, options: StartOptions = {}) => {
      const agent = find(given)
      const { parentRunId, payload, signal, ...rest } = inputs("agent.start", options, startChecks)
      const asked = {
        ...present(rest),
        ...payloadOf(payload),
        ...(parentRunId === undefined ? undefined : { parentRunId: runIdOf(parentRunId, "parentRunId") })
      }
      return handle(
        await host.call(Effect.flatMap(AgentSupervisor, (supervisor) => supervisor.start(agent, asked)), signal)
      )
    },
    resume: async (given, runId, options: ResumeOptions = {}) => {
      const agent = find(given)
      const id = runIdOf(runId)
      const asked = inputs("agent.resume", options, resumeChecks)
      return handle(
        await host.call(Effect.flatMap(AgentSupervisor, (supervisor) => supervisor.resume(agent, id, asked)))
      )
    },
    cancel: async (runId) => {
      const id = runIdOf(runId)
      const record = await host.call(Effect.gen(function*() {
        const closed = yield* Effect.flatMap(AgentSupervisor, (supervisor) => supervisor.cancel(id))
        // A pass of this process need not wait for its next renewal to learn of it.
        if (closed === undefined) yield* Effect.flatMap(HeartbeatEngine, (engine) => engine.cancel(id))
        return closed
      }))
      return record === undefined ? undefined : settledOf(record)
    }
  }
}
