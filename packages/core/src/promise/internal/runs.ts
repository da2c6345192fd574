import * as DateTime from "effect/DateTime"
import * as EffectDuration from "effect/Duration"
import * as Effect from "effect/Effect"
import { type AgentName, isAgentName } from "../../AgentName.ts"
import { RunStore } from "../../RunStore.ts"
import type { Duration } from "../Duration.ts"
import type { PruneRules, RunFilter, Runs } from "../Everbeat.ts"
import { InvalidInputError } from "../EverbeatError.ts"
import * as Checks from "./checks.ts"
import type { Host } from "./host.ts"
import { inputs, runIdOf } from "./inputs.ts"
import { present } from "./present.ts"
import { runOf } from "./records.ts"

interface Erased {
  readonly callerId?: string
  readonly agentName?: string
}

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

const pruneChecks = Checks.optional({
  olderThan: Checks.aDuration(0),
  keepLast: Checks.aCount(0),
  exhaustedFor: Checks.aDuration(0)
})

const eraseChecks = Checks.optional({ callerId: Checks.aString, agentName: Checks.aString })

/** What one statement deletes at most. */
const batch = 1000

const durationOf = (input: Duration | undefined): EffectDuration.Duration | undefined =>
  input === undefined ? undefined : EffectDuration.fromInputUnsafe(input)

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
  },
  prune: async (rules) => {
    const { exhaustedFor, keepLast, olderThan } = inputs<PruneRules>("runs.prune", rules, pruneChecks)
    const asked = present({
      olderThan: durationOf(olderThan),
      exhaustedFor: durationOf(exhaustedFor),
      keepLast,
      batch
    })
    return await host.call(Effect.flatMap(RunStore, (store) =>
      Effect.gen(function*() {
        let total = 0
        while (true) {
          const deleted = yield* store.prune(asked)
          total += deleted
          if (deleted < batch) return total
        }
      })))
  },
  erase: async (who) => {
    const { agentName, callerId } = inputs<Erased>("runs.erase", who, eraseChecks)
    if ((agentName === undefined) === (callerId === undefined)) {
      throw new InvalidInputError("who", "runs.erase takes either a callerId or an agentName.")
    }
    const name = agentNameOf(agentName)
    const whose = name === undefined ? { callerId: callerId ?? "" } : { agentName: name }
    return await host.call(Effect.flatMap(RunStore, (store) => store.erase(whose)))
  }
})
