import { assert, describe, it } from "@effect/vitest"
import { CheckpointStore } from "@everbeat/core/CheckpointStore"
import * as Heartbeat from "@everbeat/core/Heartbeat"
import * as HeartbeatEngine from "@everbeat/core/HeartbeatEngine"
import { RunStore } from "@everbeat/core/RunStore"
import * as Step from "@everbeat/core/Step"
import { StoreError } from "@everbeat/core/StoreError"
import { AgentAuth, HeartbeatHandler, NodeAdapter } from "@everbeat/http"
import { MemoryStore } from "@everbeat/store-memory"
import { Effect, Layer, Redacted } from "effect"
import { createServer } from "node:http"
import { type AddressInfo, connect } from "node:net"
import { acquire, type Answer, callOf, host, hostWith, makeGate, problem, read, requestOf, until } from "./harness.ts"
import { generator } from "./odd.ts"

/** The token of an agent is its name. */
const auth = AgentAuth.make((token) =>
  Effect.succeed({ agentName: Redacted.value(token), tokenId: Redacted.value(token) })
)

const pathOf = (agent: string): string => `/api/agents/${agent}/heartbeat`

const beatAll = (
  handler: HeartbeatHandler.HeartbeatHandler,
  agents: ReadonlyArray<string>,
  headers: Readonly<Record<string, string>> = {}
): Promise<ReadonlyArray<Answer>> =>
  Promise.all(
    agents.map(async (agent) =>
      read(await handler.fetch(requestOf(pathOf(agent), { method: "POST", token: agent, headers })))
    )
  )

const counted = (body: Effect.Effect<unknown> = Effect.void) => {
  const counts = { begun: 0, ended: 0 }
  const step = Step.make(
    "count",
    Effect.gen(function*() {
      counts.begun++
      yield* body
      counts.ended++
    })
  )
  return { counts, heartbeat: Heartbeat.make("count", [step]) }
}

/** So many turns of the event loop later. */
const turns = (count: number): Promise<void> =>
  count === 0 ? Promise.resolve() : new Promise((next) => setImmediate(next)).then(() => turns(count - 1))

const names = (count: number): ReadonlyArray<string> => Array.from({ length: count }, (_, index) => `agent-${index}`)

describe("1,000 calls at once", () => {
  it.live("for one agent are one pass, and 409 with Retry-After for the others", () =>
    Effect.gen(function*() {
      const gate = yield* makeGate
      const { counts, heartbeat } = counted(gate.pass)
      const handler = yield* acquire(() => HeartbeatHandler.make({ heartbeats: () => heartbeat, auth, layer: host }))
      const pending = beatAll(handler, Array.from({ length: 1000 }, () => "triage"))
      yield* gate.reached
      yield* Effect.promise(() => new Promise((next) => setImmediate(next)))
      yield* gate.open
      const answers = yield* Effect.promise(() => pending)
      const ok = answers.filter(({ status }) => status === 200)
      const busy = answers.filter(({ status }) => status === 409)
      assert.strictEqual(ok.length + busy.length, 1000)
      assert.isAtLeast(busy.length, 1)
      assert.strictEqual(counts.begun, ok.length)
      for (const { headers, json } of busy) {
        assert.strictEqual(json.type, problem("run-in-progress"))
        assert.isAtLeast(Number(headers.get("retry-after")), 1)
      }
    }))

  it.live("with one key are one pass, whatever the answers", () =>
    Effect.gen(function*() {
      const { counts, heartbeat } = counted()
      const handler = yield* acquire(() => HeartbeatHandler.make({ heartbeats: () => heartbeat, auth, layer: host }))
      const answers = yield* Effect.promise(() =>
        beatAll(handler, Array.from({ length: 1000 }, () => "triage"), { "idempotency-key": "k" })
      )
      assert.strictEqual(counts.begun, 1)
      const runs = new Set(answers.map(({ json }) => json.runId))
      assert.strictEqual(runs.size, 1)
      for (const { status } of answers) assert.include([200, 409], status)
    }))

  it.live("for 1,000 agents are 1,000 passes", () =>
    Effect.gen(function*() {
      const { counts, heartbeat } = counted()
      const handler = yield* acquire(() => HeartbeatHandler.make({ heartbeats: () => heartbeat, auth, layer: host }))
      const agents = names(1000)
      const answers = yield* Effect.promise(() => beatAll(handler, agents))
      assert.strictEqual(counts.ended, 1000)
      assert.isTrue(answers.every(({ json, status }, index) => status === 200 && json.agentName === agents[index]))
      assert.strictEqual(new Set(answers.map(({ json }) => json.runId)).size, 1000)
    }))
})

/** That every pass that was begun has ended, and is the one recorded run of its agent. */
const allRecorded = (handler: HeartbeatHandler.HeartbeatHandler, begun: ReadonlyArray<string>, what: string) =>
  Effect.gen(function*() {
    const call = callOf(handler)
    for (const agent of begun) {
      const runs = Effect.map(call(`/api/agents/${agent}/runs`, { token: agent }), ({ json }) => json.items)
      yield* until(async () => (await Effect.runPromise(runs))[0]?.status === "ok")
      assert.lengthOf(yield* runs, 1, `${what}, ${agent}`)
    }
  })

/** A pass of two steps that takes a few turns of the event loop, and says whose it is. */
const witnessed = () => {
  const begun: Array<string> = []
  const ended: Array<string> = []
  const first = Step.make(
    "first",
    Effect.gen(function*() {
      begun.push((yield* Step.Current).agentName)
      yield* Effect.yieldNow
      yield* Effect.sleep("1 millis")
    })
  )
  const second = Step.make("second", Effect.map(Step.Current, ({ agentName }) => void ended.push(agentName)))
  return { begun, ended, heartbeat: Heartbeat.make("witness", [first, second]) }
}

describe("clients that disconnect at random moments", () => {
  it.live("lose their answer and nothing else: every pass that was begun ends and is recorded", () =>
    Effect.gen(function*() {
      const { begun, ended, heartbeat } = witnessed()
      const handler = yield* acquire(() => HeartbeatHandler.make({ heartbeats: () => heartbeat, auth, layer: host }))
      const seed = Math.floor(Math.random() * 2 ** 32)
      const random = generator(seed)
      const agents = names(300)
      const moments = agents.map(() => random.int(14))
      const answers = yield* Effect.promise(() =>
        Promise.all(agents.map(async (agent, index) => {
          const controller = new AbortController()
          const accept = index % 3 === 0 ? "text/event-stream" : "application/json"
          const prefer = index % 5 === 0 ? "respond-async" : "wait=60"
          const headers = { accept, prefer, ...(index % 2 === 0 ? { "idempotency-key": agent } : undefined) }
          const pending = handler.fetch(
            requestOf(pathOf(agent), { method: "POST", token: agent, signal: controller.signal, headers, body: "{}" })
          )
          // From before the first turn of the event loop to long after the answer.
          await turns(moments[index] ?? 0)
          controller.abort()
          const response = await pending
          await response.text().catch(() => "")
          return response.status
        }))
      )
      for (const status of answers) assert.include([200, 202, 499], status, `seed ${seed}`)
      yield* until(() => begun.length === ended.length)
      // Some left before their pass was begun, and some after.
      assert.isAbove(begun.length, 0, `seed ${seed}`)
      assert.isAbove(answers.filter((status) => status === 499).length, 0, `seed ${seed}`)
      assert.strictEqual(new Set(begun).size, begun.length)
      yield* allRecorded(handler, begun, `seed ${seed}`)
      // And no run is there whose pass nobody saw.
      const idle = agents.filter((agent) => !begun.includes(agent))
      const call = callOf(handler)
      for (const agent of idle) {
        assert.deepStrictEqual((yield* call(`/api/agents/${agent}/runs`, { token: agent })).json.items, [])
      }
    }))

  it.live("also over the sockets of a server", () =>
    Effect.gen(function*() {
      const { begun, ended, heartbeat } = witnessed()
      const handler = yield* acquire(() => HeartbeatHandler.make({ heartbeats: () => heartbeat, auth, layer: host }))
      const server = createServer(NodeAdapter.toNodeHandler(handler))
      yield* Effect.promise(() => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve)))
      yield* Effect.addFinalizer(() => Effect.sync(() => server.close()))
      const { port } = server.address() as AddressInfo
      const seed = Math.floor(Math.random() * 2 ** 32)
      const random = generator(seed)
      const body = `{"a":"${"x".repeat(2000)}"}`
      const moments = names(150).map(() => ({
        turns: random.int(20),
        bytes: random.chance(0.3),
        reset: random.chance(0.5)
      }))
      yield* Effect.promise(() =>
        Promise.all(
          names(150).map(async (agent, index) => {
            const { bytes, reset, turns: after } = moments[index] ?? { turns: 0, bytes: false, reset: false }
            const text = `POST ${pathOf(agent)} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${agent}\r\n`
              + `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
            const socket = connect(port, "127.0.0.1")
            const closed = new Promise<void>((resolve) => socket.on("close", () => resolve()))
            socket.on("error", () => {}).resume()
            await new Promise<void>((resolve) => socket.on("connect", resolve))
            // A part of the request, or all of it; then the end, or a reset.
            socket.write(bytes ? text.slice(0, (text.length * (index % 7)) / 7) : text)
            await turns(after)
            if (reset) socket.resetAndDestroy()
            else socket.destroy()
            await closed
          })
        )
      )
      yield* Effect.promise(() => handler.dispose())
      assert.strictEqual(new Set(begun).size, begun.length, `seed ${seed}`)
      assert.isAbove(begun.length, 0, `seed ${seed}`)
      assert.sameMembers(ended, begun, `seed ${seed}`)
    }))
})

describe("dispose during 100 passes", () => {
  for (
    const [title, graceMs] of [["that end in time answers all of them", 60_000], [
      "that do not end interrupts them, and the next process continues each",
      0
    ]] as const
  ) {
    it.live(title, () =>
      Effect.gen(function*() {
        const gate = yield* makeGate
        const { counts, heartbeat } = counted(gate.pass)
        const { checkpoints, runs } = yield* MemoryStore.make()
        const stores = Layer.merge(Layer.succeed(CheckpointStore, checkpoints), Layer.succeed(RunStore, runs))
        const make = () =>
          HeartbeatHandler.make({
            heartbeats: () => heartbeat,
            auth,
            layer: Layer.provideMerge(HeartbeatEngine.layer, stores)
          })
        const handler = yield* acquire(make)
        const agents = names(100)
        const pending = beatAll(handler, agents)
        yield* until(() => counts.begun === 100)
        const disposed = handler.dispose({ graceMs })
        const refused = yield* Effect.promise(() => beatAll(handler, ["late"]))
        assert.deepStrictEqual(refused.map(({ json }) => json.type), [problem("shutting-down")])
        if (graceMs > 0) yield* gate.open
        yield* Effect.promise(() => disposed)
        const answers = yield* Effect.promise(() => pending)
        if (graceMs > 0) {
          assert.isTrue(answers.every(({ status }) => status === 200))
          assert.strictEqual(counts.ended, 100)
          for (const { json } of answers) assert.strictEqual((yield* runs.get(json.runId)).status, "ok")
        } else {
          assert.isTrue(answers.every(({ json, headers }) =>
            json.type === problem("run-interrupted") && headers.get("retry-after") !== null
          ))
          assert.strictEqual(counts.ended, 0)
          for (const { json } of answers) {
            assert.strictEqual((yield* runs.get(json.runId)).status, "interrupted")
          }
          yield* gate.open
          const next = yield* acquire(make)
          const again = yield* Effect.promise(() =>
            beatAll(next, agents)
          )
          assert.deepStrictEqual(again.map(({ json }) => json.runId), answers.map(({ json }) => json.runId))
          assert.isTrue(again.every(({ json, status }) => status === 200 && json.status === "ok"))
          assert.strictEqual(counts.ended, 100)
        }
      }))
  }
})

describe("a store that comes and goes", () => {
  it.live("is 503 while it is down, and nothing is left behind", () =>
    Effect.gen(function*() {
      let isDown = true
      const { counts, heartbeat } = counted()
      const failing = <A, E>(operation: string, effect: Effect.Effect<A, E>) =>
        Effect.suspend((): Effect.Effect<A, E | StoreError> =>
          isDown
            ? Effect.fail(new StoreError({ operation, reason: "unavailable", detail: "db-7 refused" }))
            : effect
        )
      const handler = yield* acquire(() =>
        HeartbeatHandler.make({
          heartbeats: () => heartbeat,
          auth,
          layer: hostWith({
            checkpoints: (store) => ({
              begin: (input) => failing("begin", store.begin(input)),
              settle: (lease, run) => failing("settle", store.settle(lease, run))
            }),
            runs: (store) => ({ get: (runId) => failing("get", store.get(runId)) })
          })
        })
      )
      const agents = names(50)
      const down = yield* Effect.promise(() => beatAll(handler, agents))
      assert.isTrue(down.every(({ json, headers }) =>
        json.type === problem("store-unavailable") && headers.get("retry-after") !== null
      ))
      assert.strictEqual(counts.begun, 0)
      isDown = false
      const up = yield* Effect.promise(() =>
        beatAll(handler, agents)
      )
      assert.isTrue(up.every(({ status }) => status === 200))
    }))
})
