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
import { Cause, Effect, Exit, Fiber, Layer, Logger, Option } from "effect"
import { type Entry, micros, openJournal } from "./journal.ts"
import { type FromWorker, space, type ToWorker, unreachable, type WorkerConfig } from "./messages.ts"
import { random } from "./random.ts"
import { sabotages } from "./sabotage.ts"
import { skewedClock } from "./skewedClock.ts"
import { witness } from "./witness.ts"
import { makeAgents, makeHeartbeat, makePayload } from "./workload.ts"

/** How long callers ask for the same keys. */
const keyMicros = 2_000_000

/** What a caller is told of an outage is no business of the check, as long as it is told in words that the types have. */
const complaint = (cause: Cause.Cause<unknown>): ReadonlyArray<Entry> => {
  if (Cause.hasDies(cause)) return [{ e: "defect", what: Cause.pretty(cause).slice(0, 2000) }]
  const error = Cause.squash(cause)
  return [{ e: "told", what: error instanceof Error ? error.name : String(error) }]
}

/** Whether it never came to work, since it did not reach the store. */
const isUnreachable = (cause: Cause.Cause<StoreError.StoreError>): boolean =>
  !Cause.hasDies(cause) && Option.isSome(Cause.findErrorOption(cause))

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
  let onRescue = (): void => {}
  // From the beginning: what comes before anybody listens is lost.
  process.on("message", (message: ToWorker) => {
    if (message.type === "quiet") callers.areQuiet = true
    if (message.type === "rescue") onRescue()
  })

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
    // The same for all workers for a while: a key of which there are many is never asked for twice.
    const key = dice.next() < 0.5 ? `key-${Math.floor(micros() / keyMicros)}-${dice.integer(2)}` : undefined
    const report = yield* Heartbeat.run(heartbeat, {
      agent,
      onBusy: dice.next() < 0.2 ? "join" : "fail",
      ...(key === undefined ? {} : { key, payload: key })
    })
    const { origin, recorded, runId, status } = report
    journal.write({ e: "reported", run: runId, agent, key, status, origin, recorded })
  })

  const task = Effect.gen(function*() {
    // Of the same key every caller asks for the same thing: keys are not shared here.
    const key = dice.next() < 0.3 ? `${config.worker}-${dice.integer(1_000_000)}` : undefined
    const { origin, record } = yield* Agent.start(coder, {
      payload: makePayload(dice),
      ...(key === undefined ? {} : { key })
    })
    const { agentName: agent, runId: run, status } = yield* record
    journal.write({ e: "reported", run, agent, key, status, origin, recorded: true })
  })

  const caller = <E, R>(call: Effect.Effect<void, E, R>): Effect.Effect<void, never, R> =>
    Effect.gen(function*() {
      while (!callers.areQuiet) {
        const exit = yield* Effect.exit(Effect.timeoutOption(call, "10 seconds"))
        if (Exit.isFailure(exit)) journal.write(...complaint(exit.cause))
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
    onRescue = () => void Effect.runForkWith(context)(Effect.exit(rescue))
    journal.write({ e: "up", skew: config.skew, pool: config.pool })
    yield* Effect.all([caller(beat), caller(beat), caller(beat), caller(task), caller(task), caller(task)], {
      concurrency: "unbounded"
    })
    say({ type: "resting" })
    yield* Effect.never
  }).pipe(
    Effect.provide(host),
    Effect.provide(Logger.layer([])),
    Effect.provideContext(skewedClock(config.skew, dice))
  )
  const fiber = Effect.runFork(program)
  fiber.addObserver((exit) => {
    journal.write({ e: "stopped" })
    // Nothing but a signal ends it, and nothing that it does on the way may be a bug.
    const isFine = signalled && !(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
    if (isFine) process.exit(0)
    process.stderr.write(
      `${config.worker}: ${Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "it has nothing to do"}\n`
    )
    process.exit(Exit.isFailure(exit) && isUnreachable(exit.cause) ? unreachable : 1)
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
