import { assert, describe, it } from "@effect/vitest"
import { AgentAuth, HeartbeatHandler } from "@everbeat/http"
import { Effect } from "effect"
import { acquire, auth, callOf, heartbeats, host, problem, secrets, seen, standard } from "./harness.ts"

describe("HeartbeatHandler", () => {
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
})
