import { assert, describe, it } from "@effect/vitest"
import * as Heartbeat from "@everbeat/core/Heartbeat"
import * as HeartbeatEngine from "@everbeat/core/HeartbeatEngine"
import * as Step from "@everbeat/core/Step"
import { HeartbeatHandler } from "@everbeat/http"
import { MemoryStore } from "@everbeat/store-memory"
import { Context, Deferred, Effect, Fiber, Layer } from "effect"
import {
  acquire,
  auth,
  beat,
  callOf,
  gated,
  heartbeats,
  host,
  makeGate,
  problem,
  requestOf,
  secrets,
  serving,
  until
} from "./harness.ts"

describe("dispose", () => {
  it.live("lets the pass in flight finish and refuses new requests", () =>
    Effect.gen(function*() {
      const gate = yield* makeGate
      const { call, handler } = yield* serving(gated(gate.pass), host)
      const pending = yield* Effect.forkChild(beat(call))
      yield* gate.reached
      const disposed = handler.dispose({ graceMs: 60_000 })
      const refused = yield* beat(call)
      assert.strictEqual(refused.status, 503)
      assert.strictEqual(refused.json.type, problem("shutting-down"))
      assert.isNotNull(refused.headers.get("retry-after"))
      assert.strictEqual(refused.headers.get("connection"), "close")
      yield* gate.open
      const { headers, status } = yield* Fiber.join(pending)
      assert.strictEqual(status, 200)
      assert.strictEqual(headers.get("connection"), "close")
      yield* Effect.promise(() => disposed)
      assert.strictEqual((yield* beat(call)).status, 503)
    }))

  it.live("interrupts what outlives the grace and answers who waits", () =>
    Effect.gen(function*() {
      const gate = yield* makeGate
      let closed = false
      const { call, handler } = yield* serving(
        gated(gate.pass),
        Layer.merge(host, Layer.effectDiscard(Effect.addFinalizer(() => Effect.sync(() => void (closed = true)))))
      )
      const pending = yield* Effect.forkChild(beat(call))
      yield* gate.reached
      yield* Effect.promise(() => handler.dispose({ graceMs: 0 }))
      assert.isTrue(closed)
      const { json, status } = yield* Fiber.join(pending)
      assert.strictEqual(status, 503)
      assert.strictEqual(json.type, problem("run-interrupted"))
      assert.isString(json.runId)
    }))

  it.live("aborts a request that is stuck in its body", () =>
    Effect.gen(function*() {
      const { call, handler } = yield* serving(heartbeats.triage, host)
      const body = new ReadableStream<Uint8Array>({ pull: () => new Promise(() => {}) }, { highWaterMark: 0 })
      yield* beat(call)
      const pending = yield* Effect.forkChild(beat(call, { body, headers: { "content-type": "application/json" } }))
      yield* until(() => body.locked)
      yield* Effect.promise(() => handler.dispose({ graceMs: 0 }))
      const { json, status } = yield* Fiber.join(pending)
      assert.strictEqual(status, 503)
      assert.strictEqual(json.type, problem("shutting-down"))
    }))

  it.live("is shared by all who call it", () =>
    Effect.gen(function*() {
      const { call, handler } = yield* serving(heartbeats.triage, host)
      yield* beat(call)
      const first = handler.dispose()
      assert.strictEqual(handler.dispose({ graceMs: 0 }), first)
      yield* Effect.promise(() => Promise.all([first, handler[Symbol.asyncDispose]()]))
    }))

  it.live("before the first request builds nothing", () =>
    Effect.gen(function*() {
      let built = 0
      const layer = Layer.merge(host, Layer.effectDiscard(Effect.sync(() => built++)))
      const { call, handler } = yield* serving(heartbeats.triage, layer)
      yield* Effect.promise(() => handler.dispose())
      assert.strictEqual((yield* beat(call)).status, 503)
      assert.strictEqual(built, 0)
    }))

  it.live("gives up a build that hangs", () =>
    Effect.gen(function*() {
      const started = yield* Deferred.make<void>()
      const layer = Layer.merge(
        host,
        Layer.effectDiscard(Effect.andThen(Deferred.succeed(started, undefined), Effect.never))
      )
      const { call, handler } = yield* serving(heartbeats.triage, layer)
      const pending = yield* Effect.forkChild(beat(call))
      yield* Deferred.await(started)
      yield* Effect.promise(() => handler.dispose())
      assert.strictEqual((yield* Fiber.join(pending)).json.type, problem("shutting-down"))
    }))
})

describe("a pass that a handler left behind", () => {
  const leaveOne = Effect.gen(function*() {
    const shared = yield* Layer.build(MemoryStore.layer)
    const layer = HeartbeatEngine.layer.pipe(Layer.provideMerge(Layer.succeedContext(shared)))
    const gate = yield* makeGate
    const { call, handler } = yield* serving(gated(gate.pass), layer)
    const pending = yield* Effect.forkChild(beat(call))
    yield* gate.reached
    yield* Effect.promise(() => handler.dispose({ graceMs: 0 }))
    const { json } = yield* Fiber.join(pending)
    return { runId: json.runId as string, layer }
  })

  it.live("is continued by the next one, as the same run", () =>
    Effect.gen(function*() {
      const { layer, runId } = yield* leaveOne
      const { call } = yield* serving(gated(Effect.void), layer)
      const { headers, json, status } = yield* beat(call)
      assert.strictEqual(status, 200)
      assert.strictEqual(json.status, "ok")
      assert.strictEqual(json.runId, runId)
      assert.isNull(headers.get("idempotency-replayed"))
      const run = yield* call(`/api/agents/triage/runs/${runId}`, { token: secrets.triage })
      assert.lengthOf(run.json.attempts, 2)
    }))

  it.live("blocks another step list that insists, with 409", () =>
    Effect.gen(function*() {
      const { layer, runId } = yield* leaveOne
      const other = Heartbeat.make("gated", [Step.make("another", Effect.void)], { onDefinitionChange: "fail" })
      const { call } = yield* serving(other, layer)
      const { json, status } = yield* beat(call)
      assert.strictEqual(status, 409)
      assert.strictEqual(json.type, problem("run-not-resumable"))
      assert.strictEqual(json.runId, runId)
    }))
})

describe("the host's layer", () => {
  it.live("that fails to build is 503, and is tried again", () =>
    Effect.gen(function*() {
      let tries = 0
      let released = 0
      const flaky = Layer.effectDiscard(
        Effect.suspend(() => ++tries < 3 ? Effect.fail("no database yet") : Effect.void)
      )
      const before = Layer.effectDiscard(Effect.addFinalizer(() => Effect.sync(() => released++)))
      const { call } = yield* serving(heartbeats.triage, flaky.pipe(Layer.provideMerge(Layer.merge(host, before))))
      for (const _ of [1, 2]) {
        const { headers, json, status, text } = yield* beat(call)
        assert.strictEqual(status, 503)
        assert.strictEqual(json.type, problem("not-ready"))
        assert.isNotNull(headers.get("retry-after"))
        assert.notInclude(text, "database")
      }
      assert.strictEqual(released, 2)
      assert.strictEqual((yield* beat(call)).status, 200)
    }))

  it.live("collects no listeners while requests wait for it", () =>
    Effect.gen(function*() {
      const warnings: Array<string> = []
      const onWarning = ({ name }: Error) => void warnings.push(name)
      process.on("warning", onWarning)
      yield* Effect.addFinalizer(() => Effect.sync(() => process.off("warning", onWarning)))
      const listeners = process.eventNames().map((event) => process.listenerCount(event))
      const opened = yield* Deferred.make<void>()
      const { handler } = yield* serving(
        heartbeats.triage,
        Layer.provideMerge(host, Layer.effectDiscard(Deferred.await(opened)))
      )
      const controller = new AbortController()
      const pending = Array.from({ length: 100 }, () =>
        handler.fetch(requestOf("/api/agents/triage/runs", { token: secrets.triage, signal: controller.signal })))
      yield* Deferred.succeed(opened, undefined)
      const answers = yield* Effect.promise(() =>
        Promise.all(pending)
      )
      assert.isTrue(answers.every(({ status }) => status === 200))
      yield* Effect.promise(() => new Promise((next) => setImmediate(next)))
      assert.deepStrictEqual(warnings, [])
      // The process is the host's: its signals are left alone.
      assert.deepStrictEqual(process.eventNames().map((event) => process.listenerCount(event)), listeners)
    }))

  it.live("is built once for requests that come together", () =>
    Effect.gen(function*() {
      let built = 0
      const layer = Layer.merge(host, Layer.effectDiscard(Effect.sync(() => built++)))
      const { call } = yield* serving(heartbeats.triage, layer)
      yield* Effect.all([call("/api/openapi.json"), call("/api/openapi.json"), call("/nope")], {
        concurrency: "unbounded"
      })
      assert.strictEqual(built, 1)
    }))

  it.live("provides the services of the steps", () =>
    Effect.gen(function*() {
      class Tracker extends Context.Service<Tracker, { readonly url: string }>()("test/Tracker") {}
      const verify = yield* auth
      const sync = Step.make("sync", Effect.flatMap(Tracker, ({ url }) => Step.touch(url)))
      const handler = yield* acquire(() =>
        HeartbeatHandler.make({
          heartbeats: { triage: Heartbeat.make("dispatch", [sync]) },
          auth: verify,
          layer: Layer.merge(host, Layer.succeed(Tracker, { url: "https://issues.test/9" }))
        })
      )
      assert.deepStrictEqual((yield* beat(callOf(handler))).json.touchedIssueUrls, ["https://issues.test/9"])
    }))

  it.live("of several handlers may share one store", () =>
    Effect.gen(function*() {
      const shared = yield* Layer.build(MemoryStore.layer)
      const layer = HeartbeatEngine.layer.pipe(Layer.provideMerge(Layer.succeedContext(shared)))
      const one = yield* serving(heartbeats.triage, layer)
      const two = yield* serving(heartbeats.triage, layer)
      const { json } = yield* beat(one.call, { headers: { "idempotency-key": "k" } })
      const replay = yield* beat(two.call, { headers: { "idempotency-key": "k" } })
      assert.strictEqual(replay.headers.get("idempotency-replayed"), "true")
      assert.strictEqual(replay.json.runId, json.runId)
    }))
})
