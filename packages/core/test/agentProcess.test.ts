import { assert, describe, it } from "@effect/vitest"
import { Agent, CheckpointStore } from "@everbeat/core"
import { MemoryStore } from "@everbeat/store-memory"
import { Deferred, Effect, Schema } from "effect"
import { adjust, newProcess, passing, stored, turn } from "./agentSupport.ts"

describe("a process", () => {
  it.effect("that is asked to stop stores what it has and hands its runs over", () =>
    Effect.gen(function*() {
      const process = yield* newProcess()
      const saved = yield* Deferred.make<void>()
      const coder = Agent.make("coder", {
        message: Schema.Int,
        checkpoint: { every: 100 },
        run: (ctx) =>
          Effect.forEach([1, 2, 3], (n) => ctx.checkpoint.save({ messages: [n], iteration: n }), { discard: true })
            .pipe(
              Effect.andThen(Deferred.succeed(saved, undefined)),
              Effect.andThen(Effect.never)
            )
      })
      const { result, runId } = yield* process.run(Agent.start(coder))
      yield* Deferred.await(saved)
      yield* process.stop
      assert.deepInclude(yield* Effect.flip(result), { _tag: "RunInterrupted", reason: "shutdown" })
      const state = yield* Effect.flatMap(CheckpointStore.CheckpointStore, (store) => store.load(runId))
      assert.deepStrictEqual([state.status, state.iteration, state.position], ["interrupted", 3, 1])
      assert.strictEqual((yield* Effect.flip(process.run(Agent.start(coder))))._tag, "EngineStopped")
    }).pipe(Effect.provide(MemoryStore.layer)))

  it.effect("lets what ends in time end, and interrupts the rest", () =>
    Effect.gen(function*() {
      const process = yield* newProcess()
      const quick = Agent.make("quick", { message: Schema.Int, run: () => Effect.sleep("5 seconds") })
      const slow = Agent.make("slow", { message: Schema.Int, run: () => Effect.sleep("60 seconds") })
      const a = yield* process.run(Agent.start(quick))
      const b = yield* process.run(Agent.start(slow))
      yield* passing(process.supervisor.drain("10 seconds"))
      assert.strictEqual((yield* stored(a.runId)).status, "ok")
      assert.strictEqual((yield* stored(b.runId)).status, "interrupted")
      assert.strictEqual((yield* Effect.flip(process.run(Agent.resume(slow, b.runId))))._tag, "EngineStopped")
      const granted = yield* process.supervisor.claim(b.runId)
      assert.strictEqual((yield* Effect.flip(process.supervisor.adopt(slow, granted)))._tag, "EngineStopped")
      assert.lengthOf((yield* stored(b.runId)).attempts, 1)
    }).pipe(Effect.provide(MemoryStore.layer)))

  it.effect("that stops while a run is begun leaves no run behind", () =>
    Effect.gen(function*() {
      const process = yield* newProcess()
      process.wire.after = (operation) => (operation === "begin" ? Effect.sleep("2 seconds") : Effect.void)
      let ran = false
      const coder = Agent.make("coder", { message: Schema.Int, run: () => Effect.sync(() => void (ran = true)) })
      const started = yield* Effect.forkChild(Effect.flip(process.run(Agent.start(coder))))
      yield* Effect.yieldNow
      yield* passing(process.stop)
      assert.strictEqual(started.pollUnsafe()?._tag, "Success")
      const store = yield* CheckpointStore.CheckpointStore
      const { items } = yield* store.listInterrupted({ status: ["running", "interrupted", "exhausted"] })
      assert.deepStrictEqual([items, ran], [[], false])
    }).pipe(Effect.provide(MemoryStore.layer)))

  it.effect("that stops in the middle of a save and of a settlement loses neither", () =>
    Effect.gen(function*() {
      const process = yield* newProcess()
      process.wire.before = (operation) =>
        operation === "save" || operation === "settle" ? Effect.sleep("1 second") : Effect.void
      const saving = Agent.make("saving", {
        message: Schema.Int,
        run: (ctx) => Effect.andThen(ctx.checkpoint.save({ messages: [1], iteration: 1 }), Effect.never)
      })
      const ending = Agent.make("ending", { message: Schema.Int, run: () => Effect.void })
      const a = yield* process.run(Agent.start(saving))
      const b = yield* process.run(Agent.start(ending))
      yield* adjust("500 millis")
      yield* passing(process.stop)
      assert.deepInclude(yield* stored(a.runId), { status: "interrupted", iteration: 1 })
      assert.strictEqual((yield* stored(b.runId)).status, "ok")
    }).pipe(Effect.provide(MemoryStore.layer)))

  it.effect("that was frozen for longer than its lease stops, and writes nothing after", () =>
    Effect.gen(function*() {
      const frozen = yield* newProcess()
      const other = yield* newProcess()
      let stopped = false
      const coder = Agent.make("coder", {
        message: Schema.Int,
        timeout: "10 minutes",
        run: (ctx) =>
          Effect.andThen(
            ctx.checkpoint.save({ messages: [ctx.attempt], iteration: ctx.attempt }),
            ctx.attempt > 1 ? Effect.sleep("20 seconds") : Effect.onInterrupt(Effect.never, () =>
              Effect.sync(() => {
                stopped = true
              }))
          )
      })
      const { record, runId } = yield* frozen.run(Agent.start(coder))
      yield* turn
      frozen.wire.before = (operation) => (operation === "renew" ? Effect.never : Effect.void)
      yield* passing(Effect.flip(record))
      assert.isTrue(stopped)
      const writes = frozen.wire.log.filter((operation) => operation !== "renew").length
      yield* adjust("10 seconds")
      const next = yield* other.run(Agent.resume(coder, runId))
      assert.strictEqual((yield* passing(next.record)).status, "ok")
      assert.strictEqual(frozen.wire.log.filter((operation) => operation !== "renew").length, writes)
    }).pipe(Effect.provide(MemoryStore.layer)))
})
