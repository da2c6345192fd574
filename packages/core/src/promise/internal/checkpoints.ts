import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Agent from "../../Agent.ts"
import { RunAlreadySettled, UnknownDefinition } from "../../AgentError.ts"
import { isSettled, type RunInFlight } from "../../AgentRun.ts"
import { AgentSupervisor } from "../../AgentSupervisor.ts"
import { CheckpointStore } from "../../CheckpointStore.ts"
import type * as Heartbeat from "../../Heartbeat.ts"
import { HeartbeatEngine } from "../../HeartbeatEngine.ts"
import type { RunId } from "../../RunId.ts"
import { RunStore } from "../../RunStore.ts"
import type { RunNotFound, StoreError } from "../../StoreError.ts"
import type { CheckpointFilter, Checkpoints } from "../Everbeat.ts"
import * as Checks from "./checks.ts"
import type { Host } from "./host.ts"
import { inputs, runIdOf } from "./inputs.ts"
import { present } from "./present.ts"
import { checkpointOf, inFlightOf } from "./records.ts"
import { agentNameOf } from "./runs.ts"

/** How long a run is held to be deleted. */
const holdFor = Duration.seconds(30)

const filterChecks = Checks.optional({
  agentName: Checks.aString,
  callerId: Checks.aString,
  channelId: Checks.aString,
  parentRunId: Checks.aString,
  interruptedFor: Checks.aDuration(0),
  status: Checks.strings,
  limit: Checks.aCount(1),
  cursor: Checks.aString
})

export const resumeChecks = Checks.optional({ followUp: Checks.aString })

/** Looked at before anything is claimed: a claim is an attempt. */
const inFlight = (
  runId: RunId
): Effect.Effect<RunInFlight, RunAlreadySettled | RunNotFound | StoreError, RunStore> =>
  Effect.flatMap(
    Effect.flatMap(RunStore, (store) => store.get(runId)),
    (run) => isSettled(run) ? Effect.fail(new RunAlreadySettled({ runId, status: run.status })) : Effect.succeed(run)
  )

export const makeCheckpoints = (
  host: Host,
  heartbeats: ReadonlyArray<Heartbeat.Any<never>>,
  agents: ReadonlyMap<string, Agent.Any<never>>
): Checkpoints => {
  const byName = new Map(heartbeats.map((heartbeat) => [heartbeat.name, heartbeat]))

  const resume = (runId: RunId, options: Agent.ResumeOptions) =>
    Effect.uninterruptible(Effect.gen(function*() {
      const { definition: { name }, kind } = yield* inFlight(runId)
      const supervisor = yield* AgentSupervisor
      const agent = kind === "agent" ? agents.get(name) : undefined
      if (agent !== undefined) return yield* Effect.asVoid(supervisor.resume(agent, runId, options))
      const heartbeat = kind === "heartbeat" ? byName.get(name) : undefined
      if (heartbeat === undefined) return yield* new UnknownDefinition({ runId, name })
      const granted = yield* supervisor.claim(runId)
      yield* Effect.flatMap(HeartbeatEngine, (engine) => engine.adopt(heartbeat, granted))
    }))

  const discard = (runId: RunId) =>
    Effect.gen(function*() {
      yield* inFlight(runId)
      const store = yield* CheckpointStore
      const { owner } = yield* HeartbeatEngine
      // Uninterruptible: what is claimed is deleted.
      yield* Effect.uninterruptible(
        Effect.flatMap(store.claim(runId, owner, holdFor), ({ lease }) => store.delete(lease))
      )
    })

  return {
    list: async (filter: CheckpointFilter = {}) => {
      const { agentName, cursor, interruptedFor, limit, parentRunId, ...rest } = inputs(
        "checkpoints.list",
        filter,
        filterChecks
      )
      const asked = present({
        ...rest,
        agentName: agentNameOf(agentName),
        parentRunId: parentRunId === undefined ? undefined : runIdOf(parentRunId, "parentRunId"),
        interruptedFor: interruptedFor === undefined ? undefined : Duration.fromInputUnsafe(interruptedFor)
      })
      const page = await host.call(
        Effect.flatMap(CheckpointStore, (store) => store.listInterrupted(asked, present({ limit, cursor })))
      )
      return { ...page, items: page.items.map(inFlightOf) }
    },
    get: async (runId) => {
      const id = runIdOf(runId)
      return checkpointOf(await host.call(Effect.flatMap(CheckpointStore, (store) => store.load(id))))
    },
    resume: async (runId, options = {}) =>
      host.call(resume(runIdOf(runId), inputs("checkpoints.resume", options, resumeChecks))),
    discard: async (runId) => host.call(discard(runIdOf(runId)))
  }
}
