/** The flows of the API in two processes that share one PostgreSQL or one Redis. */
import { assert, describe, it } from "@effect/vitest"
import { AgentSupervisor, Heartbeat, Recovery, Step } from "@everbeat/core"
import { Deferred, Effect, Fiber, Layer } from "effect"
import { afterAll, beforeAll } from "vitest"
import { type Answer, beat, type Call, gated, heartbeats, makeGate, problem, secrets, seen, until } from "./harness.ts"
import { emptyOn, processOn, servers } from "./realStores.ts"
import { eventsOf, open, readUntil, whole } from "./streams.ts"

const token = secrets.triage
const base = "/api/agents/triage"
const unknownId = "01a1fc4b-0e11-76af-a7f8-60f1a1b3dc01"

const get = (call: Call, path: string) => call(`${base}${path}`, { token })
const post = (call: Call, path: string) => call(`${base}${path}`, { token, method: "POST" })

const isProblem = ({ json, status }: Answer, expected: number, slug: string): void =>
  assert.deepStrictEqual([status, json.type], [expected, problem(slug)])

const statusIs = (call: Call, runId: string, status: string) =>
  until(async () => (await Effect.runPromise(get(call, `/runs/${runId}`))).json.status === status)

describe.each(servers)("two processes on one %s", (_, start) => {
  let server: Awaited<ReturnType<typeof start>>
  beforeAll(async () => {
    server = await start()
  }, 120_000)
  afterAll(() => server.stop())

  const two = (options: Parameters<typeof processOn>[1]) =>
    Effect.gen(function*() {
      const connect = yield* emptyOn(server)
      const one = yield* processOn(connect(), options)
      const other = yield* processOn(connect(), options)
      return { one, other, connect }
    })

  /** A pass of the first process that was interrupted by its shutdown, and a second process. */
  const interrupted = (recovers: boolean) =>
    Effect.gen(function*() {
      const gate = yield* makeGate
      const heartbeat = gated(gate.pass)
      const polls = { pollInterval: "1 hour", maxPollInterval: "1 hour", concurrency: 1 } as const
      const { connect, one, other } = yield* two({ heartbeats: { triage: heartbeat, release: heartbeat } })
      const pending = yield* Effect.forkChild(beat(one.call))
      yield* gate.reached
      yield* Effect.promise(() => one.handler.dispose({ graceMs: 0 }))
      const cut = yield* Fiber.join(pending)
      isProblem(cut, 503, "run-interrupted")
      const { call } = recovers
        ? yield* processOn(connect(), {
          heartbeats: { triage: heartbeat },
          extra: (services) =>
            Recovery.layer({ heartbeats: [heartbeat], ...polls }).pipe(
              Layer.provideMerge(AgentSupervisor.layer),
              Layer.provideMerge(services)
            )
        })
        : other
      return { call, gate, runId: String(cut.json.runId) }
    })

  it.live("answer a pass of one, and the other reads its run", () =>
    Effect.gen(function*() {
      const { one, other } = yield* two({ heartbeats })
      const answer = yield* beat(one.call, { body: `{"mode":"warn"}` })
      assert.deepStrictEqual([answer.status, answer.json.status], [200, "warning"])
      assert.strictEqual(answer.headers.get("everbeat-run-id"), answer.json.runId)
      const mine = yield* get(one.call, `/runs/${answer.json.runId}`)
      const theirs = yield* get(other.call, `/runs/${answer.json.runId}`)
      assert.strictEqual(theirs.status, 200)
      assert.strictEqual(theirs.text, mine.text)
      assert.strictEqual(theirs.json.warnings[0].code, "Flaky")
      const failed = yield* beat(other.call, { body: `{"mode":"fail"}` })
      const listed = yield* get(one.call, "/runs?limit=1")
      assert.deepStrictEqual(listed.json.items.map((run: { runId: string }) => run.runId), [failed.json.runId])
      const rest = yield* get(other.call, `/runs?limit=5&cursor=${listed.json.next}`)
      assert.deepStrictEqual(rest.json.items, [theirs.json])
      const warnings = yield* get(other.call, "/runs?status=warning&kind=heartbeat&callerId=triage-1")
      assert.deepStrictEqual(warnings.json.items, [theirs.json])
    }))

  it.live("replay the report of a key, refuse another payload, and answer 409 while it runs", () =>
    Effect.gen(function*() {
      const gate = yield* makeGate
      const { one, other } = yield* two({ heartbeats: { triage: gated(gate.pass), release: heartbeats.release } })
      const headers = { "idempotency-key": "night-1" }
      const pending = yield* Effect.forkChild(beat(one.call, { headers, body: `{"a":1,"b":2}` }))
      yield* gate.reached
      const busy = yield* beat(other.call, { headers, body: `{"a":1,"b":2}` })
      isProblem(busy, 409, "run-in-progress")
      isProblem(yield* beat(other.call, { headers, body: `{"a":2}` }), 422, "idempotency-key-reused")
      yield* gate.open
      const first = yield* Fiber.join(pending)
      assert.strictEqual(first.status, 200)
      assert.strictEqual(busy.json.runId, first.json.runId)
      const again = yield* beat(other.call, { headers: { "idempotency-key": `"night-1"` }, body: `{ "b": 2, "a": 1 }` })
      assert.strictEqual(again.text, first.text)
      assert.strictEqual(again.headers.get("idempotency-replayed"), "true")
      const reused = yield* beat(other.call, { headers, body: "[]" })
      isProblem(reused, 422, "idempotency-key-reused")
      assert.strictEqual(reused.json.runId, first.json.runId)
      const foreign = yield* beat(other.call, { headers, token: secrets.release }, "release")
      assert.isNull(foreign.headers.get("idempotency-replayed"))
      assert.lengthOf((yield* get(one.call, "/runs")).json.items, 1)
    }))

  it.live("answer 202, and show the run in flight and its end at the Location, in either", () =>
    Effect.gen(function*() {
      const gate = yield* makeGate
      const { one, other } = yield* two({ heartbeats: () => gated(gate.pass) })
      const accepted = yield* beat(one.call, { headers: { prefer: "respond-async, wait=0" } })
      assert.strictEqual(accepted.status, 202)
      const location = accepted.headers.get("location") ?? ""
      assert.strictEqual(location, `${base}/runs/${accepted.json.runId}`)
      for (const { call } of [one, other]) {
        const { json } = yield* call(location, { token })
        assert.deepStrictEqual([json.status, json.agentName], ["running", "triage"])
      }
      yield* gate.open
      for (const { call } of [one, other]) yield* statusIs(call, accepted.json.runId, "ok")
    }))

  it.live("begin one pass of an agent at a time, and do not hold up other agents", () =>
    Effect.gen(function*() {
      const gate = yield* makeGate
      const { one, other } = yield* two({ heartbeats: { triage: gated(gate.pass), release: heartbeats.release } })
      const pending = yield* Effect.forkChild(beat(one.call))
      yield* gate.reached
      const busy = yield* beat(other.call)
      isProblem(busy, 409, "run-in-progress")
      assert.isAtLeast(Number(busy.headers.get("retry-after")), 1)
      assert.strictEqual((yield* beat(other.call, { token: secrets.release }, "release")).status, 200)
      yield* gate.open
      assert.strictEqual((yield* Fiber.join(pending)).json.runId, busy.json.runId)
      assert.strictEqual((yield* beat(other.call)).status, 200)
    }))

  it.live("stream a pass, which a client follows to its end in the other", () =>
    Effect.gen(function*() {
      const gate = yield* makeGate
      const { one, other } = yield* two({ heartbeats: () => gated(gate.pass) })
      const first = eventsOf(yield* readUntil(yield* open(one.handler), (text) => text.includes("step-started")))
      const id = first[0]?.id ?? ""
      const here = yield* open(one.handler, { headers: { "last-event-id": id } })
      const there = yield* open(other.handler, { headers: { "last-event-id": id } })
      assert.deepStrictEqual([here.status, there.status], [200, 200])
      const followed = yield* Effect.forkChild(whole(there))
      yield* gate.open
      const rest = yield* whole(here)
      assert.deepStrictEqual(rest.map(({ event }) => event), ["step-started", "step-ended", "report"])
      const end = (yield* Fiber.join(followed)).at(-1)
      assert.strictEqual(end?.event, "report")
      assert.deepStrictEqual(end?.data, rest.at(-1)?.data)
      const nothing = yield* whole(yield* open(other.handler, { headers: { "last-event-id": end?.id ?? "" } }))
      assert.deepStrictEqual(nothing, [])
      assert.lengthOf((yield* get(other.call, "/runs")).json.items, 1)
    }))

  it.live("list, read and resume what another process left behind", () =>
    Effect.gen(function*() {
      const { call, gate, runId } = yield* interrupted(true)
      const listed = yield* get(call, "/checkpoints?limit=1")
      const ids: ReadonlyArray<string> = listed.json.items.map((run: { runId: string }) => run.runId)
      // The poll of Recovery at its start may have been first.
      if (ids.length > 0) {
        assert.deepStrictEqual(ids, [runId])
        const one = yield* get(call, `/checkpoints/${runId}`)
        assert.deepInclude(one.json, { runId, agentName: "triage", messages: 0, hasWorkspace: false })
      }
      const resumed = yield* post(call, `/checkpoints/${runId}/resume`)
      if (resumed.status !== 202) isProblem(resumed, 409, "run-in-progress")
      yield* gate.open
      yield* statusIs(call, runId, "ok")
      isProblem(yield* post(call, `/checkpoints/${runId}/resume`), 409, "run-settled")
      assert.lengthOf((yield* get(call, `/runs/${runId}`)).json.attempts, 2)
    }))

  it.live("discard what another process left behind, once", () =>
    Effect.gen(function*() {
      const { call, gate, runId } = yield* interrupted(false)
      assert.strictEqual((yield* get(call, `/checkpoints/${runId}`)).json.status, "interrupted")
      const foreign = yield* call(`/api/agents/release/checkpoints/${runId}`, { token: secrets.release })
      const unknown = yield* call(`/api/agents/release/checkpoints/${unknownId}`, { token: secrets.release })
      assert.strictEqual(foreign.text.replaceAll(runId, unknownId), unknown.text)
      const removed = yield* call(`${base}/checkpoints/${runId}`, { token, method: "DELETE" })
      assert.strictEqual(removed.status, 204)
      isProblem(yield* get(call, `/runs/${runId}`), 404, "run-not-found")
      isProblem(yield* call(`${base}/checkpoints/${runId}`, { token, method: "DELETE" }), 404, "run-not-found")
      yield* gate.open
      assert.notStrictEqual((yield* beat(call)).json.runId, runId)
    }))

  it.live("cancel the pass of the other", () =>
    Effect.gen(function*() {
      const gate = yield* makeGate
      const { one, other } = yield* two({ heartbeats: () => gated(gate.pass), leaseTtl: "3 seconds" })
      const pending = yield* Effect.forkChild(beat(one.call))
      yield* gate.reached
      const { runId } = (yield* get(other.call, "/runs?status=running")).json.items[0]
      const cancelled = yield* post(other.call, `/runs/${runId}/cancel`)
      assert.include([200, 202], cancelled.status)
      isProblem(yield* Fiber.join(pending), 409, "run-cancelled")
      yield* statusIs(other.call, runId, "cancelled")
      isProblem(yield* post(one.call, `/runs/${runId}/cancel`), 409, "run-settled")
    }))

  it.live("keep a payload of any characters through an interruption", () =>
    Effect.gen(function*() {
      const payload = `{"\\u0000":"\\ud800 \\udfff","__proto__":{"a":[1e21,-0]},"é":"\u{1f600}"}`
      const got: Array<unknown> = []
      const hang = yield* Deferred.make<void>()
      const heartbeat = Heartbeat.make("echo", [
        Step.make("echo", Effect.flatMap(Step.Current, ({ payload }) => Effect.sync(() => void got.push(payload)))),
        Step.make("hang", Effect.andThen(Effect.sync(() => void got.push("hangs")), Deferred.await(hang)))
      ])
      const { one, other } = yield* two({ heartbeats: () => heartbeat })
      const headers = { "idempotency-key": `a"\\b~!` }
      const pending = yield* Effect.forkChild(beat(one.call, { headers, body: payload }))
      yield* until(() => got.includes("hangs"))
      yield* Effect.promise(() => one.handler.dispose({ graceMs: 0 }))
      yield* Fiber.join(pending)
      yield* Deferred.succeed(hang, undefined)
      const answer = yield* beat(other.call, { headers, body: payload })
      assert.deepStrictEqual([answer.status, answer.json.status], [200, "ok"])
      assert.strictEqual(JSON.stringify(got[0]), JSON.stringify(JSON.parse(payload)))
      isProblem(yield* beat(other.call, { headers, body: `{"é":"e"}` }), 422, "idempotency-key-reused")
    }))

  it.live("answer odd filters and cursors with a page or 400", () =>
    Effect.gen(function*() {
      const { one: { call } } = yield* two({ heartbeats })
      seen.length = 0
      yield* beat(call)
      for (
        const [path, most] of [
          ["/runs?callerId=%00", 0],
          ["/runs?callerId=%ED%A0%80", 0],
          ["/runs?callerId='%20or%20''='", 0],
          ["/runs?from=-271821-04-20T00:00:00Z", 1],
          ["/runs?from=%2B275760-09-13T00:00:00Z", 0],
          ["/runs?until=-271821-04-20T00:00:00Z", 0],
          ["/runs?until=%2B275760-09-13T00:00:00Z", 1],
          [`/checkpoints?cursor=9999999999999999_${unknownId}`, 0],
          [`/checkpoints?cursor=0000000000000000_${unknownId}`, 0],
          ["/checkpoints?cursor=%00", 0],
          [`/checkpoints?cursor=${"9".repeat(4000)}`, 0]
        ] as const
      ) {
        const { json, status, text } = yield* get(call, path)
        assert.strictEqual(status, 200, `${path} -> ${text}`)
        assert.lengthOf(json.items, most, path)
      }
      for (const path of ["/runs?from=NaN", "/runs?until=99999999-01-01", "/runs?cursor=%00", "/runs?limit=1e2000"]) {
        isProblem(yield* get(call, path), 400, "invalid-request")
      }
    }))
})
