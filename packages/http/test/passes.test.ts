import { assert, describe, it } from "@effect/vitest"
import * as HeartbeatEngine from "@everbeat/core/HeartbeatEngine"
import { HeartbeatHandler } from "@everbeat/http"
import { Effect, Fiber } from "effect"
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
  problem,
  read,
  requestOf,
  secrets,
  serving,
  until
} from "./harness.ts"

describe("single flight", () => {
  it.live("two calls at once are one 200 and one 409", () =>
    Effect.gen(function*() {
      const gate = yield* makeGate
      const { call } = yield* serving(gated(gate.pass), host)
      const first = yield* Effect.forkChild(beat(call))
      yield* gate.reached
      const second = yield* beat(call)
      assert.strictEqual(second.status, 409)
      assert.strictEqual(second.json.type, problem("run-in-progress"))
      const seconds = Number(second.headers.get("retry-after"))
      assert.isTrue(Number.isInteger(seconds) && seconds >= 1 && seconds <= 5)
      assert.strictEqual(second.json.retryAfterSeconds, seconds)
      yield* gate.open
      const { json, status } = yield* Fiber.join(first)
      assert.strictEqual(status, 200)
      assert.strictEqual(json.runId, second.json.runId)
    }))

  it.live("other agents are not held up by one heartbeat that serves all", () =>
    Effect.gen(function*() {
      const gate = yield* makeGate
      const { call } = yield* serving(gated(gate.pass), host)
      const first = yield* Effect.forkChild(beat(call))
      const second = yield* Effect.forkChild(beat(call, { token: secrets.release }, "release"))
      yield* gate.reached
      yield* gate.open
      assert.strictEqual((yield* Fiber.join(first)).status, 200)
      assert.strictEqual((yield* Fiber.join(second)).status, 200)
    }))
})

describe("a client that disconnects", () => {
  it.live("does not cut the pass, which is recorded", () =>
    Effect.gen(function*() {
      const gate = yield* makeGate
      const { call, handler } = yield* serving(gated(gate.pass), host)
      const controller = new AbortController()
      const request = requestOf("/api/agents/triage/heartbeat", {
        method: "POST",
        token: secrets.triage,
        signal: controller.signal
      })
      const pending = handler.fetch(request)
      yield* gate.reached
      controller.abort()
      const gone = yield* Effect.promise(() => pending.then(read))
      assert.strictEqual(gone.status, 499)
      assert.strictEqual(gone.json.type, problem("client-closed-request"))
      const listed = yield* call("/api/agents/triage/runs", { token: secrets.triage })
      const [{ runId, status }] = listed.json.items
      assert.strictEqual(status, "running")
      yield* gate.open
      yield* until(async () => {
        const run = await Effect.runPromise(call(`/api/agents/triage/runs/${runId}`, { token: secrets.triage }))
        return run.json.status === "ok"
      })
    }))

  it.live("while the store begins its pass does not leave a run that nobody runs", () =>
    Effect.gen(function*() {
      const gate = yield* makeGate
      const verify = yield* auth
      const layer = hostWith({
        // The run is there, and the answer is on its way.
        checkpoints: (store) => ({ begin: (input) => Effect.tap(store.begin(input), () => gate.pass) })
      })
      const handed: Array<Promise<unknown>> = []
      const handler = yield* acquire(() =>
        HeartbeatHandler.make({ heartbeats, auth: verify, layer, waitUntil: (promise) => void handed.push(promise) })
      )
      const controller = new AbortController()
      const pending = handler.fetch(
        requestOf("/api/agents/triage/heartbeat", { method: "POST", token: secrets.triage, signal: controller.signal })
      )
      yield* gate.reached
      controller.abort()
      yield* Effect.promise(() => new Promise((next) => setImmediate(next)))
      yield* gate.open
      assert.strictEqual((yield* Effect.promise(() => pending)).status, 499)
      const runs = callOf(handler)("/api/agents/triage/runs", { token: secrets.triage })
      yield* until(async () => (await Effect.runPromise(runs)).json.items[0]?.status === "ok")
      // A platform that freezes the process after the answer was told of it.
      assert.lengthOf(handed, 1)
    }))
})

describe("a cancelled run", () => {
  it.live("is 409", () =>
    Effect.gen(function*() {
      const gate = yield* makeGate
      const { call } = yield* serving(
        gated(gate.pass),
        hostWith({
          checkpoints: ({ renew }) => ({
            renew: (leases, ttl) =>
              Effect.map(renew(leases, ttl), (all) => all.map((one) => ({ ...one, cancelRequested: true })))
          })
        }, HeartbeatEngine.layerWith({ leaseTtl: "300 millis" }))
      )
      const pending = yield* Effect.forkChild(beat(call))
      yield* gate.reached
      const { json, status } = yield* Fiber.join(pending)
      assert.strictEqual(status, 409)
      assert.strictEqual(json.type, problem("run-cancelled"))
    }))
})
