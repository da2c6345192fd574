/** `NodeAdapter` answers a handler of this package without web objects: nobody is to notice. */
import { assert, describe, it } from "@effect/vitest"
import { AgentSupervisor, Recovery } from "@everbeat/core"
import { AgentToken, HeartbeatHandler, NodeAdapter } from "@everbeat/http"
import { Effect, Layer, Logger, Metric, Redacted } from "effect"
import type { ServerResponse } from "node:http"
import { connect } from "node:net"
import { acquire, auth, gated, heartbeats, host, makeGate, secrets, until } from "./harness.ts"
import { listen, sendText, serving } from "./nodeServer.ts"
import { keptSpans } from "./observed.ts"
import { bodies, generator, headersOf, plain, type Random, targetOf, unknownId } from "./odd.ts"

const requests = 400

const heartbeat = "/api/agents/triage/heartbeat"
const runs = "/api/agents/triage/runs"

/** What node itself refuses, or waits for. */
const ofTheParser = ["content-length", "transfer-encoding", "expect"]

const requestOf = (random: Random, index: number, operator: string): string => {
  const first = plain[index]
  const [method, path] = first === undefined ? targetOf(random, unknownId) : ["POST", "/api/agents/triage/heartbeat"]
  const headers = first === undefined ? headersOf(random, unknownId) : new Headers(first.headers)
  for (const name of ofTheParser) headers.delete(name)
  const tokens = [secrets.triage, secrets.triage, secrets.triage, secrets.release, secrets.reader, operator, "guess"]
  headers.set("authorization", `Bearer ${first?.token ?? random.pick(tokens)}`)
  headers.set("x-request-id", `request-${index}`)
  const body = first === undefined
    ? random.chance(0.5) ? random.pick(bodies) : ""
    : first.body ?? ""
  if (body !== "" && random.chance(0.8)) headers.set("content-type", "application/json")
  const bytes = Buffer.from(body).toString("latin1")
  const framed = random.chance(0.3) && bytes !== ""
    ? `Transfer-Encoding: chunked\r\n\r\n${bytes.length.toString(16)}\r\n${bytes}\r\n0\r\n\r\n`
    : `${random.chance(0.1) ? "Expect: 100-continue\r\n" : ""}Content-Length: ${bytes.length}\r\n\r\n${bytes}`
  const lines = [...headers].map(([name, value]) => `${name}: ${value}\r\n`).join("")
  // Node would refuse the rest of a target itself.
  const target = path.replaceAll(/[^\x21-\x7e]/gu, (text) => encodeURIComponent(text))
  return `${method} ${target} HTTP/1.1\r\nHost: host.test\r\nConnection: close\r\n${lines}${framed}`
}

/** Without what differs from run to run. */
const comparable = (text: string, runIds: ReadonlyMap<string, string>): string => {
  let same = text
  for (const [runId, name] of runIds) same = same.replaceAll(runId, name)
  return same
    .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/gu, "TIME")
    .replaceAll(/"millis":[\d.e-]+/gu, `"millis":0`)
    .replace(/# HELP [^]*/u, "METRICS") // of the process
    .replaceAll(/"owner":"[^"]*"/gu, `"owner":"ENGINE"`)
    .replaceAll(/(?<=id: RUN\d+\.)[0-9a-f]{8}/gu, "TAG")
    .replaceAll(/^date: .*\r\n/gmu, "")
    .replaceAll(/(?<=\n)[0-9a-f]+(?=\r\n)/gu, "LENGTH")
    .replaceAll(/(?<=\ncontent-length: )\d+/gu, "LENGTH")
}

/** The head's lines in order: only the framework in between sorts them. */
const sorted = (answer: string): string => {
  const [head = "", ...rest] = answer.replace("HTTP/1.1 100 Continue\r\n\r\n", "").split("\r\n\r\n")
  const [status = "", ...lines] = head.split("\r\n")
  return [[status, ...lines.map((line) => line.toLowerCase()).toSorted()].join("\r\n"), ...rest].join("\r\n\r\n")
}

const counted = Effect.map(Metric.snapshot, (all) =>
  new Map(
    all.filter(({ id }) => id === "everbeat_http_requests_total").map(({ attributes, state }) =>
      [JSON.stringify(attributes), (state as { readonly count: number }).count] as const
    )
  ))

const serveAll = (seed: number, isDirect: boolean) =>
  Effect.gen(function*() {
    const { layer: tracing, spans } = keptSpans()
    const verify = yield* auth
    const operator = yield* AgentToken.create()
    const handler = yield* acquire(() =>
      HeartbeatHandler.make({
        heartbeats,
        auth: verify,
        layer: Recovery.layer({ agents: [] }).pipe(
          Layer.provideMerge(AgentSupervisor.layer),
          Layer.provideMerge(host),
          Layer.provideMerge(Layer.mergeAll(Logger.layer([]), tracing))
        ),
        maxBodyBytes: 4096,
        operatorTokens: [operator.sha256]
      })
    )
    const port = yield* listen(
      NodeAdapter.toNodeHandler(isDirect ? handler : { fetch: (request) => handler.fetch(request) })
    )
    const random = generator(seed)
    const runIds = new Map<string, string>()
    let runId: string = unknownId
    const answers: Array<readonly [asked: string, answer: string]> = []
    const before = yield* counted
    for (let index = 0; index < requests; index++) {
      const asked = requestOf(random, index, Redacted.value(operator.token))
      const answer = yield* sendText(port, asked.replaceAll(unknownId, runId), "latin1")
      for (const [, found = ""] of answer.matchAll(/"runId":"([0-9a-f-]{36})"/gu)) {
        if (!runIds.has(found) && found !== unknownId) runIds.set(found, `RUN${runIds.size}`)
      }
      runId = /^everbeat-run-id: (.*)\r$/imu.exec(answer)?.[1] ?? runId
      answers.push([asked.replaceAll(Redacted.value(operator.token), "OPERATOR"), comparable(sorted(answer), runIds)])
    }
    const after = yield* counted
    return {
      answers,
      counts: new Map(
        [...after].map(([key, count]) => [key, count - (before.get(key) ?? 0)] as const).filter(([, count]) =>
          count > 0
        )
      ),
      spans: spans.filter(({ kind }) => kind === "server").map(({ attributes, name, status }) => {
        const ended = status._tag === "Ended" ? status.exit._tag : status._tag
        return comparable(JSON.stringify([name, [...attributes], ended]), runIds)
      })
    }
  })

describe("NodeAdapter and a handler of this package", () => {
  it.live(
    `answer ${requests} odd requests as with web objects in between, with the same spans and counts`,
    () =>
      Effect.gen(function*() {
        const seed = Math.floor(Math.random() * 2 ** 32)
        const direct = yield* Effect.scoped(serveAll(seed, true))
        const wrapped = yield* Effect.scoped(serveAll(seed, false))
        direct.answers.forEach(([asked, answer], index) => {
          assert.match(answer, /^HTTP\/1\.1 \d{3} /u, `seed ${seed}, request ${index}: ${asked}`)
          assert.strictEqual(answer, wrapped.answers[index]?.[1], `seed ${seed}, request ${index}: ${asked}`)
        })
        assert.deepStrictEqual(direct.spans, wrapped.spans)
        assert.deepStrictEqual(direct.counts, wrapped.counts)
        assert.isAbove(direct.spans.length, requests / 2)
        const statuses = new Set(direct.answers.map(([, answer]) => answer.slice(9, 12)))
        assert.includeMembers([...statuses], ["200", "202", "400", "401", "403", "404", "405", "413", "422", "500"])
      }),
    120_000
  )

  it.live("ask what was put in the place of its fetch", () =>
    Effect.gen(function*() {
      const { handler } = yield* serving
      const { fetch: own } = handler
      const guarded = Object.assign(handler, {
        fetch: (request: Request) =>
          request.headers.has("x-guard") ? own(request) : Promise.resolve(new Response("guarded", { status: 418 }))
      })
      const port = yield* listen(NodeAdapter.toNodeHandler(guarded))
      const get = (header: string) =>
        sendText(port, `GET /api/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${header}\r\n`)
      assert.match(yield* get(""), /^HTTP\/1\.1 418 /u)
      assert.match(yield* get("X-Guard: 1\r\n"), /^HTTP\/1\.1 200 /u)
    }))

  it.live("give up the request of a client that leaves, which is counted as 499, and the pass goes on", () =>
    Effect.gen(function*() {
      const gate = yield* makeGate
      const verify = yield* auth
      const handler = yield* acquire(() =>
        HeartbeatHandler.make({ heartbeats: { triage: gated(gate.pass) }, auth: verify, layer: host })
      )
      const node = NodeAdapter.toNodeHandler(handler)
      const ended: Array<ServerResponse> = []
      const port = yield* listen((request, response) => void node(request, response).then(() => ended.push(response)))
      const key = JSON.stringify({ route: "/api/agents/:agentName/heartbeat", method: "POST", status: "499" })
      const before = (yield* counted).get(key) ?? 0
      const socket = connect(port, "127.0.0.1").on("error", () => {})
      // What is queued behind it on the connection is given up with it.
      const head = `Host: x\r\nAuthorization: Bearer ${secrets.triage}\r\n`
      socket.write(
        `POST ${heartbeat} HTTP/1.1\r\n${head}Content-Length: 0\r\n\r\nGET ${runs} HTTP/1.1\r\n${head}\r\n`
      )
      yield* gate.reached
      yield* until(() => ended.length === 1)
      socket.destroy()
      yield* until(() => ended.length === 2)
      assert.strictEqual((yield* counted).get(key), before + 1)
      for (const response of ended) assert.strictEqual(response.listenerCount("close"), 0)
      yield* gate.open
      yield* until(async () => {
        const listed = await Effect.runPromise(
          sendText(port, `GET ${runs} HTTP/1.1\r\n${head}Connection: close\r\n\r\n`)
        )
        return listed.includes(`"status":"ok"`)
      })
    }))

  it.live("write no further event to a socket that takes none, and stop when the client leaves", () =>
    Effect.gen(function*() {
      const gate = yield* makeGate
      const verify = yield* auth
      const handler = yield* acquire(() =>
        HeartbeatHandler.make({ heartbeats: { triage: gated(gate.pass) }, auth: verify, layer: host })
      )
      const node = NodeAdapter.toNodeHandler(handler)
      let written = 0
      let ended = 0
      const port = yield* listen((request, response) => {
        // The sockets of a machine take more than a pass can tell.
        response.write = () => {
          written++
          return false
        }
        void node(request, response).then(() => ended++)
      })
      const socket = connect(port, "127.0.0.1").on("error", () => {})
      socket.write(
        `POST ${heartbeat} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${secrets.triage}\r\n`
          + "Accept: text/event-stream\r\nContent-Length: 0\r\n\r\n"
      )
      yield* gate.reached
      yield* until(() => written > 0)
      yield* gate.open
      yield* Effect.promise(async () => {
        // oxlint-disable-next-line no-await-in-loop -- turns of the event loop, for what would not wait
        for (let turn = 0; turn < 200; turn++) await new Promise((next) => setImmediate(next))
      })
      assert.deepStrictEqual([written, ended], [1, 0])
      socket.destroy()
      yield* until(() => ended === 1)
      assert.strictEqual(written, 1)
    }))
})
