import { assert, describe, it } from "@effect/vitest"
import { CheckpointStore } from "@everbeat/core/CheckpointStore"
import * as HeartbeatEngine from "@everbeat/core/HeartbeatEngine"
import { RunStore } from "@everbeat/core/RunStore"
import { HeartbeatHandler } from "@everbeat/http"
import { MemoryStore } from "@everbeat/store-memory"
import { Clock, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import {
  acquire,
  auth,
  beat,
  callOf,
  gated,
  heartbeats,
  host,
  hostWith,
  makeGate,
  secrets,
  standard
} from "./harness.ts"
import { type Event, eventsOf, open, readUntil, whole } from "./streams.ts"

const serving = (pass: Effect.Effect<unknown>) =>
  Effect.gen(function*() {
    const verify = yield* auth
    return yield* acquire(() =>
      HeartbeatHandler.make({ heartbeats: () => gated(pass), auth: verify, layer: host, graceMs: 0 })
    )
  })

const runPath = (runId: string) => `/api/agents/triage/runs/${runId}`

/** 204: an `EventSource` does not connect again. */
const isNothingMore = (response: Response) =>
  Effect.map(Effect.promise(() => response.text()), (text) => {
    assert.deepStrictEqual([response.status, text], [204, ""])
    assert.isNotNull(response.headers.get("x-request-id"))
  })

describe("Accept: text/event-stream", () => {
  it.live("streams typed progress and ends with the report that JSON would have", () =>
    Effect.gen(function*() {
      const { call, handler } = yield* standard
      const response = yield* open(handler, { body: `{"mode":"warn"}` })
      assert.strictEqual(response.status, 200)
      assert.strictEqual(response.headers.get("content-type"), "text/event-stream")
      assert.strictEqual(response.headers.get("cache-control"), "no-store, no-transform")
      assert.strictEqual(response.headers.get("x-accel-buffering"), "no")
      assert.isNotNull(response.headers.get("x-request-id"))
      const events = yield* whole(response)
      assert.deepStrictEqual(events.map(({ event }) => event), [
        "run-started",
        "step-started",
        "warning",
        "step-ended",
        "report"
      ])
      const [started, step, warning, ended, report] = events
      assert.strictEqual(started?.data.agentName, "triage")
      assert.deepStrictEqual(step?.data, { step: "sync" })
      assert.strictEqual(warning?.data.code, "Flaky")
      assert.strictEqual(warning?.data.message, "The tracker is slow.")
      assert.strictEqual(ended?.data.status, "warning")
      assert.deepStrictEqual(Object.keys(report?.data), [
        "status",
        "agentName",
        "startedAt",
        "finishedAt",
        "summary",
        "warnings",
        "errors",
        "touchedIssueUrls",
        "runId"
      ])
      assert.strictEqual(report?.data.runId, started?.data.runId)
      const run = yield* call(`/api/agents/triage/runs/${started?.data.runId}`, { token: secrets.triage })
      assert.strictEqual(run.json.status, "warning")
    }))

  it.live("sends each event when it happens", () =>
    Effect.gen(function*() {
      const gate = yield* makeGate
      const handler = yield* serving(gate.pass)
      const response = yield* open(handler)
      assert.include(yield* readUntil(response, (text) => text.includes("step-started")), "step-started")
      yield* gate.open
    }))

  for (
    const [accept, type] of [
      ["text/event-stream", "text/event-stream"],
      ["application/json, text/event-stream;q=0.9", "application/json"],
      ["application/json;q=0.5, Text/Event-Stream", "text/event-stream"],
      ["text/event-stream;q=0", "application/json"],
      ["text/event-stream;q=x", "application/json"],
      ["*/*", "application/json"],
      ["text/html", "application/json"],
      ["text/event-stream-x", "application/json"],
      [",;,q=1;;", "application/json"]
    ] as const
  ) {
    it.live(`${accept} is answered with ${type}`, () =>
      Effect.gen(function*() {
        const { handler } = yield* standard
        const response = yield* open(handler, { headers: { accept } })
        assert.strictEqual(response.headers.get("content-type"), type)
        yield* Effect.promise(() => response.text())
      }))
  }

  it.live("is a problem before there is something to stream", () =>
    Effect.gen(function*() {
      const { handler } = yield* standard
      const refused = yield* open(handler, { token: "guess" })
      const broken = yield* open(handler, { body: "{" })
      assert.deepStrictEqual([refused.status, broken.status], [401, 400])
      assert.strictEqual(broken.headers.get("content-type"), "application/problem+json")
    }))

  it.live("ends with a problem when the pass has no report", () =>
    Effect.gen(function*() {
      const gate = yield* makeGate
      const handler = yield* serving(gate.pass)
      const response = yield* open(handler)
      const reading = yield* Effect.forkChild(whole(response))
      yield* gate.reached
      yield* Effect.promise(() => handler.dispose({ graceMs: 0 }))
      const last = (yield* Fiber.join(reading)).at(-1)
      assert.strictEqual(last?.event, "problem")
      assert.strictEqual(last?.data.type, "https://everbeat.dev/problems/run-interrupted")
      assert.strictEqual(last?.data.status, 503)
    }))

  it.live("streams the recorded report of an idempotency key", () =>
    Effect.gen(function*() {
      const { call, handler } = yield* standard
      const headers = { "idempotency-key": "k" }
      const first = yield* beat(call, { headers })
      const events = yield* whole(yield* open(handler, { headers }))
      assert.deepStrictEqual(events.at(-1)?.data, first.json)
    }))

  it.live("a client that goes away does not cut the pass", () =>
    Effect.gen(function*() {
      const gate = yield* makeGate
      const handler = yield* serving(gate.pass)
      const response = yield* open(handler)
      const [{ data }] = eventsOf(yield* readUntil(response, (text) => text.includes("\n\nid:"))) as [Event]
      yield* gate.open
      const events = yield* whole(
        yield* open(handler, { method: "GET" }, `/api/agents/triage/runs/${data.runId}`)
      )
      assert.strictEqual(events.at(-1)?.event, "report")
      assert.strictEqual(events.at(-1)?.data.status, "ok")
    }))
})

describe("Last-Event-ID", () => {
  it.live("continues after the event that was seen, and begins no other pass", () =>
    Effect.gen(function*() {
      const gate = yield* makeGate
      const handler = yield* serving(gate.pass)
      const first = eventsOf(yield* readUntil(yield* open(handler), (text) => text.includes("step-started")))
      const seen = first[0]?.id ?? ""
      const again = yield* open(handler, { headers: { "last-event-id": seen } })
      yield* gate.open
      const rest = yield* whole(again)
      assert.deepStrictEqual(rest.map(({ event }) => event), ["step-started", "step-ended", "report"])
      // Also when it has ended since, and when all was seen.
      const late = yield* whole(yield* open(handler, { headers: { "last-event-id": seen } }))
      assert.deepStrictEqual(late.map(({ id }) => id), rest.map(({ id }) => id))
      const end = { headers: { "last-event-id": rest.at(-1)?.id ?? "" } }
      yield* isNothingMore(yield* open(handler, end))
      yield* isNothingMore(yield* open(handler, { ...end, method: "GET" }, runPath(rest.at(-1)?.data.runId)))
      const listed = yield* callOf(handler)("/api/agents/triage/runs", { token: secrets.triage })
      assert.lengthOf(listed.json.items, 1)
    }))

  it.live("of another process gets the report from the record, once", () =>
    Effect.gen(function*() {
      const { call, handler } = yield* standard
      const { json } = yield* beat(call)
      const events = yield* whole(yield* open(handler, { headers: { "last-event-id": `${json.runId}.00c0ffee.3` } }))
      assert.deepStrictEqual(events.map(({ event }) => event), ["report"])
      assert.deepStrictEqual(events[0]?.data, json)
      yield* isNothingMore(yield* open(handler, { headers: { "last-event-id": events[0]?.id ?? "" } }))
    }))

  it.live("of a run that ended without a report here gets its record, once", () =>
    Effect.gen(function*() {
      const gate = yield* makeGate
      const handler = yield* serving(gate.pass)
      const reading = yield* Effect.forkChild(Effect.flatMap(open(handler), whole))
      yield* gate.reached
      const call = callOf(handler)
      const { json } = yield* call("/api/agents/triage/runs", { token: secrets.triage })
      const run = runPath(json.items[0].runId)
      yield* call(`${run}/cancel`, { method: "POST", token: secrets.triage })
      const cut = (yield* Fiber.join(reading)).at(-1)
      assert.strictEqual(cut?.data.type, "https://everbeat.dev/problems/run-cancelled")
      const last = yield* whole(yield* open(handler, { headers: { "last-event-id": cut?.id ?? "" } }))
      assert.deepStrictEqual(last.map(({ data, event, id }) => [event, data.type, id]), [
        ["problem", cut?.data.type, `${json.items[0].runId}.record.1`]
      ])
      yield* isNothingMore(yield* open(handler, { headers: { "last-event-id": last[0]?.id ?? "" } }))
    }))

  it.live("of a foreign or an unknown run is 404, and one that is none is 400", () =>
    Effect.gen(function*() {
      const { call, handler } = yield* standard
      const { json } = yield* beat(call)
      const id = { headers: { "last-event-id": `${json.runId}.00c0ffee.3` }, token: secrets.release }
      assert.strictEqual((yield* open(handler, id, "/api/agents/release/heartbeat")).status, 404)
      const unknown = "01a1fc4b-0e11-76af-a7f8-60f1a1b3dc01.00c0ffee.1"
      assert.strictEqual((yield* open(handler, { headers: { "last-event-id": unknown } })).status, 404)
      for (const none of ["1", "x.y.z", `${json.runId}.00c0ffee.-1`, "a".repeat(5000)]) {
        assert.strictEqual((yield* open(handler, { headers: { "last-event-id": none } })).status, 400)
      }
    }))
})

describe("a pass that is continued in the same process", () => {
  it.live("is streamed afresh, not as the attempt before", () =>
    Effect.gen(function*() {
      const gate = yield* makeGate
      const verify = yield* auth
      const { checkpoints, runs } = yield* MemoryStore.make()
      const stores = Layer.merge(Layer.succeed(CheckpointStore, checkpoints), Layer.succeed(RunStore, runs))
      const make = () =>
        HeartbeatHandler.make({
          heartbeats: () => gated(gate.pass),
          auth: verify,
          layer: Layer.provideMerge(HeartbeatEngine.layer, stores)
        })
      const one = yield* acquire(make)
      const cut = yield* Effect.forkChild(Effect.flatMap(open(one), whole))
      yield* gate.reached
      yield* Effect.promise(() => one.dispose({ graceMs: 0 }))
      const before = yield* Fiber.join(cut)
      yield* gate.open
      const two = yield* acquire(make)
      const after = yield* whole(yield* open(two))
      assert.strictEqual(after[0]?.data.runId, before[0]?.data.runId)
      assert.deepStrictEqual([before[0]?.data.attempt, after[0]?.data.attempt], [1, 2])
      assert.strictEqual(after.at(-1)?.event, "report")
      // An event of the attempt before is no place in this one.
      const again = yield* whole(yield* open(two, { headers: { "last-event-id": before[0]?.id ?? "" } }))
      assert.deepStrictEqual(again, after)
    }))
})

describe("a client that never reads", () => {
  it.live("holds up neither the pass nor other readers nor dispose", () =>
    Effect.gen(function*() {
      const gate = yield* makeGate
      const handler = yield* serving(gate.pass)
      const deaf = yield* open(handler)
      const runId = eventsOf(
        yield* readUntil(
          yield* open(
            handler,
            { method: "GET" },
            `/api/agents/triage/runs/${
              (yield* callOf(handler)("/api/agents/triage/runs", { token: secrets.triage })).json.items[0].runId
            }`
          ),
          (text) => text.includes("run-started")
        )
      )[0]?.data.runId
      yield* gate.open
      const events = yield* whole(yield* open(handler, { method: "GET" }, `/api/agents/triage/runs/${runId}`))
      assert.strictEqual(events.at(-1)?.event, "report")
      yield* Effect.promise(() => handler.dispose({ graceMs: 0 }))
      yield* Effect.promise(() => deaf.body?.cancel() ?? Promise.resolve())
    }))
})

describe("keep-alive", () => {
  it.effect("is a comment every 15 seconds while nothing happens", () =>
    Effect.gen(function*() {
      const gate = yield* makeGate
      const verify = yield* auth
      const clock = yield* TestClock.testClockWith(Effect.succeed)
      const handler = yield* acquire(() =>
        HeartbeatHandler.make({
          heartbeats: () => gated(gate.pass),
          auth: verify,
          layer: Layer.provideMerge(host, Layer.succeed(Clock.Clock, clock)),
          graceMs: 0
        })
      )
      const response = yield* open(handler)
      const reading = yield* Effect.forkChild(readUntil(response, (text) => text.includes(": ping")))
      const passing = yield* TestClock.adjust("5 seconds").pipe(
        Effect.andThen(Effect.promise(() => new Promise((next) => setImmediate(next)))),
        Effect.forever,
        Effect.forkChild
      )
      const text = yield* Fiber.join(reading)
      yield* Fiber.interrupt(passing)
      assert.match(text, /step-started[^]*\n\n: ping\n\n/u)
      yield* gate.open
    }))
})

describe("a run of another process", () => {
  it.live("is followed through the store until its record is there", () =>
    Effect.gen(function*() {
      const gate = yield* makeGate
      const verify = yield* auth
      let shared: Parameters<NonNullable<Parameters<typeof hostWith>[0]["runs"]>>[0] | undefined
      const one = yield* acquire(() =>
        HeartbeatHandler.make({
          heartbeats: () => gated(gate.pass),
          auth: verify,
          layer: hostWith({
            runs: (store) => {
              shared = store
              return {}
            }
          })
        })
      )
      const accepted = yield* beat(callOf(one), { headers: { prefer: "respond-async" } })
      yield* gate.reached
      const two = yield* acquire(() =>
        HeartbeatHandler.make({
          heartbeats,
          auth: verify,
          layer: hostWith({ runs: () => ({ get: (runId) => shared?.get(runId) ?? Effect.die("no store") }) })
        })
      )
      const run = runPath(accepted.json.runId)
      const response = yield* open(two, { method: "GET" }, run)
      yield* gate.open
      const events = yield* whole(response)
      assert.include([1, 2], events.length)
      assert.strictEqual(events.at(-1)?.event, "report")
      assert.strictEqual(events.at(-1)?.data.runId, accepted.json.runId)
      // An EventSource connects again when a stream ends, until it is told that there is nothing more.
      const seen = { "last-event-id": events.at(-1)?.id ?? "" }
      yield* isNothingMore(yield* open(two, { method: "GET", headers: seen }, run))
      yield* isNothingMore(yield* open(two, { headers: seen }))
    }))
})
