/** What requests leave behind, after the collector of garbage ran. */
import { assert, describe, it } from "@effect/vitest"
import * as Heartbeat from "@everbeat/core/Heartbeat"
import * as Step from "@everbeat/core/Step"
import { HeartbeatHandler, NodeAdapter } from "@everbeat/http"
import { Effect, Layer, Logger, Schema } from "effect"
import { getEventListeners } from "node:events"
import { Agent, createServer, request } from "node:http"
import type { AddressInfo, Socket } from "node:net"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { acquire, auth, beat, callOf, host, makeGate, requestOf, secrets, standard, until } from "./harness.ts"
import { open, readUntil } from "./streams.ts"

setFlagsFromString("--expose-gc")
const collect: () => void = runInNewContext("gc")

/** Bytes that are in use, without garbage. */
const inUse = Effect.promise(async () => {
  for (let index = 0; index < 3; index++) {
    // oxlint-disable-next-line no-await-in-loop -- what is freed by one turn is garbage in the next
    await new Promise((next) => setImmediate(next))
    collect()
  }
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return arrayBuffers + heapUsed
})

const mebibytes = (count: number): number => count * 2 ** 20

const token = secrets.triage
const quiet = Logger.layer([])

class Long extends Schema.TaggedError<Long>("test/Long")("Long", { text: Schema.String }) {
  override get message(): string {
    return this.text
  }
}

describe("memory", () => {
  it.live("does not grow over 20,000 requests that begin no new pass", () =>
    Effect.gen(function*() {
      const verify = yield* auth
      const beats = Heartbeat.make("nothing", [Step.make("nothing", Effect.void)])
      const handler = yield* acquire(() =>
        HeartbeatHandler.make({ heartbeats: () => beats, auth: verify, layer: Layer.merge(host, quiet) })
      )
      const path = "/api/agents/triage"
      const { json } = yield* beat(callOf(handler), { headers: { "idempotency-key": "k" } })
      const asked = [
        () => requestOf(`${path}/heartbeat`, { method: "POST", token, headers: { "idempotency-key": "k" } }),
        () =>
          requestOf(`${path}/heartbeat`, {
            method: "POST",
            token,
            headers: { "idempotency-key": "k", accept: "text/event-stream" }
          }),
        (index: number) =>
          requestOf(`${path}/runs?limit=1&x${index}=1`, { token, headers: { "x-request-id": `${index}` } }),
        () => requestOf(`${path}/runs/${json.runId}`, { token, headers: { accept: "text/event-stream" } }),
        (index: number) => requestOf(`/api/agents/agent-${index}/heartbeat`, { method: "POST", token }),
        (index: number) => requestOf(`${path}/runs`, { token: `guess-${index}` }),
        (index: number) => requestOf(`/nope/${index}`, { method: "POST", token }),
        (index: number) => requestOf(`${path}/heartbeat`, { method: "POST", token, body: `{"a":${index}` })
      ]
      const many = (count: number) =>
        Effect.promise(async () => {
          for (let index = 0; index < count; index++) {
            const controller = new AbortController()
            const made = asked[index % asked.length]?.(index) ?? requestOf("/")
            // oxlint-disable-next-line no-await-in-loop -- one after the other
            await (await handler.fetch(new Request(made, { signal: controller.signal }))).text()
          }
        })
      yield* many(2_000)
      const before = yield* inUse
      yield* many(20_000)
      // A kilobyte for each would be 20 MiB.
      assert.isBelow((yield* inUse) - before, mebibytes(5))
    }), 120_000)

  it.live(
    "does not grow over 5,000 requests to a server of node:http, nor do the listeners of a connection",
    () =>
      Effect.gen(function*() {
        const verify = yield* auth
        const beats = Heartbeat.make("nothing", [Step.make("nothing", Effect.void)])
        const handler = yield* acquire(() =>
          HeartbeatHandler.make({ heartbeats: () => beats, auth: verify, layer: Layer.merge(host, quiet) })
        )
        const path = "/api/agents/triage"
        yield* beat(callOf(handler), { headers: { "idempotency-key": "k" } })
        const sockets = new Set<Socket>()
        const server = createServer(NodeAdapter.toNodeHandler(handler))
        server.on("connection", (socket) => sockets.add(socket))
        const agent = new Agent({ keepAlive: true, maxSockets: 1 })
        yield* Effect.addFinalizer(() =>
          Effect.sync(() => {
            agent.destroy()
            server.close()
          })
        )
        yield* Effect.promise(() => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve)))
        const { port } = server.address() as AddressInfo
        const long = JSON.stringify("x".repeat(300_000))
        const asked = [
          ["POST", `${path}/heartbeat`, "", "application/json"],
          ["POST", `${path}/heartbeat`, "", "text/event-stream"],
          ["GET", `${path}/runs?limit=1`, "", "application/json"],
          ["HEAD", `${path}/runs?limit=1`, "", "application/json"],
          ["PUT", `${path}/heartbeat`, "{}", "application/json"],
          ["POST", `${path}/heartbeat`, "{", "application/json"],
          ["POST", "/nope", "{}", "application/json"]
        ] as const
        const ask = (index: number) =>
          new Promise<void>((resolve, reject) => {
            const [method, target, body, accept] = asked[index % asked.length] ?? asked[0]
            const sent = index % 100 === 0 ? long : body
            const headers = {
              authorization: `Bearer ${token}`,
              "idempotency-key": "k",
              accept,
              ...(sent === "" ? { "content-length": "0" } : {
                "content-type": "application/json",
                "content-length": String(sent.length)
              })
            }
            const called = request({ port, host: "127.0.0.1", method, path: target, headers, agent }, (response) => {
              response.resume().on("end", () => resolve())
            })
            called.on("error", reject).end(sent)
          })
        const many = (count: number) =>
          Effect.promise(async () => {
            // oxlint-disable-next-line no-await-in-loop -- one after the other
            for (let index = 1; index <= count; index++) await ask(index)
          })
        const listeners = () => {
          const [socket] = sockets
          return socket?.eventNames().map((name) => socket.listenerCount(name)).reduce(
            (sum, count) => sum + count,
            0
          ) ?? 0
        }
        yield* many(1_000)
        const before = yield* inUse
        const attached = listeners()
        yield* many(5_000)
        // A kilobyte for each would be 5 MiB.
        assert.isBelow((yield* inUse) - before, mebibytes(4))
        assert.strictEqual(sockets.size, 1)
        assert.isAtMost(listeners(), attached + 2)
      }),
    120_000
  )

  it.live(
    "of a pass that is over is its record: 2,000 passes leave less than 4 KiB each",
    () =>
      Effect.gen(function*() {
        const verify = yield* auth
        const beats = Heartbeat.make("nothing", [Step.make("nothing", Effect.void)])
        const handler = yield* acquire(() =>
          HeartbeatHandler.make({ heartbeats: () => beats, auth: verify, layer: Layer.merge(host, quiet) })
        )
        const many = (count: number) =>
          Effect.promise(async () => {
            for (let index = 0; index < count; index++) {
              const headers = { accept: index % 2 === 0 ? "text/event-stream" : "application/json" }
              // oxlint-disable-next-line no-await-in-loop -- one after the other
              await (await handler.fetch(requestOf("/api/agents/triage/heartbeat", { method: "POST", token, headers })))
                .text()
            }
          })
        yield* many(300)
        const before = yield* inUse
        yield* many(2_000)
        assert.isBelow((yield* inUse) - before, 2_000 * 4096)
      }),
    120_000
  )

  it.live("of events is that of the latest passes: those of 500 passes do not stay", () =>
    Effect.gen(function*() {
      const warn = Effect.forEach(
        Array.from({ length: 10 }),
        (_, index) => Step.warn(new Long({ text: `${index} ${Math.random()} ${"x".repeat(1900)}` })),
        { discard: true }
      )
      const beats = Heartbeat.make("long", [Step.make("warn", warn)])
      const verify = yield* auth
      const handler = yield* acquire(() =>
        HeartbeatHandler.make({ heartbeats: () => beats, auth: verify, layer: Layer.merge(host, quiet) })
      )
      const grown = (count: number, accept: string) =>
        Effect.gen(function*() {
          const before = yield* inUse
          yield* Effect.promise(async () => {
            for (let index = 0; index < count; index++) {
              const asked = requestOf("/api/agents/triage/heartbeat", { method: "POST", token, headers: { accept } })
              // oxlint-disable-next-line no-await-in-loop -- one after the other
              await (await handler.fetch(asked)).text()
            }
          })
          return (yield* inUse) - before
        })
      yield* grown(100, "text/event-stream")
      const records = yield* grown(500, "application/json")
      // All events of a pass are 40 KiB.
      assert.isBelow((yield* grown(500, "text/event-stream")) - records, mebibytes(5))
    }), 120_000)

  it.live("of 200 clients that never read an answer of 2 MB is that of one", () =>
    Effect.gen(function*() {
      const gate = yield* makeGate
      const warn = Effect.forEach(
        Array.from({ length: 990 }),
        (_, index) => Step.warn(new Long({ text: `${index} ${"x".repeat(1900)}` })),
        { discard: true }
      )
      const beats = Heartbeat.make("long", [Step.make("warn", Effect.andThen(warn, gate.pass))])
      const verify = yield* auth
      const handler = yield* acquire(() =>
        HeartbeatHandler.make({ heartbeats: () => beats, auth: verify, layer: Layer.merge(host, quiet), graceMs: 0 })
      )
      const first = yield* open(handler)
      yield* gate.reached
      const text = yield* readUntil(first, (text) => text.includes(`"989 x`))
      assert.isAbove(text.length, 1_000_000)
      const { json } = yield* callOf(handler)("/api/agents/triage/runs", { token })
      const before = yield* inUse
      const deaf = yield* Effect.forEach(
        Array.from({ length: 200 }),
        () => open(handler, { method: "GET" }, `/api/agents/triage/runs/${json.items[0].runId}`)
      )
      // Time for what would read ahead.
      yield* Effect.promise(async () => {
        // oxlint-disable-next-line no-await-in-loop -- turns of the event loop
        for (let turn = 0; turn < 2_000; turn++) await new Promise((next) => setImmediate(next))
      })
      assert.isBelow((yield* inUse) - before, mebibytes(20))
      yield* gate.open
      yield* Effect.promise(() => Promise.all(deaf.map(async ({ body }) => body?.cancel())))
    }), 120_000)

  it.live("of a signal that many requests share holds none of them", () =>
    Effect.gen(function*() {
      const { handler } = yield* standard
      const { signal } = new AbortController()
      const signals: Array<AbortSignal> = []
      for (const path of ["/api/health", "/api/agents/triage/runs", "/nope", "/api/agents/triage/runs?x=1"]) {
        for (let index = 0; index < 50; index++) {
          const request = requestOf(path, { token, signal })
          signals.push(request.signal)
          yield* Effect.promise(async () => (await handler.fetch(request)).text())
        }
      }
      signals.length = 0
      // The platform keeps one listener for each request that is still there: none is kept.
      yield* until(async () => {
        await Effect.runPromise(inUse)
        return getEventListeners(signal, "abort").length === 0
      })
    }))
})
