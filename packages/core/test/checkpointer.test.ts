import { assert, it } from "@effect/vitest"
import {
  AgentName,
  AgentRun,
  Checkpointer,
  CheckpointStore,
  type RunCheckpoint,
  type RunId,
  RunStore
} from "@everbeat/core"
import { Cause, Deferred, Effect, Exit, Fiber, type Schema, Scope } from "effect"
import { TestClock } from "effect/testing"
import { stores, unavailable, Wire } from "./support.ts"

const agentName = AgentName.make("coder")
const meta = { agentName, callerId: "u1", prompt: "Fix it" }
const user = (content: string) => ({ role: "user", content })

const wired = Effect.gen(function*() {
  const wire = new Wire()
  return { wire, store: wire.wrap(yield* CheckpointStore.CheckpointStore) }
})
const load = (runId: RunId.RunId) => Effect.flatMap(CheckpointStore.CheckpointStore, (store) => store.load(runId))
const candidates = (runId: RunId.RunId) =>
  Effect.gen(function*() {
    const store = yield* CheckpointStore.CheckpointStore
    const { items } = yield* store.listInterrupted({ status: ["running", "interrupted", "exhausted"] }, { limit: 1000 })
    return items.filter((run) => run.runId === runId)
  })
const saves = (wire: Wire) => wire.log.filter((operation) => operation === "save").length
const bodies = ({ messages }: RunCheckpoint.RunCheckpoint) => messages.map((text) => text.slice(text.indexOf(":") + 1))

it.effect("no store is a clean no-op", () =>
  Effect.gen(function*() {
    const checkpointer = yield* Checkpointer.make({ meta })
    assert.isUndefined(checkpointer.lease)
    assert.isUndefined(checkpointer.resumed)
    yield* checkpointer.save({ messages: [user("a")], iteration: 1 })
    assert.deepStrictEqual(yield* checkpointer.flush, { position: 0, cancelRequested: false })
    assert.strictEqual(yield* checkpointer.guard(Effect.succeed(1)), 1)
    assert.strictEqual((yield* checkpointer.complete()).status, "ok")
    const missing = yield* Effect.flip(Checkpointer.claim({ runId: checkpointer.runId }))
    assert.strictEqual(missing._tag, "RunNotFound")
  }))

it.layer(stores)("Checkpointer", (it) => {
  it.effect("save then complete clears the recovery candidate", () =>
    Effect.gen(function*() {
      const checkpointer = yield* Checkpointer.make({ meta })
      yield* checkpointer.save({ messages: [user("a")], iteration: 1 })
      yield* checkpointer.flush
      assert.lengthOf(yield* candidates(checkpointer.runId), 1)
      const run = yield* checkpointer.complete({ summary: "Done", touchedIssueUrls: ["https://x.dev/1"] })
      assert.strictEqual(run.status, "ok")
      assert.deepStrictEqual(yield* candidates(checkpointer.runId), [])
      const stored = yield* Effect.flatMap(RunStore.RunStore, (runs) => runs.get(checkpointer.runId))
      assert.deepStrictEqual(stored, run)
      assert.isTrue(AgentRun.isSettled(stored))
      assert.deepInclude(stored, { callerId: "u1", prompt: "Fix it", summary: "Done", kind: "agent" })
      assert.strictEqual(stored.attempts[0]?.end, "settled")
      for (const late of [checkpointer.save({ iteration: 2 }), checkpointer.flush, checkpointer.complete()]) {
        assert.strictEqual((yield* Effect.flip<unknown, { readonly _tag: string }, never>(late))._tag, "Gone")
      }
    }))

  it.effect("fail clears it too", () =>
    Effect.gen(function*() {
      const checkpointer = yield* Checkpointer.make({ meta })
      yield* checkpointer.save({ messages: [user("a")] })
      yield* checkpointer.flush
      const run = yield* checkpointer.fail(new Error("No quota"), { warnings: ["slow"] })
      assert.strictEqual(run.status, "error")
      assert.strictEqual(run.errors[0]?.message, "No quota")
      assert.strictEqual(run.warnings[0]?.message, "slow")
      assert.deepStrictEqual(yield* candidates(checkpointer.runId), [])
    }))

  it.effect("a cause of a fiber, a cancellation and warnings have their status", () =>
    Effect.gen(function*() {
      const end = (f: (self: Checkpointer.Checkpointer<Schema.Json>) => Effect.Effect<AgentRun.AgentRun, unknown>) =>
        Effect.flatMap(Checkpointer.make({ meta }), f)
      assert.strictEqual((yield* end((self) => self.cancel())).status, "cancelled")
      assert.strictEqual((yield* end((self) => self.complete({ warnings: ["w"] }))).status, "warning")
      const died = yield* end((self) => self.fail(Cause.die(new Error("boom"))))
      assert.deepStrictEqual(died.errors.map(({ code }) => code), ["Defect"])
      assert.lengthOf((yield* end((self) => self.fail(Cause.interrupt(1)))).errors, 1)
    }))

  it.effect("saves inside the window become one leading and one trailing write", () =>
    Effect.gen(function*() {
      const { store, wire } = yield* wired
      const checkpointer = yield* Checkpointer.make({ store, meta, throttle: "5 seconds" })
      for (let iteration = 1; iteration <= 10; iteration++) {
        yield* checkpointer.save({ iteration, phase: `p${iteration}` })
        yield* TestClock.adjust("100 millis")
      }
      assert.strictEqual(saves(wire), 1)
      assert.strictEqual((yield* load(checkpointer.runId)).iteration, 1)
      yield* TestClock.adjust("3999 millis")
      assert.strictEqual(saves(wire), 1)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(saves(wire), 2)
      assert.deepInclude(yield* load(checkpointer.runId), { iteration: 10, phase: "p10" })
      yield* checkpointer.save({ iteration: 11 })
      assert.strictEqual(saves(wire), 2)
      yield* checkpointer.flush // does not wait for the window
      assert.strictEqual(saves(wire), 3)
      yield* TestClock.adjust("6 seconds")
      assert.strictEqual(saves(wire), 3)
    }))

  it.effect("a window begins with a write that succeeded", () =>
    Effect.gen(function*() {
      const { store, wire } = yield* wired
      const checkpointer = yield* Checkpointer.make({ store, meta, throttle: "5 seconds" })
      wire.before = (operation) => operation === "save" ? Effect.fail(unavailable("save")) : Effect.void
      yield* checkpointer.save({ iteration: 1 })
      assert.strictEqual(saves(wire), 1)
      wire.before = () => Effect.void
      yield* TestClock.adjust("50 millis")
      assert.strictEqual((yield* load(checkpointer.runId)).iteration, 1)
    }))

  it.effect("an interrupted scope leaves the checkpoint with the newest state", () =>
    Effect.gen(function*() {
      const made = yield* Deferred.make<RunId.RunId>()
      const agent = Effect.gen(function*() {
        const checkpointer = yield* Checkpointer.make({ meta, throttle: "1 minute" })
        yield* checkpointer.save({ messages: [user("a")], iteration: 1 })
        yield* checkpointer.save({ messages: [user("a"), user("b")], iteration: 2, notes: "n" })
        yield* Deferred.succeed(made, checkpointer.runId)
        return yield* Effect.never
      })
      const fiber = yield* Effect.forkChild(Effect.scoped(agent))
      const runId = yield* Deferred.await(made)
      assert.strictEqual((yield* load(runId)).iteration, 1)
      yield* Fiber.interrupt(fiber)
      const checkpoint = yield* load(runId)
      assert.deepInclude(checkpoint, { iteration: 2, status: "interrupted" })
      assert.deepStrictEqual(bodies(checkpoint).map((body) => JSON.parse(body).content), ["a", "b"])
      // Released, so another process continues without a wait, and reads what was saved.
      const next = yield* Checkpointer.claim({ runId })
      assert.deepInclude(next.resumed, { iteration: 2, notes: "n", messages: [user("a"), user("b")] })
      assert.deepInclude((yield* load(runId)).attempts[0], { end: "released", reason: "interrupted" })
    }))

  it.effect("at most one save is in flight, and what comes meanwhile is one more", () =>
    Effect.gen(function*() {
      const { store, wire } = yield* wired
      let inFlight = 0
      let most = 0
      wire.before = (operation) => {
        if (operation !== "save") return Effect.void
        most = Math.max(most, ++inFlight)
        return Effect.sleep("10 millis")
      }
      wire.after = () => Effect.sync(() => void inFlight--)
      const checkpointer = yield* Checkpointer.make({ store, meta })
      inFlight = 0
      yield* Effect.forEach([...Array(50).keys()], (iteration) => checkpointer.save({ iteration: iteration + 1 }), {
        concurrency: "unbounded"
      })
      const flushed = yield* Effect.forkChild(checkpointer.flush)
      yield* TestClock.adjust("9 millis")
      assert.isUndefined(flushed.pollUnsafe())
      yield* TestClock.adjust("11 millis")
      yield* Fiber.join(flushed)
      assert.strictEqual(most, 1)
      assert.strictEqual(saves(wire), 2)
      assert.strictEqual((yield* load(checkpointer.runId)).iteration, 50)
    }))

  it.effect("an update keeps what it leaves out", () =>
    Effect.gen(function*() {
      const checkpointer = yield* Checkpointer.make({ meta })
      yield* checkpointer.save({ messages: [user("a")], iteration: 3, phase: "plan", completedPhases: ["read"] })
      yield* checkpointer.save({ notes: "n", workspace: "w" })
      yield* checkpointer.save({ phase: "write", completedPhases: ["read", "plan"] })
      yield* checkpointer.flush
      const checkpoint = yield* load(checkpointer.runId)
      assert.deepInclude(checkpoint, { iteration: 3, phase: "write", completedPhases: ["read", "plan"], position: 1 })
      assert.match(checkpoint.notes ?? "", /:"n"$/)
      assert.match(checkpoint.workspace ?? "", /:"w"$/)
    }))

  it.effect("an outage keeps the newest state pending until the store is back", () =>
    Effect.gen(function*() {
      const { store, wire } = yield* wired
      const checkpointer = yield* Checkpointer.make({ store, meta })
      wire.before = (operation) => Effect.fail(unavailable(operation))
      for (let iteration = 1; iteration <= 5; iteration++) {
        yield* checkpointer.save({ messages: [...Array(iteration).keys()].map((n) => user(`m${n}`)), iteration })
        yield* TestClock.adjust("1 second")
      }
      const flushing = yield* Effect.forkChild(Effect.flip(checkpointer.flush))
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* Fiber.join(flushing))._tag, "StoreError")
      assert.strictEqual((yield* load(checkpointer.runId)).iteration, 0)
      wire.before = () => Effect.void
      yield* TestClock.adjust("1 second")
      const checkpoint = yield* load(checkpointer.runId)
      assert.deepInclude(checkpoint, { iteration: 5, position: 5 })
      assert.deepStrictEqual(bodies(checkpoint).map((body) => JSON.parse(body).content), ["m0", "m1", "m2", "m3", "m4"])
    }))

  it.effect("with onStoreFailure stop, an outage ends the run", () =>
    Effect.gen(function*() {
      const { store, wire } = yield* wired
      const checkpointer = yield* Checkpointer.make({ store, meta, onStoreFailure: "stop" })
      wire.before = (operation) => operation === "save" ? Effect.fail(unavailable("save")) : Effect.void
      const agent = yield* Effect.forkChild(Effect.flip(checkpointer.guard(Effect.never)))
      yield* checkpointer.save({ iteration: 1 })
      yield* TestClock.adjust("50 millis")
      assert.isUndefined(agent.pollUnsafe())
      yield* TestClock.adjust("100 millis")
      assert.strictEqual((yield* Fiber.join(agent))._tag, "StoreError")
      wire.before = () => Effect.void
    }))

  it.effect("a save whose answer was lost is found by reading back", () =>
    Effect.gen(function*() {
      for (const next of ["the same", "more", "compacted"] as const) {
        const { store, wire } = yield* wired
        const checkpointer = yield* Checkpointer.make({ store, meta })
        const a = user("a")
        const b = user("b")
        yield* checkpointer.save({ messages: [a], phase: "one" })
        yield* checkpointer.flush
        wire.after = (operation) => operation === "save" ? Effect.fail(unavailable("save")) : Effect.void
        yield* checkpointer.save({ messages: [a, b], phase: "two" })
        wire.after = () => Effect.void
        const messages = next === "the same" ? [a, b] : next === "more" ? [a, b, user("c")] : [user("summary")]
        yield* checkpointer.save({ messages, phase: "one" })
        yield* TestClock.adjust("1 second")
        yield* checkpointer.flush
        const checkpoint = yield* load(checkpointer.runId)
        assert.deepStrictEqual(
          bodies(checkpoint).map((body) => JSON.parse(body).content),
          messages.map((m) => m.content)
        )
        assert.strictEqual(checkpoint.phase, "one")
        assert.isTrue(wire.log.includes("load"))
        yield* checkpointer.complete()
      }
    }))

  it.effect("after a save whose answer was lost, nothing is taken for unchanged", () =>
    Effect.gen(function*() {
      const { store, wire } = yield* wired
      const checkpointer = yield* Checkpointer.make({ store, meta })
      yield* checkpointer.save({ phase: "one", notes: "n1", completedPhases: ["zero"] })
      wire.after = (operation) => operation === "save" ? Effect.fail(unavailable("save")) : Effect.void
      yield* checkpointer.save({ phase: "two", notes: "n2", completedPhases: ["zero", "one"] })
      assert.strictEqual((yield* load(checkpointer.runId)).phase, "two")
      wire.after = () => Effect.void
      yield* checkpointer.save({ phase: "one", notes: "n1", completedPhases: ["zero"] })
      yield* checkpointer.flush
      const checkpoint = yield* load(checkpointer.runId)
      assert.deepInclude(checkpoint, { phase: "one", completedPhases: ["zero"] })
      assert.match(checkpoint.notes ?? "", /"n1"$/)
    }))

  it.effect("a save that was given up and arrives late changes nothing", () =>
    Effect.gen(function*() {
      const real = yield* CheckpointStore.CheckpointStore
      let late: Effect.Effect<unknown, { readonly _tag: string }> | undefined
      const store: typeof real = {
        ...real,
        save: (lease, delta) => {
          if (delta.phase !== "old") return real.save(lease, delta)
          late = real.save(lease, delta)
          return Effect.fail(unavailable("save"))
        }
      }
      const checkpointer = yield* Checkpointer.make({ store, meta })
      yield* checkpointer.save({ phase: "old" })
      yield* checkpointer.save({ phase: "new" })
      yield* TestClock.adjust("1 second")
      yield* checkpointer.flush
      assert.strictEqual((yield* Effect.flip(late ?? Effect.die("no save")))._tag, "Conflict")
      assert.strictEqual((yield* load(checkpointer.runId)).phase, "new")
    }))

  it.effect("a fenced owner is interrupted, and its later calls are refused", () =>
    Effect.gen(function*() {
      const { store, wire } = yield* wired
      const checkpointer = yield* Checkpointer.make({ store, meta })
      yield* checkpointer.save({ messages: [user("a")] })
      yield* checkpointer.flush
      let interrupted = false
      const agent = yield* Effect.forkChild(
        checkpointer.guard(Effect.onInterrupt(Effect.never, () => Effect.sync(() => void (interrupted = true))))
      )
      // Frozen beyond its lease as far as the store is concerned: somebody else has the run.
      const real = yield* CheckpointStore.CheckpointStore
      if (checkpointer.lease !== undefined) yield* real.release(checkpointer.lease)
      const successor = yield* Checkpointer.claim({ runId: checkpointer.runId })
      yield* checkpointer.save({ messages: [user("z")] })
      assert.strictEqual((yield* Effect.flip(Fiber.join(agent)))._tag, "LeaseLost")
      assert.isTrue(interrupted)
      for (const call of [checkpointer.save({ iteration: 9 }), checkpointer.flush, checkpointer.complete()]) {
        assert.strictEqual((yield* Effect.flip<unknown, { readonly _tag: string }, never>(call))._tag, "LeaseLost")
      }
      yield* successor.save({ iteration: 2 })
      yield* successor.flush
      assert.lengthOf(bodies(yield* load(checkpointer.runId)), 1)
      assert.strictEqual(saves(wire), 2)
    }))

  it.effect("an owner that cannot renew stops before its lease ends", () =>
    Effect.gen(function*() {
      const { store, wire } = yield* wired
      const checkpointer = yield* Checkpointer.make({ store, meta, leaseTtl: "10 seconds" })
      wire.before = (operation) => operation === "renew" ? Effect.never : Effect.void
      const agent = yield* Effect.forkChild(Effect.flip(checkpointer.guard(Effect.never)))
      yield* TestClock.adjust("8 seconds")
      assert.isUndefined(agent.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(agent))._tag, "LeaseLost")
      assert.strictEqual((yield* load(checkpointer.runId)).status, "running")
    }))

  it.effect("the leases of one process are renewed in one call", () =>
    Effect.gen(function*() {
      const real = yield* CheckpointStore.CheckpointStore
      const renewed: Array<number> = []
      const store: typeof real = {
        ...real,
        renew: (leases, ttl) => Effect.andThen(Effect.sync(() => renewed.push(leases.length)), real.renew(leases, ttl))
      }
      const scope = yield* Scope.make()
      for (let n = 0; n < 20; n++) yield* Scope.provide(Checkpointer.make({ store, meta }), scope)
      yield* TestClock.adjust("25 seconds")
      assert.deepStrictEqual(renewed, [20, 20])
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("25 seconds")
      assert.deepStrictEqual(renewed, [20, 20])
    }))

  it.effect("a request to cancel stops the owner, which may still record it", () =>
    Effect.gen(function*() {
      const checkpointer = yield* Checkpointer.make({ meta })
      const agent = yield* Effect.forkChild(Effect.flip(checkpointer.guard(Effect.never)))
      const store = yield* CheckpointStore.CheckpointStore
      yield* store.requestCancel(checkpointer.runId)
      yield* checkpointer.save({ iteration: 1 })
      assert.isTrue((yield* checkpointer.flush).cancelRequested)
      assert.strictEqual((yield* Fiber.join(agent))._tag, "PassCancelled")
      assert.strictEqual((yield* checkpointer.cancel()).status, "cancelled")
    }))

  it.effect("a settlement whose answer was lost is confirmed by the record", () =>
    Effect.gen(function*() {
      const { store, wire } = yield* wired
      const checkpointer = yield* Checkpointer.make({ store, meta })
      wire.after = (operation, count) =>
        operation === "settle" && count === 2 ? Effect.fail(unavailable("settle")) : Effect.void
      const ending = yield* Effect.forkChild(checkpointer.complete())
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(ending)).status, "ok")
    }))

  it.effect("a settlement may be repeated after an outage", () =>
    Effect.gen(function*() {
      const { store, wire } = yield* wired
      const checkpointer = yield* Checkpointer.make({ store, meta })
      wire.before = (operation) => operation === "settle" ? Effect.fail(unavailable("settle")) : Effect.void
      const ending = yield* Effect.forkChild(Effect.flip(checkpointer.complete()))
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* Fiber.join(ending))._tag, "StoreError")
      yield* checkpointer.save({ iteration: 7 })
      yield* checkpointer.flush
      wire.before = () => Effect.void
      assert.strictEqual((yield* checkpointer.complete()).status, "ok")
    }))

  it.effect("a store that does not answer does not hold up the end of the scope for long", () =>
    Effect.gen(function*() {
      const { store, wire } = yield* wired
      const scope = yield* Scope.make()
      const checkpointer = yield* Scope.provide(Checkpointer.make({ store, meta, storeTimeout: "2 seconds" }), scope)
      wire.before = () => Effect.never
      yield* checkpointer.save({ iteration: 1 })
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("4 seconds")
      assert.isDefined(closing.pollUnsafe())
    }))
})
