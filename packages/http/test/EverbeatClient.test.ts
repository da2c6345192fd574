import { assert, describe, it } from "@effect/vitest"
import { AgentName } from "@everbeat/core"
import { EverbeatClient, HeartbeatHandler, NodeAdapter } from "@everbeat/http"
import { DateTime, Effect, Redacted } from "effect"
import { FetchHttpClient } from "effect/http"
import { createServer } from "node:http"
import { acquire, auth, heartbeats, host, secrets } from "./harness.ts"
import { listening } from "./hosts/mount.ts"

const params = { agentName: AgentName.make("triage") }

const serving = Effect.gen(function*() {
  const verify = yield* auth
  const handler = yield* acquire(() =>
    HeartbeatHandler.make({ heartbeats, auth: verify, layer: host, basePath: "/internal" })
  )
  const server = createServer(NodeAdapter.toNodeHandler(handler))
  const { port } = yield* Effect.acquireRelease(
    Effect.promise(() => listening(server, handler.dispose)),
    () => Effect.sync(() => server.closeAllConnections())
  )
  return `http://127.0.0.1:${port}/internal/`
})

describe("EverbeatClient", () => {
  it.live("calls every kind of endpoint, and decodes what it answers", () =>
    Effect.gen(function*() {
      const baseUrl = yield* serving
      yield* Effect.gen(function*() {
        const { agents, health } = yield* EverbeatClient.EverbeatClient
        const beat = yield* agents.heartbeat({ params, headers: { "idempotency-key": "k" }, payload: { mode: "warn" } })
        assert("status" in beat.body && beat.body.status === "warning" && "startedAt" in beat.body)
        assert.isTrue(DateTime.isDateTime(beat.body.startedAt))
        const page = yield* agents.listRuns({ params, query: { limit: 1, status: ["warning"] } })
        assert.lengthOf(page.items, 1)
        const run = yield* agents.getRun({ params: { ...params, runId: beat.body.runId } })
        assert.strictEqual(run.status, "warning")
        assert.strictEqual((yield* health.ready()).status, "pass")
      }).pipe(
        Effect.provide(EverbeatClient.layer({ baseUrl, token: Redacted.make(secrets.triage) })),
        Effect.provide(FetchHttpClient.layer)
      )
    }))

  it.live("fails with the problems, and asks for the token each time", () =>
    Effect.gen(function*() {
      const baseUrl = yield* serving
      const tokens = [secrets.release, "guess", secrets.triage]
      const token = Effect.sync(() => Redacted.make(tokens.shift() ?? ""))
      const { agents } = yield* EverbeatClient.make({ baseUrl, token }).pipe(Effect.provide(FetchHttpClient.layer))
      const beat = agents.heartbeat({ params, headers: {}, payload: null })
      assert.strictEqual((yield* Effect.flip(beat))._tag, "WrongAgent")
      const error = yield* Effect.flip(beat)
      assert(error._tag === "Unauthorized" && error.reason === "invalid")
      const found = yield* beat.pipe(
        Effect.map(({ headers }) => headers["everbeat-run-id"]),
        Effect.catchTag("RunInProgress", ({ runId }) => Effect.succeed(runId))
      )
      assert.isString(found)
    }))
})
