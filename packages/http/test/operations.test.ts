import { assert, describe, it } from "@effect/vitest"
import * as Heartbeat from "@everbeat/core/Heartbeat"
import * as Step from "@everbeat/core/Step"
import { StoreError } from "@everbeat/core/StoreError"
import { AgentToken, HeartbeatHandler } from "@everbeat/http"
import { Effect, Layer, Redacted, Schema } from "effect"
import { RateLimiter } from "effect/persistence"
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
  standard,
  until
} from "./harness.ts"
import { keptSpans } from "./observed.ts"

const serving = (options: Partial<HeartbeatHandler.Options<Heartbeat.Any<never>, never, never>>) =>
  Effect.gen(function*() {
    const verify = yield* auth
    const handler = yield* acquire(() => HeartbeatHandler.make({ heartbeats, auth: verify, layer: host, ...options }))
    return { handler, call: callOf(handler) }
  })

describe("liveness", () => {
  it.live("needs no token and nothing that could be broken", () =>
    Effect.gen(function*() {
      let builds = 0
      const { call, handler } = yield* serving({
        layer: Layer.unwrap(Effect.suspend(() => {
          builds++
          return Effect.die(new Error("no database yet"))
        }))
      })
      const check = Effect.gen(function*() {
        const { headers, json, status } = yield* call("/api/health")
        assert.deepStrictEqual([status, json], [200, { status: "pass" }])
        assert.strictEqual(headers.get("content-type"), "application/health+json")
        assert.strictEqual(headers.get("cache-control"), "no-store")
        const head = yield* call("/api/health", { method: "HEAD" })
        assert.deepStrictEqual([head.status, head.text], [200, ""])
      })
      yield* check
      assert.strictEqual(builds, 0)
      assert.strictEqual((yield* call("/api/ready", { token: secrets.triage })).json.type, problem("not-ready"))
      yield* check
      yield* Effect.promise(() => handler.dispose())
      yield* check
    }))

  it.live("is a part of the routes, with 405 for other methods", () =>
    Effect.gen(function*() {
      const { call } = yield* serving({ basePath: "/internal" })
      assert.strictEqual((yield* call("/internal/api/health")).status, 200)
      const refused = yield* call("/internal/api/health", { method: "POST" })
      assert.deepStrictEqual([refused.status, refused.headers.get("allow")], [405, "GET, HEAD"])
      assert.strictEqual((yield* call("/api/health")).status, 404)
    }))
})

describe("readiness", () => {
  it.live("needs a token of any agent, or of an operator", () =>
    Effect.gen(function*() {
      const operator = yield* AgentToken.create()
      const { call } = yield* serving({ operatorTokens: [operator.sha256] })
      assert.strictEqual((yield* call("/api/ready")).json.type, problem("unauthorized"))
      assert.strictEqual((yield* call("/api/ready", { token: "guess" })).status, 401)
      for (const token of [secrets.triage, secrets.ghost, secrets.reader, Redacted.value(operator.token)]) {
        const { json, status } = yield* call("/api/ready", { token })
        assert.deepStrictEqual([status, json], [200, { status: "pass" }])
      }
    }))

  it.live("may be public", () =>
    Effect.gen(function*() {
      const { call } = yield* serving({ publicReadiness: true })
      assert.strictEqual((yield* call("/api/ready")).status, 200)
    }))

  it.live("pings the store, and is 503 with Retry-After while it is down and during dispose", () =>
    Effect.gen(function*() {
      let isDown = true
      const { call, handler } = yield* serving({
        publicReadiness: true,
        layer: hostWith({
          checkpoints: ({ ping }) => ({
            ping: Effect.suspend(() =>
              isDown
                ? Effect.fail(new StoreError({ operation: "ping", reason: "unavailable", detail: "db-7 refused" }))
                : ping
            )
          })
        })
      })
      const down = yield* call("/api/ready")
      assert.deepStrictEqual([down.status, down.json.type], [503, problem("store-unavailable")])
      assert.isNotNull(down.headers.get("retry-after"))
      assert.notInclude(down.text, "db-7")
      isDown = false
      assert.strictEqual((yield* call("/api/ready")).status, 200)
      yield* Effect.promise(() => handler.dispose())
      assert.strictEqual((yield* call("/api/ready")).json.type, problem("shutting-down"))
    }))
})

describe("metrics", () => {
  it.live("are there for operators only, and not at all without any", () =>
    Effect.gen(function*() {
      const operator = yield* AgentToken.create()
      const { call, handler } = yield* serving({ operatorTokens: [operator.sha256] })
      yield* beat(call)
      assert.strictEqual((yield* call("/api/metrics")).status, 401)
      assert.strictEqual((yield* call("/api/metrics", { token: secrets.triage })).status, 401)
      const response = yield* Effect.promise(() =>
        handler.fetch(requestOf("/api/metrics", { token: Redacted.value(operator.token) }))
      )
      assert.strictEqual(response.status, 200)
      const text = yield* Effect.promise(() => response.text())
      assert.match(
        text,
        /^everbeat_http_requests_total\{route="\/api\/agents\/:agentName\/heartbeat",method="POST",status="200"\} \d+/mu
      )
      assert.match(text, /^everbeat_runs_total\{agent="triage",status="ok"\} \d+/mu)
      for (const secret of [...Object.values(secrets), Redacted.value(operator.token)]) assert.notInclude(text, secret)
      assert.strictEqual((yield* call("/api/metrics", { method: "POST" })).headers.get("allow"), "GET, HEAD")
      const other = yield* standard
      assert.strictEqual((yield* other.call("/api/metrics", { token: Redacted.value(operator.token) })).status, 404)
    }))
})

describe("a declared payload", () => {
  const Context = Schema.Struct({
    reason: Schema.Literals(["cron", "webhook"]),
    since: Schema.optionalKey(Schema.DateTimeUtcFromString)
  })

  const echo = Effect.gen(function*() {
    const read: Array<unknown> = []
    const step = Step.make(
      "read",
      Effect.gen(function*() {
        const { payload } = yield* Step.Current
        read.push(payload === undefined ? undefined : yield* Schema.decodeUnknownEffect(Context)(payload))
      })
    )
    const { call } = yield* serving({
      heartbeats: { triage: Heartbeat.make("echo", [step]) },
      payload: Context
    })
    return { call, read }
  })

  it.live("is decoded by the steps with the schema of the host, and may be absent", () =>
    Effect.gen(function*() {
      const { call, read } = yield* echo
      const body = `{"reason":"cron","since":"2026-01-02T03:04:05Z","unknown":"left out"}`
      assert.strictEqual((yield* beat(call, { body })).json.status, "ok")
      assert.strictEqual((yield* beat(call)).json.status, "ok")
      assert.strictEqual((yield* beat(call, { body: "null" })).json.status, "ok")
      assert.lengthOf(read, 3)
      assert.deepInclude(read[0], { reason: "cron" })
      assert.notProperty(read[0], "unknown")
      assert.isUndefined(read[1])
    }))

  it.live("is in the description of the API, with what it refers to", () =>
    Effect.gen(function*() {
      const Team = Schema.Struct({ name: Schema.String }).annotate({ identifier: "Team" })
      const { call } = yield* serving({ payload: Schema.Struct({ teams: Schema.Array(Team) }) })
      const { json } = yield* call("/api/openapi.json", { token: secrets.triage })
      const { requestBody } = json.paths["/api/agents/{agentName}/heartbeat"].post
      assert.isFalse(requestBody.required)
      const [, name] = /"#\/components\/schemas\/([^"]+)"/u.exec(JSON.stringify(requestBody)) ?? []
      assert.strictEqual(name, "Payload.Team")
      assert.deepStrictEqual(json.components.schemas[name ?? ""].required, ["name"])
    }))

  it.live("that does not fit is 422 and says where, and nothing runs", () =>
    Effect.gen(function*() {
      const { call, read } = yield* echo
      for (
        const [body, where] of [[`{"reason":"boredom"}`, "payload.reason"], [`[]`, "payload"], [
          `{"reason":"cron","since":"x"}`,
          "payload.since"
        ], [`"${"x".repeat(100_000)}"`, "payload"]] as const
      ) {
        const { json, status } = yield* beat(call, { body })
        assert.deepStrictEqual([status, json.type], [422, problem("invalid-payload")])
        assert.include(json.detail, where)
        assert.isBelow(json.detail.length, 10_000)
      }
      assert.lengthOf(read, 0)
    }))
})

describe("the rate limit", () => {
  it.live("is for each agent, and says when to call again", () =>
    Effect.gen(function*() {
      const { call } = yield* serving({ rateLimit: { limit: 2, windowMs: 60_000 } })
      assert.deepStrictEqual([(yield* beat(call)).status, (yield* beat(call)).status], [200, 200])
      const { headers, json, status } = yield* beat(call)
      assert.deepStrictEqual([status, json.type], [429, problem("rate-limited")])
      assert.isAtLeast(Number(headers.get("retry-after")), 1)
      assert.isAtMost(Number(headers.get("retry-after")), 60)
      assert.strictEqual((yield* beat(call, { token: secrets.release }, "release")).status, 200)
      // Reading is not limited, and who is not the agent uses up nothing.
      assert.strictEqual((yield* call("/api/agents/triage/runs", { token: secrets.triage })).status, 200)
    }))

  it.live("is not used up by callers without the agent's token", () =>
    Effect.gen(function*() {
      const { call } = yield* serving({ rateLimit: { limit: 1, windowMs: 60_000 } })
      yield* beat(call, { token: "guess" })
      yield* beat(call, { token: secrets.release })
      yield* beat(call, { token: secrets.reader })
      assert.strictEqual((yield* beat(call)).status, 200)
    }))

  it.live("counts with the host's limiter, and lets a call through when that fails", () =>
    Effect.gen(function*() {
      const keys: Array<string> = []
      const limiter = yield* Effect.provide(RateLimiter.make, RateLimiter.layerStoreMemory)
      const { call } = yield* serving({
        rateLimit: { limit: 1, windowMs: 60_000 },
        layer: Layer.merge(
          host,
          Layer.succeed(RateLimiter.RateLimiter, {
            ...limiter,
            consume: ({ key }) => {
              keys.push(key)
              const reason = new RateLimiter.RateLimitStoreError({ message: "redis is down" })
              return Effect.fail(new RateLimiter.RateLimiterError({ reason }))
            }
          })
        )
      })
      assert.deepStrictEqual([(yield* beat(call)).status, (yield* beat(call)).status], [200, 200])
      assert.deepStrictEqual(keys, ["everbeat/heartbeat/triage", "everbeat/heartbeat/triage"])
    }))
})

describe("settled runs", () => {
  it.live("are told to the callback and to every reader, and end with the handler", () =>
    Effect.gen(function*() {
      const told: Array<string> = []
      const gate = yield* makeGate
      const { call, handler } = yield* serving({
        heartbeats: () => gated(gate.pass),
        onSettled: async (run) => {
          told.push(run.runId)
          throw new Error("an alert that fails")
        }
      })
      const collect = async () => {
        const seen: Array<string> = []
        for await (const { runId, status } of handler.settled) seen.push(`${runId} ${status}`)
        return seen
      }
      const reading = [collect(), collect()]
      const first = yield* beat(call, { headers: { prefer: "respond-async" } })
      const deserter = handler.settled[Symbol.asyncIterator]()
      yield* gate.reached
      const disposed = handler.dispose({ graceMs: 60_000 })
      yield* gate.open
      yield* Effect.promise(() => disposed)
      const expected = [`${first.json.runId} ok`]
      assert.deepStrictEqual(yield* Effect.promise(() => Promise.all(reading)), [expected, expected])
      assert.deepStrictEqual(told, [first.json.runId])
      yield* Effect.promise(async () => deserter.return?.())
      assert.isTrue((yield* Effect.promise(() => deserter.next())).done)
    }))
})

describe("tracing", () => {
  it.live("names the span by the route and continues the caller's trace into the pass", () =>
    Effect.gen(function*() {
      const { layer: tracing, spans } = keptSpans()
      const { call } = yield* serving({ layer: Layer.provideMerge(host, tracing) })
      const traceId = "0af7651916cd43dd8448eb211c80319c"
      const { json } = yield* beat(call, { headers: { traceparent: `00-${traceId}-b7ad6b7169203331-01` } })
      yield* call(`/api/agents/triage/runs/${json.runId}`, { token: secrets.triage })
      yield* call("/nope/triage")
      yield* until(() => spans.some(({ name }) => name === "GET"))
      const names = spans.map(({ name }) => name)
      assert.include(names, "POST /api/agents/:agentName/heartbeat")
      assert.include(names, "GET /api/agents/:agentName/runs/:runId")
      assert.isFalse(names.some((name) => name.includes("triage") || name.includes(json.runId)))
      const request = spans.find(({ name }) => name.startsWith("POST"))
      const pass = spans.find(({ name }) => name === "everbeat.run")
      assert.deepStrictEqual([request?.traceId, pass?.traceId], [traceId, traceId])
      assert.strictEqual(request?.attributes.get("http.route"), "/api/agents/:agentName/heartbeat")
    }))

  it.live("survives a traceparent that is none", () =>
    Effect.gen(function*() {
      const { handler } = yield* standard
      for (const traceparent of ["x", "00-0-0-0", "00-".repeat(1000), `00-${"0".repeat(32)}-${"0".repeat(16)}-01`]) {
        const { status } = yield* Effect.promise(async () =>
          read(
            await handler.fetch(requestOf("/api/agents/triage/heartbeat", {
              method: "POST",
              token: secrets.triage,
              headers: { traceparent }
            }))
          )
        )
        assert.strictEqual(status, 200)
      }
    }))
})
