import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import { type AgentName, isAgentName } from "../../AgentName.ts"
import { RunStore } from "../../RunStore.ts"
import type { RunFilter, Runs } from "../Everbeat.ts"
import { InvalidInputError } from "../EverbeatError.ts"
import * as Checks from "./checks.ts"
import type { Host } from "./host.ts"
import { inputs, runIdOf } from "./inputs.ts"
import { present } from "./present.ts"
import { runOf } from "./records.ts"

const aDate: Checks.Check = (value) =>
  Object.prototype.toString.call(value) === "[object Date]" && Number.isFinite(Number(value))
    ? undefined
    : "a valid Date"

const filterChecks = Checks.optional({
  agentName: Checks.aString,
  kind: Checks.oneOf("heartbeat", "agent"),
  status: Checks.strings,
  callerId: Checks.aString,
  from: aDate,
  until: aDate,
  limit: Checks.aCount(1),
  cursor: Checks.aString
})

export const agentNameOf = (name: string | undefined): AgentName | undefined => {
  if (name === undefined || isAgentName(name)) return name
  throw new InvalidInputError("agentName", `agentName ${Checks.describe(name)} is not the name of an agent.`)
}

const instant = (date: Date | undefined): DateTime.Utc | undefined =>
  date === undefined ? undefined : DateTime.makeUnsafe(date.getTime())

export const makeRuns = (host: Host): Runs => ({
  list: async (filter: RunFilter = {}) => {
    const { agentName, cursor, from, limit, until, ...rest } = inputs("runs.list", filter, filterChecks)
    const asked = present({ ...rest, agentName: agentNameOf(agentName), from: instant(from), until: instant(until) })
    const page = await host.call(Effect.flatMap(RunStore, (store) => store.list(asked, present({ limit, cursor }))))
    return { ...page, items: page.items.map(runOf) }
  },
  get: async (runId) => {
    const id = runIdOf(runId)
    return runOf(await host.call(Effect.flatMap(RunStore, (store) => store.get(id))))
  }
})
