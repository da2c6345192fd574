/** What somebody tries who has a token of one agent, or of few rights, or none. */
import { assert, describe, it } from "@effect/vitest"
import { Agent, AgentSupervisor, HeartbeatEngine, Recovery } from "@everbeat/core"
import { AgentAuth, HeartbeatHandler, NodeAdapter } from "@everbeat/http"
import { MemoryStore } from "@everbeat/store-memory"
import { Effect, Layer, Redacted, Schema } from "effect"
import { createServer } from "node:http"
import { type AddressInfo, connect } from "node:net"
import {
  acquire,
  auth,
  beat,
  callOf,
  heartbeats,
  host,
  makeGate,
  problem,
  secrets,
  seen,
  standard,
  until
} from "./harness.ts"
import { open as openEvents, whole } from "./streams.ts"

const unknownId = "01a1fc4b-0e11-76af-a7f8-60f1a1b3dc01"

/** The token says whose it is and what it may do, as in `triage:read`. */
const open = AgentAuth.make((token) => {
  const [agentName = "", scope] = Redacted.value(token).split(":")
  const scopes = ["heartbeat", "read", "resume"] as const
  return Effect.succeed({
    agentName,
    tokenId: Redacted.value(token),
    scopes: scope === undefined ? undefined : scopes.filter((one) => one === scope)
  })
})

const recovering = Recovery.layer({ agents: [], pollInterval: "1 hour", maxPollInterval: "1 hour" }).pipe(
  Layer.provideMerge(AgentSupervisor.layer),
  Layer.provideMerge(host)
)

const routes = (agent: string, runId: string) =>
  [
    ["heartbeat", "POST", `/api/agents/${agent}/heartbeat`],
    ["read", "GET", `/api/agents/${agent}/runs`],
    ["read", "GET", `/api/agents/${agent}/runs/${runId}`],
    ["read", "GET", `/api/agents/${agent}/checkpoints`],
    ["read", "GET", `/api/agents/${agent}/checkpoints/${runId}`],
    ["resume", "POST", `/api/agents/${agent}/runs/${runId}/cancel`],
    ["resume", "POST", `/api/agents/${agent}/checkpoints/${runId}/resume`],
    ["resume", "DELETE", `/api/agents/${agent}/checkpoints/${runId}`]
  ] as const

const onOpen = (layer = recovering) =>
  Effect.map(
    acquire(() => HeartbeatHandler.make({ heartbeats: () => heartbeats.triage, auth: open, layer })),
    callOf
  )

/** A run of an agent that stands still until the test ends. */
const withAgentRun = Effect.gen(function*() {
  const gate = yield* makeGate
  const coder = Agent.make("triage", { message: Schema.String, run: () => gate.pass })
  const services = Layer.mergeAll(HeartbeatEngine.layer, AgentSupervisor.layer).pipe(
    Layer.provideMerge(MemoryStore.layer)
  )
  const started = Layer.effectDiscard(Agent.start(coder, { prompt: "the prompt of somebody else" }))
  const handler = yield* acquire(() =>
    HeartbeatHandler.make({
      heartbeats: () => heartbeats.triage,
      auth: open,
      layer: Layer.provideMerge(started, services)
    })
  )
  const call = callOf(handler)
  const runId: string = (yield* call("/api/agents/triage/runs", { token: "triage" })).json.items[0].runId
  return { handler, call, gate, runId }
})

describe("a token", () => {
  for (const scope of ["heartbeat", "read", "resume"] as const) {
    it.live(`with the scope ${scope} reaches what needs it, and nothing else`, () =>
      Effect.gen(function*() {
        const call = yield* onOpen()
        for (const [needs, method, path] of routes("triage", unknownId)) {
          const { headers, json, status } = yield* call(path, { method, token: `triage:${scope}` })
          if (needs === scope) assert.include([200, 404], status, path)
          else {
            assert.deepStrictEqual([status, json.type, json.scope], [403, problem("insufficient-scope"), needs], path)
            assert.include(headers.get("www-authenticate") ?? "", `scope="${needs}"`)
          }
        }
      }))
  }

  it.live("that may only beat follows its passes, and reads no run of an agent by way of its events", () =>
    Effect.gen(function*() {
      const { call, gate, handler, runId } = yield* withAgentRun
      const follow = (id: string, token = "triage:heartbeat") =>
        beat(call, { token, headers: { accept: "text/event-stream", "last-event-id": `${id}.00c0ffee.1` } })
      const mine = yield* beat(call, { token: "triage:heartbeat" })
      const unknown = yield* follow(unknownId)
      const running = yield* follow(runId)
      yield* gate.open
      yield* until(async () =>
        (await Effect.runPromise(call(`/api/agents/triage/runs/${runId}`, { token: "triage" }))).json.status === "ok"
      )
      const settled = yield* follow(runId)
      for (const { status, text } of [running, settled]) {
        assert.strictEqual(status, 404)
        assert.strictEqual(text.replaceAll(runId, unknownId), unknown.text)
      }
      const events = yield* whole(
        yield* openEvents(handler, {
          token: "triage:heartbeat",
          headers: { "last-event-id": `${mine.json.runId}.00c0ffee.1` }
        })
      )
      assert.deepStrictEqual(events.map(({ data, event }) => [event, data.runId]), [["report", mine.json.runId]])
    }))

  it.live("of another agent cannot tell a run that is there from one that is not", () =>
    Effect.gen(function*() {
      const { call, runId } = yield* withAgentRun
      for (const [, method, path] of routes("release", runId).filter(([, , path]) => path.includes(runId))) {
        const foreign = yield* call(path, { method, token: "release" })
        const unknown = yield* call(path.replace(runId, unknownId), { method, token: "release" })
        assert.strictEqual(foreign.status, path.endsWith("/resume") ? 501 : 404, path)
        assert.strictEqual(foreign.text.replaceAll(runId, unknownId), unknown.text, path)
        const direct = yield* call(path.replace("release", "triage"), { method, token: "release" })
        const nobody = yield* call(path.replace("release", "nobody").replace(runId, unknownId), {
          method,
          token: "release"
        })
        assert.strictEqual(direct.status, 403)
        assert.strictEqual(direct.text, nobody.text)
      }
    }))

  it.live("of an agent that is named like a property of objects acts for that agent and no other", () =>
    Effect.gen(function*() {
      const names = ["constructor", "toString", "hasOwnProperty", "valueOf", "isPrototypeOf", "length", "then"]
      const call = yield* onOpen()
      for (const name of names) {
        const answer = yield* beat(call, { token: name, headers: { "idempotency-key": "constructor" } }, name)
        assert.deepStrictEqual([answer.status, answer.json.agentName], [200, name])
        const listed = yield* call(`/api/agents/${name}/runs`, { token: name })
        assert.deepStrictEqual(listed.json.items.map((run: { runId: string }) => run.runId), [answer.json.runId])
      }
      assert.strictEqual((yield* beat(call, { token: "__proto__" }, "__proto__")).status, 400)
      const table = AgentAuth.tokens([])
      const none = callOf(yield* acquire(() => HeartbeatHandler.make({ heartbeats: {}, auth: table, layer: host })))
      assert.strictEqual((yield* beat(none, { token: "constructor" }, "constructor")).status, 401)
    }))

  it.live("keeps its idempotency keys to its agent, and shares them with the other tokens of the agent", () =>
    Effect.gen(function*() {
      const call = yield* onOpen()
      const headers = { "idempotency-key": "k" }
      const first = yield* beat(call, { token: "triage", headers, body: "1" })
      const rotated = yield* beat(call, { token: "triage:heartbeat", headers, body: "1" })
      assert.strictEqual(rotated.text, first.text)
      const other = yield* beat(call, { token: "release", headers, body: "2" }, "release")
      assert.deepStrictEqual([other.status, other.headers.get("idempotency-replayed")], [200, null])
      assert.notStrictEqual(other.json.runId, first.json.runId)
    }))
})

describe("a payload", () => {
  it.live("does not reach the prototypes of objects", () =>
    Effect.gen(function*() {
      const { call } = yield* standard
      seen.length = 0
      const body = `{"__proto__":{"mode":"fail"},"constructor":{"prototype":{"mode":"fail"}}}`
      assert.strictEqual((yield* beat(call, { body })).json.status, "ok")
      assert.notProperty({}, "mode")
      assert.strictEqual(JSON.stringify(seen), `[${body}]`)
    }))

  it.live("does not reach them through a schema and its refusals either", () =>
    Effect.gen(function*() {
      const verify = yield* auth
      const payload = Schema.Record(Schema.String, Schema.Struct({ mode: Schema.String }))
      const call = callOf(
        yield* acquire(() => HeartbeatHandler.make({ heartbeats, auth: verify, layer: host, payload }))
      )
      assert.strictEqual((yield* beat(call, { body: `{"__proto__":{"mode":"fail"}}` })).status, 200)
      const refused = yield* beat(call, { body: `{"__proto__":{"polluted":1}}` })
      assert.deepStrictEqual([refused.status, refused.json.type], [422, problem("invalid-payload")])
      assert.notProperty({}, "mode")
      assert.notProperty({}, "polluted")
    }))
})

describe("caches and conditions", () => {
  it.live("are of no use: nothing is stored, nothing is partial, nothing is not modified", () =>
    Effect.gen(function*() {
      const { call } = yield* standard
      yield* beat(call)
      const headers = {
        "if-none-match": "*",
        "if-match": `"x"`,
        "if-modified-since": "Thu, 01 Jan 2099 00:00:00 GMT",
        range: "bytes=0-1"
      }
      for (const path of ["/api/health", "/api/openapi.json", "/api/agents/triage/runs"]) {
        const plain = yield* call(path, { token: secrets.triage })
        const conditional = yield* call(path, { token: secrets.triage, headers })
        assert.deepStrictEqual([plain.status, conditional.status], [200, 200])
        assert.strictEqual(conditional.text, plain.text)
        assert.strictEqual(conditional.headers.get("cache-control"), "no-store")
        for (const name of ["etag", "last-modified", "accept-ranges"]) assert.isNull(conditional.headers.get(name))
      }
      // What one agent read is not answered to another one, nor to nobody.
      assert.strictEqual((yield* call("/api/agents/triage/runs", { token: secrets.release })).status, 403)
      assert.strictEqual((yield* call("/api/agents/triage/runs")).status, 401)
    }))
})

/** How long the slowest of some calls took is not asserted: what would take minutes ends the test by its limit. */
describe("text that is made to be slow to read", () => {
  const long = 60_000
  for (
    const [title, headers] of [
      ["Prefer of quotes", { prefer: `a="\\`.repeat(256) }],
      ["Prefer of spaces", { prefer: `a${" ".repeat(1000)}x` }],
      ["Prefer of commas", { prefer: ",".repeat(1024) }],
      ["Prefer that is long", { prefer: `a=",`.repeat(long) }],
      ["Content-Type of pluses", { "content-type": `application/${"+".repeat(long)}json` }],
      ["Content-Type of spaces", { "content-type": `application/json${" ".repeat(long)}x` }],
      ["Idempotency-Key of escapes", { "idempotency-key": `"${`\\"`.repeat(long)}` }],
      ["Last-Event-ID of digits", { accept: "text/event-stream", "last-event-id": "0".repeat(long) }],
      ["Accept of ranges", { accept: "text/event-stream;q=0.1,".repeat(long / 20) }],
      ["X-Request-Id of dots", { "x-request-id": ".".repeat(long) }],
      ["traceparent of dashes", { traceparent: "00-".repeat(long / 3) }],
      ["Authorization of spaces", { authorization: `Bearer ${" ".repeat(long)}x y` }]
    ] as const
  ) {
    it.live(title, () =>
      Effect.gen(function*() {
        const { call } = yield* standard
        for (let index = 0; index < 20; index++) {
          const { status } = yield* beat(call, { body: "{}", headers })
          assert.include([200, 400, 401, 415], status)
        }
      }), 10_000)
  }
})

describe("bytes that two readers may understand in two ways", () => {
  const path = "/api/agents/triage/heartbeat"
  const head =
    `POST ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${secrets.triage}\r\nContent-Type: application/json\r\n`
  const hidden =
    `POST ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${secrets.triage}\r\nContent-Type: application/json\r\n`
    + `Content-Length: 10\r\n\r\n"smuggled"`
  for (
    const [title, rest] of [
      ["both lengths", `Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${hidden}`],
      ["two lengths", `Content-Length: 2\r\nContent-Length: ${2 + hidden.length}\r\n\r\n{}${hidden}`],
      ["a coding that is not the last", `Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n${hidden}`],
      ["a length with a sign", `Content-Length: +2\r\n\r\n{}${hidden}`],
      ["a header with a space before its colon", `Content-Length : 2\r\n\r\n{}${hidden}`],
      ["a folded header", `Transfer-Encoding:\r\n chunked, x\r\n\r\n0\r\n\r\n${hidden}`],
      ["a bare line feed in a chunk", `Transfer-Encoding: chunked\r\n\r\n2;\n{}\r\n0\r\n\r\n${hidden}`]
    ] as const
  ) {
    it.live(`${title}: no second pass comes out of the body`, () =>
      Effect.gen(function*() {
        const verify = yield* auth
        const handler = yield* acquire(() => HeartbeatHandler.make({ heartbeats, auth: verify, layer: host }))
        const server = createServer(NodeAdapter.toNodeHandler(handler))
        yield* Effect.promise(() => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve)))
        yield* Effect.addFinalizer(() => Effect.sync(() => server.close()))
        seen.length = 0
        const answer = yield* Effect.callback<string>((resume) => {
          let text = ""
          const socket = connect((server.address() as AddressInfo).port, "127.0.0.1")
          socket.setEncoding("latin1").on("data", (chunk) => {
            text += String(chunk)
          }).on("error", () => {}).on("close", () => resume(Effect.succeed(text)))
          socket.end(head + rest)
        })
        assert.match(answer, /^HTTP\/1\.1 400 /u)
        assert.notInclude(seen, "smuggled")
      }))
  }

  it.live("a body that is not read is not the next request", () =>
    Effect.gen(function*() {
      const verify = yield* auth
      const handler = yield* acquire(() => HeartbeatHandler.make({ heartbeats, auth: verify, layer: host }))
      const server = createServer(NodeAdapter.toNodeHandler(handler))
      yield* Effect.promise(() => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve)))
      yield* Effect.addFinalizer(() => Effect.sync(() => server.close()))
      seen.length = 0
      const unread = ["GET /api/health", "GET /api/agents/triage/runs", "POST /nope", "PUT /api/health"]
      const requests = unread.map((line) =>
        `${line} HTTP/1.1\r\nHost: x\r\nContent-Length: ${hidden.length}\r\n\r\n${hidden}`
      )
      const last = "GET /api/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
      const answer = yield* Effect.callback<string>((resume) => {
        let text = ""
        const socket = connect((server.address() as AddressInfo).port, "127.0.0.1")
        socket.setEncoding("latin1").on("data", (chunk) => {
          text += String(chunk)
        }).on("error", () => {}).on("close", () => resume(Effect.succeed(text)))
        socket.write(requests.join("") + last)
      })
      assert.deepStrictEqual(Array.from(answer.matchAll(/HTTP\/1\.1 (\d+)/gu), ([, status]) => status), [
        "200",
        "401",
        "404",
        "405",
        "200"
      ])
      assert.deepStrictEqual(seen, [])
    }))
})
