import { assert, describe, it } from "@effect/vitest"
import { HeartbeatHandler } from "@everbeat/http"
import { Effect } from "effect"
import {
  acquire,
  auth,
  beat,
  callOf,
  heartbeats,
  host,
  problem,
  requestOf,
  secrets,
  seen,
  standard
} from "./harness.ts"

describe("HeartbeatHandler", () => {
  describe("the body", () => {
    it.live("empty means no payload", () =>
      Effect.gen(function*() {
        const { call } = yield* standard
        seen.length = 0
        assert.strictEqual((yield* beat(call)).status, 200)
        assert.strictEqual((yield* beat(call, { headers: { "content-type": "text/plain" } })).status, 200)
        assert.deepStrictEqual(seen, [undefined, undefined])
      }))

    it.live("may be any JSON value", () =>
      Effect.gen(function*() {
        const { call } = yield* standard
        seen.length = 0
        for (const body of ["null", "0", `"text"`, "[1]", `{"__proto__":1}`]) {
          assert.strictEqual((yield* beat(call, { body })).status, 200, body)
        }
        assert.strictEqual(JSON.stringify(seen), `[null,0,"text",[1],{"__proto__":1}]`)
      }))

    it.live("of a +json type is accepted", () =>
      Effect.gen(function*() {
        const { call } = yield* standard
        const headers = { "content-type": "application/merge-patch+json; charset=utf-8" }
        assert.strictEqual((yield* beat(call, { body: "{}", headers })).status, 200)
      }))

    for (const [title, body] of [["an open brace", "{"], ["spaces", "  "], ["a NaN", "NaN"]] as const) {
      it.live(`broken JSON is 400: ${title}`, () =>
        Effect.gen(function*() {
          const { call } = yield* standard
          const { json, status } = yield* beat(call, { body })
          assert.strictEqual(status, 400)
          assert.strictEqual(json.type, problem("invalid-request"))
        }))
    }

    it.live("that is not UTF-8 is 400", () =>
      Effect.gen(function*() {
        const { call } = yield* standard
        const headers = { "content-type": "application/json" }
        assert.strictEqual((yield* beat(call, { body: new Uint8Array([0x22, 0xff, 0x22]), headers })).status, 400)
      }))

    it.live("nested too deeply is 400, with and without a key", () =>
      Effect.gen(function*() {
        const { call } = yield* standard
        const body = "[".repeat(100_000) + "]".repeat(100_000)
        assert.strictEqual((yield* beat(call, { body })).status, 400)
        assert.strictEqual((yield* beat(call, { body, headers: { "idempotency-key": "deep" } })).status, 400)
      }))

    it.live("nested 100 levels below its top is taken, and 101 is 400", () =>
      Effect.gen(function*() {
        const { call } = yield* standard
        const nested = (levels: number): string => "[".repeat(levels) + "]".repeat(levels)
        assert.strictEqual((yield* beat(call, { body: nested(101) })).status, 200)
        assert.strictEqual((yield* beat(call, { body: nested(102) })).status, 400)
      }))

    for (
      const [title, headers] of [
        ["a form", { "content-type": "application/x-www-form-urlencoded" }],
        ["text", { "content-type": "text/plain" }],
        ["compressed", { "content-encoding": "gzip" }]
      ] as const
    ) {
      it.live(`wrong content type is 415: ${title}`, () =>
        Effect.gen(function*() {
          const { call } = yield* standard
          const { json, status } = yield* beat(call, { body: "{}", headers })
          assert.strictEqual(status, 415)
          assert.strictEqual(json.type, problem("unsupported-media-type"))
        }))
    }

    it.live("of 50 MB is 413 and is not pulled to its end", () =>
      Effect.gen(function*() {
        const { call } = yield* standard
        let pulled = 0
        let cancelled = false
        const body = new ReadableStream<Uint8Array>({
          pull: (controller) => {
            pulled += 65_536
            if (pulled > 50_000_000) controller.close()
            else controller.enqueue(new Uint8Array(65_536).fill(0x20))
          },
          cancel: () => {
            cancelled = true
          }
        })
        const { json, status } = yield* beat(call, { body, headers: { "content-type": "application/json" } })
        assert.strictEqual(status, 413)
        assert.strictEqual(json.type, problem("payload-too-large"))
        assert.strictEqual(json.maxBytes, 262_144)
        assert.isBelow(pulled, 1_000_000)
        assert.isTrue(cancelled)
      }))

    it.live("of 50 MB is not pulled at all without a token", () =>
      Effect.gen(function*() {
        const { call } = yield* standard
        let pulled = 0
        const body = new ReadableStream<Uint8Array>({
          pull: (controller) => {
            pulled++
            controller.enqueue(new Uint8Array(65_536))
          }
        }, { highWaterMark: 0 })
        assert.strictEqual((yield* beat(call, { body, token: "guess" })).status, 401)
        assert.strictEqual(pulled, 0)
      }))

    it.live("announced as too long is 413 before a byte is read", () =>
      Effect.gen(function*() {
        const verify = yield* auth
        const handler = yield* acquire(() =>
          HeartbeatHandler.make({ heartbeats, auth: verify, layer: host, maxBodyBytes: 16 })
        )
        const call = callOf(handler)
        assert.strictEqual((yield* beat(call, { body: `"${"x".repeat(14)}"` })).status, 200)
        assert.strictEqual((yield* beat(call, { body: `"${"x".repeat(15)}"` })).status, 413)
      }))

    it.live("consumed before the handler is 500, never an empty payload", () =>
      Effect.gen(function*() {
        const { handler } = yield* standard
        const request = requestOf("/api/agents/triage/heartbeat", { token: secrets.triage, body: "{}" })
        yield* Effect.promise(() => request.text())
        const response = yield* Effect.promise(() => handler.fetch(request))
        assert.strictEqual(response.status, 500)
        const body = yield* Effect.promise(() => response.json() as Promise<{ readonly type: string }>)
        assert.strictEqual(body.type, problem("body-already-consumed"))
      }))

    for (const length of ["5.5", "+5", "-1", "0x10", "1e3", "5, 5"]) {
      it.live(`of a Content-Length of ${length} is 400, with and without bytes`, () =>
        Effect.gen(function*() {
          const { call } = yield* standard
          const headers = { "content-length": length }
          for (const options of [{ headers }, { headers, body: "{}" }]) {
            const { json, status } = yield* beat(call, options)
            assert.deepStrictEqual([status, json.type], [400, problem("invalid-request")])
          }
        }))
    }

    it.live("announced but lost is 500", () =>
      Effect.gen(function*() {
        const { call } = yield* standard
        const { json, status } = yield* beat(call, { headers: { "content-length": "2" } })
        assert.strictEqual(status, 500)
        assert.strictEqual(json.type, problem("body-already-consumed"))
      }))
  })
})
