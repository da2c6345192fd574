import { assert, describe, it } from "@effect/vitest"
import { AgentAuth, HeartbeatHandler } from "@everbeat/http"
import { Effect, Redacted } from "effect"
import { acquire, auth, beat, callOf, heartbeats, host, problem, secrets, standard } from "./harness.ts"

describe("HeartbeatHandler", () => {
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
