import { assert, describe, it } from "@effect/vitest"
import { Agent, AgentSupervisor, Heartbeat, HeartbeatEngine, Recovery, Step } from "@everbeat/core"
import { CheckpointStore } from "@everbeat/core/CheckpointStore"
import { RunStore } from "@everbeat/core/RunStore"
import { StoreError } from "@everbeat/core/StoreError"
import { AgentAuth, HeartbeatHandler } from "@everbeat/http"
import { MemoryStore } from "@everbeat/store-memory"
import { Duration, Effect, Fiber, Layer, Redacted, Schema } from "effect"
import { acquire, beat, type Call, callOf, makeGate, problem, secrets, until } from "./harness.ts"

const unknownId = "01a1fc4b-0e11-76af-a7f8-60f1a1b3dc01"

/** Tokens of two agents, and one that may only run and read. */
const auth = Effect.map(
  Effect.all([
    AgentAuth.digest(Redacted.make(secrets.triage)),
    AgentAuth.digest(Redacted.make(secrets.release)),
    AgentAuth.digest(Redacted.make(secrets.reader))
  ]),
  ([triage, release, reader]) =>
    AgentAuth.tokens([
      { agentName: "triage", tokenId: "triage-1", sha256: triage },
      { agentName: "release", tokenId: "release-1", sha256: release },
      { agentName: "triage", tokenId: "reader-1", sha256: reader, scopes: ["heartbeat", "read"] }
    ])
)

/** A host whose first pass of triage was interrupted, as by a shutdown, and that can continue it. */
const interrupted = (extra: {
  readonly recovers?: boolean
  readonly store?: (store: CheckpointStore["Service"]) => Partial<CheckpointStore["Service"]>
} = {}) =>
  Effect.gen(function*() {
    const gate = yield* makeGate
    const verify = yield* auth
    const { checkpoints, runs } = yield* MemoryStore.make()
    const heartbeat = Heartbeat.make("gated", [Step.make("gate", gate.pass)])
    const stores = Layer.merge(
      Layer.succeed(CheckpointStore, { ...checkpoints, ...extra.store?.(checkpoints) }),
      Layer.succeed(RunStore, runs)
    )
    const services = Layer.mergeAll(HeartbeatEngine.layer, AgentSupervisor.layer).pipe(Layer.provideMerge(stores))
    const first = HeartbeatHandler.make({ heartbeats: { triage: heartbeat }, auth: verify, layer: services })
    const pending = yield* Effect.forkChild(beat(callOf(first)))
    yield* gate.reached
    yield* Effect.promise(() => first.dispose({ graceMs: 0 }))
    const { runId } = (yield* Fiber.join(pending)).json
    const layer = extra.recovers === false
      ? services
      : Layer.provideMerge(
        // It polls for itself too rarely to be in the way.
        Recovery.layer({ heartbeats: [heartbeat], pollInterval: "1 hour", maxPollInterval: "1 hour", concurrency: 1 }),
        services
      )
    const serve = Effect.gen(function*() {
      const handler = yield* acquire(() =>
        HeartbeatHandler.make({
          heartbeats: { triage: heartbeat, release: heartbeat },
          auth: verify,
          layer
        })
      )
      return callOf(handler)
    })
    return { gate, runId, serve, checkpoints, runs }
  })

const triage = { token: secrets.triage }
const base = "/api/agents/triage"

const statusOf = (call: Call, runId: string) =>
  Effect.map(call(`${base}/runs/${runId}`, triage), ({ json }) => json.status)

describe("checkpoints", () => {
  it.live("of interrupted runs are listed and read, without what is stored", () =>
    Effect.gen(function*() {
      const { runId, serve } = yield* interrupted({ recovers: false })
      const call = yield* serve
      const listed = yield* call(`${base}/checkpoints`, triage)
      assert.strictEqual(listed.status, 200)
      assert.deepStrictEqual(listed.json.items.map((run: { runId: string }) => run.runId), [runId])
      assert.strictEqual(listed.json.items[0].status, "interrupted")
      assert.notProperty(listed.json.items[0], "idempotency")
      const one = yield* call(`${base}/checkpoints/${runId}`, triage)
      assert.strictEqual(one.status, 200)
      assert.deepInclude(one.json, { runId, status: "interrupted", messages: 0, messageBytes: 0, hasWorkspace: false })
      for (const hidden of ["notes", "segments", "workspace", "position", "idempotency"]) {
        assert.notProperty(one.json, hidden)
      }
      const none = yield* call(`${base}/checkpoints?status=exhausted&status=running&limit=1`, triage)
      assert.deepStrictEqual(none.json, { items: [] })
    }))

  for (const query of ["limit=0", "limit=201", "limit=x", "status=ok"]) {
    it.live(`refuse ${query} with 400`, () =>
      Effect.gen(function*() {
        const { serve } = yield* interrupted({ recovers: false })
        const { json, status } = yield* (yield* serve)(`${base}/checkpoints?${query}`, triage)
        assert.deepStrictEqual([status, json.type], [400, problem("invalid-request")])
      }))
  }

  it.live("are resumed under the same run id", () =>
    Effect.gen(function*() {
      const { gate, runId, serve } = yield* interrupted()
      const call = yield* serve
      const answer = yield* call(`${base}/checkpoints/${runId}/resume`, { method: "POST", ...triage })
      // The poll of Recovery at its start may have been first.
      assert.include([202, 409], answer.status)
      if (answer.status === 202) {
        assert.strictEqual(answer.headers.get("location"), `${base}/runs/${runId}`)
        assert.strictEqual(answer.json.runId, runId)
      }
      yield* gate.open
      yield* until(async () => await Effect.runPromise(statusOf(call, runId)) === "ok")
      const again = yield* call(`${base}/checkpoints/${runId}/resume`, { method: "POST", ...triage })
      assert.deepStrictEqual([again.status, again.json.type], [409, problem("run-settled")])
    }))

  it.live("are not resumed by a host that does not offer it, which says so", () =>
    Effect.gen(function*() {
      const { runId, serve } = yield* interrupted({ recovers: false })
      const { json, status } = yield* (yield* serve)(`${base}/checkpoints/${runId}/resume`, {
        method: "POST",
        ...triage
      })
      assert.deepStrictEqual([status, json.type], [501, problem("not-offered")])
      assert.include(json.detail, "Recovery")
    }))

  it.live("are discarded without a record", () =>
    Effect.gen(function*() {
      const { gate, runId, serve } = yield* interrupted({ recovers: false })
      const call = yield* serve
      const answer = yield* call(`${base}/checkpoints/${runId}`, { method: "DELETE", ...triage })
      assert.deepStrictEqual([answer.status, answer.text], [204, ""])
      assert.strictEqual((yield* call(`${base}/runs/${runId}`, triage)).status, 404)
      const again = yield* call(`${base}/checkpoints/${runId}`, { method: "DELETE", ...triage })
      assert.deepStrictEqual([again.status, again.json.type], [404, problem("run-not-found")])
      yield* gate.open
      const next = yield* beat(call)
      assert.strictEqual(next.status, 200)
      assert.notStrictEqual(next.json.runId, runId)
    }))

  it.live("are discarded although they are damaged", () =>
    Effect.gen(function*() {
      const { runId, serve } = yield* interrupted({
        recovers: false,
        // As every store does with a run that it cannot read back.
        store: ({ claim }) => ({
          claim: (runId, owner, ttl) =>
            Effect.flatMap(
              claim(runId, owner, ttl),
              () => Effect.fail(new StoreError({ operation: "claim", reason: "corrupt", detail: `run ${runId}` }))
            )
        })
      })
      const call = yield* serve
      const answer = yield* call(`${base}/checkpoints/${runId}`, { method: "DELETE", ...triage })
      assert.deepStrictEqual([answer.status, answer.text], [204, ""])
      assert.strictEqual((yield* call(`${base}/runs/${runId}`, triage)).status, 404)
    }))

  it.live("of a run that is held are neither resumed nor discarded", () =>
    Effect.gen(function*() {
      const { checkpoints, runId, serve } = yield* interrupted()
      yield* checkpoints.claim(runId, "somebody", Duration.minutes(1))
      const call = yield* serve
      for (const [path, method] of [["", "DELETE"], ["/resume", "POST"]] as const) {
        const { headers, json, status } = yield* call(`${base}/checkpoints/${runId}${path}`, { method, ...triage })
        assert.deepStrictEqual([status, json.type], [409, problem("run-in-progress")])
        assert.strictEqual(json.runId, runId)
        assert.isNotNull(headers.get("retry-after"))
      }
    }))

  it.live("of a foreign agent look like none", () =>
    Effect.gen(function*() {
      const { runId, serve } = yield* interrupted({ recovers: false })
      const call = yield* serve
      const token = secrets.release
      for (
        const [path, method] of [
          [`/checkpoints/`, "GET"],
          [`/checkpoints/`, "DELETE"],
          [`/runs/`, "GET"],
          [`/runs/`, "POST"]
        ] as const
      ) {
        const end = method === "POST" ? "/cancel" : ""
        const foreign = yield* call(`/api/agents/release${path}${runId}${end}`, { method, token })
        const none = yield* call(`/api/agents/release${path}${unknownId}${end}`, { method, token })
        assert.strictEqual(foreign.status, 404)
        assert.strictEqual(foreign.text.replaceAll(runId, unknownId), none.text)
        assert.strictEqual((yield* call(`${base}${path}${runId}${end}`, { method, token })).status, 403)
      }
      assert.strictEqual(yield* statusOf(call, runId), "interrupted")
    }))

  it.live("need the scope to act on them", () =>
    Effect.gen(function*() {
      const { runId, serve } = yield* interrupted({ recovers: false })
      const call = yield* serve
      const token = secrets.reader
      assert.strictEqual((yield* call(`${base}/checkpoints`, { token })).status, 200)
      for (
        const [path, method] of [
          [`/checkpoints/${runId}`, "DELETE"],
          [`/checkpoints/${runId}/resume`, "POST"],
          [`/runs/${runId}/cancel`, "POST"]
        ] as const
      ) {
        const refused = yield* call(`${base}${path}`, { method, token })
        assert.deepStrictEqual([refused.status, refused.json.scope], [403, "resume"])
        assert.include(refused.headers.get("www-authenticate") ?? "", `scope="resume"`)
        assert.strictEqual((yield* call(`${base}${path}`, { method })).status, 401)
      }
    }))

  it.live("are 503 while the store is down", () =>
    Effect.gen(function*() {
      const down = Effect.fail(new StoreError({ operation: "load", reason: "unavailable", detail: "db-7 refused" }))
      const { runId, serve } = yield* interrupted({
        recovers: false,
        store: () => ({ claim: () => down, load: () => down, listInterrupted: () => down, requestCancel: () => down })
      })
      const call = yield* serve
      for (
        const [path, method] of [
          ["/checkpoints", "GET"],
          [`/checkpoints/${runId}`, "GET"],
          [`/checkpoints/${runId}`, "DELETE"],
          [`/runs/${runId}/cancel`, "POST"]
        ] as const
      ) {
        const { json, status, text } = yield* call(`${base}${path}`, { method, ...triage })
        assert.deepStrictEqual([status, json.type], [503, problem("store-unavailable")])
        assert.notInclude(text, "db-7")
      }
    }))
})

describe("cancel", () => {
  it.live("of an interrupted run records it at once", () =>
    Effect.gen(function*() {
      const { runId, serve } = yield* interrupted({ recovers: false })
      const call = yield* serve
      const { json, status } = yield* call(`${base}/runs/${runId}/cancel`, { method: "POST", ...triage })
      assert.deepStrictEqual([status, json.status, json.runId], [200, "cancelled", runId])
      assert.strictEqual(yield* statusOf(call, runId), "cancelled")
      const again = yield* call(`${base}/runs/${runId}/cancel`, { method: "POST", ...triage })
      assert.deepStrictEqual([again.status, again.json.type], [409, problem("run-settled")])
    }))

  for (const [where, here] of [["this", true], ["another", false]] as const) {
    it.live(`of a run in flight in ${where} process stops it`, () =>
      Effect.gen(function*() {
        const verify = yield* auth
        const gate = yield* makeGate
        const { checkpoints, runs } = yield* MemoryStore.make()
        const stores = Layer.merge(Layer.succeed(CheckpointStore, checkpoints), Layer.succeed(RunStore, runs))
        const make = (leaseTtl: Duration.Input) =>
          HeartbeatHandler.make({
            heartbeats: () => Heartbeat.make("gated", [Step.make("gate", gate.pass)]),
            auth: verify,
            layer: HeartbeatEngine.layerWith({ leaseTtl }).pipe(Layer.provideMerge(stores))
          })
        // In this process nobody waits for a renewal: there is none for an hour.
        const handler = yield* acquire(() => make(here ? "3 hours" : "3 seconds"))
        const other = here ? handler : yield* acquire(() => make("3 seconds"))
        const pending = yield* Effect.forkChild(beat(callOf(handler)))
        yield* gate.reached
        const call = callOf(other)
        const { runId } = (yield* call(`${base}/runs`, triage)).json.items[0]
        const { json, status } = yield* call(`${base}/runs/${runId}/cancel`, { method: "POST", ...triage })
        assert.include([200, 202], status)
        if (status === 202) assert.deepInclude(json, { runId, status: "running", cancelRequested: true })
        const cut = yield* Fiber.join(pending)
        assert.deepStrictEqual([cut.status, cut.json.type], [409, problem("run-cancelled")])
        assert.strictEqual(yield* statusOf(call, runId), "cancelled")
      }))
  }

  it.live("reaches the runs of agents", () =>
    Effect.gen(function*() {
      const verify = yield* auth
      const gate = yield* makeGate
      const coder = Agent.make("triage", { message: Schema.String, run: () => gate.pass })
      const services = Layer.mergeAll(HeartbeatEngine.layer, AgentSupervisor.layer).pipe(
        Layer.provideMerge(MemoryStore.layer)
      )
      const started = Layer.effectDiscard(Agent.start(coder, {}))
      const handler = yield* acquire(() =>
        HeartbeatHandler.make({ heartbeats: {}, auth: verify, layer: Layer.provideMerge(started, services) })
      )
      const call = callOf(handler)
      const { runId } = (yield* call(`${base}/runs`, triage)).json.items[0]
      yield* gate.reached
      // 200 when it has stopped before the answer was made.
      assert.include([200, 202], (yield* call(`${base}/runs/${runId}/cancel`, { method: "POST", ...triage })).status)
      yield* until(async () => await Effect.runPromise(statusOf(call, runId)) === "cancelled")
    }))
})
