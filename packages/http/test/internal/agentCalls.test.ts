import { assert, describe, it } from "@effect/vitest"
import { AgentError } from "@everbeat/http"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { makeAgentCalls } from "../../src/internal/agentCalls.ts"

const report = { status: "ok", agentName: "triage", runId: "r1" }
const json = (body: unknown, status = 200, headers = {}) => () => Response.json(body, { status, headers })
const problem = (slug: string, status: number, fields = {}) =>
  json({ type: `https://everbeat.dev/problems/${slug}`, title: slug, status, ...fields }, status)
const cut = () => {
  throw new TypeError("socket hang up")
}
const events = (...frames: ReadonlyArray<string>) => () =>
  new Response(frames.map((frame) => `${frame}\n\n`).join(""), { headers: { "content-type": "text/event-stream" } })
const frame = (event: string, data: unknown, id: string) => `id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}`
const accepted = (location: string) => json({ runId: "r1" }, 202, { location })

interface Seen {
  readonly call: string
  readonly key: string | null
  readonly last: string | null
  readonly body: string | undefined
}

/** A host that answers one thing after the other, and notes what it was asked. */
const scripted = (answers: ReadonlyArray<() => Response>) => {
  const asked: Array<Seen> = []
  const left = [...answers]
  const calls = makeAgentCalls({
    baseUrl: "https://host.test/base/",
    agentName: "triage",
    token: async () => "t",
    maxAttempts: 3,
    fetch: async (url, init) => {
      const request = new Request(url, init)
      assert.strictEqual(request.headers.get("authorization"), "Bearer t")
      assert.strictEqual(request.redirect, "manual")
      asked.push({
        call: `${request.method} ${url.replace("https://host.test/base/api/agents/triage", "")}`,
        key: request.headers.get("idempotency-key"),
        last: request.headers.get("last-event-id"),
        body: request.body === null ? undefined : await request.text()
      })
      const answer = left.shift()
      assert.isDefined(answer)
      return answer()
    }
  })
  return { asked, calls }
}

/** Runs a call to its end, however long it waits. */
const settle = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect)
    while (fiber.pollUnsafe() === undefined) {
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      yield* TestClock.adjust("1 second")
    }
    return yield* Fiber.join(fiber)
  })

describe("heartbeats of AgentClient", () => {
  for (
    const [title, first] of [
      ["a connection that fails", cut],
      ["503 with Retry-After", json({ type: "x" }, 503, { "retry-after": "2" })],
      ["a problem that says when to repeat", problem("store-unavailable", 503, { retryAfterSeconds: 2 })],
      ["a gateway that answers a page", () => new Response("<html>", { status: 502 })],
      [
        "a report that breaks off",
        () => new Response(new ReadableStream({ pull: (controller) => controller.error(new TypeError("terminated")) }))
      ]
    ] as const
  ) {
    it.effect(`repeat after ${title}, with the same key and payload`, () =>
      Effect.gen(function*() {
        const { asked, calls } = scripted([first, cut, json(report)])
        assert.deepStrictEqual(yield* settle(calls.heartbeat({ payload: { a: 1 } })), report)
        assert.lengthOf(asked, 3)
        assert.strictEqual(new Set(asked.map(({ key }) => key)).size, 1)
        assert.match(String(asked[0]?.key), /^[0-9a-f-]{36}$/u)
        assert.deepStrictEqual(asked.map(({ body }) => body), [`{"a":1}`, `{"a":1}`, `{"a":1}`])
      }))
  }

  it.effect("wait as long as the host asks for", () =>
    Effect.gen(function*() {
      const { asked, calls } = scripted([json({ type: "x" }, 503, { "retry-after": "30" }), json(report)])
      const fiber = yield* Effect.forkChild(calls.heartbeat({}))
      while (asked.length === 0) yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      for (let index = 0; index < 20; index++) {
        yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      }
      yield* TestClock.adjust("29 seconds")
      assert.lengthOf(asked, 1)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(fiber), report)
    }))

  it.effect("fail with the problem when repeating does not help, and with what was last when it did not", () =>
    Effect.gen(function*() {
      const refused = scripted([problem("wrong-agent", 403, { detail: "Use your own." })])
      const error = yield* Effect.flip(settle(refused.calls.heartbeat({})))
      assert.instanceOf(error, AgentError.AgentProblem)
      assert.deepStrictEqual(
        [error.message, error.type, error.status],
        ["wrong-agent: Use your own.", "https://everbeat.dev/problems/wrong-agent", 403]
      )
      const gone = scripted([cut, cut, cut])
      const unreachable = yield* Effect.flip(settle(gone.calls.heartbeat({})))
      assert.instanceOf(unreachable, AgentError.AgentUnreachable)
      assert.include(unreachable.message, "socket hang up")
      const page = scripted([() => new Response("<html>")])
      assert.instanceOf(yield* Effect.flip(settle(page.calls.heartbeat({}))), AgentError.AgentUnreachable)
      const moved = scripted([() => new Response(null, { status: 307, headers: { location: "https://evil.test" } })])
      assert.instanceOf(yield* Effect.flip(settle(moved.calls.heartbeat({}))), AgentError.AgentUnreachable)
    }))

  it.effect("follow a pass that goes on to its report, over a stream that breaks", () =>
    Effect.gen(function*() {
      const { asked, calls } = scripted([
        accepted("/base/api/agents/triage/runs/r1"),
        events("retry: 3000", frame("run-started", { runId: "r1" }, "r1.a.1"), ": ping"),
        cut,
        events(frame("step-started", { step: "sync" }, "r1.a.2"), frame("report", report, "r1.a.3"))
      ])
      const progress: Array<string> = []
      const told = yield* settle(calls.heartbeat({ onProgress: ({ event }) => progress.push(event) }))
      assert.deepStrictEqual(told, report)
      assert.deepStrictEqual(progress, ["run-started", "step-started"])
      assert.deepStrictEqual(asked.map(({ call, last }) => [call, last]), [
        ["POST /heartbeat", null],
        ["GET /runs/r1", null],
        ["GET /runs/r1", "r1.a.1"],
        ["GET /runs/r1", "r1.a.1"]
      ])
    }))

  it.effect("poll a host that does not stream, and ask for the report with the key", () =>
    Effect.gen(function*() {
      const { asked, calls } = scripted([
        accepted("https://host.test/base/api/agents/triage/runs/r1"),
        json({ status: "running" }),
        json({ status: "ok" }),
        json(report)
      ])
      assert.deepStrictEqual(yield* settle(calls.heartbeat({ idempotencyKey: "k" })), report)
      assert.deepStrictEqual(asked.map(({ call }) => call), [
        "POST /heartbeat",
        "GET /runs/r1",
        "GET /runs/r1",
        "POST /heartbeat"
      ])
      assert.deepStrictEqual([asked[0]?.key, asked[3]?.key], ["k", "k"])
    }))

  it.effect("never take the token to another host", () =>
    Effect.gen(function*() {
      for (const location of ["https://evil.test/api/agents/triage/runs/r1", ""]) {
        const { asked, calls } = scripted([accepted(location)])
        assert.instanceOf(yield* Effect.flip(settle(calls.heartbeat({}))), AgentError.AgentUnreachable)
        assert.lengthOf(asked, 1)
      }
    }))

  it.effect("wait for the run that is in the way, then repeat", () =>
    Effect.gen(function*() {
      const { asked, calls } = scripted([
        problem("run-in-progress", 409, { runId: "r0", retryAfterSeconds: 1 }),
        events(frame("report", { ...report, runId: "r0" }, "r0.a.1")),
        json(report)
      ])
      assert.deepStrictEqual(yield* settle(calls.heartbeat({})), report)
      assert.deepStrictEqual(asked.map(({ call }) => call), ["POST /heartbeat", "GET /runs/r0", "POST /heartbeat"])
    }))

  it.effect("begin again after a problem in the events, and give up a run that the host has given up", () =>
    Effect.gen(function*() {
      const interrupted = { type: "https://everbeat.dev/problems/run-interrupted", status: 503, retryAfterSeconds: 5 }
      const again = scripted([events(frame("problem", interrupted, "r1.a.1")), json(report)])
      assert.deepStrictEqual(yield* settle(again.calls.heartbeat({ onProgress: () => {} })), report)
      assert.deepStrictEqual(again.asked.map(({ call, last }) => [call, last]), [
        ["POST /heartbeat", null],
        ["POST /heartbeat", null]
      ])
      const exhausted = frame("run-status", { runId: "r1", status: "exhausted" }, "r1.a.1")
      const blocked = problem("run-not-resumable", 409)
      const over = scripted([events(exhausted), blocked])
      const error = yield* Effect.flip(settle(over.calls.heartbeat({ onProgress: () => {} })))
      assert.strictEqual(error.message, "run-not-resumable")
    }))

  it.effect("take a stream that is quiet for dead", () =>
    Effect.gen(function*() {
      let cancelled = false
      const silent = () =>
        new Response(
          new ReadableStream({
            pull: () => new Promise(() => {}),
            cancel: () => {
              cancelled = true
            }
          }, { highWaterMark: 0 }),
          { headers: { "content-type": "text/event-stream" } }
        )
      const { calls } = scripted([silent, events(frame("report", report, "r1.a.1"))])
      assert.deepStrictEqual(yield* settle(calls.heartbeat({ onProgress: () => {} })), report)
      assert.isTrue(cancelled)
    }))
})

describe("reads of AgentClient", () => {
  it.effect("are repeated, too", () =>
    Effect.gen(function*() {
      const { asked, calls } = scripted([cut, json({ items: [] })])
      assert.deepStrictEqual(yield* settle(calls.read("/runs?limit=2")), { items: [] })
      assert.deepStrictEqual(asked.map(({ call }) => call), ["GET /runs?limit=2", "GET /runs?limit=2"])
    }))
})
