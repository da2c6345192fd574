import { assert, describe, it } from "@effect/vitest"
import { Agent, AgentName, AgentSupervisor, CheckpointStore, RunId, RunStore } from "@everbeat/core"
import { MemoryStore } from "@everbeat/store-memory"
import { Deferred, Effect, Layer, Schema } from "effect"
import { adjust, newProcess, passing, stored, turn } from "./agentSupport.ts"
import { Bad, unavailable } from "./support.ts"

const layer = Layer.provideMerge(AgentSupervisor.layer, MemoryStore.layer)

const endless = Agent.make("endless", {
  message: Schema.String,
  timeout: "10 minutes",
  run: (ctx) =>
    Effect.gen(function*() {
      yield* ctx.warn({ _tag: "Odd", message: "It is odd" })
      yield* ctx.touch("https://example.com/1")
      yield* ctx.checkpoint.save({ messages: ["a"], iteration: 1 })
      return yield* Effect.never
    })
})

describe("Agent.cancel", () => {
  it.effect("ends a run of this process", () =>
    Effect.gen(function*() {
      const { record, result, runId } = yield* Agent.start(endless)
      yield* turn
      assert.isUndefined(yield* Agent.cancel(runId))
      assert.strictEqual((yield* record).status, "cancelled")
      assert.deepInclude(yield* Effect.flip(result), { _tag: "PassCancelled", runId })
      const again = yield* Effect.flip(Agent.cancel(runId))
      assert.deepInclude(again, { _tag: "RunAlreadySettled", status: "cancelled" })
      const unknown = yield* Effect.flip(Agent.cancel(RunId.make(AgentName.make("x"))))
      assert.strictEqual(unknown._tag, "RunNotFound")
    }).pipe(Effect.provide(layer)))

  it.effect("reaches the owner in another process with its next renewal", () =>
    Effect.gen(function*() {
      const [a, b] = [yield* newProcess(), yield* newProcess()]
      const { record, runId } = yield* a.run(Agent.start(endless))
      yield* turn
      assert.isUndefined(yield* b.run(Agent.cancel(runId)))
      assert.strictEqual((yield* stored(runId)).status, "running")
      assert.strictEqual((yield* passing(record, 11)).status, "cancelled")
    }).pipe(Effect.provide(MemoryStore.layer)))

  it.effect("reaches the owner in another process with its next save", () =>
    Effect.gen(function*() {
      const [a, b] = [yield* newProcess(), yield* newProcess()]
      const gate = yield* Deferred.make<void>()
      const saving = Agent.make("saving", {
        message: Schema.String,
        run: (ctx) =>
          Deferred.await(gate).pipe(
            Effect.andThen(ctx.checkpoint.save({ messages: ["a"], iteration: 1 })),
            Effect.andThen(Effect.never)
          )
      })
      const { record, runId } = yield* a.run(Agent.start(saving))
      yield* b.run(Agent.cancel(runId))
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual((yield* record).status, "cancelled")
    }).pipe(Effect.provide(MemoryStore.layer)))

  it.effect("closes an interrupted run at once, with what it had said", () =>
    Effect.gen(function*() {
      const [a, b] = [yield* newProcess(), yield* newProcess()]
      const { interrupt, runId } = yield* a.run(Agent.start(endless, { key: "k" }))
      yield* turn
      yield* interrupt
      const run = yield* b.run(Agent.cancel(runId))
      assert.deepInclude(run, { status: "cancelled", touchedIssueUrls: ["https://example.com/1"] })
      assert.deepStrictEqual(run?.warnings.map(({ code }) => code), ["Odd"])
      assert.deepStrictEqual(yield* stored(runId), run)
    }).pipe(Effect.provide(MemoryStore.layer)))

  it.effect("closes an exhausted run, and one that is exhausted while it is asked", () =>
    Effect.gen(function*() {
      const [a, b] = [yield* newProcess(), yield* newProcess()]
      const last = Agent.make("last", {
        message: Schema.String,
        maxAttempts: 1,
        timeout: "3 seconds",
        run: () => Effect.never
      })
      const exhausted = yield* a.run(Agent.start(last))
      yield* passing(Effect.flip(exhausted.record))
      assert.strictEqual((yield* b.run(Agent.cancel(exhausted.runId)))?.status, "cancelled")

      // The owner has not heard of it when the time of the last attempt ends.
      const running = yield* a.run(Agent.start(last))
      yield* b.run(Agent.cancel(running.runId))
      assert.strictEqual((yield* passing(running.record)).status, "cancelled")
    }).pipe(Effect.provide(MemoryStore.layer)))

  it.effect("ends a run that waits for its next attempt", () =>
    Effect.gen(function*() {
      const waiting = Agent.make("waiting", {
        message: Schema.String,
        timeout: "1 second",
        backoff: () => "1 hour",
        run: () => Effect.never
      })
      const { record, runId } = yield* Agent.start(waiting)
      yield* adjust("30 seconds")
      yield* Agent.cancel(runId)
      assert.strictEqual((yield* record).attempts.length, 1)
    }).pipe(Effect.provide(layer)))

  it.effect("that could not be recorded may be asked again at once", () =>
    Effect.gen(function*() {
      const [a, b] = [yield* newProcess(), yield* newProcess()]
      const { interrupt, runId } = yield* a.run(Agent.start(endless))
      yield* interrupt
      b.wire.before = (operation) => operation === "settle" ? Effect.fail(unavailable("settle")) : Effect.void
      assert.strictEqual((yield* passing(Effect.flip(b.run(Agent.cancel(runId)))))._tag, "StoreError")
      b.wire.before = () => Effect.void
      assert.strictEqual((yield* b.run(Agent.cancel(runId)))?.status, "cancelled")
    }).pipe(Effect.provide(MemoryStore.layer)))
})

describe("the runs that a run starts", () => {
  const child = Agent.make("child", {
    message: Schema.String,
    result: Schema.String,
    timeout: "10 minutes",
    run: (ctx) =>
      Effect.gen(function*() {
        const messages = [...(ctx.resume?.messages ?? []), `attempt ${ctx.attempt}`]
        yield* ctx.checkpoint.save({ messages, iteration: messages.length })
        if (messages.length < 2) yield* Effect.never
        return messages.join()
      })
  })
  const all = { status: ["running", "interrupted", "exhausted"] } as const

  it.effect("are stopped with it, continued by its next attempt, and answered when they have ended", () =>
    Effect.gen(function*() {
      const origins: Array<unknown> = []
      const parent = Agent.make("parent", {
        message: Schema.String,
        result: Schema.String,
        timeout: "1 minute",
        maxAttempts: 5,
        run: (ctx) =>
          Effect.gen(function*() {
            const handle = yield* ctx.start(child, { key: "c", prompt: "Help" })
            origins.push(handle.origin)
            const answer = yield* handle.result
            yield* ctx.checkpoint.note(answer)
            if (ctx.attempt < 3) yield* Effect.never
            return answer
          })
      })
      const { record, runId } = yield* Agent.start(parent)
      const run = yield* passing(record)
      assert.strictEqual(run.result, "attempt 1,attempt 2")
      assert.deepStrictEqual(origins, ["started", "resumed", "replayed"])
      const { items } = yield* Effect.flatMap(RunStore.RunStore, (runs) => runs.list())
      const found = items.find((item) => item.parentRunId === runId)
      assert.deepInclude(found, { status: "ok", prompt: "Help", agentName: run.agentName })
      assert.deepStrictEqual(found?.attempts.map(({ reason }) => reason), ["parent", undefined])
    }).pipe(Effect.provide(layer)))

  it.effect("are not begun while the process shuts down, which is no failure of the run", () =>
    Effect.gen(function*() {
      const process = yield* newProcess()
      const parent = Agent.make("parent", {
        message: Schema.String,
        run: (ctx) => Effect.andThen(Effect.sleep("5 seconds"), ctx.start(child, { key: "c" }))
      })
      const { record, runId } = yield* process.run(Agent.start(parent))
      yield* passing(process.supervisor.drain("10 seconds"))
      assert.deepInclude(yield* Effect.flip(record), { _tag: "RunInterrupted", reason: "shutdown" })
      assert.strictEqual((yield* stored(runId)).status, "interrupted")
    }).pipe(Effect.provide(MemoryStore.layer)))

  it.effect("are waited for when the process of both was lost and the child's lease ends later", () =>
    Effect.gen(function*() {
      const [a, b] = [yield* newProcess(), yield* newProcess()]
      const parent = Agent.make("parent", {
        message: Schema.String,
        result: Schema.String,
        timeout: "10 minutes",
        run: (ctx) => Effect.flatMap(ctx.start(child, { key: "c" }), (handle) => handle.result)
      })
      const late = Agent.make("child", {
        message: Schema.String,
        result: Schema.String,
        timeout: "10 minutes",
        run: (ctx) =>
          Effect.gen(function*() {
            yield* Effect.sleep("8 seconds")
            yield* ctx.checkpoint.save({ messages: ["late"], iteration: 1 }) // renews the lease of the child alone
            return yield* Effect.never
          })
      })
      const first = Agent.make("parent", {
        message: Schema.String,
        result: Schema.String,
        timeout: "10 minutes",
        run: (ctx) => Effect.flatMap(ctx.start(late, { key: "c" }), (handle) => handle.result)
      })
      const { runId } = yield* a.run(Agent.start(first))
      yield* adjust("8 seconds")
      yield* turn
      a.wire.before = () => Effect.never
      yield* adjust("22 seconds")
      const again = yield* b.run(Agent.resume(parent, runId))
      assert.strictEqual(yield* passing(again.result), "late,attempt 2")
    }).pipe(Effect.provide(MemoryStore.layer)))

  it.effect("are cancelled with it, here and elsewhere, and when it fails", () =>
    Effect.gen(function*() {
      const [a, b] = [yield* newProcess(), yield* newProcess()]
      const make = (end: Effect.Effect<never, Bad>) =>
        Agent.make("parent", {
          message: Schema.String,
          timeout: "10 minutes",
          run: (ctx) => Effect.andThen(ctx.start(endless, { key: "c" }), end)
        })
      const store = yield* CheckpointStore.CheckpointStore
      const runs = yield* RunStore.RunStore
      const children = Effect.map(runs.list(), ({ items }) =>
        items.filter(({ parentRunId }) => parentRunId !== undefined).map(({ status }) => status))

      const here = yield* a.run(Agent.start(make(Effect.never)))
      yield* a.run(Agent.cancel(here.runId))
      yield* here.record
      assert.deepStrictEqual(yield* children, ["cancelled"])

      const elsewhere = yield* a.run(Agent.start(make(Effect.never)))
      yield* b.run(Agent.cancel(elsewhere.runId))
      yield* passing(elsewhere.record)
      assert.deepStrictEqual(yield* children, ["cancelled", "cancelled"])

      const interrupted = yield* a.run(Agent.start(make(Effect.never)))
      yield* interrupted.interrupt
      assert.strictEqual((yield* b.run(Agent.cancel(interrupted.runId)))?.status, "cancelled")
      assert.deepStrictEqual(yield* children, ["cancelled", "cancelled", "cancelled"])

      const failed = yield* a.run(Agent.start(make(Effect.fail(new Bad({ why: "x" })))))
      assert.strictEqual((yield* failed.record).status, "error")
      assert.deepStrictEqual(yield* children, ["cancelled", "cancelled", "cancelled", "cancelled"])
      assert.deepStrictEqual((yield* store.listInterrupted(all)).items, [])
    }).pipe(Effect.provide(MemoryStore.layer)))
})
