import { assert, it } from "@effect/vitest"
import { Heartbeat, Step, Telemetry } from "@everbeat/core"
import { Effect, Exit, Layer, Logger, Metric, References, Tracer } from "effect"
import { Bad, layer, Low } from "./support.ts"

/** A backend that keeps what it is given. */
const recorder = () => {
  const spans: Array<Tracer.NativeSpan> = []
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })
  return { spans, layer: Layer.succeed(Tracer.Tracer, tracer) }
}

const failed = (span: Tracer.Span): boolean => span.status._tag === "Ended" && Exit.isFailure(span.status.exit)

it.layer(layer)("observability", (it) => {
  it.effect("a span per pass and per step, with the documented attributes", () =>
    Effect.gen(function*() {
      const { layer, spans } = recorder()
      const heartbeat = Heartbeat.make("beat", [
        Step.make("fine", Effect.withSpan(Effect.void, "inner")),
        Step.make("soft", Effect.fail(new Bad({ why: "x" }))).pipe(Step.bestEffort),
        Step.make("hard", Effect.fail(new Bad({ why: "y" })))
      ])
      const report = yield* Effect.withSpan(Heartbeat.run(heartbeat, { agent: "spans" }), "caller").pipe(
        Effect.provide(layer)
      )
      assert.deepStrictEqual(
        spans.map((span) => [span.name, failed(span)]),
        [
          ["caller", false],
          [Telemetry.names.run, true],
          [Telemetry.names.step, false],
          ["inner", false],
          [Telemetry.names.step, false],
          [Telemetry.names.step, true]
        ]
      )
      assert.deepStrictEqual(Object.fromEntries(spans[1]?.attributes ?? []), {
        "everbeat.agent.name": "spans",
        "everbeat.run.id": report.runId,
        "everbeat.heartbeat.name": "beat",
        "everbeat.run.attempt": 1,
        "everbeat.run.status": "error"
      })
      assert.deepStrictEqual(Object.fromEntries(spans[2]?.attributes ?? []), {
        "everbeat.agent.name": "spans",
        "everbeat.run.id": report.runId,
        "everbeat.step.name": "fine"
      })
      const parents = spans.map((span) => span.parent._tag === "Some" ? span.parent.value.spanId : undefined)
      assert.strictEqual(parents[1], spans[0]?.spanId, "the pass belongs to the caller's trace")
      assert.strictEqual(parents[2], spans[1]?.spanId)
      assert.strictEqual(parents[3], spans[2]?.spanId)
    }))

  it.effect("metrics with the documented names and labels", () =>
    Effect.gen(function*() {
      const agent = "metrics"
      const heartbeat = Heartbeat.make("beat", [
        Step.make("fine", Effect.void),
        Step.make("odd", Step.warn(new Low({ n: 1 })))
      ])
      yield* Heartbeat.run(heartbeat, { agent })
      yield* Heartbeat.run(heartbeat, { agent })
      const { metrics } = Telemetry
      const count = (metric: Metric.Metric<number, Metric.CounterState<number>>) =>
        Effect.map(Metric.value(metric), (state) => state.count)
      assert.strictEqual(yield* count(metrics.runs({ agent, status: "warning" })), 2)
      assert.strictEqual(yield* count(metrics.steps({ agent, step: "fine", status: "ok" })), 2)
      assert.strictEqual(yield* count(metrics.steps({ agent, step: "odd", status: "warning" })), 2)
      assert.strictEqual(yield* count(metrics.runWarnings({ agent, code: "Low" })), 2)
      assert.strictEqual((yield* Metric.value(metrics.runDuration({ agent }))).count, 2)
      assert.strictEqual((yield* Metric.value(metrics.stepDuration({ agent, step: "fine" }))).count, 2)
      assert.strictEqual((yield* Metric.value(metrics.runsInProgress({ agent }))).value, 0)
      assert.strictEqual((yield* Metric.value(metrics.lastRun({ agent, status: "warning" }))).value, 0)
    }))

  it.effect("saves of checkpoints are counted, with their size", () =>
    Effect.gen(function*() {
      const agent = "saves"
      const first = Step.make("first", { durability: "sync" }, () => Effect.void)
      yield* Heartbeat.run(Heartbeat.make("beat", [first, Step.make("last", Effect.void)]), { agent })
      const { metrics } = Telemetry
      assert.strictEqual((yield* Metric.value(metrics.checkpointsSaved({ agent, result: "ok" }))).count, 1)
      assert.strictEqual((yield* Metric.value(metrics.checkpointSaveDuration({ agent }))).count, 1)
      assert.isAbove((yield* Metric.value(metrics.checkpointBytes({ agent }))).sum, 0)
    }))

  it.effect("logs of a step say which run and step they belong to", () =>
    Effect.gen(function*() {
      const lines: Array<{ readonly message: unknown; readonly annotations: Record<string, unknown> }> = []
      const logger = Logger.make(({ fiber, message }) => {
        lines.push({ message, annotations: { ...fiber.getRef(References.CurrentLogAnnotations) } })
      })
      const heartbeat = Heartbeat.make("beat", [
        Step.make("talk", Effect.log("hello")),
        Step.make("die", Effect.die("x"))
      ])
      const report = yield* Heartbeat.run(heartbeat, { agent: "logs" }).pipe(
        Effect.annotateLogs({ tenant: "t1" }),
        Effect.provide(Logger.layer([logger]))
      )
      assert.deepStrictEqual(lines.map(({ message }) => String(message)), [
        "hello",
        "Step 'die' died",
        "Heartbeat of 'logs' ended with error: 2 steps: 1 ok, 1 error\n  die: x (A bug in the step, not an expected failure: " +
        "see the stack trace in the host's log.)"
      ])
      assert.deepStrictEqual(lines[0]?.annotations, {
        tenant: "t1",
        "everbeat.agent.name": "logs",
        "everbeat.run.id": report.runId,
        "everbeat.step.name": "talk"
      })
    }))
})
