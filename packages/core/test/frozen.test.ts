import { assert, it } from "@effect/vitest"
import {
  Agent,
  AgentName,
  AgentSupervisor,
  Checkpointer,
  CheckpointStore,
  Heartbeat,
  HeartbeatEngine,
  Step
} from "@everbeat/core"
import { Clock, Deferred, Effect, Schema } from "effect"
import { stores, Wire, withEngine } from "./support.ts"

/** A clock of a process that can be frozen: time goes by, and no timer has come yet when it wakes up. */
const freezable = Effect.map(Clock.Clock, (real) => {
  let frozen = 0n
  const clock: Clock.Clock = {
    currentTimeMillisUnsafe: () => real.currentTimeMillisUnsafe(),
    currentTimeMillis: real.currentTimeMillis,
    currentTimeNanosUnsafe: () => real.currentTimeNanosUnsafe(),
    currentTimeNanos: real.currentTimeNanos,
    monotonicTimeNanosUnsafe: () => real.monotonicTimeNanosUnsafe() + frozen,
    monotonicTimeNanos: Effect.sync(() => real.monotonicTimeNanosUnsafe() + frozen),
    sleep: (duration) => real.sleep(duration)
  }
  return {
    inProcess: Effect.provideService(Clock.Clock, clock),
    /** Twice as long as a lease lives. */
    freeze: Effect.sync(() => {
      frozen += 60_000_000_000n
    })
  }
})

/** A process whose next save is answered while it is frozen. */
const frozenInSave = Effect.gen(function*() {
  const { freeze, inProcess } = yield* freezable
  const wire = new Wire()
  wire.after = (operation) => operation === "save" ? freeze : Effect.void
  const store = wire.wrap(yield* CheckpointStore.CheckpointStore)
  return { inProcess, store }
})

it.layer(stores)("A process that was frozen for longer than its lease", (it) => {
  it.effect("begins no step when the one before ends in the moment it wakes up", () =>
    Effect.gen(function*() {
      const { freeze, inProcess } = yield* freezable
      const gate = yield* Deferred.make<void>()
      const begun: Array<string> = []
      const step = <E>(name: string, body: Effect.Effect<unknown, E>) =>
        Step.make(name, Effect.andThen(Effect.sync(() => begun.push(name)), body))
      const heartbeat = Heartbeat.make("t", [step("frozen", Deferred.await(gate)), step("next", Effect.void)])
      const engine = yield* inProcess(HeartbeatEngine.make())
      const pass = yield* inProcess(withEngine(engine)(Heartbeat.start(heartbeat, { agent: "waits" })))
      yield* freeze
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual((yield* Effect.flip(pass.report))._tag, "LeaseLost")
      assert.deepStrictEqual(begun, ["frozen"])
    }))

  it.effect("begins no step behind one that ends at once", () =>
    Effect.gen(function*() {
      const { freeze, inProcess } = yield* freezable
      const begun: Array<string> = []
      const step = (name: string) => Step.make(name, Effect.andThen(Effect.sync(() => begun.push(name)), freeze))
      const heartbeat = Heartbeat.make("t", [step("frozen"), step("next")])
      const engine = yield* inProcess(HeartbeatEngine.make())
      const run = inProcess(withEngine(engine)(Heartbeat.run(heartbeat, { agent: "at-once" })))
      assert.strictEqual((yield* Effect.flip(run))._tag, "LeaseLost")
      assert.deepStrictEqual(begun, ["frozen"])
    }))

  it.effect("does not take a save that was answered meanwhile for leave to go on", () =>
    Effect.gen(function*() {
      const { inProcess, store } = yield* frozenInSave
      const meta = { agentName: AgentName.make("coder") }
      const checkpointer = yield* inProcess(Checkpointer.make({ store, meta }))
      yield* checkpointer.save({ iteration: 1 })
      assert.strictEqual((yield* Effect.flip(checkpointer.flush))._tag, "LeaseLost")
      assert.strictEqual((yield* Effect.flip(checkpointer.save({ iteration: 2 })))._tag, "LeaseLost")
    }))

  it.effect("runs no tool whose intent was stored meanwhile", () =>
    Effect.gen(function*() {
      const { inProcess, store } = yield* frozenInSave
      let runs = 0
      const agent = Agent.make("changes", {
        message: Schema.String,
        run: ({ checkpoint }) => checkpoint.tool({ id: "1", name: "change" }, Effect.sync(() => runs++))
      })
      const supervisor = yield* inProcess(
        Effect.provideService(AgentSupervisor.make(), CheckpointStore.CheckpointStore, store)
      )
      const handle = yield* inProcess(
        Effect.provideService(Agent.start(agent), AgentSupervisor.AgentSupervisor, supervisor)
      )
      assert.strictEqual((yield* Effect.flip(handle.record))._tag, "LeaseLost")
      assert.strictEqual(runs, 0)
    }))
})
