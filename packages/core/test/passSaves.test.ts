import { assert, it } from "@effect/vitest"
import { CheckpointStore, Heartbeat, HeartbeatEngine, Step, StoreError } from "@everbeat/core"
import { Deferred, Effect } from "effect"
import { TestClock } from "effect/testing"
import { codes, engineOver, statuses, stores, Wire, withEngine } from "./support.ts"

/** A store that answers a save in the same turn, as one in the same process does, and with this. */
const engineWithSave = (answer: CheckpointStore.CheckpointStore["Service"]["save"]) =>
  Effect.gen(function*() {
    const store = yield* CheckpointStore.CheckpointStore
    return yield* HeartbeatEngine.make().pipe(
      Effect.provideService(CheckpointStore.CheckpointStore, { ...store, save: answer })
    )
  })

/** An engine whose saves reach the store when `answered` is; `saving` tells that one is on its way. */
const holdingSaves = Effect.gen(function*() {
  const [saving, answered] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
  const wire = new Wire()
  wire.before = (operation) =>
    operation === "save"
      ? Effect.andThen(Deferred.succeed(saving, undefined), Deferred.await(answered))
      : Effect.void
  return { engine: yield* engineOver(wire), saving, answered }
})

const syncStep = (name: string, started: Array<string>, act: Effect.Effect<unknown> = Effect.void) =>
  Step.make(name, { durability: "sync" }, () => Effect.andThen(Effect.sync(() => started.push(name)), act))

it.layer(stores)("The saves of a pass", (it) => {
  it.effect("no step starts while a sync outcome is being saved, whatever ends beside it", () =>
    Effect.gen(function*() {
      const { answered, engine, saving } = yield* holdingSaves
      const [first, beside] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      const started: Array<string> = []
      const steps = [
        Step.make("a", { durability: "sync" }, () => Deferred.await(first)),
        Step.make("b", () => Deferred.await(beside)),
        Step.make("c", () => Effect.sync(() => started.push("c")))
      ]
      const heartbeat = Heartbeat.make("t", steps, { concurrency: 2 })
      const pass = yield* withEngine(engine)(Heartbeat.start(heartbeat, { agent: "beside" }))
      yield* Deferred.succeed(first, undefined)
      yield* Deferred.await(saving)
      yield* Deferred.succeed(beside, undefined)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(started, [])
      yield* Deferred.succeed(answered, undefined)
      assert.strictEqual((yield* pass.report).status, "ok")
      assert.deepStrictEqual(started, ["c"])
    }))

  it.effect("no step starts while a timer saves a sync outcome", () =>
    Effect.gen(function*() {
      const { answered, engine, saving } = yield* holdingSaves
      const [first, beside] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      const started: Array<string> = []
      const a = Step.make("a", { durability: "sync" }, () => Deferred.await(first))
      const b = Step.make("b", () => Deferred.await(beside))
      const c = Step.make("c", { after: { b } }, () => Effect.sync(() => started.push("c")))
      const heartbeat = Heartbeat.make("t", [a, b, c], { concurrency: 2 })
      const pass = yield* withEngine(engine)(Heartbeat.start(heartbeat, { agent: "timer" }))
      yield* Deferred.succeed(first, undefined) // nothing can start yet: nobody asks for a write
      yield* TestClock.adjust("100 millis")
      yield* Deferred.await(saving)
      yield* Deferred.succeed(beside, undefined)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(started, [])
      yield* Deferred.succeed(answered, undefined)
      assert.strictEqual((yield* pass.report).status, "ok")
      assert.deepStrictEqual(started, ["c"])
    }))

  it.effect("no step starts while what came during a save is saved, when it is a sync outcome", () =>
    Effect.gen(function*() {
      const gates = new Map<string, Deferred.Deferred<void>>()
      for (const name of ["a", "b", "c", "save1", "save2"]) gates.set(name, yield* Deferred.make<void>())
      const gate = (name: string) => Deferred.await(gates.get(name) as Deferred.Deferred<void>)
      const open = (name: string) => Deferred.succeed(gates.get(name) as Deferred.Deferred<void>, undefined)
      const wire = new Wire()
      let saves = 0
      wire.before = (operation) => operation === "save" ? gate(`save${++saves}`) : Effect.void
      const engine = yield* engineOver(wire)
      const started: Array<string> = []
      const a = Step.make("a", () => gate("a"))
      const b = Step.make("b", { durability: "sync" }, () => gate("b"))
      const c = Step.make("c", () => gate("c"))
      const d = Step.make("d", { after: { c } }, () => Effect.sync(() => started.push("d")))
      const heartbeat = Heartbeat.make("t", [a, b, c, d], { concurrency: 3 })
      const pass = yield* withEngine(engine)(Heartbeat.start(heartbeat, { agent: "trailing" }))
      yield* open("a")
      yield* TestClock.adjust("100 millis")
      assert.strictEqual(saves, 1)
      yield* open("b")
      yield* open("save1")
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(saves, 2)
      yield* open("c")
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(started, [])
      yield* open("save2")
      assert.strictEqual((yield* pass.report).status, "ok")
      assert.deepStrictEqual(started, ["d"])
    }))

  it.effect("a cancellation that a save reports at once: no further step starts", () =>
    Effect.gen(function*() {
      const store = yield* CheckpointStore.CheckpointStore
      const started: Array<string> = []
      const asks = Effect.orDie(
        Effect.flatMap(Step.Current, ({ runId }) => store.requestCancel(runId))
      ) as Effect.Effect<unknown>
      const heartbeat = Heartbeat.make("t", [
        syncStep("a", started, asks),
        syncStep("b", started),
        syncStep("c", started)
      ])
      const error = yield* Effect.flip(withEngine(yield* engineOver())(Heartbeat.run(heartbeat, { agent: "cancel" })))
      assert.strictEqual(error._tag, "PassCancelled")
      assert.deepStrictEqual(started, ["a"])
    }))

  it.effect("a cancellation that a save reports at once, while the record waits for the store", () =>
    Effect.gen(function*() {
      const store = yield* CheckpointStore.CheckpointStore
      const started: Array<string> = []
      const gate = yield* Deferred.make<void>()
      const settling = yield* Deferred.make<void>()
      const wire = new Wire()
      wire.before = (operation) => operation === "settle" ? Deferred.await(settling) : Effect.void
      const heartbeat = Heartbeat.make("t", [
        syncStep("a", started, Deferred.await(gate)),
        syncStep("b", started),
        syncStep("c", started)
      ])
      const pass = yield* withEngine(yield* engineOver(wire))(Heartbeat.start(heartbeat, { agent: "cancel-late" }))
      yield* Effect.orDie(store.requestCancel(pass.runId))
      yield* Deferred.succeed(gate, undefined)
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(started, ["a"])
      yield* Deferred.succeed(settling, undefined)
      assert.strictEqual((yield* Effect.flip(pass.report))._tag, "PassCancelled")
      assert.deepStrictEqual(started, ["a"])
    }))

  it.effect("a pass that is cancelled by one of its steps: no further step starts", () =>
    Effect.gen(function*() {
      const started: Array<string> = []
      const engine = yield* engineOver()
      const cancels = Effect.flatMap(Step.Current, ({ runId }) => engine.cancel(runId)) as Effect.Effect<unknown>
      const steps = [Step.make("a", () => cancels), Step.make("b", () => Effect.sync(() => started.push("b")))]
      const error = yield* Effect.flip(
        withEngine(engine)(Heartbeat.run(Heartbeat.make("t", steps), { agent: "cancel-self" }))
      )
      assert.strictEqual(error._tag, "PassCancelled")
      assert.deepStrictEqual(started, [])
    }))

  it.effect("a step that cancels its pass and goes on is interrupted", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      let interrupted = false
      const engine = yield* engineOver()
      const cancels = Effect.flatMap(Step.Current, ({ runId }) => engine.cancel(runId)) as Effect.Effect<unknown>
      const goesOn = Effect.onInterrupt(Effect.never, () =>
        Effect.sync(() => {
          interrupted = true
        }))
      const steps = [
        Step.make("a", () => Deferred.await(gate)),
        Step.make("b", () => Effect.andThen(cancels, goesOn))
      ]
      const pass = yield* withEngine(engine)(Heartbeat.start(Heartbeat.make("t", steps), { agent: "goes-on" }))
      yield* Deferred.succeed(gate, undefined)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Effect.flip(pass.report))._tag, "PassCancelled")
      assert.isTrue(interrupted)
    }))

  it.effect("a lease that is lost as a save finds at once: no further step starts", () =>
    Effect.gen(function*() {
      const started: Array<string> = []
      const engine = yield* engineWithSave(({ runId }) => Effect.fail(new StoreError.Fenced({ runId })))
      const heartbeat = Heartbeat.make("t", [syncStep("a", started), syncStep("b", started), syncStep("c", started)])
      const error = yield* Effect.flip(withEngine(engine)(Heartbeat.run(heartbeat, { agent: "lost" })))
      assert.strictEqual(error._tag, "LeaseLost")
      assert.deepStrictEqual(started, ["a"])
    }))

  it.effect("a store without types that answers a save with nothing hangs no pass", () =>
    Effect.gen(function*() {
      const started: Array<string> = []
      const engine = yield* engineWithSave(() => Effect.delay(Effect.succeed(undefined as never), "5 millis"))
      const heartbeat = Heartbeat.make("t", [syncStep("a", started), syncStep("b", started)])
      const pass = yield* withEngine(engine)(Heartbeat.start(heartbeat, { agent: "nothing" }))
      yield* TestClock.adjust("10 millis")
      assert.strictEqual((yield* pass.report).status, "ok")
      assert.deepStrictEqual(started, ["a", "b"])
    }))

  it.effect("an outcome that is refused at once, with onStoreFailure stop: no further step starts", () =>
    Effect.gen(function*() {
      const started: Array<string> = []
      const engine = yield* engineWithSave(() =>
        Effect.fail(new StoreError.StoreError({ operation: "save", reason: "refused", detail: "too large" }))
      )
      const heartbeat = Heartbeat.make("t", [syncStep("a", started), syncStep("b", started)], {
        onStoreFailure: "stop"
      })
      const report = yield* withEngine(engine)(Heartbeat.run(heartbeat, { agent: "refused" }))
      assert.deepStrictEqual(started, ["a"])
      assert.deepStrictEqual(statuses(report), ["a:ok", "b:skipped"])
      assert.deepStrictEqual(codes(report).errors, ["-:OutcomeNotSaved"])
    }))
})
