import { assert, describe, it } from "@effect/vitest"
import { Agent, AgentName, AgentSupervisor, HeartbeatEngine, Recovery } from "@everbeat/core"
import { AgentClient, AgentError, EverbeatClient, HeartbeatHandler } from "@everbeat/http"
import { MemoryStore } from "@everbeat/store-memory"
import { Context, Effect, Layer, Redacted, Schema } from "effect"
import { FetchHttpClient } from "effect/http"
import { acquire, auth, callOf, heartbeats, problem, secrets, until } from "./harness.ts"

/** A host with an agent whose first attempts exhausted its runs, so that nobody continues them but who is asked to. */
const exhausted = Effect.gen(function*() {
  const verify = yield* auth
  const stores = Layer.succeedContext(yield* Layer.build(Layer.fresh(MemoryStore.layer)))
  const prompts: Array<string> = []
  let begun = 0
  const coder = Agent.make("coder", {
    message: Schema.String,
    maxAttempts: 1,
    run: (ctx) =>
      ctx.resume === undefined
        ? Effect.andThen(Effect.sync(() => begun++), Effect.never)
        : Effect.sync(() => void prompts.push(ctx.resume?.continuation.prompt ?? ""))
  })
  const start = Effect.scoped(Effect.gen(function*() {
    const context = yield* Layer.build(Layer.fresh(Layer.provideMerge(AgentSupervisor.layer, stores)))
    const before = begun
    const { runId } = yield* Effect.provideContext(Agent.start(coder, { agent: "triage" }), context)
    yield* until(() => begun > before)
    return runId
  }))
  const handler = yield* acquire(() =>
    HeartbeatHandler.make({
      heartbeats,
      auth: verify,
      maxBodyBytes: 20_000,
      layer: Layer.fresh(
        Recovery.layer({ agents: [coder] }).pipe(
          Layer.provideMerge(Layer.mergeAll(HeartbeatEngine.layer, AgentSupervisor.layer)),
          Layer.provideMerge(stores)
        )
      )
    })
  )
  return { call: callOf(handler), handler, prompts, start }
})

const base = "/api/agents/triage"
const { triage: token } = secrets

/** An `AgentClient` of the handler; `lose` tells which answers never arrive. */
const clientOf = (handler: HeartbeatHandler.HeartbeatHandler, lose: (asked: string) => boolean = () => false) => {
  const asked: Array<string> = []
  const client = AgentClient.make({
    baseUrl: "http://host.test",
    agentName: "triage",
    token,
    fetch: async (url, init) => {
      const answer = await handler.fetch(new Request(url, init))
      const { pathname } = new URL(url)
      asked.push(`${init.method} ${pathname.split("/").at(-1)}`)
      if (lose(`${init.method} ${asked.length}`)) throw new TypeError("the connection was lost")
      return answer
    }
  })
  return { asked, client }
}

const rejection = (promise: Promise<unknown>) =>
  promise.then(() => undefined, (error: unknown) => error instanceof AgentError.AgentProblem ? error.type : error)

describe("resuming a run", () => {
  it.live("tells its agent what was asked for last, and needs no body", () =>
    Effect.gen(function*() {
      const { call, prompts, start } = yield* exhausted
      for (
        const [body, told] of [[`{"followUp":"Use the other branch."}`, true], ["{}", false], [
          undefined,
          false
        ]] as const
      ) {
        prompts.length = 0
        const path = `${base}/checkpoints/${yield* start}/resume`
        const { json, status } = yield* call(path, { method: "POST", token, ...(body === undefined ? {} : { body }) })
        assert.deepStrictEqual([status, json.status], [202, "running"])
        yield* until(() => prompts.length === 1)
        assert.strictEqual(prompts[0]?.includes("Use the other branch."), told)
      }
    }))

  it.live("refuses a body that is none of it, and touches nothing", () =>
    Effect.gen(function*() {
      const { call, prompts, start } = yield* exhausted
      const runId = yield* start
      const path = `${base}/checkpoints/${runId}/resume`
      for (
        const [body, status, slug] of [
          [`{"followUp":""}`, 422, "invalid-payload"],
          [`{"followUp":7}`, 422, "invalid-payload"],
          [`{"followup":"misspelt"}`, 422, "invalid-payload"],
          [`["x"]`, 422, "invalid-payload"],
          [JSON.stringify({ followUp: "x".repeat(8193) }), 422, "invalid-payload"],
          [JSON.stringify({ followUp: "x".repeat(30_000) }), 413, "payload-too-large"],
          ["{", 400, "invalid-request"]
        ] as const
      ) {
        const { json, status: answered } = yield* call(path, { method: "POST", token, body })
        assert.deepStrictEqual([answered, json.type], [status, problem(slug)])
      }
      const form = { method: "POST", token, body: "followUp=x", headers: { "content-type": "text/plain" } }
      assert.strictEqual((yield* call(path, form)).status, 415)
      const { json } = yield* call(`${base}/checkpoints/${runId}`, { token })
      assert.deepStrictEqual([json.status, json.attempts.length, prompts], ["exhausted", 1, []])
      const most = yield* call(path, { method: "POST", token, body: JSON.stringify({ followUp: "é".repeat(8192) }) })
      assert.strictEqual(most.status, 202)
    }))

  it.live("says what it takes in the description of the API", () =>
    Effect.gen(function*() {
      const { call } = yield* exhausted
      const { json } = yield* call("/api/openapi.json", { token })
      const { requestBody } = json.paths["/api/agents/{agentName}/checkpoints/{runId}/resume"].post
      assert.isFalse(requestBody.required)
      const { followUp } = json.components.schemas["ResumeRequest"].properties
      assert.include(JSON.stringify(followUp), `"maxLength":8192`)
    }))

  it.live("is what the typed client does, too", () =>
    Effect.gen(function*() {
      const { handler, prompts, start } = yield* exhausted
      const runId = yield* start
      const fetch: typeof globalThis.fetch = (input, init) => handler.fetch(new Request(input, init))
      const { body, headers } = yield* EverbeatClient.make({
        baseUrl: "http://host.test",
        token: Redacted.make(token)
      }).pipe(
        Effect.flatMap(({ checkpoints }) =>
          checkpoints.resumeCheckpoint({
            params: { agentName: AgentName.make("triage"), runId },
            payload: { followUp: "Hurry." }
          })
        ),
        Effect.provide(FetchHttpClient.layer),
        Effect.provideContext(Context.make(FetchHttpClient.Fetch, fetch))
      )
      assert.deepStrictEqual([body.runId, headers.location], [runId, `${base}/runs/${runId}`])
      yield* until(() => prompts.length === 1)
      assert.include(prompts[0], "Hurry.")
    }))
})

describe("AgentClient", () => {
  it.live("lists, reads, resumes, cancels and discards interrupted runs", () =>
    Effect.gen(function*() {
      const { handler, prompts, start } = yield* exhausted
      const [one, two, three] = [yield* start, yield* start, yield* start]
      const { client } = clientOf(handler)
      yield* Effect.promise(async () => {
        const first = await client.checkpoints({ limit: 2 })
        const rest = await client.checkpoints({ cursor: first.next, status: ["exhausted"] })
        assert.sameMembers([...first.items, ...rest.items].map(({ runId }) => runId), [one, two, three])
        assert.deepStrictEqual((await client.checkpoints({ status: ["running"] })).items, [])
        const checkpoint = await client.checkpoint(one)
        assert.deepInclude(checkpoint, { runId: one, status: "exhausted", messages: 0, hasWorkspace: false })
        assert.deepStrictEqual(await client.resume(one, { followUp: "Hurry." }), {
          runId: one,
          agentName: "triage",
          status: "running",
          location: `${base}/runs/${one}`
        })
        assert.strictEqual((await client.cancel(two)).status, "cancelled")
        assert.isUndefined(await client.discard(three))
        assert.strictEqual(await rejection(client.run(three)), problem("run-not-found"))
        assert.strictEqual(await rejection(client.cancel(two)), problem("run-settled"))
        assert.strictEqual(await rejection(client.discard(three)), problem("run-not-found"))
        assert.strictEqual(await rejection(client.resume(two)), problem("run-settled"))
        const agents = await client.runs({ kind: "agent", from: new Date(0), until: new Date(Date.now() + 60_000) })
        assert.includeMembers(agents.items.map(({ runId }) => runId), [two])
        assert.deepStrictEqual((await client.runs({ kind: "heartbeat" })).items, [])
        assert.deepStrictEqual((await client.runs({ until: new Date(0) })).items, [])
        assert.deepStrictEqual((await client.runs({ callerId: "nobody" })).items, [])
      })
      yield* until(() => prompts.length === 1)
      assert.include(prompts[0], "Hurry.")
    }))

  it.live("repeats an action whose answer was lost, and knows that it was taken", () =>
    Effect.gen(function*() {
      const { handler, start } = yield* exhausted
      const [one, two] = [yield* start, yield* start]
      const cancelling = clientOf(handler, (asked) => asked === "POST 1")
      const discarding = clientOf(handler, (asked) => asked === "DELETE 1")
      yield* Effect.promise(async () => {
        assert.strictEqual((await cancelling.client.cancel(one)).status, "cancelled")
        assert.deepStrictEqual(cancelling.asked, ["POST cancel", "POST cancel", `GET ${one}`])
        assert.isUndefined(await discarding.client.discard(two))
        assert.deepStrictEqual(discarding.asked, [`DELETE ${two}`, `DELETE ${two}`])
      })
    }))

  it.live("does not wait for a run that somebody else holds, unless it may be held because of a resume that was lost", () =>
    Effect.promise(async () => {
      const held = { type: problem("run-in-progress"), status: 409, runId: "x", retryAfterSeconds: 5 }
      const asked: Array<string> = []
      const clientThat = (loses: number) =>
        AgentClient.make({
          baseUrl: "http://host.test/internal",
          agentName: "triage",
          token,
          fetch: async (url, init) => {
            asked.push(`${init.method} ${new URL(url).pathname}`)
            if (asked.length <= loses) throw new TypeError("the connection was lost")
            return Response.json(held, { status: 409, headers: { "content-type": "application/problem+json" } })
          }
        })
      const path = "/internal/api/agents/triage/checkpoints/a%2Fb"
      assert.strictEqual(await rejection(clientThat(0).resume("a/b")), held.type)
      assert.strictEqual(await rejection(clientThat(0).discard("a/b")), held.type)
      assert.deepStrictEqual(asked.splice(0), [`POST ${path}/resume`, `DELETE ${path}`])
      assert.deepStrictEqual(await clientThat(1).resume("a/b"), {
        runId: "a/b",
        agentName: "triage",
        status: "running",
        location: "/internal/api/agents/triage/runs/a%2Fb"
      })
      assert.lengthOf(asked, 2)
    }))
})
