import { assert, describe, it } from "@effect/vitest"
import type { Heartbeat } from "@everbeat/core"
import { AgentClient, AgentError, HeartbeatHandler, NodeAdapter } from "@everbeat/http"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { createServer } from "node:http"
import { join } from "node:path"
import { acquire, auth, gated, heartbeats, host, makeGate, secrets, seen, until } from "./harness.ts"
import { listening } from "./hosts/mount.ts"

const served = (pass: Effect.Effect<unknown> | undefined): HeartbeatHandler.Heartbeats<Heartbeat.Any> =>
  pass === undefined ? heartbeats : { triage: gated(pass) }

const serving = (pass?: Effect.Effect<unknown>) =>
  Effect.gen(function*() {
    const verify = yield* auth
    const handler = yield* acquire(() =>
      HeartbeatHandler.make({
        heartbeats: served(pass),
        auth: verify,
        layer: host,
        basePath: "/internal"
      })
    )
    const server = createServer(NodeAdapter.toNodeHandler(handler))
    const { port } = yield* Effect.acquireRelease(
      Effect.promise(() => listening(server, handler.dispose)),
      () => Effect.sync(() => server.closeAllConnections())
    )
    const options = { baseUrl: `http://127.0.0.1:${port}/internal`, agentName: "triage", token: secrets.triage }
    return { options, server, client: AgentClient.make(options) }
  })

describe("AgentClient", () => {
  it.live("calls a heartbeat, and reads its runs", () =>
    Effect.gen(function*() {
      const { client } = yield* serving()
      yield* Effect.promise(async () => {
        seen.length = 0
        const report = await client.heartbeat({ payload: { mode: "warn" }, idempotencyKey: "k" })
        assert.deepStrictEqual([report.status, report.touchedIssueUrls], ["warning", ["https://issues.test/7"]])
        assert.deepStrictEqual(await client.heartbeat({ payload: { mode: "warn" }, idempotencyKey: "k" }), report)
        assert.deepStrictEqual(seen, [{ mode: "warn" }])
        await client.heartbeat()
        const { items, next } = await client.runs({ limit: 1, status: ["ok", "warning"] })
        assert.lengthOf(items, 1)
        const rest = await client.runs({ status: ["ok", "warning"], cursor: next })
        assert.deepStrictEqual(rest.items.map(({ runId }) => runId), [report.runId])
        assert.strictEqual((await client.run(report.runId)).status, "warning")
      })
    }))

  it.live("rejects with the problem that the host answered", () =>
    Effect.gen(function*() {
      const { client, options } = yield* serving()
      yield* Effect.promise(async () => {
        const foreign = AgentClient.make({ ...options, token: () => secrets.release })
        const error = await foreign.heartbeat().catch((error: unknown) => error)
        assert.instanceOf(error, AgentError.AgentProblem)
        assert.deepStrictEqual([error.status, error.type], [403, "https://everbeat.dev/problems/wrong-agent"])
        const none = await client.run("01a1fc4b-0e11-76af-a7f8-60f1a1b3dc01").catch((error: unknown) => error)
        assert.instanceOf(none, AgentError.AgentProblem)
        assert.strictEqual(none.status, 404)
      })
    }))

  it.live("follows a pass that takes longer than it waits for", () =>
    Effect.gen(function*() {
      const gate = yield* makeGate
      const { options } = yield* serving(gate.pass)
      const client = AgentClient.make({ ...options, waitSeconds: 0 })
      const pending = client.heartbeat()
      yield* gate.reached
      yield* gate.open
      const report = yield* Effect.promise(() => pending)
      assert.strictEqual(report.status, "ok")
    }))

  it.live("tells the progress, also over a connection that breaks", () =>
    Effect.gen(function*() {
      const gate = yield* makeGate
      const { client, server } = yield* serving(gate.pass)
      const progress: Array<string> = []
      const pending = client.heartbeat({
        onProgress: ({ event }) => {
          progress.push(event)
          if (event === "step-started") setImmediate(() => server.closeAllConnections())
        }
      })
      yield* gate.reached
      yield* until(() => progress.includes("step-started"))
      yield* gate.open
      const report = yield* Effect.promise(() => pending)
      assert.strictEqual(report.status, "ok")
      assert.deepStrictEqual(progress, ["run-started", "step-started", "step-ended"])
    }))

  it.live("rejects with the reason of the signal, and the pass goes on", () =>
    Effect.gen(function*() {
      const gate = yield* makeGate
      const { client } = yield* serving(gate.pass)
      const controller = new AbortController()
      const pending = client.heartbeat({ signal: controller.signal }).catch((error: unknown) => error)
      yield* gate.reached
      const reason = new Error("enough")
      controller.abort(reason)
      assert.strictEqual(yield* Effect.promise(() => pending), reason)
      const late = client.runs({ signal: controller.signal }).catch((error: unknown) => error)
      assert.strictEqual(yield* Effect.promise(() => late), reason)
      yield* gate.open
      yield* until(async () => (await client.runs()).items[0]?.status === "ok")
    }))

  it.live("rejects with what the callback for the progress throws", () =>
    Effect.gen(function*() {
      const { client } = yield* serving()
      const thrown = new Error("mine")
      const onProgress = () => {
        throw thrown
      }
      const error = yield* Effect.promise(() => client.heartbeat({ onProgress }).catch((error: unknown) => error))
      assert.strictEqual(error, thrown)
    }))

  it("has no types of Effect", () => {
    for (const module of ["AgentClient", "AgentError"]) {
      const source = readFileSync(join(import.meta.dirname, `../src/${module}.ts`), "utf8")
      const code = source.replaceAll(/\/\*\*.*?\*\//gsu, "")
      assert.notMatch(code, /from "effect/u)
      assert.notMatch(code, /\b(?:Effect|Layer|Schema|Stream)\./u)
    }
  })
})
