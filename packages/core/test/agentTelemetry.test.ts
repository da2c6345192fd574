import { assert, describe, it } from "@effect/vitest"
import { Agent, AgentSupervisor, CheckpointStore, Telemetry } from "@everbeat/core"
import { MemoryStore } from "@everbeat/store-memory"
import { Effect, Exit, Layer, Logger, Metric, References, Schema, Stream, Tracer } from "effect"
import { adjust, newProcess, passing, recordOf, turn } from "./agentSupport.ts"
import { Bad } from "./support.ts"

const layer = Layer.provideMerge(AgentSupervisor.layer, MemoryStore.layer)

describe("observability of agents", () => {
  it.effect("a span for each attempt, with the documented attributes, around what the agent does", () =>
    Effect.gen(function*() {
      const spans: Array<Tracer.NativeSpan> = []
      const logs: Array<unknown> = []
      const tracer = Tracer.make({
        span: (options) => {
          const span = new Tracer.NativeSpan(options)
          spans.push(span)
          return span
        }
      })
      const coder = Agent.make("coder", {
        message: Schema.String,
        timeout: "10 seconds",
        run: (ctx) =>
          Effect.gen(function*() {
            yield* Effect.withSpan(Effect.log("hello"), "inner")
            if (ctx.attempt === 1) yield* Effect.never
            yield* Effect.fail(new Bad({ why: "x" }))
          })
      })
      const logger = Logger.make(({ fiber, message }) => {
        const annotations = fiber.getRef(References.CurrentLogAnnotations)
        if (String(message) === "hello") logs.push(annotations["everbeat.run.id"])
      })
      const run = yield* recordOf(coder, { agent: "spans" }).pipe(
        Effect.provide(Logger.layer([logger])),
        Effect.provideService(Tracer.Tracer, tracer)
      )
      const [first, inner, second] = spans
      assert.deepStrictEqual(spans.map(({ name }) => name), ["everbeat.run", "inner", "everbeat.run", "inner"])
      const common = {
        "everbeat.agent.name": "spans",
        "everbeat.run.id": run.runId,
        "everbeat.agent.definition": "coder"
      }
      assert.deepStrictEqual(Object.fromEntries(first?.attributes ?? []), { ...common, "everbeat.run.attempt": 1 })
      assert.deepStrictEqual(Object.fromEntries(second?.attributes ?? []), {
        ...common,
        "everbeat.run.attempt": 2,
        "everbeat.run.status": "error"
      })
      const failed = (span: Tracer.NativeSpan | undefined) =>
        span?.status._tag === "Ended" && Exit.isFailure(span.status.exit)
      assert.deepStrictEqual([failed(first), failed(second)], [false, true])
      assert.strictEqual(inner?.parent._tag === "Some" && inner.parent.value.spanId, first?.spanId)
      assert.deepStrictEqual(logs, [run.runId, run.runId])
    }).pipe(Effect.provide(layer)))

  it.effect("metrics with the documented names and labels", () =>
    Effect.gen(function*() {
      const agent = "agentMetrics"
      const coder = Agent.make("coder", {
        message: Schema.String,
        timeout: "10 seconds",
        run: (ctx) =>
          Effect.gen(function*() {
            yield* ctx.warn(new Bad({ why: "x" }))
            if (ctx.attempt === 1) yield* Effect.never
          })
      })
      const { metrics } = Telemetry
      const handle = yield* Agent.start(coder, { agent })
      assert.strictEqual((yield* Metric.value(metrics.runsInProgress({ agent }))).value, 1)
      yield* passing(handle.record)
      assert.strictEqual((yield* Metric.value(metrics.runs({ agent, status: "warning" }))).count, 1)
      assert.strictEqual((yield* Metric.value(metrics.attempts({ agent, reason: "timeout" }))).count, 1)
      assert.strictEqual((yield* Metric.value(metrics.runWarnings({ agent, code: "Bad" }))).count, 2)
      assert.strictEqual((yield* Metric.value(metrics.runDuration({ agent }))).count, 1)
      assert.strictEqual((yield* Metric.value(metrics.runsInProgress({ agent }))).value, 0)
    }).pipe(Effect.provide(layer)))

  it.effect("the records of the runs that end, as a stream", () =>
    Effect.gen(function*() {
      const supervisor = yield* AgentSupervisor.AgentSupervisor
      const seen: Array<string> = []
      yield* Effect.forkScoped(
        Stream.runForEach(supervisor.settled, ({ status }) => Effect.sync(() => seen.push(status)))
      )
      yield* Effect.yieldNow
      const good = Agent.make("good", { message: Schema.String, run: () => Effect.void })
      const bad = Agent.make("bad", { message: Schema.String, run: () => Effect.fail("x") })
      yield* recordOf(good)
      yield* recordOf(bad)
      yield* turn
      assert.deepStrictEqual(seen, ["ok", "error"])
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.effect("nothing is left of many runs: no lease to renew, no timer, no run in flight", () =>
    Effect.gen(function*() {
      const process = yield* newProcess()
      const quick = Agent.make("quick", {
        message: Schema.Int,
        backoff: () => 0,
        resumeOn: () => true,
        run: (ctx) =>
          Effect.andThen(
            ctx.checkpoint.save({ messages: [ctx.attempt], iteration: ctx.attempt }),
            ctx.attempt === 1 ? Effect.fail("again") : Effect.void
          )
      })
      const handles = yield* Effect.forEach(Array.from({ length: 50 }), () => process.run(Agent.start(quick)), {
        concurrency: "unbounded"
      })
      const records = yield* Effect.forEach(handles, ({ record }) => record, { concurrency: "unbounded" })
      assert.deepStrictEqual(
        new Set(records.map(({ attempts, status }) => `${status} ${attempts.length}`)),
        new Set(["ok 2"])
      )
      yield* turn
      process.wire.log.length = 0
      yield* adjust("10 minutes")
      assert.deepStrictEqual(process.wire.log, [])
      const store = yield* CheckpointStore.CheckpointStore
      const { items } = yield* store.listInterrupted({ status: ["running", "interrupted", "exhausted"] })
      assert.deepStrictEqual(items, [])
      yield* process.stop
    }).pipe(Effect.provide(MemoryStore.layer)))
})
