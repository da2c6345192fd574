/** A process of the fleet: a store, both engines, recovery, and callers that never rest. */
import {
  Agent,
  AgentSupervisor,
  CheckpointStore,
  Heartbeat,
  HeartbeatEngine,
  Recovery,
  type RunStore,
  type StoreError
} from "@everbeat/core"
import { PostgresStore } from "@everbeat/store-postgres"
import { RedisStore } from "@everbeat/store-redis"
import { Effect, Fiber, Layer, Logger } from "effect"
import { openJournal } from "./journal.ts"
import { type FromWorker, space, type ToWorker, type WorkerConfig } from "./messages.ts"
import { random } from "./random.ts"
import { sabotages } from "./sabotage.ts"
import { skewedClock } from "./skewedClock.ts"
import { witness } from "./witness.ts"
import { makeAgents, makeHeartbeat, makePayload } from "./workload.ts"

/** How long a worker waits for the store. */
const storeMillis = 1000

const storesOf = (
  { pool, store, url }: WorkerConfig
): Layer.Layer<CheckpointStore.CheckpointStore | RunStore.RunStore, StoreError.StoreError> =>
  store === "postgres"
    ? PostgresStore.layer({
      url,
      schema: space,
      migrate: "off",
      maxConnections: pool,
      statementTimeout: storeMillis,
      connectTimeout: storeMillis
    })
    : RedisStore.layer({ url, prefix: space, timeout: storeMillis, onWarning: () => Effect.void })

const say = (message: FromWorker): void => void process.send?.(message)

const run = (config: WorkerConfig) => {
  const journal = openJournal(config.journals, config.worker)
  const dice = random(config.seed)
  const heartbeat = makeHeartbeat(journal, dice)
  const { coder, helper } = makeAgents(journal, dice)
  const callers = { areQuiet: false }

  const watched = Layer.effect(
    CheckpointStore.CheckpointStore,
    Effect.map(
      CheckpointStore.CheckpointStore,
      (store) => witness(config.sabotage === undefined ? store : sabotages[config.sabotage](store), journal)
    )
  )
  const stores = Layer.provideMerge(watched, storesOf(config))
  const times = { leaseTtl: config.leaseMillis, storeTimeout: storeMillis }
  const host = Recovery.layer({
    agents: [coder, helper],
    heartbeats: [heartbeat],
    concurrency: 8,
    pollInterval: "200 millis",
    maxPollInterval: "400 millis",
    reportInterval: "1 hour"
  }).pipe(
    Layer.provideMerge(Layer.merge(HeartbeatEngine.layerWith(times), AgentSupervisor.layerWith(times))),
    Layer.provideMerge(stores)
  )

  /** A caller of heartbeats: of agents that others call too, with keys that others use too. */
  const beat = Effect.gen(function*() {
    const agent = `agent-${dice.integer(10)}`
    const key = dice.next() < 0.5 ? `key-${dice.integer(2000)}` : undefined
    const report = yield* Heartbeat.run(heartbeat, {
      agent,
      onBusy: dice.next() < 0.2 ? "join" : "fail",
      ...(key === undefined ? {} : { key, payload: key })
    })
    journal.write({ e: "reported", run: report.runId, agent, key, status: report.status })
  })

  const task = Effect.gen(function*() {
    const handle = yield* Agent.start(coder, {
      payload: makePayload(dice),
      // Of the same key every caller asks for the same thing: keys are not shared here.
      ...(dice.next() < 0.3 ? { key: `${config.worker}-${dice.integer(1_000_000)}` } : {})
    })
    yield* handle.result
  })

  const caller = <E, R>(call: Effect.Effect<void, E, R>): Effect.Effect<void, never, R> =>
    Effect.gen(function*() {
      while (!callers.areQuiet) {
        // What a caller is told of an outage is no business of the check: what was acknowledged is.
        yield* Effect.exit(Effect.timeoutOption(call, "10 seconds"))
        yield* Effect.sleep(dice.between(10, 150))
      }
    })

  const rescue = Effect.gen(function*() {
    const recovery = yield* Recovery.Recovery
    const { exhausted, orphans } = yield* recovery.report
    say({ type: "rescued", orphans: orphans.map(({ runId }) => runId) })
    for (const { runId } of [...exhausted, ...orphans]) yield* Effect.exit(recovery.resume(runId))
  })

  const program = Effect.gen(function*() {
    const context = yield* Effect.context<Recovery.Recovery>()
    process.on("message", (message: ToWorker) => {
      if (message.type === "quiet") callers.areQuiet = true
      if (message.type === "rescue") Effect.runForkWith(context)(Effect.exit(rescue))
    })
    journal.write({ e: "up", skew: config.skew, pool: config.pool })
    yield* Effect.all([caller(beat), caller(beat), caller(beat), caller(task), caller(task), caller(task)], {
      concurrency: "unbounded"
    })
    yield* Effect.never
  }).pipe(
    Effect.provide(host),
    Effect.provide(Logger.layer([])),
    Effect.provideContext(skewedClock(config.skew, dice))
  )
  const fiber = Effect.runFork(program)
  fiber.addObserver((exit) => {
    journal.write({ e: "stopped" })
    if (exit._tag === "Failure" && !signalled) process.stderr.write(`${config.worker}: ${String(exit.cause)}\n`)
    process.exit(0)
  })
  let signalled = false
  process.once("SIGTERM", () => {
    signalled = true
    Effect.runFork(Fiber.interrupt(fiber))
  })
}

process.once("disconnect", () => process.exit(1))
const start = (message: ToWorker): void => {
  if (message.type !== "start") return
  process.off("message", start)
  run(message.config)
}
process.on("message", start)
say({ type: "loaded" })
