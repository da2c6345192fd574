import { assert, it } from "@effect/vitest"
import { AgentName, Checkpointer, CheckpointStore, Heartbeat, HeartbeatEngine, Step } from "@everbeat/core"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import { stores, Wire, withEngine } from "./support.ts"

const meta = { agentName: AgentName.make("coder") }

/** A store whose renewals are written down: how many leases each asked for. */
const counted = Effect.gen(function*() {
  const real = yield* CheckpointStore.CheckpointStore
  const renewed: Array<number> = []
  const store: typeof real = {
    ...real,
    renew: (leases, ttl) => Effect.andThen(Effect.sync(() => renewed.push(leases.length)), real.renew(leases, ttl))
  }
  return { renewed, store }
})

const engineOn = (store: CheckpointStore.CheckpointStore["Service"], options?: HeartbeatEngine.Options) =>
  Effect.provideService(HeartbeatEngine.make(options), CheckpointStore.CheckpointStore, store)

const waiting = (gate: Deferred.Deferred<void>) =>
  Heartbeat.make("t", [Step.make("a", Deferred.await(gate))], { stepTimeout: "10 minutes", deadline: "10 minutes" })

it.layer(stores)("Leases of one process", (it) => {
  it.effect("a pass and a checkpointer are renewed in one statement, each third of the lease", () =>
    Effect.gen(function*() {
      const { renewed, store } = yield* counted
      const gate = yield* Deferred.make<void>()
      // How long each waits for the store does not part them.
      const engine = yield* engineOn(store, { storeTimeout: "2 seconds" })
      const pass = yield* withEngine(engine)(Heartbeat.start(waiting(gate), { agent: "both" }))
      const scope = yield* Scope.make()
      const checkpointer = yield* Scope.provide(Checkpointer.make({ store, meta }), scope)
      yield* TestClock.adjust("95 seconds")
      assert.deepStrictEqual(renewed, [2, 2, 2, 2, 2, 2, 2, 2, 2])
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual((yield* pass.report).status, "ok")
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(renewed.slice(9), [1])
      yield* checkpointer.complete()
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("95 seconds")
      assert.strictEqual(renewed.length, 10, "nothing to renew, no statement")
    }))

  it.effect("two engines on one store share the renewal, and one that closes takes no lease of the other along", () =>
    Effect.gen(function*() {
      const { renewed, store } = yield* counted
      const gate = yield* Deferred.make<void>()
      const scope = yield* Scope.make()
      const closing = yield* Scope.provide(engineOn(store), scope)
      const staying = yield* engineOn(store)
      assert.notStrictEqual(closing.owner, staying.owner)
      yield* withEngine(closing)(Heartbeat.start(waiting(gate), { agent: "closing" }))
      const pass = yield* withEngine(staying)(Heartbeat.start(waiting(gate), { agent: "staying" }))
      yield* TestClock.adjust("10 seconds")
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("60 seconds")
      assert.deepStrictEqual(renewed, [2, 1, 1, 1, 1, 1, 1])
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual((yield* pass.report).status, "ok")
    }))

  it.effect("leases of another length are renewed at their own third", () =>
    Effect.gen(function*() {
      const { renewed, store } = yield* counted
      yield* Checkpointer.make({ store, meta })
      yield* Checkpointer.make({ store, meta, leaseTtl: "15 seconds" })
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(renewed, Array.from({ length: 3 + 6 }, () => 1))
    }))

  it.effect("who is overtaken by another owner in the same process is stopped at once", () =>
    Effect.gen(function*() {
      const store = yield* CheckpointStore.CheckpointStore
      const first = yield* Checkpointer.make({ meta })
      assert(first.lease !== undefined)
      const work = yield* Effect.forkChild(Effect.flip(first.guard(Effect.never)))
      yield* Effect.yieldNow
      yield* store.release(first.lease)
      const second = yield* Checkpointer.claim({ runId: first.runId })
      assert.strictEqual((yield* Fiber.join(work))._tag, "LeaseLost")
      yield* TestClock.adjust("45 seconds")
      yield* second.save({ iteration: 1 })
      yield* second.flush
    }))

  it.effect("a lease whose answer came late is given up before it ends, not with the next renewal", () =>
    Effect.gen(function*() {
      const wire = new Wire()
      const engine = yield* engineOn(wire.wrap(yield* CheckpointStore.CheckpointStore), { leaseTtl: "6 seconds" })
      const use = withEngine(engine)
      const gate = yield* Deferred.make<void>()
      const early = yield* use(Heartbeat.start(waiting(gate), { agent: "early" }))
      yield* TestClock.adjust("1300 millis")
      wire.after = (operation) => operation === "begin" ? Effect.sleep("4900 millis") : Effect.void
      // Asked for at 1.3 s, to be given up at 6.7 s. The next renewal after its answer is due at 8 s.
      const starting = yield* Effect.forkChild(use(Heartbeat.start(waiting(gate), { agent: "late" })))
      yield* TestClock.adjust("4900 millis")
      const late = yield* Fiber.join(starting)
      const report = yield* Effect.forkChild(Effect.flip(late.report))
      yield* TestClock.adjust("400 millis")
      assert.isUndefined(report.pollUnsafe())
      yield* TestClock.adjust("200 millis")
      assert.strictEqual((yield* Fiber.join(report))._tag, "LeaseLost")
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual((yield* early.report).status, "ok")
    }))

  it.effect("a lease of which nothing is known is asked for again, and lost at its deadline alone", () =>
    Effect.gen(function*() {
      const real = yield* CheckpointStore.CheckpointStore
      let asked = 0
      let down = new Set<string>()
      const store: typeof real = {
        ...real,
        renew: (leases, ttl) => {
          asked++
          return Effect.map(
            real.renew(leases.filter(({ runId }) => !down.has(runId)), ttl),
            (renewals) =>
              leases.map(({ runId }) =>
                renewals.find((renewal) => renewal.runId === runId) ??
                  { runId, state: "unknown", cancelRequested: false } as const
              )
          )
        }
      }
      const here = yield* Checkpointer.make({ store, meta })
      const there = yield* Checkpointer.make({ store, meta })
      const lost = yield* Effect.forkChild(Effect.flip(there.stopped))
      down = new Set([there.runId])
      yield* TestClock.adjust("20 seconds")
      assert.isAbove(asked, 3, "asked more often than each third")
      assert.isUndefined(lost.pollUnsafe())
      down = new Set()
      yield* TestClock.adjust("60 seconds")
      assert.isUndefined(lost.pollUnsafe())
      down = new Set([there.runId])
      yield* TestClock.adjust("60 seconds")
      assert.strictEqual((yield* Fiber.join(lost))._tag, "LeaseLost")
      yield* here.save({ iteration: 1 })
      yield* here.flush
    }))

  it.effect("an impatient owner still hears what the store knows of its lease when a part of it is down", () =>
    Effect.gen(function*() {
      const real = yield* CheckpointStore.CheckpointStore
      let down = ""
      const store: typeof real = {
        ...real,
        renew: (leases, ttl) =>
          Effect.map(
            // The store waits for the part that is down as long as it may.
            Effect.delay(real.renew(leases.filter(({ runId }) => runId !== down), ttl), "3 seconds"),
            (renewals) =>
              leases.map(({ runId }) =>
                renewals.find((renewal) => renewal.runId === runId) ??
                  { runId, state: "unknown", cancelRequested: false } as const
              )
          )
      }
      const options = { store, meta, storeTimeout: "1 second" } as const
      const here = yield* Checkpointer.make(options)
      const there = yield* Checkpointer.make(options)
      const lost = yield* Effect.forkChild(Effect.flip(there.stopped))
      down = there.runId
      yield* TestClock.adjust("60 seconds")
      assert.strictEqual((yield* Fiber.join(lost))._tag, "LeaseLost")
      yield* here.save({ iteration: 1 })
      yield* here.flush
    }))
})
