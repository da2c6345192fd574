import { assert, describe, it } from "@effect/vitest"
import { Heartbeat, HeartbeatEngine, Step } from "@everbeat/core"
import { MemoryStore } from "@everbeat/store-memory"
import { Effect, Fiber, Layer, Stream } from "effect"

const engine = HeartbeatEngine.layer.pipe(Layer.provideMerge(MemoryStore.layer))

describe("the settled passes of an engine", () => {
  it.effect("are told in order, replays are not, and the stream ends with the engine", () =>
    Effect.gen(function*() {
      const heartbeat = Heartbeat.make("greeting", [Step.make("greet", Effect.void)])
      const { drain, settled } = yield* HeartbeatEngine.HeartbeatEngine
      const seen = yield* Effect.forkChild(Stream.runCollect(settled), { startImmediately: true })
      const first = yield* Heartbeat.run(heartbeat, { agent: "triage", key: "a" })
      yield* Heartbeat.run(heartbeat, { agent: "triage", key: "a" })
      const second = yield* Heartbeat.run(heartbeat, { agent: "release" })
      yield* drain("1 second")
      const runs = yield* Fiber.join(seen)
      assert.deepStrictEqual(runs.map(({ runId }) => runId), [first.runId, second.runId])
      assert.deepStrictEqual(runs.map(({ status }) => status), ["ok", "ok"])
      assert.lengthOf(yield* Stream.runCollect(settled), 0)
    }).pipe(Effect.provide(engine)))
})
