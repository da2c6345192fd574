import { assert, describe, it } from "@effect/vitest"
import { HeartbeatHandler } from "@everbeat/http"
import { Effect, Fiber } from "effect"
import { acquire, auth, beat, type Call, callOf, gated, heartbeats, host, makeGate, secrets, until } from "./harness.ts"

const serving = (
  options: Partial<Omit<HeartbeatHandler.Options<never, never, never>, "heartbeats">>,
  pass: Effect.Effect<unknown>
) =>
  Effect.gen(function*() {
    const verify = yield* auth
    return yield* acquire(() =>
      HeartbeatHandler.make({ ...options, heartbeats: () => gated(pass), auth: verify, layer: host })
    )
  })

const runAt = (call: Call, path: string) =>
  Effect.map(call(path, { token: secrets.triage }), ({ json, status }) => [status, json.status])

const settledAs = (call: Call, path: string, expected: string) =>
  until(async () => (await Effect.runPromise(runAt(call, path)))[1] === expected)

describe("Prefer", () => {
  for (
    const prefer of [
      "respond-async",
      "respond-async, wait=0",
      "Respond-Async;x=1,WAIT=0",
      "wait=0",
      `foo="a,b", respond-async`
    ]
  ) {
    it.live(`${prefer} is answered with 202 and a run that is readable while it goes on`, () =>
      Effect.gen(function*() {
        const gate = yield* makeGate
        const handler = yield* serving({}, gate.pass)
        const call = callOf(handler)
        const { headers, json, status } = yield* beat(call, { headers: { prefer } })
        assert.strictEqual(status, 202)
        const location = headers.get("location") ?? ""
        assert.strictEqual(location, `/api/agents/triage/runs/${json.runId}`)
        assert.deepStrictEqual(json, { runId: json.runId, agentName: "triage", status: "running", location })
        assert.strictEqual(headers.get("everbeat-run-id"), json.runId)
        assert.match(headers.get("preference-applied") ?? "", /^(?:respond-async|wait=0|respond-async, wait=0)$/u)
        assert.deepStrictEqual(yield* runAt(call, location), [200, "running"])
        yield* gate.reached
        yield* gate.open
        yield* settledAs(call, location, "ok")
      }))
  }

  it.live("wait=n that is long enough gets the report", () =>
    Effect.gen(function*() {
      const handler = yield* serving({}, Effect.void)
      const { headers, json, status } = yield* beat(callOf(handler), { headers: { prefer: "respond-async, wait=60" } })
      assert.deepStrictEqual([status, json.status, headers.get("preference-applied")], [200, "ok", "wait=60"])
    }))

  for (
    const prefer of [
      "",
      ",,,",
      "wait",
      "wait=abc",
      "wait=-1",
      "wait=1e3",
      "respond-async=no",
      `"respond-async"`,
      `x="`,
      "handling=lenient",
      "a,".repeat(4000)
    ]
  ) {
    it.live(`${JSON.stringify(prefer.slice(0, 20))} means nothing`, () =>
      Effect.gen(function*() {
        const handler = yield* serving({}, Effect.void)
        const { headers, status } = yield* beat(callOf(handler), { headers: { prefer } })
        assert.strictEqual(status, 200)
        assert.isNull(headers.get("preference-applied"))
      }))
  }

  it.live("of a call that is replayed gets the recorded report", () =>
    Effect.gen(function*() {
      const handler = yield* serving({}, Effect.void)
      const options = { headers: { "idempotency-key": "k", prefer: "respond-async" } }
      const first = yield* beat(callOf(handler), options)
      assert.strictEqual(first.status, 202)
      yield* settledAs(callOf(handler), first.headers.get("location") ?? "", "ok")
      const second = yield* beat(callOf(handler), options)
      assert.deepStrictEqual([second.status, second.json.runId], [200, first.json.runId])
      assert.strictEqual(second.headers.get("idempotency-replayed"), "true")
    }))

  it.live("of a call whose key is in flight is 409, and with another body 422", () =>
    Effect.gen(function*() {
      const gate = yield* makeGate
      const handler = yield* serving({}, gate.pass)
      const call = callOf(handler)
      const headers = { "idempotency-key": "k", prefer: "respond-async" }
      const first = yield* beat(call, { headers, body: `{"a":1}` })
      assert.strictEqual(first.status, 202)
      const same = yield* beat(call, { headers, body: `{ "a": 1 }` })
      assert.deepStrictEqual([same.status, same.json.runId], [409, first.json.runId])
      assert.isNotNull(same.headers.get("retry-after"))
      const other = yield* beat(call, { headers, body: `{"a":2}` })
      assert.deepStrictEqual([other.status, other.json.runId], [422, first.json.runId])
      yield* gate.open
      yield* settledAs(call, first.headers.get("location") ?? "", "ok")
      assert.strictEqual((yield* beat(call, { headers, body: `{"a":1}` })).status, 200)
    }))

  it.live("everbeat-fail-on=error answers a failed pass with 500 and the report, and only that", () =>
    Effect.gen(function*() {
      const verify = yield* auth
      const handler = yield* acquire(() => HeartbeatHandler.make({ heartbeats, auth: verify, layer: host }))
      const call = callOf(handler)
      const headers = { prefer: "everbeat-fail-on=error" }
      const failed = yield* beat(call, { headers, body: `{"mode":"fail"}` })
      assert.strictEqual(failed.status, 500)
      assert.strictEqual(failed.json.type, "https://everbeat.dev/problems/pass-failed")
      assert.strictEqual(failed.json.status, 500)
      assert.strictEqual(failed.json.report.status, "error")
      assert.strictEqual(failed.json.report.runId, failed.json.runId)
      assert.strictEqual(failed.headers.get("content-type"), "application/problem+json")
      assert.strictEqual(failed.headers.get("everbeat-status"), "error")
      assert.strictEqual(failed.headers.get("everbeat-run-id"), failed.json.runId)
      assert.strictEqual(failed.headers.get("preference-applied"), headers.prefer)
      assert.isNull(failed.headers.get("retry-after"))
      assert.strictEqual((yield* beat(call, { headers, body: `{"mode":"warn"}` })).status, 200)
      assert.strictEqual((yield* beat(call, { body: `{"mode":"fail"}` })).status, 200)
    }))
})

describe("the host's own limits", () => {
  it.live("respondWithinMs answers 202 when the pass takes longer, and the report when it does not", () =>
    Effect.gen(function*() {
      const gate = yield* makeGate
      const slow = yield* serving({ respondWithinMs: 20 }, gate.pass)
      const { headers, status } = yield* beat(callOf(slow))
      assert.strictEqual(status, 202)
      assert.isNull(headers.get("preference-applied"))
      yield* gate.open
      yield* settledAs(callOf(slow), headers.get("location") ?? "", "ok")
      const fast = yield* serving({ respondWithinMs: 60_000 }, Effect.void)
      assert.strictEqual((yield* beat(callOf(fast))).status, 200)
    }))

  it.live("errorStatus 500 answers every failed pass with the problem, also a replayed one", () =>
    Effect.gen(function*() {
      const verify = yield* auth
      const handler = yield* acquire(() =>
        HeartbeatHandler.make({ heartbeats, auth: verify, layer: host, errorStatus: 500 })
      )
      const options = { body: `{"mode":"fail"}`, headers: { "idempotency-key": "k" } }
      const first = yield* beat(callOf(handler), options)
      const second = yield* beat(callOf(handler), options)
      assert.deepStrictEqual([first.status, second.status], [500, 500])
      assert.strictEqual(second.json.runId, first.json.runId)
      assert.strictEqual(second.headers.get("idempotency-replayed"), "true")
      assert.strictEqual((yield* beat(callOf(handler))).status, 200)
    }))

  it.live("waitUntil gets a promise that resolves when the pass has ended, and may throw", () =>
    Effect.gen(function*() {
      const gate = yield* makeGate
      const handed: Array<Promise<unknown>> = []
      const handler = yield* serving({
        waitUntil: (promise) => {
          handed.push(promise)
          throw new Error("a platform that refuses")
        }
      }, gate.pass)
      const { status } = yield* beat(callOf(handler), { headers: { prefer: "respond-async" } })
      assert.strictEqual(status, 202)
      assert.lengthOf(handed, 1)
      let ended = false
      void handed[0]?.then(() => void (ended = true))
      yield* gate.reached
      assert.isFalse(ended)
      yield* gate.open
      yield* until(() => ended)
    }))

  it("make no sense when they are no limits", () => {
    const options = { heartbeats, auth: { verify: () => Effect.succeed(null) }, layer: host }
    for (
      const wrong of [
        { respondWithinMs: -1 },
        { respondWithinMs: Number.NaN },
        { rateLimit: { limit: 0, windowMs: 1000 } },
        { rateLimit: { limit: 1, windowMs: 0.5 } },
        { operatorTokens: ["evb_live_x_y"] }
      ]
    ) assert.throws(() => HeartbeatHandler.make({ ...options, ...wrong }), TypeError)
  })

  it.live("are drained by dispose although nobody waits any more", () =>
    Effect.gen(function*() {
      const gate = yield* makeGate
      let over = false
      const handler = yield* serving({}, Effect.andThen(gate.pass, Effect.sync(() => void (over = true))))
      assert.strictEqual((yield* beat(callOf(handler), { headers: { prefer: "respond-async" } })).status, 202)
      yield* gate.reached
      const disposed = yield* Effect.forkChild(Effect.promise(() => handler.dispose({ graceMs: 60_000 })))
      yield* gate.open
      yield* Fiber.join(disposed)
      assert.isTrue(over)
    }))
})
