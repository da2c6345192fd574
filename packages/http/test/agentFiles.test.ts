import { assert, describe, it } from "@effect/vitest"
import { Agent, AgentSupervisor, HeartbeatEngine, Workspace } from "@everbeat/core"
import { HeartbeatHandler } from "@everbeat/http"
import { MemoryStore } from "@everbeat/store-memory"
import { Context, Effect, Layer, Schema } from "effect"
import { acquire, auth, callOf, heartbeats, secrets, until } from "./harness.ts"

/** A host with agents that was restarted: one run of its process before is interrupted, and its files are kept. */
const restarted = Effect.gen(function*() {
  const verify = yield* auth
  const shared = yield* Layer.build(Layer.fresh(Layer.merge(MemoryStore.layer, Workspace.layerMemory())))
  const files = Context.get(shared, Workspace.MemoryFiles)
  const workspace = Context.get(shared, Workspace.Workspace)
  const stores = Layer.succeedContext(shared)
  const coder = Agent.make("coder", {
    message: Schema.String,
    run: (ctx) =>
      files.write(ctx.workspace?.cwd ?? "?", "a.ts", "half").pipe(
        Effect.andThen(ctx.checkpoint.save({ messages: ["x"], iteration: 1 })),
        Effect.andThen(Effect.never)
      )
  })
  const before = Layer.fresh(Layer.provideMerge(AgentSupervisor.layer, stores))
  const runId = yield* Effect.scoped(Effect.gen(function*() {
    const context = yield* Layer.build(before)
    const { runId } = yield* Effect.provideContext(Agent.start(coder, { agent: "triage", cwd: "/repo" }), context)
    yield* until(async () => (await Effect.runPromise(files.read("/repo"))) !== undefined)
    return runId
  }))
  const kept = Effect.map(Effect.orDie(workspace.list({ runId })), ({ length }) => length)
  assert.strictEqual(yield* kept, 1)
  const handler = yield* acquire(() =>
    HeartbeatHandler.make({
      heartbeats,
      auth: verify,
      layer: Layer.fresh(Layer.mergeAll(HeartbeatEngine.layer, AgentSupervisor.layer).pipe(Layer.provideMerge(stores)))
    })
  )
  return { call: callOf(handler), files, kept, runId }
})

const base = "/api/agents/triage"

describe("the files of an interrupted run of an agent", () => {
  it.live("are forgotten when the run is discarded; the folder stays", () =>
    Effect.gen(function*() {
      const { call, files, kept, runId } = yield* restarted
      const path = `${base}/checkpoints/${runId}`
      const foreign = yield* call(path.replace("triage", "release"), { method: "DELETE", token: secrets.release })
      assert.strictEqual(foreign.status, 404)
      assert.strictEqual(yield* kept, 1)
      const { status } = yield* call(path, { method: "DELETE", token: secrets.triage })
      assert.strictEqual(status, 204)
      assert.strictEqual(yield* kept, 0)
      assert.deepStrictEqual(yield* files.read("/repo"), { "a.ts": "half" })
      assert.strictEqual((yield* call(path, { method: "DELETE", token: secrets.triage })).status, 404)
    }))

  it.live("are kept when it is cancelled", () =>
    Effect.gen(function*() {
      const { call, kept, runId } = yield* restarted
      const { json, status } = yield* call(`${base}/runs/${runId}/cancel`, { method: "POST", token: secrets.triage })
      assert.deepStrictEqual([status, json.status], [200, "cancelled"])
      assert.strictEqual(yield* kept, 1)
    }))
})
