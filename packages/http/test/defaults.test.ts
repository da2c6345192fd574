/** What routers and body readers do when nobody tells them otherwise, and this API does not. */
import { assert, describe, it } from "@effect/vitest"
import { AgentAuth, HeartbeatHandler } from "@everbeat/http"
import { Effect, Layer, Logger, References } from "effect"
import {
  acquire,
  auth,
  beat,
  callOf,
  gated,
  heartbeats,
  host,
  makeGate,
  problem,
  read,
  requestOf,
  secrets,
  standard
} from "./harness.ts"

const token = secrets.triage
const id = "01a1fc4b-0e11-76af-a7f8-60f1a1b3dc01"

describe("an address", () => {
  for (
    const [path, status] of [
      ["/api/agents/triage/runs/", 200],
      ["/api/agents//triage/runs", 404],
      ["//api/agents/triage/runs", 404],
      ["/api/agents/triage//runs", 404],
      ["/api/agents/triage/Runs", 404],
      ["/API/agents/triage/runs", 404],
      ["/api/agents/TRIAGE/runs", 403],
      [`/api/agents/${"a".repeat(128)}/runs`, 403],
      [`/api/agents/${"a".repeat(8000)}/runs`, 403],
      ["/api/agents/%zz/runs", 404],
      ["/api/agents/triage/runs/%zz", 404],
      ["/api/agents/triage/runs/%C3%28", 404],
      [`/api/agents/triage/runs/${id.toUpperCase()}`, 400]
    ] as const
  ) {
    it.live(`${path.length > 80 ? `with a name of ${path.length - 17} characters` : path} is ${status}`, () =>
      Effect.gen(function*() {
        const { call } = yield* standard
        const { headers, json, status: got } = yield* call(path, { token })
        assert.strictEqual(got, status)
        if (status !== 200) {
          assert.strictEqual(headers.get("content-type"), "application/problem+json")
          assert.strictEqual(json.status, status)
        }
      }))
  }

  it.live("serves an agent whose name is as long as names may be", () =>
    Effect.gen(function*() {
      const name = "a".repeat(128)
      const handler = yield* acquire(() =>
        HeartbeatHandler.make({
          heartbeats: () => heartbeats.triage,
          auth: AgentAuth.make(() => Effect.succeed({ agentName: name, tokenId: "1" })),
          layer: host
        })
      )
      const call = callOf(handler)
      const { json } = yield* beat(call, {}, name)
      assert.strictEqual((yield* call(`/api/agents/${name}/runs/${json.runId}`, { token })).json.runId, json.runId)
      assert.strictEqual((yield* beat(call, {}, `${name}a`)).status, 403)
    }))

  it.live("needs a token, all but liveness, before anything of it is looked at", () =>
    Effect.gen(function*() {
      const { call } = yield* standard
      const { json } = yield* call("/api/openapi.json", { token: secrets.triage })
      const open: Array<string> = []
      for (const [path, operations] of Object.entries<object>(json.paths)) {
        for (const method of Object.keys(operations)) {
          const at = path.replace("{agentName}", "triage")
          const good = yield* call(at.replace("{runId}", id), { method: method.toUpperCase() })
          const bad = yield* call(`${at.replace("{runId}", "no-id")}?limit=x`, { method: method.toUpperCase() })
          assert.deepStrictEqual([good.status, good.text], [bad.status, bad.text])
          if (good.status === 401) assert.strictEqual(good.json.type, problem("unauthorized"))
          else open.push(`${method} ${path}`)
        }
      }
      assert.deepStrictEqual(open, ["get /api/health"])
    }))

  it.live("in an answer is below the base path of the host", () =>
    Effect.gen(function*() {
      const gate = yield* makeGate
      const verify = yield* auth
      const handler = yield* acquire(() =>
        HeartbeatHandler.make({ heartbeats: () => gated(gate.pass), auth: verify, layer: host, basePath: "/internal" })
      )
      const accepted = yield* callOf(handler)("/internal/api/agents/triage/heartbeat", {
        method: "POST",
        token,
        headers: { prefer: "respond-async" }
      })
      const location = accepted.headers.get("location") ?? ""
      assert.strictEqual(location, `/internal/api/agents/triage/runs/${accepted.json.runId}`)
      assert.strictEqual(accepted.json.location, location)
      assert.strictEqual((yield* callOf(handler)(location, { token })).status, 200)
      yield* gate.open
    }))
})

describe("the description of the API", () => {
  it.live("has the patterns of names and ids, and says that the body may be absent", () =>
    Effect.gen(function*() {
      const { call } = yield* standard
      const { json } = yield* call("/api/openapi.json", { token: secrets.triage })
      const { get: { parameters } } = json.paths["/api/agents/{agentName}/runs/{runId}"]
      for (const { name, schema } of parameters) assert.isString(schema.pattern, name)
      assert.isFalse(json.paths["/api/agents/{agentName}/heartbeat"].post.requestBody.required)
    }))
})

describe("a client that leaves", () => {
  it.live("aborts the verification of its token, is answered with a problem, and is no error in the log", () =>
    Effect.gen(function*() {
      const gate = yield* makeGate
      const logged: Array<string> = []
      const logger = Logger.make(({ logLevel, message }) => void logged.push(`${logLevel} ${JSON.stringify(message)}`))
      let isAborted = false
      const handler = yield* acquire(() =>
        HeartbeatHandler.make({
          heartbeats,
          auth: AgentAuth.fromPromise(async (_token, _request, signal) => {
            signal.addEventListener("abort", () => {
              isAborted = true
            })
            await Effect.runPromise(gate.pass)
            return null
          }),
          layer: Layer.mergeAll(host, Logger.layer([logger]), Layer.succeed(References.MinimumLogLevel, "All"))
        })
      )
      const controller = new AbortController()
      const pending = handler.fetch(
        requestOf("/api/agents/triage/heartbeat", { method: "POST", token, signal: controller.signal })
      )
      yield* gate.reached
      controller.abort()
      const { headers, json, status } = yield* Effect.promise(async () => read(await pending))
      assert.deepStrictEqual([status, json.type], [499, problem("client-closed-request")])
      assert.strictEqual(headers.get("content-type"), "application/problem+json")
      assert.isTrue(isAborted)
      assert.deepStrictEqual(logged.filter((line) => /error|warn|fatal/iu.test(line)), [])
      yield* gate.open
    }))
})
