import { assert, describe, it } from "@effect/vitest"
import { HeartbeatHandler } from "@everbeat/http"
import { Effect, Layer } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { auth, heartbeats, host, read, requestOf, secrets } from "./harness.ts"

describe("HeartbeatHandler.layer", () => {
  it.live("adds the routes to a host that runs on Effect and leaves its own alone", () =>
    Effect.gen(function*() {
      const verify = yield* auth
      const own = HttpRouter.add("GET", "/own", HttpServerResponse.text("mine"))
      const routes = HeartbeatHandler.layer({ heartbeats, auth: verify, basePath: "/internal" })
      const { dispose, handler } = HttpRouter.toWebHandler(
        Layer.mergeAll(own, routes).pipe(Layer.provide(host)),
        { disableLogger: true }
      )
      yield* Effect.addFinalizer(() => Effect.promise(dispose))
      const call = (path: string, options = {}) => Effect.promise(() => handler(requestOf(path, options)))
      const mine = yield* call("/own")
      assert.strictEqual(yield* Effect.promise(() => mine.text()), "mine")
      assert.isNull(mine.headers.get("x-request-id"))

      const path = "/internal/api/agents/triage/heartbeat"
      const beat = yield* Effect.promise(async () =>
        read(await handler(requestOf(path, { method: "POST", token: secrets.triage })))
      )
      assert.strictEqual(beat.status, 200)
      assert.strictEqual(beat.json.status, "ok")
      assert.strictEqual(beat.headers.get("cache-control"), "no-store")
      assert.isNotNull(beat.headers.get("x-request-id"))
      assert.strictEqual((yield* call(path, { method: "POST" })).status, 401)
      assert.strictEqual((yield* call(path)).status, 405)
      const unknown = yield* call("/internal/api/openapi.json")
      assert.strictEqual(unknown.status, 401)
      assert.isNotNull(unknown.headers.get("x-request-id"))
      assert.strictEqual((yield* call("/internal/api/openapi.json", { token: secrets.triage })).status, 200)
      assert.strictEqual((yield* call("/internal/api/health")).status, 200)
      assert.strictEqual((yield* call("/internal/api/ready")).status, 401)
      assert.strictEqual((yield* call("/internal/api/ready", { token: secrets.triage })).status, 200)
      const checkpoints = yield* call("/internal/api/agents/triage/checkpoints", { token: secrets.triage })
      assert.deepStrictEqual(yield* Effect.promise(() => checkpoints.json()), { items: [] })
    }))
})
