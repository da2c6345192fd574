/** Puts an instance together from its options. */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Agent from "../../Agent.ts"
import * as AgentSupervisor from "../../AgentSupervisor.ts"
import type { CheckpointStore } from "../../CheckpointStore.ts"
import type * as Heartbeat from "../../Heartbeat.ts"
import * as HeartbeatEngine from "../../HeartbeatEngine.ts"
import * as Recovery from "../../Recovery.ts"
import type { RunStore } from "../../RunStore.ts"
import type { Workspace as CoreWorkspace } from "../../Workspace.ts"
import type { AnyAgent } from "../Agent.ts"
import type { RunOptions } from "../Everbeat.ts"
import { UnknownAgentError } from "../EverbeatError.ts"
import { type Extensible, ExtensionTypeId } from "../Extension.ts"
import type { RecoveryOptions } from "../Options.ts"
import type { SettledRun } from "../Run.ts"
import { SettledHub } from "../SettledHub.ts"
import { definitionOf } from "./agent.ts"
import { makeAgents } from "./agents.ts"
import { type Branded, StoreTypeId, WorkspaceTypeId } from "./brand.ts"
import { makeCheckpoints } from "./checkpoints.ts"
import * as Checks from "./checks.ts"
import type { Chain } from "./heartbeat.ts"
import { Host, type Services } from "./host.ts"
import { inputs, payloadOf, runChecks, runIdOf } from "./inputs.ts"
import { checkOptions } from "./options.ts"
import { present } from "./present.ts"
import { reportOf } from "./records.ts"
import { makeRuns } from "./runs.ts"

/** The options after their check. */
interface Given {
  readonly store: { readonly [StoreTypeId]: Branded<CheckpointStore | RunStore> }
  readonly heartbeats?: Readonly<Record<string, Chain>> | undefined
  readonly agents?: ReadonlyArray<AnyAgent> | undefined
  readonly recovery?: boolean | RecoveryOptions | undefined
  readonly workspace?: { readonly [WorkspaceTypeId]: Branded<CoreWorkspace> } | undefined
  readonly layer?: Layer.Layer<never, unknown> | undefined
  readonly leaseTtl?: Duration.Input | undefined
  readonly storeTimeout?: Duration.Input | undefined
  readonly graceMs?: number | undefined
  readonly onSettled?: ((run: SettledRun) => unknown) | undefined
}

const recoveryLayer = (
  given: Given,
  heartbeats: ReadonlyArray<Heartbeat.Any<never>>,
  agents: ReadonlyArray<Agent.Any<never>>
) => {
  const { recovery = true } = given
  if (recovery === false || (heartbeats.length === 0 && agents.length === 0)) return Layer.empty
  return Recovery.layer({ ...present(recovery === true ? {} : recovery), heartbeats, agents })
}

const layerOf = (
  given: Given,
  heartbeats: ReadonlyArray<Heartbeat.Any<never>>,
  agents: ReadonlyArray<Agent.Any<never>>
): Layer.Layer<Services, unknown> => {
  const limits = present({ leaseTtl: given.leaseTtl, storeTimeout: given.storeTimeout })
  const owners = Layer.merge(HeartbeatEngine.layerWith(limits), AgentSupervisor.layerWith(limits)).pipe(
    Layer.provideMerge(given.store[StoreTypeId].layer)
  )
  const files = given.workspace === undefined ? Layer.empty : given.workspace[WorkspaceTypeId].layer
  return recoveryLayer(given, heartbeats, agents).pipe(
    Layer.provideMerge(owners),
    // What heartbeats need is what this layer provides: the types of the options say so.
    Layer.provideMerge(Layer.merge(files, given.layer ?? Layer.empty))
  )
}

/** What the options say in their types is known to the compiler alone. */
export const createEverbeat = (options: unknown): never => {
  checkOptions(options)
  const given = options as Given
  const heartbeats = Object.fromEntries(
    Object.entries(given.heartbeats ?? {}).map(([agentName, chain]) => [agentName, chain.definition(agentName)])
  )
  const agents = new Map((given.agents ?? []).map((agent) => [agent.name, definitionOf(agent)]))
  const hub = new SettledHub(given.onSettled)
  // One heartbeat may serve many agents.
  const distinct = [...new Set(Object.values(heartbeats))]
  const host = new Host(layerOf(given, distinct, [...agents.values()]), hub, given.graceMs ?? 10_000)

  const heartbeatOf = (agentName: string): Heartbeat.Any<never> => {
    const found = Object.hasOwn(heartbeats, agentName) ? heartbeats[agentName] : undefined
    if (found !== undefined) return found
    const hint = agents.has(agentName)
      ? "It is an agent: start it with agent.start."
      : `Give it to createEverbeat. There are heartbeats of ${Object.keys(heartbeats).join(", ") || "no agents"}.`
    throw new UnknownAgentError(agentName, `There is no heartbeat of ${Checks.describe(agentName)}.`, { hint })
  }

  const run = async (agentName: string, options: RunOptions = {}) => {
    const heartbeat = heartbeatOf(agentName)
    const { parentRunId, payload, signal, ...rest } = inputs("run", options, runChecks)
    const asked = {
      ...present(rest),
      ...payloadOf(payload),
      ...(parentRunId === undefined ? undefined : { parentRunId: runIdOf(parentRunId, "parentRunId") }),
      agent: agentName
    }
    const report = await host.call(
      Effect.flatMap(HeartbeatEngine.HeartbeatEngine, (engine) => engine.run(heartbeat, asked)),
      signal
    )
    return reportOf(report)
  }

  const everbeat = {
    run,
    runs: makeRuns(host),
    checkpoints: makeCheckpoints(host, distinct, agents),
    agent: makeAgents(host, agents),
    settled: hub,
    ready: () => host.call(Effect.void),
    dispose: (options: { readonly graceMs?: number | undefined } = {}) => {
      Checks.refuse("dispose", Checks.problemsOf(options, Checks.optional({ graceMs: Checks.aCount(0) })))
      return host.dispose(options.graceMs)
    },
    get runtime() {
      return host.runtime
    },
    [Symbol.asyncDispose]: () => host.dispose(),
    [ExtensionTypeId]: {
      heartbeats,
      services: Effect.suspend(() => host.ready),
      onDispose: (dispose: (graceMs: number) => Promise<void>) => host.onDispose(dispose)
    }
  }
  hosts.set(everbeat, host)
  return everbeat as never
}

/** Of this copy: whether an instance was disposed. */
const hosts = new WeakMap<object, Host>()

export const createOnce = <T extends Extensible>(key: string, create: () => T): T => {
  const symbol = Symbol.for(`@everbeat/core/promise/${key}`)
  const kept = Reflect.get(globalThis, symbol) as T | undefined // nobody else knows the key
  if (kept !== undefined && hosts.get(kept)?.disposed !== true) return kept
  const made = create()
  Reflect.set(globalThis, symbol, made)
  return made
}
