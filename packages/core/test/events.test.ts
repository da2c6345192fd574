import { assert, it } from "@effect/vitest"
import { Heartbeat, Step } from "@everbeat/core"
import { Deferred, Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import { type AnyStep, layer, Low } from "./support.ts"

it.layer(layer)("live progress", (it) => {
  it.effect("gives typed events in order, and the report last", () =>
    Effect.gen(function*() {
      const a = Step.make("a", Step.warn(new Low({ n: 1 })))
      const b = Step.make("b", Effect.sleep(1000))
      const heartbeat = Heartbeat.make("t", [a, b])
      const fiber = yield* Effect.forkChild(Stream.runCollect(Heartbeat.stream(heartbeat, { agent: "events" })))
      yield* TestClock.adjust(1000)
      const events = yield* Fiber.join(fiber)
      assert.deepStrictEqual(
        events.map((event) => event._tag),
        ["PassStarted", "StepStarted", "Warned", "StepEnded", "StepStarted", "StepEnded", "PassEnded"]
      )
      const warned = events[2]
      assert(warned?._tag === "Warned" && warned.warning.code === "Low")
      assert.strictEqual(warned.warning.value?.n, 1)
    }))

  it.effect("a late reader sees what happened before", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const heartbeat = Heartbeat.make("t", [Step.make("a", Effect.void), Step.make("b", Deferred.await(gate))])
      const pass = yield* Heartbeat.start(heartbeat, { agent: "late" })
      const reader = yield* Effect.forkChild(Stream.runCollect(pass.events), { startImmediately: true })
      yield* Deferred.succeed(gate, undefined)
      yield* pass.report
      const tags = (yield* Fiber.join(reader)).map((event) => event._tag)
      assert.deepStrictEqual(tags.slice(0, 3), ["PassStarted", "StepStarted", "StepEnded"])
      assert.strictEqual(tags.at(-1), "PassEnded")
      assert.deepStrictEqual(
        (yield* Stream.runCollect(pass.events)).map((event) => event._tag),
        tags,
        "also afterwards"
      )
    }))

  it.effect("a slow reader never slows the pass and still gets the end", () =>
    Effect.gen(function*() {
      const steps = Array.from({ length: 200 }, (_, index) =>
        Step.make(
          `s${index}`,
          Effect.forEach([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], (n) => Step.warn(new Low({ n })), { discard: true })
        ))
      const heartbeat = Heartbeat.make("t", steps)
      const events = yield* Stream.runCollect(Heartbeat.stream(heartbeat, { agent: "slow" }))
      assert.isAtMost(events.length, 1024)
      assert.strictEqual(events.at(-1)?._tag, "PassEnded")
    }))

  it.effect("closing the stream does not interrupt the pass", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const heartbeat = Heartbeat.make("t", [Step.make("a", Deferred.await(gate))])
      yield* Stream.runDrain(Stream.take(Heartbeat.stream(heartbeat, { agent: "closed" }), 1))
      const joined = yield* Effect.forkChild(Heartbeat.run(heartbeat, { agent: "closed", onBusy: "join" }), {
        startImmediately: true
      })
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual((yield* Fiber.join(joined)).status, "ok")
    }))

  it.effect("a pass without a report ends the stream with the reason", () =>
    Effect.gen(function*() {
      const heartbeat = Heartbeat.make("t", [Step.make("a", Effect.never)] as ReadonlyArray<AnyStep>)
      const pass = yield* Heartbeat.start(heartbeat, { agent: "ended" })
      const reader = yield* Effect.forkChild(Effect.flip(Stream.runDrain(pass.events)), { startImmediately: true })
      yield* pass.interrupt
      assert.strictEqual((yield* Fiber.join(reader))._tag, "PassInterrupted")
    }))
})
