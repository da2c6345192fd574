/** Checks the options of an instance. */
import type { OptionProblem } from "../InvalidOptions.ts"
import { isAgent } from "./agent.ts"
import { branded, layerCheck, StoreTypeId, WorkspaceTypeId } from "./brand.ts"
import * as Checks from "./checks.ts"
import { isChain } from "./heartbeat.ts"

const checks = {
  store: branded(StoreTypeId, "memoryStore(), postgresStore(), redisStore() or a store of yours"),
  ...Checks.optional({
    heartbeats: Checks.anObject,
    agents: (value: unknown) => (Array.isArray(value) ? undefined : "an array of agents"),
    recovery: Checks.either(Checks.aBoolean, Checks.anObject),
    workspace: branded(WorkspaceTypeId, "gitWorkspace() or a workspace of yours"),
    layer: layerCheck,
    leaseTtl: Checks.aDuration(1),
    storeTimeout: Checks.aDuration(1),
    graceMs: Checks.aCount(0),
    onSettled: Checks.aFunction
  })
}

const recoveryChecks = Checks.optional({
  concurrency: Checks.aCount(1),
  pollInterval: Checks.aDuration(1),
  maxPollInterval: Checks.aDuration(1),
  reportInterval: Checks.aDuration(1),
  sweepInterval: Checks.aDuration(1),
  folders: Checks.strings
})

const heartbeatProblems = (heartbeats: Readonly<Record<string, unknown>>): ReadonlyArray<OptionProblem> => {
  const names = new Map<string, unknown>()
  return Object.entries(heartbeats).flatMap(([agentName, value]): ReadonlyArray<OptionProblem> => {
    const option = `heartbeats.${agentName}`
    const wrongName = Checks.aName(agentName)
    if (wrongName !== undefined) {
      return [{
        option,
        given: `given to ${Checks.describe(agentName)}`,
        expected: `given to an agent named ${wrongName}`
      }]
    }
    if (!isChain(value)) return [{ option, given: Checks.describe(value), expected: "heartbeat().step(...)" }]
    if (value.steps.length === 0) return [{ option, given: "a heartbeat without steps", expected: "at least one step" }]
    const name = value.name ?? agentName
    const other = names.get(name)
    names.set(name, value)
    return other === undefined || other === value
      ? []
      : [{ option, given: `another heartbeat named ${Checks.describe(name)}`, expected: "names that differ" }]
  })
}

const agentProblems = (agents: ReadonlyArray<unknown>): ReadonlyArray<OptionProblem> => {
  const names = new Set<string>()
  return agents.flatMap((value, index): ReadonlyArray<OptionProblem> => {
    const option = `agents[${index}]`
    if (!isAgent(value)) return [{ option, given: Checks.describe(value), expected: "agent(name, { run })" }]
    if (!names.has(value.name)) {
      names.add(value.name)
      return []
    }
    return [{ option, given: `another agent named ${Checks.describe(value.name)}`, expected: "names that differ" }]
  })
}

export const checkOptions = (options: unknown): void => {
  const nested: Array<OptionProblem> = []
  if (Checks.isRecord(options)) {
    const { agents, heartbeats, recovery } = options
    if (Checks.isRecord(heartbeats)) nested.push(...heartbeatProblems(heartbeats))
    if (Array.isArray(agents)) nested.push(...agentProblems(agents))
    if (Checks.isRecord(recovery)) nested.push(...Checks.problemsOf(recovery, recoveryChecks, "recovery"))
  }
  Checks.refuse("createEverbeat", [...Checks.problemsOf(options, checks), ...nested])
}
