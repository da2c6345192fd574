import { assert, describe, it } from "@effect/vitest"
import { AgentAuth, HeartbeatHandler } from "@everbeat/http"
import { Clock, Deferred, type Duration, Effect, Fiber, Layer, Logger } from "effect"
import { TestClock } from "effect/testing"
import {
  acquire,
  auth,
  beat,
  callOf,
  heartbeats,
  host,
  hostWith,
  problem,
  requestOf,
  secrets,
  standard
} from "./harness.ts"
import { keptSpans } from "./observed.ts"

const token = secrets.triage
const runs = "/api/agents/triage/runs"

/** Takes what hosts without types hand over. */
// oxlint-disable-next-line typescript/no-explicit-any
const untyped = (value: unknown): any => value

/** The answer of a handler that waits for `waiting`, whose clock the test moves. */
const answerAfter = Effect.fnUntraced(function*(
  duration: Duration.Input,
  path: string,
  make: (waiting: Effect.Effect<never>) => Parameters<typeof hostWith>[0] & { readonly auth?: AgentAuth.AgentAuth },
  method = "GET"
) {
  const reached = yield* Deferred.make<void>()
  const clock = yield* TestClock.make()
  const known = yield* auth
  const { auth: verify = known, ...faults } = make(Effect.andThen(Deferred.succeed(reached, undefined), Effect.never))
  const layer = Layer.provideMerge(hostWith(faults), Layer.succeed(Clock.Clock, clock))
  const handler = yield* acquire(() => HeartbeatHandler.make({ heartbeats, auth: verify, layer }))
  const pending = yield* Effect.forkChild(callOf(handler)(path, { method, token }))
  yield* Deferred.await(reached)
  yield* clock.adjust(duration)
  return (yield* Fiber.join(pending)).json.type
})

describe("a token's verification", () => {
  for (
    const [title, answer] of [
      ["throws", () => {
        throw new Error(`no row for ${token}`)
      }],
      ["interrupts itself", () => Effect.interrupt],
      ["answers a string", () => Effect.succeed("triage")],
      ["answers no token id", () => Effect.succeed({ agentName: "triage", tokenId: "" })],
      ["answers a token id that is no text", () => Effect.succeed({ agentName: "triage", tokenId: 5 })],
      ["answers unknown scopes", () => Effect.succeed({ agentName: "triage", tokenId: "t", scopes: ["write"] })]
    ] as const
  ) {
    it.live(`that ${title} is auth-unavailable`, () =>
      Effect.gen(function*() {
        const lines: Array<string> = []
        const logged = Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))])
        const verify: AgentAuth.AgentAuth = AgentAuth.make(untyped(answer))
        const handler = yield* acquire(() =>
          HeartbeatHandler.make({ heartbeats, auth: verify, layer: Layer.provideMerge(host, logged) })
        )
        const { json, status } = yield* beat(callOf(handler))
        assert.strictEqual(status, 503)
        assert.strictEqual(json.type, problem("auth-unavailable"))
        assert.include(lines.join(), "The verification of a token failed")
        assert.notInclude(lines.join(), token)
      }))
  }

  it.live("that hangs is auth-unavailable after ten seconds", () =>
    Effect.gen(function*() {
      const type = yield* answerAfter("10 seconds", runs, (waiting) => ({ auth: AgentAuth.make(() => waiting) }))
      assert.strictEqual(type, problem("auth-unavailable"))
    }))

  it.live("may say null for no scopes", () =>
    Effect.gen(function*() {
      const verify = AgentAuth.make(() => Effect.succeed(untyped({ agentName: "triage", tokenId: "t", scopes: null })))
      const handler = yield* acquire(() => HeartbeatHandler.make({ heartbeats, auth: verify, layer: host }))
      assert.strictEqual((yield* beat(callOf(handler))).status, 200)
    }))

  it.live("does not hear of the proxy's credentials", () =>
    Effect.gen(function*() {
      let heard: AgentAuth.AuthRequest | undefined
      const verify = AgentAuth.make((_, request) => Effect.sync(() => void (heard = request)))
      const handler = yield* acquire(() => HeartbeatHandler.make({ heartbeats, auth: verify, layer: host }))
      yield* beat(callOf(handler), { headers: { "proxy-authorization": "Basic c2VjcmV0" } })
      assert.deepStrictEqual(heard?.headers, {})
    }))

  it("refuses entries without a token id and with unknown scopes", () => {
    const entry = { agentName: "triage", tokenId: "t", sha256: "ab".repeat(32) }
    assert.throws(() => AgentAuth.tokens([{ ...entry, tokenId: "" }]), TypeError)
    assert.throws(() => AgentAuth.tokens([{ ...entry, scopes: untyped(["write"]) }]), TypeError)
  })
})

describe("a list of runs", () => {
  it.live("is cut at about 1 MiB and continues after its last run", () =>
    Effect.gen(function*() {
      const { call } = yield* standard
      const ids: Array<string> = []
      const body = JSON.stringify({ filler: "x".repeat(200_000) })
      for (let index = 0; index < 12; index++) ids.unshift((yield* beat(call, { body })).json.runId)
      const listed: Array<string> = []
      let cursor = ""
      do {
        const page = yield* call(`${runs}?limit=200${cursor}`, { token })
        assert.isBelow(page.text.length, 1_100_000)
        listed.push(...page.json.items.map(({ runId }: { readonly runId: string }) => runId))
        cursor = page.json.next === undefined ? "" : `&cursor=${page.json.next}`
        assert.isTrue(cursor === "" || page.json.next === listed.at(-1))
      } while (cursor !== "")
      assert.deepStrictEqual(listed, ids)
    }))

  it.live("refuses a cursor that is no run id with 400", () =>
    Effect.gen(function*() {
      const { call } = yield* standard
      const { json, status } = yield* call(`${runs}?cursor=nope`, { token })
      assert.strictEqual(status, 400)
      assert.strictEqual(json.type, problem("invalid-request"))
    }))
})

describe("a store that does not answer", () => {
  it.live("is store-unavailable after five seconds", () =>
    Effect.gen(function*() {
      const list = yield* answerAfter("5 seconds", runs, (waiting) => ({ runs: () => ({ list: () => waiting }) }))
      assert.strictEqual(list, problem("store-unavailable"))
      const one = `${runs}/01a1fc4b-0e11-76af-a7f8-60f1a1b3dc01`
      const get = yield* answerAfter("5 seconds", one, (waiting) => ({ runs: () => ({ get: () => waiting }) }))
      assert.strictEqual(get, problem("store-unavailable"))
    }))

  const runId = "01a1fc4b-0e11-76af-a7f8-60f1a1b3dc01"
  const interrupted = Effect.succeed(untyped({ runId, agentName: "triage", kind: "heartbeat", status: "interrupted" }))
  const claim = () => Effect.succeed(untyped({ lease: { runId, owner: "me", fence: 1 } }))
  for (
    const [operation, method, path, faults] of [
      ["claim", "DELETE", `/api/agents/triage/checkpoints/${runId}`, {}],
      ["delete", "DELETE", `/api/agents/triage/checkpoints/${runId}`, { claim }],
      ["requestCancel", "POST", `${runs}/${runId}/cancel`, {}]
    ] as const
  ) {
    it.live(`at ${operation} is store-unavailable after five seconds as well`, () =>
      Effect.gen(function*() {
        const answer = yield* answerAfter("5 seconds", path, (waiting) => ({
          runs: () => ({ get: () => interrupted }),
          checkpoints: () => ({ ...faults, [operation]: () => waiting })
        }), method)
        assert.strictEqual(answer, problem("store-unavailable"))
      }))
  }
})

describe("dispose", () => {
  it.live("answers who waits at once and closes a build that ends later", () =>
    Effect.gen(function*() {
      const started = yield* Deferred.make<void>()
      const opened = yield* Deferred.make<void>()
      const closed = yield* Deferred.make<void>()
      const slow = Layer.effectDiscard(Effect.acquireRelease(
        Effect.andThen(Deferred.succeed(started, undefined), Deferred.await(opened)),
        () => Deferred.succeed(closed, undefined)
      ))
      const verify = yield* auth
      const handler = HeartbeatHandler.make({ heartbeats, auth: verify, layer: Layer.merge(host, slow) })
      const pending = yield* Effect.forkChild(beat(callOf(handler)))
      yield* Deferred.await(started)
      yield* Effect.promise(() => handler.dispose({ graceMs: 0 }))
      assert.strictEqual((yield* Fiber.join(pending)).json.type, problem("shutting-down"))
      yield* Deferred.succeed(opened, undefined)
      yield* Deferred.await(closed)
    }))

  it.live("answers a client that leaves during the build", () =>
    Effect.gen(function*() {
      const verify = yield* auth
      const layer = Layer.merge(host, Layer.effectDiscard(Effect.never))
      const handler = yield* acquire(() => HeartbeatHandler.make({ heartbeats, auth: verify, layer }))
      const controller = new AbortController()
      const pending = handler.fetch(requestOf(runs, { token, signal: controller.signal }))
      controller.abort()
      assert.strictEqual((yield* Effect.promise(() => pending)).status, 499)
    }))

  it.live("resolves when a finalizer dies", () =>
    Effect.gen(function*() {
      const verify = yield* auth
      const layer = Layer.merge(host, Layer.effectDiscard(Effect.addFinalizer(() => Effect.die("broken"))))
      const handler = HeartbeatHandler.make({ heartbeats, auth: verify, layer })
      yield* beat(callOf(handler))
      yield* Effect.promise(() => handler.dispose())
    }))

  it("refuses a grace that is no time", () => {
    const options = { heartbeats, auth: AgentAuth.tokens([]), layer: host }
    for (const graceMs of [Number.NaN, -1]) {
      assert.throws(() => HeartbeatHandler.make({ ...options, graceMs }), TypeError)
      assert.throws(() => void HeartbeatHandler.make(options).dispose({ graceMs }), TypeError)
    }
  })
})

describe("what hosts without types and odd clients send", () => {
  it.live("a function that answers null for a heartbeat is 404", () =>
    Effect.gen(function*() {
      const verify = yield* auth
      const handler = yield* acquire(() => HeartbeatHandler.make({ heartbeats: () => null, auth: verify, layer: host }))
      assert.strictEqual((yield* beat(callOf(handler))).json.type, problem("agent-not-found"))
    }))

  it.live("an empty body and null are the same under an idempotency key", () =>
    Effect.gen(function*() {
      const { call } = yield* standard
      const headers = { "idempotency-key": "k" }
      const first = yield* beat(call, { headers })
      const second = yield* beat(call, { headers, body: "null" })
      assert.strictEqual(second.status, 200)
      assert.strictEqual(second.json.runId, first.json.runId)
    }))

  it.live("the document below a base path names the base path", () =>
    Effect.gen(function*() {
      const verify = yield* auth
      const basePath = "/internal"
      const handler = yield* acquire(() => HeartbeatHandler.make({ heartbeats, auth: verify, layer: host, basePath }))
      const { json } = yield* callOf(handler)("/internal/api/openapi.json", { token: secrets.triage })
      assert.deepStrictEqual(json.servers, [{ url: "/internal" }])
    }))

  it("a base path with dot segments is refused", () => {
    for (const basePath of ["/..", "/a/./b", "/a/../b/"]) {
      assert.throws(
        () => HeartbeatHandler.make({ heartbeats, auth: AgentAuth.tokens([]), layer: host, basePath }),
        TypeError
      )
    }
  })

  it.live("a consumed body is refused also when the address has something to hide", () =>
    Effect.gen(function*() {
      const { handler } = yield* standard
      const request = requestOf("/api/agents/triage/heartbeat?x=1", { token: secrets.triage, body: "{}" })
      yield* Effect.promise(() => request.text())
      const response = yield* Effect.promise(() => handler.fetch(request))
      const json = yield* Effect.promise(() => response.json())
      assert.strictEqual(json.type, "https://everbeat.dev/problems/body-already-consumed")
      const whole = requestOf("/api/agents/triage/heartbeat?x=1&limit=2", {
        token: secrets.triage,
        body: `{"mode":"warn"}`
      })
      const answer = yield* Effect.promise(() => handler.fetch(whole).then((response) => response.json()))
      assert.strictEqual(answer.status, "warning")
    }))

  it.live("a token under the name of a parameter is in no span", () =>
    Effect.gen(function*() {
      const { layer: tracing, spans } = keptSpans()
      const verify = yield* auth
      const layer = Layer.provideMerge(host, tracing)
      const handler = yield* acquire(() => HeartbeatHandler.make({ heartbeats, auth: verify, layer }))
      for (const name of ["limit", "cursor", "status", "other"]) {
        yield* callOf(handler)(`${runs}?${name}=${token}`, { token })
      }
      assert.isAbove(spans.length, 3)
      assert.notInclude(JSON.stringify(spans.map(({ attributes }) => [...attributes])), token)
    }))
})
