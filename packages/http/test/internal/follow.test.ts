import { assert, describe, it } from "@effect/vitest"
import { Agent, AgentSupervisor, Heartbeat, HeartbeatEngine, Step } from "@everbeat/core"
import { CheckpointStore } from "@everbeat/core/CheckpointStore"
import type { RunId } from "@everbeat/core/RunId"
import { RunStore } from "@everbeat/core/RunStore"
import { MemoryStore } from "@everbeat/store-memory"
import { Deferred, Effect, Fiber, Layer, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { parseEventId } from "../../src/internal/feed.ts"
import { watchRun } from "../../src/internal/follow.ts"
import { makeGate, until } from "../harness.ts"

const eventsOf = (text: string) =>
  text.split("\n\n").filter((frame) => frame.includes("event: ")).map((frame) => {
    const field = (name: string) => new RegExp(`^${name}: (.*)$`, "mu").exec(frame)?.[1]
    return { id: field("id"), event: field("event"), data: JSON.parse(field("data") ?? "null") }
  })

const namesOf = (text: string) =>
  eventsOf(text).map(({ data, event }) => event === "step-ended" ? `${event} ${data.step}` : event)

/** Stores with two services on them, and what a reader of another process asks of them. */
const scene = Effect.gen(function*() {
  const { checkpoints, runs } = yield* MemoryStore.make()
  const asked: Array<string> = []
  const stores = Layer.merge(Layer.succeed(CheckpointStore, checkpoints), Layer.succeed(RunStore, runs))
  const context = yield* Layer.build(
    Layer.merge(HeartbeatEngine.layer, AgentSupervisor.layer).pipe(Layer.provideMerge(stores))
  )
  const closing = yield* Deferred.make<void>()
  const watch = (runId: RunId, last = "") => {
    const texts: Array<string> = []
    const frames = watchRun(
      {
        runs: { ...runs, get: (id) => Effect.suspend(() => (asked.push("get"), runs.get(id))) },
        checkpoints: { ...checkpoints, load: (id) => Effect.suspend(() => (asked.push("load"), checkpoints.load(id))) }
      },
      runId,
      parseEventId(last),
      closing
    )
    return Effect.map(
      Effect.forkChild(Stream.runForEach(frames, (text) => Effect.sync(() => texts.push(text))), {
        startImmediately: true
      }),
      (fiber) => ({ fiber, text: () => texts.join("") })
    )
  }
  return { asked, provided: Effect.provideContext(context), runs, watch }
})

describe("a run of another process", () => {
  it.effect("tells its steps as they become durable, each once, and its report", () =>
    Effect.gen(function*() {
      const { asked, provided, watch } = yield* scene
      const [one, two] = [yield* makeGate, yield* makeGate]
      const heartbeat = Heartbeat.make("gated", [
        Step.make("first", Step.warn({ _tag: "Odd", message: "It is odd" })),
        Step.make("second", Effect.asVoid(one.pass)),
        Step.make("third", Effect.asVoid(two.pass))
      ])
      const { report, runId } = yield* provided(Heartbeat.start(heartbeat, { agent: "triage" }))
      yield* one.reached
      yield* TestClock.adjust("200 millis")
      const { fiber, text } = yield* watch(runId)
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(namesOf(text()), ["run-status", "warning", "step-ended first"])
      assert.deepStrictEqual(asked.splice(0), ["get", "load"])
      yield* TestClock.adjust("6 seconds")
      assert.deepStrictEqual(asked.splice(0), ["get", "get", "get"], "one statement for a poll that finds nothing")
      yield* one.open
      yield* two.reached
      yield* TestClock.adjust("2200 millis")
      assert.deepStrictEqual(asked.splice(0), ["get", "load"])
      const steps = eventsOf(text()).filter(({ event }) => event === "step-ended")
      assert.deepStrictEqual(steps.map(({ data, id }) => [id, data.step, data.status]), [
        [`${runId}.steps.1`, "first", "warning"],
        [`${runId}.steps.2`, "second", "ok"]
      ])
      const again = yield* watch(runId, `${runId}.steps.1`)
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(namesOf(again.text()), ["run-status", "step-ended second"])
      yield* two.open
      yield* report
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(namesOf(text()).at(-1), "report")
      yield* Fiber.join(again.fiber)
      assert.deepStrictEqual(namesOf(again.text()), ["run-status", "step-ended second", "report"])
    }))

  it.effect("of an agent tells how far it came, by its head alone", () =>
    Effect.gen(function*() {
      const { asked, provided, runs, watch } = yield* scene
      const gate = yield* makeGate
      const coder = Agent.make("coder", {
        message: Schema.String,
        checkpoint: { every: 1 },
        run: (ctx) =>
          ctx.checkpoint.save({ messages: ["a"], iteration: 1 }).pipe(
            Effect.andThen(gate.pass),
            Effect.andThen(ctx.checkpoint.save({ messages: ["a", "b"], iteration: 2 })),
            Effect.andThen(Effect.never)
          )
      })
      const { runId } = yield* provided(Agent.start(coder, { agent: "triage" }))
      yield* gate.reached
      yield* TestClock.adjust("1 second")
      const { text } = yield* watch(runId)
      yield* TestClock.adjust(0)
      yield* gate.open
      // Saving takes real turns of the event loop, which the clock of the test does not wait for.
      yield* until(async () => {
        const run = await Effect.runPromise(runs.get(runId))
        return "iteration" in run && run.iteration === 2
      })
      yield* TestClock.adjust("4 seconds")
      const told = eventsOf(text()).filter(({ event }) => event === "run-progress")
      assert.deepStrictEqual(told.map(({ data }) => data), [
        { runId, iteration: 1, phase: "" },
        { runId, iteration: 2, phase: "" }
      ])
      assert.notInclude(asked, "load")
    }))
})
