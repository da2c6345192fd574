/** A process that hosts the agent: its supervisor, the recovery of interrupted runs, the store, the files. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Agent, AgentRun, AgentSupervisor, Recovery, RunId, RunStore } from "@everbeat/core"
import { GitWorkspace } from "@everbeat/workspace-git"
import { Config, Effect, Layer, Logger, References, Schedule, Schema, Stream } from "effect"
import type * as Coder from "./Coder.ts"
import { Journal } from "./Journal.ts"
import { Model } from "./Model.ts"
import * as Script from "./Script.ts"
import * as Store from "./Store.ts"
import { Tools } from "./Tools.ts"

type Agents = ReturnType<typeof Coder.make>

const settings = Effect.gen(function*() {
  return {
    /** Name of the agent. Recovery continues the runs of this name only. */
    name: yield* Config.String("CODER_NAME").pipe(Config.withDefault("coder")),
    repository: yield* Config.String("CODER_REPOSITORY"),
    journal: yield* Config.String("CODER_JOURNAL"),
    store: yield* Config.Redacted("EVERBEAT_STORE"),
    timeout: yield* Config.Duration("CODER_TIMEOUT").pipe(Config.withDefault("2 minutes")),
    stallAt: yield* Config.Int("CODER_STALL_AT").pipe(Config.withDefault(undefined))
  }
})

/** `start <folder>` starts a run there; `recover <run>` waits until the run has ended, and continues it when nobody else does. */
const serve = Effect.fnUntraced(function*(agent: Agents, [command = "", subject = ""]: ReadonlyArray<string>) {
  const journal = yield* Journal
  const runs = yield* RunStore.RunStore
  const supervisor = yield* AgentSupervisor.AgentSupervisor
  yield* Effect.forkScoped(Stream.runForEach(supervisor.events, (event) =>
    event._tag === "AttemptEnded"
      ? journal.write({ event: "stopped", attempt: event.attempt, reason: event.reason })
      : Effect.void))

  yield* journal.write({ event: "ready" })
  const runId = command === "start"
    ? (yield* Agent.start(agent, { prompt: Script.task, cwd: subject })).runId
    : yield* Schema.decodeEffect(RunId.RunId)(subject)

  yield* Effect.repeat(runs.get(runId), { until: AgentRun.isSettled, schedule: Schedule.spaced("100 millis") })
  yield* journal.write({ event: "ended" })
})

/** Runs the process, with the agent that `define` makes. */
export const run = (
  define: (settings: { readonly name: string; readonly timeout: Coder.Settings["timeout"] }) => Agents,
  args: ReadonlyArray<string>
): Effect.Effect<void, unknown> =>
  Effect.gen(function*() {
    const { journal, name, repository, stallAt, store, timeout } = yield* settings
    const agent = define({ name, timeout })
    const services = Layer.mergeAll(
      Journal.layerFile(journal),
      Model.layerScripted({ latency: 80, stallAt }),
      Tools.layer,
      GitWorkspace.layerPlatform({ cwd: repository })
    )
    const host = Recovery.layer({
      agents: [agent],
      pollInterval: "100 millis",
      maxPollInterval: "100 millis"
    }).pipe(
      // A host keeps the default of 30 seconds. Here nobody wants to wait that long after a kill.
      Layer.provideMerge(AgentSupervisor.layerWith({ leaseTtl: "2 seconds" })),
      Layer.provideMerge(Layer.merge(services, Store.layer(store)))
    )
    return yield* Effect.provide(serve(agent, args), host)
  }).pipe(
    Effect.scoped,
    Effect.provide(
      Layer.mergeAll(
        NodeServices.layer,
        Logger.layer([Logger.withConsoleError(Logger.formatLogFmt)]),
        Layer.succeed(References.MinimumLogLevel, "Warn")
      )
    )
  )
