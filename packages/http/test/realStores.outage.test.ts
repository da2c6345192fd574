/** The API in front of a PostgreSQL or a Redis that is away: at the start, cut in the middle, and silent. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { afterAll, beforeAll } from "vitest"
import type { Proxy } from "../../../test/servers/proxy.ts"
import { type Answer, beat, type Call, gated, heartbeats, makeGate, secrets, seen } from "./harness.ts"
import { emptyOn, processOn, proxyTo, servers } from "./realStores.ts"

const token = secrets.triage
const limit = 120_000

/** Keys whose first call is cut, each a little later. */
const cuts = 8

/** It is not the caller's fault, and says when to come again; of the store's address it says nothing. */
const isOutage = (answer: Answer, proxy: Proxy, ...slugs: ReadonlyArray<string>): void => {
  assert.strictEqual(answer.status, 503, answer.text)
  assert.include(slugs, String(answer.json.type).split("/").at(-1), answer.text)
  assert.strictEqual(answer.headers.get("content-type"), "application/problem+json")
  assert.isAbove(Number(answer.headers.get("retry-after")), 0)
  assert.notInclude(answer.text, new URL(proxy.url).port)
  assert.notInclude(answer.text, "127.0.0.1")
}

/** Polls without keeping the machine from what is waited for. */
const until = (condition: () => Promise<boolean>): Effect.Effect<void> =>
  Effect.promise(condition).pipe(
    Effect.tap((holds) => holds ? Effect.void : Effect.sleep("20 millis")),
    Effect.repeat({ until: (holds) => holds }),
    Effect.asVoid
  )

const answersAgain = (call: Call) =>
  until(async () => {
    const { json, status } = await Effect.runPromise(beat(call))
    return status === 200 && json.status === "ok"
  })

/** The process lives, and takes no heartbeats. */
const isUnready = (call: Call, proxy: Proxy, ...slugs: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    assert.strictEqual((yield* call("/api/health")).status, 200)
    isOutage(yield* call("/api/ready", { token }), proxy, ...slugs)
    assert.strictEqual((yield* call("/api/health")).status, 200)
  })

describe.each(servers)("a %s that is away", (_, start) => {
  let server: Awaited<ReturnType<typeof start>>
  beforeAll(async () => {
    server = await start()
  }, limit)
  afterAll(() => server.stop())

  it.live(
    "at the start is 503, and the process serves when it is there",
    () =>
      Effect.gen(function*() {
        const connect = yield* emptyOn(server)
        const proxy = yield* proxyTo(server)
        const { call } = yield* processOn(connect(proxy.url), { heartbeats })
        proxy.down()
        isOutage(yield* beat(call), proxy, "not-ready", "store-unavailable")
        yield* isUnready(call, proxy, "not-ready", "store-unavailable")
        isOutage(yield* call("/api/agents/triage/runs", { token }), proxy, "not-ready", "store-unavailable")
        proxy.up()
        yield* answersAgain(call)
        assert.strictEqual((yield* call("/api/ready", { token })).status, 200)
      }),
    limit
  )

  it.live(
    "while a pass runs does not lose it: the report comes in the problem, and the run is settled later",
    () =>
      Effect.gen(function*() {
        const gate = yield* makeGate
        const connect = yield* emptyOn(server)
        const proxy = yield* proxyTo(server)
        const { call } = yield* processOn(connect(proxy.url), {
          heartbeats: { triage: gated(gate.pass), release: heartbeats.release },
          leaseTtl: "3 seconds"
        })
        const witness = yield* processOn(connect(), { heartbeats })
        const headers = { "idempotency-key": "k" }
        const pending = yield* Effect.forkChild(beat(call, { headers }))
        yield* gate.reached
        const [run] = (yield* witness.call("/api/agents/triage/runs", { token })).json.items
        proxy.down()
        yield* gate.open
        const answer = yield* Fiber.join(pending)
        isOutage(answer, proxy, "run-not-recorded", "run-interrupted")
        assert.strictEqual(answer.json.runId, run.runId)
        if (answer.json.type.endsWith("run-not-recorded")) assert.strictEqual(answer.json.report.runId, run.runId)
        const at = `/api/agents/triage/runs/${run.runId}`
        const others = yield* Effect.all([
          beat(call, { token: secrets.release }, "release"),
          call("/api/agents/triage/runs", { token }),
          call(at, { token }),
          call(at, { token, headers: { accept: "text/event-stream" } }),
          call(`${at}/cancel`, { token, method: "POST" }),
          call("/api/agents/triage/checkpoints", { token }),
          call(`/api/agents/triage/checkpoints/${run.runId}`, { token }),
          call(`/api/agents/triage/checkpoints/${run.runId}`, { token, method: "DELETE" })
        ], { concurrency: "unbounded" })
        for (const other of others) isOutage(other, proxy, "store-unavailable")
        yield* isUnready(call, proxy, "store-unavailable")
        proxy.up()
        // With the same key it is this run, and no other.
        yield* until(async () => {
          const { json, status } = await Effect.runPromise(beat(call, { headers }))
          if (status !== 200) return false
          assert.deepStrictEqual([json.runId, json.status], [run.runId, "ok"])
          return true
        })
        const settled = yield* witness.call(`/api/agents/triage/runs/${run.runId}`, { token })
        assert.strictEqual(settled.json.status, "ok")
        assert.lengthOf((yield* witness.call("/api/agents/triage/runs", { token })).json.items, 1)
      }),
    limit
  )

  it.live(
    "and whose connections are cut now and then, runs no pass twice under its key",
    () =>
      Effect.gen(function*() {
        const connect = yield* emptyOn(server)
        const proxy = yield* proxyTo(server)
        const { call } = yield* processOn(connect(proxy.url), { heartbeats, leaseTtl: "3 seconds" })
        const witness = yield* processOn(connect(), { heartbeats })
        yield* answersAgain(call)
        const begun: Array<string> = []
        for (let index = 0; index < cuts; index++) {
          const headers = { "idempotency-key": `k-${index}` }
          const pending = yield* Effect.forkChild(beat(call, { headers }))
          // Before, in the middle of and after what it says to the store.
          for (let turn = 0; turn < 2 * index; turn++) {
            yield* Effect.promise(() => new Promise((next) => setImmediate(next)))
          }
          proxy.cut()
          const first = yield* Fiber.join(pending)
          if (first.status !== 200) isOutage(first, proxy, "store-unavailable", "run-not-recorded", "run-interrupted")
          yield* until(async () => {
            const { json, status, text } = await Effect.runPromise(beat(call, { headers }))
            assert.include([200, 409, 503], status, text)
            if (status === 200) begun.push(json.runId)
            return status === 200
          })
          if (first.json.runId !== undefined) assert.strictEqual(begun.at(-1), first.json.runId)
        }
        const listed = yield* witness.call("/api/agents/triage/runs?limit=200", { token })
        const ids: Array<string> = listed.json.items.map((run: { runId: string }) => run.runId)
        assert.strictEqual(new Set(begun).size, cuts)
        // One pass was for finding out whether the store answers.
        assert.lengthOf(ids, cuts + 1)
        assert.includeMembers(ids, begun)
      }),
    limit
  )

  it.live(
    "because it does not answer is 503, and others are served when it does",
    () =>
      Effect.gen(function*() {
        const connect = yield* emptyOn(server)
        const proxy = yield* proxyTo(server)
        const { call } = yield* processOn(connect(proxy.url), { heartbeats })
        yield* answersAgain(call)
        const [run] = (yield* call("/api/agents/triage/runs", { token })).json.items
        seen.length = 0
        proxy.withholdAnswers(() => {})
        const answers = yield* Effect.all([
          beat(call),
          call("/api/agents/triage/runs", { token }),
          call(`/api/agents/triage/runs/${run.runId}`, { token }),
          call("/api/agents/triage/checkpoints", { token }),
          call("/api/ready", { token })
        ], { concurrency: "unbounded" })
        for (const answer of answers) isOutage(answer, proxy, "store-unavailable")
        assert.strictEqual((yield* call("/api/health")).status, 200)
        assert.lengthOf(seen, 0)
        proxy.restore()
        yield* until(async () =>
          (await Effect.runPromise(beat(call, { token: secrets.release }, "release"))).status === 200
        )
        assert.strictEqual((yield* call("/api/ready", { token })).status, 200)
      }),
    limit
  )
})
