import { assert, describe, it } from "@effect/vitest"
import { HeartbeatHandler } from "@everbeat/http"
import { Effect, Fiber } from "effect"
import { acquire, auth, beat, callOf, gated, host, makeGate, secrets, standard } from "./harness.ts"

const token = secrets.triage
const path = "/api/agents/triage/runs"

describe("reading runs", () => {
  it.live("answers the structured record, without the idempotency key", () =>
    Effect.gen(function*() {
      const { call } = yield* standard
      const headers = { "idempotency-key": "my-key" }
      const { json: report } = yield* beat(call, { body: `{"mode":"warn"}`, headers })
      const { json: run, status, text } = yield* call(`${path}/${report.runId}`, { token })
      assert.strictEqual(status, 200)
      assert.strictEqual(run.status, "warning")
      assert.strictEqual(run.startedAt, report.startedAt)
      assert.deepStrictEqual(run.payload, { mode: "warn" })
      assert.strictEqual(run.warnings[0].code, "Flaky")
      assert.strictEqual(run.warnings[0].step, "sync")
      assert.strictEqual(run.warnings[0].hint, "Try later.")
      assert.strictEqual(run.steps[0].name, "sync")
      assert.lengthOf(run.attempts, 1)
      assert.notInclude(text, "my-key")
      assert.notInclude(text, "fingerprint")
    }))

  it.live("shows a run in flight", () =>
    Effect.gen(function*() {
      const gate = yield* makeGate
      const verify = yield* auth
      const beats = gated(gate.pass)
      const handler = yield* acquire(() =>
        HeartbeatHandler.make({ heartbeats: { triage: beats }, auth: verify, layer: host })
      )
      const call = callOf(handler)
      const pending = yield* Effect.forkChild(beat(call))
      yield* gate.reached
      const { json: page } = yield* call(path, { token })
      assert.lengthOf(page.items, 1)
      assert.strictEqual(page.items[0].status, "running")
      assert.match(page.items[0].leaseUntil, /Z$/u)
      const { json: run } = yield* call(`${path}/${page.items[0].runId}`, { token })
      assert.strictEqual(run.status, "running")
      assert.isFalse(run.cancelRequested)
      yield* gate.open
      yield* Fiber.join(pending)
      const { json: after } = yield* call(`${path}/${run.runId}`, { token })
      assert.strictEqual(after.status, "ok")
    }))

  it.live("lists newest first, in pages, and only the agent's own", () =>
    Effect.gen(function*() {
      const { call } = yield* standard
      const ids: Array<string> = []
      for (let index = 0; index < 5; index++) ids.unshift((yield* beat(call)).json.runId)
      yield* beat(call, { token: secrets.release }, "release")
      const first = yield* call(`${path}?limit=2`, { token })
      const second = yield* call(`${path}?limit=2&cursor=${encodeURIComponent(first.json.next)}`, { token })
      const third = yield* call(`${path}?limit=2&cursor=${encodeURIComponent(second.json.next)}`, { token })
      const listed = [first, second, third].flatMap(({ json }) => json.items.map((run: { runId: string }) => run.runId))
      assert.deepStrictEqual(listed, ids)
      assert.isUndefined(third.json.next)
    }))

  it.live("lists 50 runs when no limit is given", () =>
    Effect.gen(function*() {
      const { call } = yield* standard
      for (let index = 0; index < 51; index++) yield* beat(call)
      const { json } = yield* call(path, { token })
      assert.lengthOf(json.items, 50)
      assert.isString(json.next)
      assert.lengthOf((yield* call(`${path}?limit=200`, { token })).json.items, 51)
    }))

  it.live("filters by kind, caller and start", () =>
    Effect.gen(function*() {
      const { call } = yield* standard
      const { json } = yield* beat(call)
      const list = (query: string) =>
        Effect.map(call(`/api/agents/triage/runs?${query}`, { token: secrets.triage }), ({ json }) => json.items.length)
      const later = new Date(Date.parse(json.startedAt) + 1).toISOString()
      assert.strictEqual(yield* list("kind=heartbeat&callerId=triage-1"), 1)
      assert.strictEqual(yield* list("kind=agent"), 0)
      assert.strictEqual(yield* list("callerId=nobody"), 0)
      assert.strictEqual(yield* list(`from=${json.startedAt}&until=${later}`), 1)
      assert.strictEqual(yield* list(`from=${later}`), 0)
      assert.strictEqual(yield* list(`until=${json.startedAt}`), 0)
    }))

  it.live("filters by status, once or several times", () =>
    Effect.gen(function*() {
      const { call } = yield* standard
      for (const mode of ["none", "warn", "fail"]) yield* beat(call, { body: JSON.stringify({ mode }) })
      const statuses = (query: string) =>
        Effect.map(call(`${path}?${query}`, { token }), ({ json }) =>
          json.items.map((run: { status: string }) => run.status))
      assert.deepStrictEqual(yield* statuses("status=error"), ["error"])
      assert.deepStrictEqual(yield* statuses("status=error&status=ok"), ["error", "ok"])
      assert.deepStrictEqual(yield* statuses("status=running"), [])
    }))

  for (
    const query of [
      "limit=0",
      "kind=other",
      "from=yesterday",
      "limit=201",
      "limit=1.5",
      "limit=x",
      "limit=",
      "limit=1&limit=2",
      "status=good"
    ]
  ) {
    it.live(`refuses ${query} with 400`, () =>
      Effect.gen(function*() {
        const { call } = yield* standard
        const { json, status } = yield* call(`${path}?${query}`, { token })
        assert.strictEqual(status, 400)
        assert.strictEqual(json.type, "https://everbeat.dev/problems/invalid-request")
        assert.match(json.detail, /^query\./u)
      }))
  }

  it.live("treats a foreign run like one that does not exist", () =>
    Effect.gen(function*() {
      const { call } = yield* standard
      const { json: foreign } = yield* beat(call, { token: secrets.release }, "release")
      const unknown = "01a1fc4b-0e11-76af-a7f8-60f1a1b3dc01"
      const first = yield* call(`${path}/${foreign.runId}`, { token })
      const second = yield* call(`${path}/${unknown}`, { token })
      assert.strictEqual(first.status, 404)
      assert.strictEqual(first.json.type, "https://everbeat.dev/problems/run-not-found")
      assert.strictEqual(first.text.replaceAll(foreign.runId, unknown), second.text)
    }))

  it.live("refuses a run id that is none with 400", () =>
    Effect.gen(function*() {
      const { call } = yield* standard
      assert.strictEqual((yield* call(`${path}/nope`, { token })).status, 400)
    }))

  it.live("needs the agent's token", () =>
    Effect.gen(function*() {
      const { call } = yield* standard
      assert.strictEqual((yield* call(path)).status, 401)
      assert.strictEqual((yield* call(path, { token: secrets.release })).status, 403)
    }))

  it.live("answers HEAD without a body", () =>
    Effect.gen(function*() {
      const { call } = yield* standard
      const { status, text } = yield* call(path, { method: "HEAD", token })
      assert.strictEqual(status, 200)
      assert.strictEqual(text, "")
    }))
})
