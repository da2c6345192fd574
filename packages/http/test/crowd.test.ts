import { assert, describe, it } from "@effect/vitest"
import * as Heartbeat from "@everbeat/core/Heartbeat"
import * as Step from "@everbeat/core/Step"
import { StoreError } from "@everbeat/core/StoreError"
import { AgentAuth, HeartbeatHandler } from "@everbeat/http"
import { Effect, Redacted } from "effect"
import { acquire, type Answer, callOf, host, hostWith, makeGate, read, requestOf, until } from "./harness.ts"

const problem = (slug: string): string => `https://everbeat.dev/problems/${slug}`

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

describe("clients that disconnect at random moments", () => {
  it.live("lose their answer and nothing else: every pass that was begun ends and is recorded", () =>
    Effect.gen(function*() {
      const { counts, heartbeat } = counted(Effect.andThen(Effect.yieldNow, Effect.sleep("1 millis")))
      const handler = yield* acquire(() => HeartbeatHandler.make({ heartbeats: () => heartbeat, auth, layer: host }))
      const agents = names(300)
      const answers = yield* Effect.promise(() =>
        Promise.all(agents.map(async (agent, index) => {
          const controller = new AbortController()
          const accept = index % 3 === 0 ? "text/event-stream" : "application/json"
          const pending = handler.fetch(
            requestOf(pathOf(agent), { method: "POST", token: agent, signal: controller.signal, headers: { accept } })
          )
          // From before the first turn of the event loop to long after the answer.
          await turns(index % 12)
          controller.abort()
          const response = await pending
          await response.text().catch(() => "")
          return response.status
        }))
      )
      for (const status of answers) assert.include([200, 499], status)
      yield* until(() => counts.begun === counts.ended)
      const call = callOf(handler)
      let recorded = 0
      for (const agent of agents) {
        const { json } = yield* call(`/api/agents/${agent}/runs`, { token: agent })
        for (const { runId } of json.items) {
          yield* until(async () =>
            (await Effect.runPromise(call(`/api/agents/${agent}/runs/${runId}`, { token: agent }))).json.status === "ok"
          )
          recorded++
        }
      }
      assert.strictEqual(recorded, counts.begun)
    }))
})

describe("dispose during 100 passes", () => {
  for (
    const [title, graceMs] of [["that end in time answers all of them", 60_000], [
      "that do not end interrupts them",
      0
    ]] as const
  ) {
    it.live(title, () =>
      Effect.gen(function*() {
        const gate = yield* makeGate
        const { counts, heartbeat } = counted(gate.pass)
        const handler = yield* acquire(() => HeartbeatHandler.make({ heartbeats: () => heartbeat, auth, layer: host }))
        const pending = beatAll(handler, names(100))
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
        } else {
          assert.isTrue(answers.every(({ json, headers }) =>
            json.type === problem("run-interrupted") && headers.get("retry-after") !== null
          ))
          assert.strictEqual(counts.ended, 0)
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
