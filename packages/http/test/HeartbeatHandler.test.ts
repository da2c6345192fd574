import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { beat, problem, secrets, seen, standard } from "./harness.ts"

describe("HeartbeatHandler", () => {
  describe("the answer of a heartbeat", () => {
    it.live("has exactly the fields of the contract", () =>
      Effect.gen(function*() {
        const { call } = yield* standard
        const { headers, json, status } = yield* beat(call, { body: `{"mode":"warn"}` })
        assert.strictEqual(status, 200)
        assert.deepStrictEqual(Object.keys(json), [
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
        assert.strictEqual(json.status, "warning")
        assert.strictEqual(json.agentName, "triage")
        assert.match(json.startedAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/u)
        assert.match(json.finishedAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/u)
        assert.deepStrictEqual(json.warnings, ["sync: The tracker is slow. (Try later.)"])
        assert.deepStrictEqual(json.errors, [])
        assert.deepStrictEqual(json.touchedIssueUrls, ["https://issues.test/7"])
        assert.strictEqual(headers.get("everbeat-status"), "warning")
        assert.strictEqual(headers.get("everbeat-run-id"), json.runId)
        assert.isNull(headers.get("idempotency-replayed"))
      }))

    it.live("is 200 for a pass that ended with an error", () =>
      Effect.gen(function*() {
        const { call } = yield* standard
        const { headers, json, status } = yield* beat(call, { body: `{"mode":"fail"}` })
        assert.strictEqual(status, 200)
        assert.strictEqual(json.status, "error")
        assert.deepStrictEqual(json.errors, ["sync: The tracker is down. (Try later.)"])
        assert.strictEqual(headers.get("everbeat-status"), "error")
      }))

    it.live("is 200 for a step that throws", () =>
      Effect.gen(function*() {
        const { call } = yield* standard
        const { json, status } = yield* beat(call, { body: `{"mode":"throw"}` })
        assert.strictEqual(status, 200)
        assert.strictEqual(json.status, "error")
        assert.lengthOf(json.errors, 1)
      }))

    it.live("carries the common headers and echoes a sane request id", () =>
      Effect.gen(function*() {
        const { call } = yield* standard
        const { headers } = yield* beat(call, { headers: { "x-request-id": "req-1.2_3" } })
        assert.strictEqual(headers.get("x-request-id"), "req-1.2_3")
        assert.strictEqual(headers.get("cache-control"), "no-store")
        assert.strictEqual(headers.get("x-content-type-options"), "nosniff")
        const other = yield* beat(call, { headers: { "x-request-id": "no spaces, please" } })
        assert.match(other.headers.get("x-request-id") ?? "", /^[0-9a-f-]{36}$/u)
      }))
  })

  describe("the idempotency key", () => {
    it.live("replays the recorded report, quoted or bare", () =>
      Effect.gen(function*() {
        const { call } = yield* standard
        const first = yield* beat(call, { body: `{"a":1,"b":2}`, headers: { "idempotency-key": `"k-1"` } })
        seen.length = 0
        const again = yield* beat(call, { body: `{"b":2, "a":1}`, headers: { "idempotency-key": "k-1" } })
        assert.strictEqual(first.status, 200)
        assert.isNull(first.headers.get("idempotency-replayed"))
        assert.strictEqual(again.status, 200)
        assert.strictEqual(again.headers.get("idempotency-replayed"), "true")
        assert.strictEqual(again.text, first.text)
        assert.deepStrictEqual(seen, [])
      }))

    it.live("with another body is 422 and names the run", () =>
      Effect.gen(function*() {
        const { call } = yield* standard
        const headers = { "idempotency-key": "k-2" }
        const first = yield* beat(call, { body: `{"a":1}`, headers })
        const { json, status } = yield* beat(call, { body: `{"a":2}`, headers })
        assert.strictEqual(status, 422)
        assert.strictEqual(json.type, problem("idempotency-key-reused"))
        assert.strictEqual(json.runId, first.json.runId)
      }))

    it.live("belongs to one agent", () =>
      Effect.gen(function*() {
        const { call } = yield* standard
        const headers = { "idempotency-key": "shared" }
        const mine = yield* beat(call, { headers })
        const yours = yield* beat(call, { headers, token: secrets.release }, "release")
        assert.strictEqual(yours.status, 200)
        assert.notStrictEqual(mine.json.runId, yours.json.runId)
      }))

    for (
      const [title, key] of [
        ["empty", ""],
        ["empty in quotes", `""`],
        ["too long", "k".repeat(256)],
        ["with a space", `"a b"`],
        ["half quoted", `"k`],
        ["twice", "a, b"]
      ] as const
    ) {
      it.live(`is 400 when it is ${title}`, () =>
        Effect.gen(function*() {
          const { call } = yield* standard
          const { json, status } = yield* beat(call, { headers: { "idempotency-key": key } })
          assert.strictEqual(status, 400)
          assert.strictEqual(json.type, problem("invalid-request"))
        }))
    }

    it.live("may be 255 characters long and hold escaped quotes", () =>
      Effect.gen(function*() {
        const { call } = yield* standard
        assert.strictEqual((yield* beat(call, { headers: { "idempotency-key": "k".repeat(255) } })).status, 200)
        assert.strictEqual((yield* beat(call, { headers: { "idempotency-key": String.raw`"a\"b\\"` } })).status, 200)
        const bare = yield* beat(call, { headers: { "idempotency-key": String.raw`a"b\ `.trim() } })
        assert.strictEqual(bare.headers.get("idempotency-replayed"), "true")
      }))
  })
})
