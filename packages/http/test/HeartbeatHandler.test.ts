import { assert, describe, it } from "@effect/vitest"
import { AgentAuth, HeartbeatHandler } from "@everbeat/http"
import { Effect, Redacted } from "effect"
import { acquire, auth, beat, callOf, heartbeats, host, requestOf, secrets, seen, standard } from "./harness.ts"

const problem = (slug: string): string => `https://everbeat.dev/problems/${slug}`

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

  describe("the token", () => {
    it.live("missing", () =>
      Effect.gen(function*() {
        const { call } = yield* standard
        const { headers, json, status } = yield* beat(call, { token: undefined })
        assert.strictEqual(status, 401)
        assert.strictEqual(json.type, problem("unauthorized"))
        assert.strictEqual(headers.get("content-type"), "application/problem+json")
        assert.strictEqual(headers.get("www-authenticate"), `Bearer realm="everbeat"`)
      }))

    for (
      const [title, authorization] of [
        ["malformed: no scheme", secrets.triage],
        ["malformed: another scheme", `Basic ${secrets.triage}`],
        ["malformed: empty", "Bearer "],
        ["malformed: two tokens", `Bearer ${secrets.triage}, Bearer ${secrets.triage}`],
        ["malformed: spaces inside", `Bearer ${secrets.triage} ${secrets.triage}`],
        ["wrong: last character", `Bearer ${secrets.triage.slice(0, -1)}x`],
        ["wrong: guessed", "Bearer admin"]
      ] as const
    ) {
      it.live(title, () =>
        Effect.gen(function*() {
          const { call } = yield* standard
          const { headers, json, status } = yield* beat(call, { token: undefined, headers: { authorization } })
          assert.strictEqual(status, 401)
          assert.strictEqual(json.type, problem("unauthorized"))
          assert.match(headers.get("www-authenticate") ?? "", /^Bearer realm="everbeat"/u)
        }))
    }

    it.live("a token that was sent is called invalid, alike for every reason", () =>
      Effect.gen(function*() {
        const { call } = yield* standard
        const first = yield* beat(call, { token: "guess" })
        const second = yield* beat(call, { token: `${secrets.triage}x` }, "nobody")
        assert.strictEqual(first.headers.get("www-authenticate"), `Bearer realm="everbeat", error="invalid_token"`)
        assert.strictEqual(first.text, second.text)
      }))

    it.live("of a foreign agent is refused, as for an unknown agent, byte for byte", () =>
      Effect.gen(function*() {
        const { call } = yield* standard
        const foreign = yield* beat(call, {}, "release")
        const unknown = yield* beat(call, {}, "nobody")
        const broken = yield* beat(call, { body: "{" }, "release")
        assert.strictEqual(foreign.status, 403)
        assert.strictEqual(foreign.json.type, problem("wrong-agent"))
        assert.strictEqual(foreign.text, unknown.text)
        assert.strictEqual(foreign.text, broken.text)
        assert.deepStrictEqual(
          [...foreign.headers].filter(([name]) => name !== "x-request-id"),
          [...unknown.headers].filter(([name]) => name !== "x-request-id")
        )
      }))

    it.live("is checked before a heartbeat is looked up", () =>
      Effect.gen(function*() {
        const asked: Array<string> = []
        const verify = yield* auth
        const handler = yield* acquire(() =>
          HeartbeatHandler.make({
            heartbeats: (agentName) => {
              asked.push(agentName)
              return heartbeats.triage
            },
            auth: verify,
            layer: host
          })
        )
        const call = callOf(handler)
        yield* beat(call, { token: undefined })
        yield* beat(call, { token: "guess" })
        yield* beat(call, {}, "release")
        assert.deepStrictEqual(asked, [])
        assert.strictEqual((yield* beat(call)).status, 200)
        assert.deepStrictEqual(asked, ["triage"])
      }))

    it.live("of an agent without a heartbeat is 404", () =>
      Effect.gen(function*() {
        const { call } = yield* standard
        const { json, status } = yield* beat(call, { token: secrets.ghost }, "ghost")
        assert.strictEqual(status, 404)
        assert.strictEqual(json.type, problem("agent-not-found"))
      }))

    it.live("of an agent named like a property of objects is 404", () =>
      Effect.gen(function*() {
        const handler = yield* acquire(() =>
          HeartbeatHandler.make({
            heartbeats,
            auth: AgentAuth.make(() => Effect.succeed({ agentName: "constructor", tokenId: "1" })),
            layer: host
          })
        )
        const { json, status } = yield* beat(callOf(handler), {}, "constructor")
        assert.strictEqual(status, 404)
        assert.strictEqual(json.type, problem("agent-not-found"))
      }))

    it.live("without the scope is refused", () =>
      Effect.gen(function*() {
        const { call } = yield* standard
        const { headers, json, status } = yield* beat(call, { token: secrets.reader })
        assert.strictEqual(status, 403)
        assert.strictEqual(json.type, problem("insufficient-scope"))
        assert.match(headers.get("www-authenticate") ?? "", /error="insufficient_scope"/u)
        assert.strictEqual((yield* call("/api/agents/triage/runs", { token: secrets.reader })).status, 200)
      }))

    it.live("that cannot be verified right now is 503", () =>
      Effect.gen(function*() {
        const handler = yield* acquire(() =>
          HeartbeatHandler.make({
            heartbeats,
            auth: AgentAuth.fromPromise(async () => {
              throw new Error("the token table is down")
            }),
            layer: host
          })
        )
        const { headers, json, status, text } = yield* beat(callOf(handler))
        assert.strictEqual(status, 503)
        assert.strictEqual(json.type, problem("auth-unavailable"))
        assert.isNotNull(headers.get("retry-after"))
        assert.notInclude(text, "table")
      }))

    it.live("names the caller in the record", () =>
      Effect.gen(function*() {
        const { call } = yield* standard
        const { json } = yield* beat(call)
        const run = yield* call(`/api/agents/triage/runs/${json.runId}`, { token: secrets.triage })
        assert.strictEqual(run.json.callerId, "triage-1")
      }))
  })

  describe("the agent's name", () => {
    for (
      const [title, name, status] of [
        ["empty", "", 403],
        ["200 characters", "a".repeat(200), 403],
        ["an escaped slash", "..%2ftriage", 403],
        ["a doubly escaped slash", "..%252ftriage", 403],
        ["another case", "Triage", 403],
        ["unicode", "trïage", 403],
        ["a broken escape", "%zz", 404]
      ] as const
    ) {
      it.live(`${title} is ${status}, and 401 without a token where there is a route`, () =>
        Effect.gen(function*() {
          const { call } = yield* standard
          const { headers, json, ...answer } = yield* beat(call, {}, name)
          assert.strictEqual(answer.status, status)
          assert.strictEqual(headers.get("content-type"), "application/problem+json")
          assert.strictEqual(json.type, problem(status === 403 ? "wrong-agent" : "route-not-found"))
          const without = yield* beat(call, { token: undefined }, name)
          assert.strictEqual(without.status, status === 403 ? 401 : 404)
        }))
    }

    it.live("that the engine refuses is 400", () =>
      Effect.gen(function*() {
        const handler = yield* acquire(() =>
          HeartbeatHandler.make({
            heartbeats,
            auth: AgentAuth.make(() => Effect.succeed({ agentName: "-bad-", tokenId: "1" })),
            layer: host
          })
        )
        const { json, status } = yield* beat(callOf(handler), {}, "-bad-")
        assert.strictEqual(status, 400)
        assert.strictEqual(json.type, problem("invalid-request"))
        assert.match(json.detail, /^params\.agentName: /u)
      }))
  })

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

  describe("the address", () => {
    for (
      const [method, path, allow] of [
        ["GET", "/api/agents/triage/heartbeat", "POST"],
        ["PUT", "/api/agents/triage/heartbeat", "POST"],
        ["DELETE", "/api/agents/triage/heartbeat", "POST"],
        ["POST", "/api/agents/triage/runs", "GET, HEAD"],
        ["DELETE", "/api/agents/triage/runs/x", "GET, HEAD"],
        ["POST", "/api/openapi.json", "GET, HEAD"]
      ] as const
    ) {
      it.live(`${method} ${path} is 405 with Allow`, () =>
        Effect.gen(function*() {
          const { call } = yield* standard
          const { headers, json, status } = yield* call(path, { method })
          assert.strictEqual(status, 405)
          assert.strictEqual(headers.get("allow"), allow)
          assert.strictEqual(json.type, problem("method-not-allowed"))
        }))
    }

    for (const path of ["/", "/api", "/api/agents", "/api/agents/triage", "/API/agents/triage/runs", "/nope"]) {
      it.live(`${path} is 404`, () =>
        Effect.gen(function*() {
          const { call } = yield* standard
          const { headers, json, status } = yield* call(path, { token: secrets.triage })
          assert.strictEqual(status, 404)
          assert.strictEqual(json.type, problem("route-not-found"))
          assert.strictEqual(headers.get("cache-control"), "no-store")
          assert.isNotNull(headers.get("x-request-id"))
        }))
    }

    for (
      const [method, path] of [
        ["GET", "/api/health;"],
        ["GET", "/api/openapi.json/;x"],
        ["POST", "/api/agents/triage/heartbeat;/api/health"],
        ["POST", "/api/agents/triage/heartbeat;?limit=1"],
        ["GET", "/api/agents/triage/runs;limit=1"]
      ] as const
    ) {
      it.live(`${method} ${path} is 404, as others read it`, () =>
        Effect.gen(function*() {
          const { call } = yield* standard
          seen.length = 0
          const { json, status } = yield* call(path, { method, token: secrets.triage })
          assert.deepStrictEqual([status, json.type], [404, problem("route-not-found")])
          assert.lengthOf(seen, 0)
        }))
    }

    it.live("may have a base path", () =>
      Effect.gen(function*() {
        const verify = yield* auth
        const handler = yield* acquire(() =>
          HeartbeatHandler.make({ heartbeats, auth: verify, layer: host, basePath: "/internal/" })
        )
        const call = callOf(handler)
        const options = { method: "POST", token: secrets.triage }
        assert.strictEqual((yield* call("/internal/api/agents/triage/heartbeat", options)).status, 200)
        assert.strictEqual((yield* call("/internal/api/openapi.json", { token: secrets.triage })).status, 200)
        assert.strictEqual((yield* call("/api/agents/triage/heartbeat", options)).status, 404)
        assert.strictEqual((yield* call("/internalapi/agents/triage/heartbeat", options)).status, 404)
      }))

    it("must be a path", () => {
      const options = { heartbeats, auth: AgentAuth.tokens([]), layer: host }
      for (const basePath of ["internal", "/a b", "/:name", "/*"]) {
        assert.throws(() => HeartbeatHandler.make({ ...options, basePath }), TypeError)
      }
      assert.throws(() => HeartbeatHandler.make({ ...options, maxBodyBytes: 0 }), TypeError)
    })

    it.live("serves the OpenAPI document", () =>
      Effect.gen(function*() {
        const { call } = yield* standard
        const { json, status } = yield* call("/api/openapi.json", { token: secrets.triage })
        assert.strictEqual(status, 200)
        assert.deepStrictEqual(Object.keys(json.paths).toSorted(), [
          "/api/agents/{agentName}/checkpoints",
          "/api/agents/{agentName}/checkpoints/{runId}",
          "/api/agents/{agentName}/checkpoints/{runId}/resume",
          "/api/agents/{agentName}/heartbeat",
          "/api/agents/{agentName}/runs",
          "/api/agents/{agentName}/runs/{runId}",
          "/api/agents/{agentName}/runs/{runId}/cancel",
          "/api/health",
          "/api/ready"
        ])
        const { post } = json.paths["/api/agents/{agentName}/heartbeat"]
        assert.isFalse(post.requestBody.required)
        assert.sameMembers(Object.keys(post.responses["200"].content), ["application/json", "text/event-stream"])
        assert.deepStrictEqual(post.security, [{ agentToken: [] }])
        assert.includeMembers(Object.keys(post.responses), [
          "200",
          "202",
          "400",
          "401",
          "403",
          "404",
          "409",
          "413",
          "422",
          "429",
          "503"
        ])
      }))
  })

  describe("tokens", () => {
    it("refuses entries that are malformed, without quoting them", () => {
      const entry = { agentName: "triage", tokenId: "t", sha256: "ab".repeat(32) }
      assert.throws(() => AgentAuth.tokens([{ ...entry, agentName: "../etc" }]), TypeError)
      assert.throws(() => AgentAuth.tokens([entry, entry]), TypeError)
      try {
        AgentAuth.tokens([{ ...entry, sha256: secrets.triage }])
        assert.fail("accepted")
      } catch (error) {
        assert.instanceOf(error, TypeError)
        assert.notInclude(String(error), secrets.triage)
      }
    })

    it.effect("accepts the old and the new token of an agent while it is rotated", () =>
      Effect.gen(function*() {
        const sha256 = yield* AgentAuth.digest(Redacted.make("old-token"))
        const next = yield* AgentAuth.digest(Redacted.make("new-token"))
        const { verify } = AgentAuth.tokens([
          { agentName: "triage", tokenId: "old", sha256 },
          { agentName: "triage", tokenId: "new", sha256: next.toUpperCase() }
        ])
        const request = { method: "GET", path: "/", agentName: "triage", headers: {} }
        assert.strictEqual((yield* verify(Redacted.make("old-token"), request))?.tokenId, "old")
        assert.strictEqual((yield* verify(Redacted.make("new-token"), request))?.tokenId, "new")
        assert.isNull(yield* verify(Redacted.make("other"), request))
      }))
  })
})
