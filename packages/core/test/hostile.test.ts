import { assert, describe, it } from "@effect/vitest"
import { AgentRun, CheckpointStore, Heartbeat, HeartbeatEngine, RunStore, Step } from "@everbeat/core"
import { Deferred, type Duration, Effect, Fiber, Layer, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import {
  Bad,
  codes,
  engineOver,
  layer,
  Low,
  pass,
  runsOf,
  statuses,
  stores,
  unavailable,
  Wire,
  withEngine
} from "./support.ts"

const revoked = (): object => {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

it.layer(layer)("values that misbehave", (it) => {
  it.effect("a failure that throws when it is looked at is an error, once, and the pass ends", () =>
    Effect.gen(function*() {
      for (const raise of [Effect.fail(revoked()), Effect.die(revoked())]) {
        let started = 0
        const sync = Step.make(
          "a",
          Effect.suspend(() => {
            started++
            return raise
          })
        )
        const late = Step.make("b", Effect.andThen(Effect.yieldNow, raise)).pipe(Step.bestEffort)
        const report = yield* pass([sync, late, Step.make("c", Effect.void)], { onCritical: "continue" })
        assert.deepStrictEqual(statuses(report), ["a:error", "b:warning", "c:ok"])
        assert.strictEqual(started, 1)
      }
    }))

  it.effect("a result that is not JSON behind its codec is refused at the step", () =>
    Effect.gen(function*() {
      const cyclic: { self?: unknown } = {}
      cyclic.self = cyclic
      let deep: unknown = 1
      for (let level = 0; level < 20_000; level++) deep = [deep]
      for (const value of [new Map(), cyclic, deep, () => 1]) {
        const step = Step.make("a", { result: Schema.Any, durability: "sync" }, () => Effect.succeed(value))
        const report = yield* pass([step, Step.make("b", Effect.void)], { onCritical: "continue" })
        assert.deepStrictEqual(codes(report).errors, ["a:ResultRefused"])
      }
    }))

  it.effect("what happens to a result after its step is not stored", () =>
    Effect.gen(function*() {
      const store = yield* CheckpointStore.CheckpointStore
      const a = Step.make("a", { result: Schema.Any }, () => Effect.succeed({ list: ["one"] }))
      const b = Step.make("b", { after: { a } }, ({ a }) =>
        Effect.gen(function*() {
          a.list.length = 0
          a.self = a
          yield* Effect.sleep("1 second")
        }))
      const begun = yield* Heartbeat.start(Heartbeat.make("t", [a, b]), { agent: "mutated" })
      yield* TestClock.adjust("200 millis")
      const [row = ""] = (yield* store.load(begun.runId)).messages
      assert.deepStrictEqual(JSON.parse(row).result, { list: ["one"] })
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* begun.report).status, "ok")
    }))

  it.effect("a payload that is not JSON is refused before anything begins", () =>
    Effect.gen(function*() {
      const heartbeat = Heartbeat.make("t", [Step.make("a", Effect.void)])
      for (const payload of [{ f: () => 1 }, { at: new Date(0) }, { x: undefined }, 10n]) {
        for (const key of [undefined, "k"]) {
          const error = yield* Effect.flip(
            Heartbeat.run(heartbeat, { agent: "payload", key, payload: payload as unknown as Schema.Json })
          )
          assert(error._tag === "InvalidInput")
          assert.strictEqual(error.field, "payload")
        }
      }
    }))

  it.effect("a field that is there but undefined does not keep a pass from being continued", () =>
    Effect.gen(function*() {
      const heartbeat = Heartbeat.make("t", [Step.make("a", Effect.sleep("1 second"))])
      const who = { agent: "undefined", callerId: undefined, parentRunId: undefined } as unknown as Heartbeat.RunOptions
      const begun = yield* Heartbeat.start(heartbeat, who)
      yield* begun.interrupt
      const resumed = yield* Effect.forkChild(Heartbeat.run(heartbeat, who))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(resumed)).origin, "resumed")
    }))

  it.effect("a retried try leaves neither its warnings nor their overflow, nor what it acquired", () =>
    Effect.gen(function*() {
      let tries = 0
      let open = 0
      let most = 0
      const step = Step.make(
        "a",
        Effect.gen(function*() {
          yield* Effect.acquireRelease(
            Effect.sync(() => {
              most = Math.max(most, ++open)
            }),
            () =>
              Effect.sync(() => {
                open--
              })
          )
          if (++tries === 3) return
          for (let n = 0; n < 1500; n++) yield* Step.warn(new Low({ n }))
          yield* Effect.fail(new Bad({ why: "x" }))
        })
      ).pipe(Step.retry(Schedule.recurs(5)))
      const report = yield* pass([step])
      assert.deepStrictEqual([report.status, report.warnings.length, tries, most, open], ["ok", 0, 3, 1, 0])
    }))
})

it.layer(stores)("a pass in hostile surroundings", (it) => {
  const waiting = (millis: Duration.Input = "1 second") =>
    Heartbeat.make("t", [Step.make("a", Effect.sleep(millis))], { stepTimeout: "10 minutes", deadline: "10 minutes" })

  it.effect("one failed renewal loses no lease, and the next comes sooner", () =>
    Effect.gen(function*() {
      const wire = new Wire()
      const asked: Array<number> = []
      wire.before = (operation) =>
        operation === "renew"
          ? Effect.andThen(
            Effect.clockWith((clock) => Effect.sync(() => asked.push(clock.currentTimeMillisUnsafe()))),
            Effect.andThen(Effect.sleep(5), asked.length === 1 ? Effect.fail(unavailable("renew")) : Effect.void)
          )
          : Effect.void
      const from = yield* Effect.clockWith((clock) => Effect.sync(() => clock.currentTimeMillisUnsafe()))
      const begun = yield* withEngine(yield* engineOver(wire))(
        Heartbeat.start(waiting("45 seconds"), { agent: "renew" })
      )
      yield* TestClock.adjust("45 seconds")
      assert.strictEqual((yield* begun.report).status, "ok")
      const seconds = asked.map((at) => Math.round((at - from) / 1000))
      assert.deepStrictEqual(seconds, [10, 20, 23, 33, 43].filter((_, index) => index < seconds.length))
      assert.isAtLeast(seconds.length, 4)
    }))

  it.effect("a store that throws in renew stops neither renewals nor the local deadline", () =>
    Effect.gen(function*() {
      const store = yield* CheckpointStore.CheckpointStore
      let thrown = 0
      const throwing = {
        ...store,
        renew: () => {
          thrown++
          throw new Error("driver bug")
        }
      }
      const engine = yield* engineOver().pipe(Effect.provideService(CheckpointStore.CheckpointStore, throwing))
      const begun = yield* withEngine(engine)(Heartbeat.start(waiting("1 hour"), { agent: "throwing" }))
      yield* TestClock.adjust("28 seconds")
      assert.isAbove(thrown, 1)
      assert.strictEqual((yield* Effect.flip(begun.report))._tag, "LeaseLost")
    }))

  it.effect("a begin that is answered after the engine was drained hands its lease on", () =>
    Effect.gen(function*() {
      const wire = new Wire()
      wire.after = (operation) => operation === "begin" ? Effect.sleep("2 seconds") : Effect.void
      const engine = yield* engineOver(wire)
      let ran = false
      const heartbeat = Heartbeat.make("t", [Step.make(
        "a",
        Effect.sync(() => {
          ran = true
        })
      )])
      const call = yield* Effect.forkChild(
        Effect.flip(withEngine(engine)(Heartbeat.run(heartbeat, { agent: "late" }))),
        {
          startImmediately: true
        }
      )
      const drained = yield* Effect.forkChild(engine.drain(0), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      assert.isUndefined(drained.pollUnsafe(), "drain waits for the answer")
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(drained)
      assert.strictEqual((yield* Fiber.join(call))._tag, "EngineStopped")
      assert.isFalse(ran)
      assert.strictEqual((yield* runsOf("late"))[0]?.status, "interrupted", "released: the next call continues at once")
    }))

  it.effect("an interrupted pass of another heartbeat is left alone, in begin, join and replay", () =>
    Effect.gen(function*() {
      const engine = yield* engineOver()
      const use = withEngine(engine)
      const nightly = Heartbeat.make("nightly", [Step.make("sync", Effect.sleep("1 minute"))])
      let ran = 0
      const hourly = Heartbeat.make("hourly", [Step.make("sync", Effect.sync(() => ran++))])
      const begun = yield* use(Heartbeat.start(nightly, { agent: "two" }))
      const busy = yield* Effect.flip(use(Heartbeat.run(hourly, { agent: "two", onBusy: "join" })))
      assert.strictEqual(busy._tag, "AgentBusy")
      yield* begun.interrupt
      for (let call = 0; call < 5; call++) {
        const error = yield* Effect.flip(use(Heartbeat.run(hourly, { agent: "two" })))
        assert(error._tag === "DefinitionChanged")
        assert.strictEqual(error.name, "nightly")
      }
      const [run] = yield* runsOf("two")
      assert.deepStrictEqual([run?.status, run?.attempts.length, ran], ["interrupted", 1, 0])
      const keyed = Heartbeat.make("keyed", [Step.make("a", Effect.void)])
      yield* use(Heartbeat.run(keyed, { agent: "three", key: "k" }))
      assert.strictEqual(
        (yield* Effect.flip(use(Heartbeat.run(hourly, { agent: "three", key: "k" }))))._tag,
        "KeyMismatch"
      )
    }))

  it.effect("an interrupted pass that was cancelled is recorded as that, and the call begins its own", () =>
    Effect.gen(function*() {
      const store = yield* CheckpointStore.CheckpointStore
      const runs = yield* RunStore.RunStore
      const use = withEngine(yield* engineOver())
      const heartbeat = Heartbeat.make("t", [Step.make("a", Effect.sleep("1 second"))])
      const begun = yield* use(Heartbeat.start(heartbeat, { agent: "cancelled", key: "k" }))
      yield* begun.interrupt
      yield* store.requestCancel(begun.runId)
      const other = Heartbeat.make("other", [Step.make("b", Effect.void)])
      const report = yield* use(Heartbeat.run(other, { agent: "cancelled" }))
      assert.deepStrictEqual([report.status, report.origin], ["ok", "executed"])
      assert.strictEqual((yield* runs.get(begun.runId)).status, "cancelled")
      const replayed = yield* Effect.flip(use(Heartbeat.run(heartbeat, { agent: "cancelled", key: "k" })))
      assert.strictEqual(replayed._tag, "PassCancelled")
    }))

  it.effect("a restart restarts once: what the new list recorded is not run again", () =>
    Effect.gen(function*() {
      const use = withEngine(yield* engineOver())
      const ran: Array<string> = []
      const step = (name: string) => Step.make(name, Effect.sync(() => void ran.push(name)))
      const options = { onDefinitionChange: "restart", durability: "sync", maxAttempts: 9 } as const
      const list = (names: ReadonlyArray<string>): ReadonlyArray<Step.Step<string, void, never, never, never>> => [
        ...names.map(step),
        Step.make("hang", Effect.sleep("1 hour"))
      ]
      for (const names of [["x"], ["x", "y"], ["x", "y"], ["x", "y"]]) {
        const begun = yield* use(Heartbeat.start(Heartbeat.make("t", list(names), options), { agent: "restart" }))
        yield* TestClock.adjust(10)
        yield* begun.interrupt
      }
      assert.deepStrictEqual(ran, ["x", "x", "y"])
    }))

  it.effect("a critical failure of a step that is no longer listed keeps the run failed", () =>
    Effect.gen(function*() {
      const use = withEngine(yield* engineOver())
      const charge = Step.make("charge", { durability: "sync" }, () =>
        Effect.andThen(Step.touch("https://x.dev/1"), Effect.fail(new Bad({ why: "declined" }))))
      const hang = Step.make("hang", Effect.sleep("1 hour"))
      const begun = yield* use(
        Heartbeat.start(Heartbeat.make("t", [charge, hang], { onCritical: "continue" }), { agent: "orphan" })
      )
      yield* TestClock.adjust(10)
      yield* begun.interrupt
      const report = yield* use(
        Heartbeat.run(Heartbeat.make("t", [Step.make("next", Effect.void)]), { agent: "orphan" })
      )
      assert.deepStrictEqual(codes(report).errors, ["charge:Bad"])
      assert.deepStrictEqual(statuses(report), ["next:skipped", "charge:error"])
      assert.deepStrictEqual(report.touchedIssueUrls, ["https://x.dev/1"])
    }))

  it.effect("a step that could end without a result and no longer may is run again", () =>
    Effect.gen(function*() {
      const use = withEngine(yield* engineOver())
      let fail = true
      const a = Step.make("a", { result: Schema.Array(Schema.String), durability: "sync" }, () =>
        Effect.suspend(() =>
          fail ? Effect.fail(new Bad({ why: "x" })) : Effect.succeed(["one"])
        ))
      const hang = Step.make("b", Effect.sleep("1 hour"))
      const begun = yield* use(
        Heartbeat.start(Heartbeat.make("t", [a.pipe(Step.bestEffort), hang]), { agent: "strict" })
      )
      yield* TestClock.adjust(10)
      yield* begun.interrupt
      fail = false
      const seen: Array<number> = []
      const b = Step.make("b", { after: { a } }, ({ a }) => Effect.sync(() => void seen.push(a.length)))
      yield* use(Heartbeat.run(Heartbeat.make("t", [a, b]), { agent: "strict" }))
      assert.deepStrictEqual(seen, [1])
    }))

  it.effect("the deadline also counts while outcomes are written", () =>
    Effect.gen(function*() {
      const wire = new Wire()
      wire.before = (operation) => operation === "save" ? Effect.sleep("400 millis") : Effect.void
      const steps = ["a", "b", "c", "d"].map((name) => Step.make(name, Effect.void))
      const heartbeat = Heartbeat.make("t", steps, {
        durability: "sync",
        deadline: "500 millis"
      })
      const fiber = yield* Effect.forkChild(
        withEngine(yield* engineOver(wire))(Heartbeat.run(heartbeat, { agent: "slow" }))
      )
      yield* TestClock.adjust("5 seconds")
      const report = yield* Fiber.join(fiber)
      assert.deepStrictEqual(statuses(report), ["a:ok", "b:ok", "c:skipped", "d:skipped"])
      assert.deepStrictEqual(codes(report).errors, ["-:DeadlineExceeded"])
    }))

  it.effect("a store that hangs holds up a pass once, not each step anew", () =>
    Effect.gen(function*() {
      const wire = new Wire()
      wire.before = (operation) => operation === "save" ? Effect.never : Effect.void
      const steps = Array.from({ length: 20 }, (_, index) => Step.make(`s${index}`, Effect.void))
      const heartbeat = Heartbeat.make("t", steps, {
        durability: "sync",
        deadline: "20 seconds"
      })
      const fiber = yield* Effect.forkChild(
        withEngine(yield* engineOver(wire))(Heartbeat.run(heartbeat, { agent: "hangs" }))
      )
      yield* TestClock.adjust("20 seconds")
      const report = yield* Fiber.join(fiber)
      assert.deepStrictEqual(codes(report), { warnings: ["-:OutcomeNotSaved"], errors: [] })
      assert.isTrue(report.recorded)
    }))

  it.effect("onStoreFailure stop also stops for outcomes that are only coalesced", () =>
    Effect.gen(function*() {
      const wire = new Wire()
      wire.before = (operation) => operation === "save" ? Effect.fail(unavailable(operation)) : Effect.void
      const steps = ["a", "b", "c"].map((name) => Step.make(name, Effect.sleep("1 second")))
      const heartbeat = Heartbeat.make("t", steps, { onStoreFailure: "stop" })
      const fiber = yield* Effect.forkChild(
        withEngine(yield* engineOver(wire))(Heartbeat.run(heartbeat, { agent: "strict-2" }))
      )
      yield* TestClock.adjust("10 seconds")
      const report = yield* Fiber.join(fiber)
      assert.deepStrictEqual(statuses(report), ["a:ok", "b:ok", "c:skipped"])
      assert.deepStrictEqual(codes(report).errors, ["-:OutcomeNotSaved"])
    }))

  it.effect("a call that waits to join can be interrupted, and one that nobody can serve does not wait", () =>
    Effect.gen(function*() {
      const here = yield* engineOver()
      const there = withEngine(yield* engineOver())
      const heartbeat = waiting("1 minute")
      const begun = yield* withEngine(here)(Heartbeat.start(heartbeat, { agent: "joined", key: "mine" }))
      const joining = yield* Effect.forkChild(there(Heartbeat.run(heartbeat, { agent: "joined", onBusy: "join" })), {
        startImmediately: true
      })
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(joining)
      yield* begun.interrupt
      const error = yield* Effect.flip(
        there(Heartbeat.run(heartbeat, { agent: "joined", key: "other", onBusy: "join" }))
      )
      assert(error._tag === "AgentBusy")
      assert.strictEqual(error.retryAfterMillis, 0)
    }))

  it.effect("a call with a key of its own waits for its turn, so that the key has one run", () =>
    Effect.gen(function*() {
      const use = withEngine(yield* engineOver())
      let ran = 0
      const gate = yield* Deferred.make<void>()
      const heartbeat = Heartbeat.make("t", [
        Step.make("a", Effect.andThen(Effect.sync(() => ran++), Deferred.await(gate)))
      ])
      const first = yield* use(Heartbeat.start(heartbeat, { agent: "turn" }))
      const second = yield* Effect.forkChild(
        use(Heartbeat.run(heartbeat, { agent: "turn", key: "k", onBusy: "join" })),
        {
          startImmediately: true
        }
      )
      yield* Deferred.succeed(gate, undefined)
      yield* first.report
      const report = yield* Fiber.join(second)
      assert.notStrictEqual(report.runId, first.runId)
      const again = yield* use(Heartbeat.run(heartbeat, { agent: "turn", key: "k" }))
      assert.deepStrictEqual([again.runId, ran], [report.runId, 2])
    }))

  it.effect("a renewal under way does not take a released lease back", () =>
    Effect.gen(function*() {
      const wire = new Wire()
      wire.before = (operation) => operation === "renew" ? Effect.sleep("1 second") : Effect.void
      const begun = yield* withEngine(yield* engineOver(wire))(
        Heartbeat.start(waiting("1 hour"), { agent: "released" })
      )
      yield* TestClock.adjust("10500 millis") // the renewal is on its way
      yield* begun.interrupt
      yield* TestClock.adjust("1 second")
      const [run] = yield* runsOf("released")
      assert(run !== undefined && !AgentRun.isSettled(run))
      assert.strictEqual(run.status, "interrupted")
    }))
})

describe("options of an engine", () => {
  it("that make no sense are refused", () => {
    for (const options of [{ leaseTtl: 0 }, { leaseTtl: Infinity }, { storeTimeout: Number.NaN }]) {
      const build = Effect.provide(HeartbeatEngine.HeartbeatEngine, HeartbeatEngine.layerWith(options))
      const exit = Effect.runSyncExit(Effect.provide(build, Layer.fresh(stores)))
      assert.strictEqual(exit._tag, "Failure")
    }
  })
})
