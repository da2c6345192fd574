import { assert, it } from "@effect/vitest"
import { CheckpointStore, Heartbeat, HeartbeatEngine, RunStore, Step } from "@everbeat/core"
import { Deferred, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { Bad, engineOver, layer, runsOf, scaled, stores, withEngine } from "./support.ts"

/** A heartbeat that waits at its only step until the gate opens, and counts how often it ran. */
const gated = Effect.gen(function*() {
  const gate = yield* Deferred.make<void>()
  const runs = { count: 0 }
  const wait = Step.make(
    "wait",
    Effect.gen(function*() {
      runs.count++
      yield* Step.touch("https://x.dev/1")
      yield* Deferred.await(gate)
    })
  )
  return { gate, runs, heartbeat: Heartbeat.make("gated", [wait]) }
})

it.layer(layer)("single flight and idempotency", (it) => {
  it.effect("a second call while a pass is in flight is refused with the run to wait for", () =>
    Effect.gen(function*() {
      const { gate, heartbeat, runs } = yield* gated
      const first = yield* Heartbeat.start(heartbeat, { agent: "busy" })
      const error = yield* Effect.flip(Heartbeat.run(heartbeat, { agent: "busy" }))
      assert(error._tag === "AgentBusy")
      assert.strictEqual(error.runId, first.runId)
      assert.strictEqual(error.retryAfterMillis, 30_000)
      const other = yield* Heartbeat.start(heartbeat, { agent: "other" })
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual((yield* first.report).status, "ok")
      assert.strictEqual((yield* other.report).status, "ok")
      assert.strictEqual(runs.count, 2)
      assert.strictEqual((yield* Heartbeat.run(heartbeat, { agent: "busy" })).status, "ok", "free again afterwards")
    }))

  it.effect("of 50 simultaneous calls one runs", () =>
    Effect.gen(function*() {
      const { gate, heartbeat, runs } = yield* gated
      const calls = yield* Effect.forkChild(
        Effect.forEach(
          Array.from({ length: scaled(50) }),
          () => Effect.result(Heartbeat.run(heartbeat, { agent: "crowd" })),
          { concurrency: "unbounded" }
        ),
        { startImmediately: true }
      )
      yield* Effect.yieldNow
      yield* Deferred.succeed(gate, undefined)
      const results = yield* Fiber.join(calls)
      assert.strictEqual(runs.count, 1)
      assert.strictEqual(results.filter((result) => result._tag === "Success").length, 1)
    }))

  it.effect("a call may join the pass in flight and gets its report", () =>
    Effect.gen(function*() {
      const { gate, heartbeat, runs } = yield* gated
      const first = yield* Heartbeat.start(heartbeat, { agent: "join" })
      const second = yield* Effect.forkChild(Heartbeat.run(heartbeat, { agent: "join", onBusy: "join" }), {
        startImmediately: true
      })
      yield* Deferred.succeed(gate, undefined)
      const report = yield* Fiber.join(second)
      assert.strictEqual(report.runId, first.runId)
      assert.strictEqual(report.origin, "joined")
      assert.strictEqual(runs.count, 1)
    }))

  it.effect("a joiner that goes away does not touch the pass", () =>
    Effect.gen(function*() {
      const { gate, heartbeat } = yield* gated
      const first = yield* Heartbeat.start(heartbeat, { agent: "leave" })
      const second = yield* Effect.forkChild(Heartbeat.run(heartbeat, { agent: "leave", onBusy: "join" }), {
        startImmediately: true
      })
      yield* Fiber.interrupt(second)
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual((yield* first.report).status, "ok")
    }))

  it.effect("a call may join the pass of another process", () =>
    Effect.gen(function*() {
      const { gate, heartbeat, runs } = yield* gated
      const here = yield* engineOver()
      const there = yield* engineOver()
      const first = yield* withEngine(here)(Heartbeat.start(heartbeat, { agent: "far" }))
      const second = yield* Effect.forkChild(
        withEngine(there)(Heartbeat.run(heartbeat, { agent: "far", onBusy: "join" })),
        { startImmediately: true }
      )
      yield* TestClock.adjust("1 second")
      yield* Deferred.succeed(gate, undefined)
      yield* first.report
      yield* TestClock.adjust("4 seconds")
      const report = yield* Fiber.join(second)
      assert.deepStrictEqual([report.runId, report.origin, runs.count], [first.runId, "joined", 1])
      assert.deepStrictEqual(report.touchedIssueUrls, ["https://x.dev/1"])
    }))

  it.effect("the same key answers the recorded report and never runs twice", () =>
    Effect.gen(function*() {
      let ran = 0
      const step = Step.make(
        "a",
        Effect.suspend(() => {
          ran++
          return Step.warn(new Bad({ why: "odd" }))
        })
      )
      const heartbeat = Heartbeat.make("t", [step])
      const call = Heartbeat.run(heartbeat, { agent: "keyed", key: "k1", payload: { a: 1, b: [2] } })
      const first = yield* call
      const second = yield* Heartbeat.run(heartbeat, { agent: "keyed", key: "k1", payload: { b: [2], a: 1 } })
      assert.strictEqual(ran, 1)
      assert.deepStrictEqual([first.origin, second.origin], ["executed", "replayed"])
      assert.strictEqual(second.runId, first.runId)
      assert.deepStrictEqual(second.warnings.map(({ code, message }) => [code, message]), [["Bad", "It is odd"]])
      assert.isUndefined(second.warnings[0]?.value, "only the diagnostic was recorded")
      const mismatch = yield* Effect.flip(Heartbeat.run(heartbeat, { agent: "keyed", key: "k1", payload: { a: 2 } }))
      assert.strictEqual(mismatch._tag, "KeyMismatch")
      yield* Heartbeat.run(heartbeat, { agent: "keyed-2", key: "k1" })
      assert.strictEqual(ran, 2, "the key belongs to the agent")
    }))

  it.effect("the same key while its pass runs is busy, and the key of a settled pass replays meanwhile", () =>
    Effect.gen(function*() {
      const { gate, heartbeat } = yield* gated
      const first = yield* Heartbeat.start(heartbeat, { agent: "keys", key: "k" })
      assert.strictEqual((yield* Effect.flip(Heartbeat.run(heartbeat, { agent: "keys", key: "k" })))._tag, "AgentBusy")
      yield* Deferred.succeed(gate, undefined)
      const report = yield* first.report
      const replayed = yield* Heartbeat.run(heartbeat, { agent: "keys", key: "k" })
      assert.strictEqual(replayed.runId, report.runId)
    }))

  it.effect("refuses bad names, keys and payloads before anything runs", () =>
    Effect.gen(function*() {
      const heartbeat = Heartbeat.make("t", [Step.make("a", Effect.die("must not run"))])
      for (const agent of ["", "a".repeat(200), "..%2f", "../x", "агент", "a b", "-a", "a\n"]) {
        const error = yield* Effect.flip(Heartbeat.run(heartbeat, { agent }))
        assert(error._tag === "InvalidInput")
        assert.strictEqual(error.field, "agent")
      }
      for (const key of ["", "k".repeat(256), "a b", "é", "a\n"]) {
        const error = yield* Effect.flip(Heartbeat.run(heartbeat, { agent: "x", key }))
        assert(error._tag === "InvalidInput")
        assert.strictEqual(error.field, "key")
      }
      const deep = JSON.parse(`${"[".repeat(50_000)}${"]".repeat(50_000)}`)
      const error = yield* Effect.flip(Heartbeat.run(heartbeat, { agent: "x", key: "k", payload: deep }))
      assert(error._tag === "InvalidInput")
      assert.strictEqual(error.field, "payload")
    }))

  it.effect("drain begins nothing new, waits for what runs, and then interrupts it", () =>
    Effect.gen(function*() {
      const quick = yield* gated
      const stuck = yield* gated
      const engine = yield* engineOver()
      const use = withEngine(engine)
      const first = yield* use(Heartbeat.start(quick.heartbeat, { agent: "drain-1" }))
      const second = yield* use(Heartbeat.start(stuck.heartbeat, { agent: "drain-2" }))
      const drained = yield* Effect.forkChild(engine.drain("10 seconds"), { startImmediately: true })
      const refused = yield* Effect.flip(use(Heartbeat.run(quick.heartbeat, { agent: "drain-3" })))
      assert.strictEqual(refused._tag, "EngineStopped")
      yield* Deferred.succeed(quick.gate, undefined)
      assert.strictEqual((yield* first.report).status, "ok")
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(drained)
      assert.strictEqual((yield* Effect.flip(second.report))._tag, "PassInterrupted")
      const [run] = yield* runsOf("drain-2")
      assert.strictEqual(run?.status, "interrupted", "released: the next heartbeat continues it at once")
    }))

  it.effect("a pass that somebody cancelled is recorded as cancelled", () =>
    Effect.gen(function*() {
      const { heartbeat } = yield* gated
      const store = yield* CheckpointStore.CheckpointStore
      const first = yield* Heartbeat.start(heartbeat, { agent: "cancel" })
      yield* store.requestCancel(first.runId)
      yield* TestClock.adjust("10 seconds") // the next renewal
      assert.strictEqual((yield* Effect.flip(first.report))._tag, "PassCancelled")
      const runs = yield* RunStore.RunStore
      assert.strictEqual((yield* runs.get(first.runId)).status, "cancelled")
    }))
})

it.layer(HeartbeatEngine.layerNoStore)("without a store", (it) => {
  it.effect("passes run and report, and one agent has one pass at a time", () =>
    Effect.gen(function*() {
      const { gate, heartbeat } = yield* gated
      const first = yield* Heartbeat.start(heartbeat, { agent: "a", key: "k" })
      assert.strictEqual((yield* Effect.flip(Heartbeat.run(heartbeat, { agent: "a" })))._tag, "AgentBusy")
      yield* Deferred.succeed(gate, undefined)
      const report = yield* first.report
      assert.deepStrictEqual([report.status, report.recorded, report.errors.length], ["ok", false, 0])
      yield* Heartbeat.run(heartbeat, { agent: "a" })
    }))
})

it.effect("closing the engine interrupts and releases what runs", () =>
  Effect.gen(function*() {
    const { heartbeat } = yield* gated
    const pass = yield* Heartbeat.start(heartbeat, { agent: "closing" }).pipe(
      Effect.provide(HeartbeatEngine.layer) // the engine's scope ends here
    )
    assert.strictEqual((yield* Effect.flip(pass.report))._tag, "PassInterrupted")
    const [run] = yield* runsOf("closing")
    assert.strictEqual(run?.status, "interrupted")
    assert.strictEqual(run?.attempts[0]?.fence, 1)
  }).pipe(Effect.provide(Layer.fresh(stores))))
