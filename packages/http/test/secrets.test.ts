import { assert, describe, it } from "@effect/vitest"
import { AgentAuth, AgentToken, HeartbeatHandler } from "@everbeat/http"
import { Effect, Layer, Redacted, References, Schema } from "effect"
import { acquire, auth, beat, callOf, heartbeats, host, requestOf, secrets } from "./harness.ts"
import { observed } from "./observed.ts"

describe("secrets", () => {
  it.live("appear in no log, span, or answer", () =>
    Effect.gen(function*() {
      const { layer, lines, spans, text } = observed()
      const verify = yield* auth
      const handler = yield* acquire(() =>
        HeartbeatHandler.make({ heartbeats, auth: verify, layer: Layer.provideMerge(host, layer) })
      )
      const call = callOf(handler)
      const answers = [
        yield* beat(call, { body: `{"mode":"warn"}` }),
        yield* beat(call, { body: `{"mode":"throw"}` }),
        yield* beat(call, {}, "release"),
        yield* beat(call, { token: `${secrets.triage}-wrong` }),
        yield* beat(call, { body: "{" }),
        yield* call(`/api/agents/triage/runs?token=${secrets.triage}&limit=3`, { token: secrets.triage }),
        yield* call(`/nope?access=${secrets.triage}`)
      ]
      const seen = text(answers.map(({ headers, text }) => [[...headers], text]))
      assert.isAbove(lines.length, 0)
      assert.isAbove(spans.length, 0)
      assert.include(seen, "limit=3")
      for (const secret of Object.values(secrets)) assert.notInclude(seen, secret)
    }))

  it.live("of agents and operators appear in no log, span, metric, event or answer of any address", () =>
    Effect.gen(function*() {
      const { layer, spans, text } = observed()
      const verify = yield* auth
      const operator = yield* AgentToken.create()
      const hidden = [...Object.values(secrets), Redacted.value(operator.token)]
      const handler = yield* acquire(() =>
        HeartbeatHandler.make({
          heartbeats,
          auth: verify,
          layer: Layer.mergeAll(host, layer, Layer.succeed(References.MinimumLogLevel, "All")),
          operatorTokens: [operator.sha256],
          rateLimit: { limit: 1, windowMs: 60_000 },
          payload: Schema.Struct({ mode: Schema.String })
        })
      )
      const texts: Array<string> = []
      const id = "01a1fc4b-0e11-76af-a7f8-60f1a1b3dc01"
      for (const token of [...hidden, `${secrets.triage}x`]) {
        for (const accept of ["text/event-stream", "application/json"]) {
          for (
            const [method, path] of [
              ["GET", "/api/ready"],
              ["GET", "/api/metrics"],
              ["GET", "/api/health"],
              ["POST", "/api/agents/triage/heartbeat"],
              ["POST", "/api/agents/release/heartbeat"],
              ["GET", "/api/agents/triage/checkpoints"],
              ["GET", `/api/agents/triage/runs/${id}`],
              ["POST", `/api/agents/triage/runs/${id}/cancel`],
              ["DELETE", `/api/agents/triage/checkpoints/${id}`],
              ["POST", `/api/agents/triage/checkpoints/${id}/resume`],
              ["PATCH", `/api/agents/triage/runs`]
            ] as const
          ) {
            const headers = { accept, cookie: `token=${token}`, "proxy-authorization": `Bearer ${token}` }
            const response = yield* Effect.promise(() =>
              handler.fetch(requestOf(`${path}?token=${token}&${token}=1`, { method, token, headers }))
            )
            texts.push(JSON.stringify([...response.headers]), yield* Effect.promise(() => response.text()))
          }
        }
      }
      const seen = text(texts)
      assert.isAbove(spans.length, 100)
      assert.include(seen, "run-started")
      assert.include(seen, "rate-limited")
      assert.include(seen, "everbeat_http_requests_total")
      for (const secret of hidden) assert.notInclude(seen, secret)
    }))

  it.live("are cut out of what a verification that fails says", () =>
    Effect.gen(function*() {
      const { layer, lines } = observed()
      for (
        const broken of [
          AgentAuth.make((token) => Effect.fail(new Error(`no row for ${Redacted.value(token)}`))),
          AgentAuth.make((token) => Effect.die(new Error(`no row for ${Redacted.value(token)}`))),
          AgentAuth.fromPromise((token) => {
            throw new Error(`no row for ${Redacted.value(token)}`)
          })
        ]
      ) {
        const handler = yield* acquire(() =>
          HeartbeatHandler.make({ heartbeats, auth: broken, layer: Layer.provideMerge(host, layer) })
        )
        const { status, text } = yield* beat(callOf(handler))
        assert.strictEqual(status, 503)
        assert.notInclude(text, secrets.triage)
      }
      assert.include(lines.join(), "no row for <redacted>")
      assert.notInclude(lines.join(), secrets.triage)
    }))

  it.live("are not handed to the host beside the token", () =>
    Effect.gen(function*() {
      let request: AgentAuth.AuthRequest | undefined
      const handler = yield* acquire(() =>
        HeartbeatHandler.make({
          heartbeats,
          auth: AgentAuth.make((_, asked) => {
            request = asked
            return Effect.succeed(null)
          }),
          layer: host
        })
      )
      yield* beat(callOf(handler), { headers: { "x-tenant": "acme", cookie: "session=1" } })
      assert.deepStrictEqual(request?.headers, { "x-tenant": "acme" })
      assert.strictEqual(request?.path, "/api/agents/triage/heartbeat")
      assert.strictEqual(request?.agentName, "triage")
    }))

  it.live("are out of reach of the steps", () =>
    Effect.gen(function*() {
      const { Heartbeat, Step } = yield* Effect.promise(() => import("@everbeat/core"))
      let keys: ReadonlyArray<string> = []
      const spy = Step.make(
        "spy",
        Effect.map(Effect.context<never>(), (context) => {
          keys = [...context.mapUnsafe.keys()]
        })
      )
      const verify = yield* auth
      const handler = yield* acquire(() =>
        HeartbeatHandler.make({ heartbeats: { triage: Heartbeat.make("spy", [spy]) }, auth: verify, layer: host })
      )
      assert.strictEqual((yield* beat(callOf(handler))).json.status, "ok")
      assert.deepStrictEqual(
        keys.filter((key) =>
          /HttpServerRequest|RequestState|RouteContext|ParsedSearchParams|AgentPrincipal/u.test(key)
        ),
        []
      )
    }))
})
