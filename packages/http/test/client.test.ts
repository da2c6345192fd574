/** The schema-first definition, from the side of a client that is derived from it. */
import { assert, describe, it } from "@effect/vitest"
import { EverbeatApi, HeartbeatHandler } from "@everbeat/http"
import { Effect, Layer } from "effect"
import { FetchHttpClient, HttpClientRequest } from "effect/http"
import { HttpApiClient, HttpApiMiddleware } from "effect/http-api"
import { acquire, auth, gated, host, makeGate, secrets } from "./harness.ts"

const clientOf = (handler: HeartbeatHandler.HeartbeatHandler, token: string) => {
  const fetch: typeof globalThis.fetch = (input, init) => handler.fetch(new Request(input, init))
  return HttpApiClient.make(EverbeatApi.EverbeatApi, { baseUrl: "http://host.test" }).pipe(
    Effect.provide([
      HttpApiMiddleware.layerClient(
        EverbeatApi.Authorization,
        ({ next, request }) => next(HttpClientRequest.bearerToken(request, token))
      ),
      Layer.provideMerge(FetchHttpClient.layer, Layer.succeed(FetchHttpClient.Fetch, fetch))
    ])
  )
}

describe("a client of the definition", () => {
  it.live("tells 200 from 202 and decodes problems", () =>
    Effect.gen(function*() {
      const gate = yield* makeGate
      const verify = yield* auth
      const handler = yield* acquire(() =>
        HeartbeatHandler.make({ heartbeats: () => gated(gate.pass), auth: verify, layer: host })
      )
      const { agents, checkpoints, health } = yield* clientOf(handler, secrets.triage)
      const params = { agentName: "triage" as never }
      const call = (headers: { readonly prefer?: string }) => agents.heartbeat({ params, headers, payload: null })

      assert.deepStrictEqual(yield* health.live(), { status: "pass" })
      const accepted = yield* call({ prefer: "respond-async" })
      assert.strictEqual(accepted.body.status, "running")
      const { runId } = accepted.body
      const busy = yield* Effect.flip(call({}))
      assert.strictEqual(busy._tag, "RunInProgress")
      assert.deepStrictEqual(yield* checkpoints.listCheckpoints({ params, query: {} }), { items: [] })
      const running = yield* checkpoints.getCheckpoint({ params: { ...params, runId } })
      assert.deepInclude(running, { runId, status: "running", hasWorkspace: false })
      const held = yield* Effect.flip(checkpoints.discardCheckpoint({ params: { ...params, runId } }))
      assert.strictEqual(held._tag, "RunInProgress")
      const missing = yield* Effect.flip(checkpoints.resumeCheckpoint({ params: { ...params, runId }, payload: null }))
      assert.strictEqual(missing._tag, "NotOffered")
      yield* gate.reached
      yield* gate.open
      while ((yield* agents.getRun({ params: { ...params, runId } })).status === "running") yield* Effect.yieldNow
      const { body, headers } = yield* call({})
      assert.strictEqual(body.status, "ok")
      assert.strictEqual(headers["everbeat-run-id"], body.runId)
      const settled = yield* Effect.flip(agents.cancelRun({ params: { ...params, runId } }))
      assert.strictEqual(settled._tag, "RunSettled")
    }))
})
