import { assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Agent, request } from "node:http"
import { connect } from "node:net"
import { auth, gated, heartbeats, host, makeGate, problem, secrets, seen, until, type Wire } from "./harness.ts"
import { effectHost } from "./hosts/effectHost.ts"
import { frameworks } from "./hosts/frameworks.ts"
import type { HostOptions, Mount } from "./hosts/mount.ts"
import { nextHost } from "./hosts/nextHost.ts"
import { nodeHosts } from "./hosts/nodeHosts.ts"

const hosts: ReadonlyArray<Mount> = [...nodeHosts, ...frameworks, nextHost, effectHost]

const path = "/api/agents/triage/heartbeat"
const authorization = `Bearer ${secrets.triage}`
const json = { "content-type": "application/json" }

const serving = (mount: Mount, options: Partial<HostOptions> = {}) =>
  Effect.gen(function*() {
    const verify = yield* auth
    const defaults = { heartbeats, auth: verify, layer: host, basePath: "", parser: false }
    const mounted = yield* Effect.acquireRelease(
      Effect.promise(() => mount.serve({ ...defaults, ...options })),
      ({ close, dispose }) => Effect.promise(() => dispose().then(close))
    )
    seen.length = 0
    return mounted
  })

interface Sent {
  readonly path?: string
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  readonly agent?: Agent
}

interface Got {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly text: string
  readonly json: Wire
}

/** A client of HTTP/1.1 of its own for each call, unless it brings its connections. */
const send = (port: number, { agent, body = "", headers, method = "POST", path: target = path }: Sent = {}) =>
  Effect.callback<Got>((resume) => {
    const length = body === "" ? {} : { "content-length": String(Buffer.byteLength(body)) }
    const client = request({
      port,
      host: "127.0.0.1",
      path: target,
      method,
      agent: agent ?? false,
      headers: { authorization, ...length, ...headers }
    }, (response) => {
      let text = ""
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk
      }).on("end", () => {
        const isJson = /json/u.test(response.headers["content-type"] ?? "")
        const { headers, statusCode: status = 0 } = response
        resume(Effect.succeed({ status, headers, text, json: isJson ? JSON.parse(text) : undefined }))
      })
    })
    client.on("error", (error) => resume(Effect.die(error)))
    client.end(body)
  })

/** An endless answer, one event for each chunk that was asked for. */
const endless = () => {
  const state = { pulled: 0, cancelled: false }
  const body = (size: number) =>
    new ReadableStream<Uint8Array>({
      pull: (controller) => {
        state.pulled++
        controller.enqueue(new TextEncoder().encode(`data: ${"x".repeat(size)}\n\n`))
        return new Promise((resolve) => setImmediate(resolve))
      },
      cancel: () => {
        state.cancelled = true
      }
    }, { highWaterMark: 0 })
  const headers = { "content-type": "text/event-stream", "cache-control": "no-store, no-transform" }
  return { state, answer: (size: number) => new Response(body(size), { headers }) }
}

describe.each(hosts.map((mount) => [mount.name, mount] as const))("%s", (_, mount) => {
  // To install takes as long as the network does.
  beforeAll(() => mount.prepare?.(), 600_000)

  it.live("answers without a body, and with JSON", () =>
    Effect.gen(function*() {
      const { port } = yield* serving(mount)
      const first = yield* send(port)
      assert.deepStrictEqual([first.status, first.json.status], [200, "ok"])
      assert.strictEqual(first.headers["everbeat-status"], "ok")
      assert.strictEqual(first.headers["cache-control"], "no-store")
      assert.strictEqual((yield* send(port, { body: `{"a":[1]}`, headers: json })).status, 200)
      assert.strictEqual((yield* send(port, { body: "{}", headers: { "content-type": "text/plain" } })).status, 415)
      assert.deepStrictEqual(seen, [undefined, { a: [1] }])
    }))

  it.live("answers what is wrong with a problem", () =>
    Effect.gen(function*() {
      const { port } = yield* serving(mount)
      if (mount.readsBodies !== true) {
        const broken = yield* send(port, { body: `{"a":`, headers: json })
        assert.deepStrictEqual([broken.status, broken.json.type], [400, problem("invalid-request")])
        assert.strictEqual(broken.headers["content-type"], "application/problem+json")
        const media = yield* send(port, { body: "{}", headers: { "content-type": "nonsense" } })
        assert.deepStrictEqual([media.status, media.json.type], [415, problem("unsupported-media-type")])
      }
      const foreign = yield* send(port, { headers: { authorization: "Bearer guess" } })
      assert.deepStrictEqual([foreign.status, foreign.json.type], [401, problem("unauthorized")])
      assert.match(String(foreign.headers["www-authenticate"]), /^Bearer realm="everbeat"/u)
      const method = yield* send(port, { method: "PUT" })
      assert.deepStrictEqual([method.status, method.headers["allow"]], [405, "POST"])
      assert.lengthOf(seen, 0)
    }))

  if (mount.parsed !== "none") {
    it.live(`${mount.parsed === "told" ? "says that it lost" : "takes"} the body that was parsed before`, () =>
      Effect.gen(function*() {
        const { port } = yield* serving(mount, { parser: true })
        const { json: answer, status } = yield* send(port, { body: `{"a":[1]}`, headers: json })
        if (mount.parsed === "told") {
          assert.deepStrictEqual([status, answer.type], [500, problem("body-already-consumed")])
          assert.lengthOf(seen, 0)
        } else {
          assert.strictEqual(status, 200)
          assert.deepStrictEqual(seen, [{ a: [1] }])
          const broken = yield* send(port, { body: `{"a":`, headers: json })
          assert.strictEqual(broken.status, 400)
          assert.lengthOf(seen, 1)
        }
      }))
  }

  it.live("serves below a base path, and nowhere else", () =>
    Effect.gen(function*() {
      const { port } = yield* serving(mount, { basePath: "/internal" })
      assert.strictEqual((yield* send(port, { path: `/internal${path}` })).status, 200)
      assert.strictEqual((yield* send(port)).status, 404)
      const listed = yield* send(port, { path: "/internal/api/agents/triage/runs?limit=1", method: "GET" })
      assert.lengthOf(listed.json.items, 1)
    }))

  it.live("lets the pass of a client that disconnects end", () =>
    Effect.gen(function*() {
      const gate = yield* makeGate
      const { port } = yield* serving(mount, { heartbeats: { triage: gated(gate.pass) } })
      const client = request({ port, host: "127.0.0.1", path, method: "POST", headers: { authorization } })
      client.on("error", () => {}).end()
      yield* gate.reached
      client.destroy()
      yield* gate.open
      yield* until(() =>
        Effect.runPromise(Effect.map(
          send(port, { path: "/api/agents/triage/runs", method: "GET" }),
          (answer) => answer.json.items[0]?.status === "ok"
        ))
      )
    }))

  it.live("ends the pass in flight at dispose, and keeps no connection", () =>
    Effect.gen(function*() {
      const gate = yield* makeGate
      const mounted = yield* serving(mount, { heartbeats: { triage: gated(gate.pass), release: heartbeats.release } })
      const agent = new Agent({ keepAlive: true })
      yield* Effect.addFinalizer(() => Effect.sync(() => agent.destroy()))
      const idle = yield* send(mounted.port, {
        path: "/api/agents/release/heartbeat",
        headers: { authorization: `Bearer ${secrets.release}` },
        agent: new Agent({ keepAlive: true })
      })
      assert.strictEqual(idle.status, 200)
      const pending = yield* Effect.forkChild(send(mounted.port, { agent }))
      yield* gate.reached
      let disposed = false
      const disposing = mounted.dispose().then(() => {
        disposed = true
      })
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      assert.isFalse(disposed)
      yield* gate.open
      const { json: report, status } = yield* Fiber.join(pending)
      assert.deepStrictEqual([status, report.status], [200, "ok"])
      yield* Effect.promise(() => disposing)
      // Nobody cuts a connection: this resolves because nobody keeps one.
      yield* Effect.promise(mounted.close)
    }))

  if (mount.readsBodies !== true) {
    it.live("does not wait for a body that never ends at dispose, and answers others meanwhile", () =>
      Effect.gen(function*() {
        const mounted = yield* serving(mount)
        const socket = connect(mounted.port, "127.0.0.1")
        yield* Effect.addFinalizer(() => Effect.sync(() => socket.destroy()))
        let closed = false
        socket.on("error", () => {}).on("close", () => {
          closed = true
        }).resume()
        socket.write(
          `POST ${path} HTTP/1.1\r\nhost: x\r\nauthorization: ${authorization}\r\n`
            + "content-type: application/json\r\ncontent-length: 1000\r\n\r\n{"
        )
        for (let index = 0; index < 5; index++) {
          socket.write(" ")
          assert.strictEqual((yield* send(mounted.port)).status, 200)
        }
        assert.isFalse(closed)
        yield* Effect.promise(mounted.dispose)
        yield* Effect.promise(mounted.close)
        yield* until(() => closed)
        assert.lengthOf(seen, 5)
      }))
  }

  it.live("streams the progress of a pass while it runs, and lets dispose end it", () =>
    Effect.gen(function*() {
      const gate = yield* makeGate
      const mounted = yield* serving(mount, { heartbeats: { triage: gated(gate.pass) } })
      const response = yield* Effect.promise(() =>
        fetch(`http://127.0.0.1:${mounted.port}${path}`, {
          method: "POST",
          headers: { authorization, accept: "text/event-stream" }
        })
      )
      assert.strictEqual(response.headers.get("content-type"), "text/event-stream")
      assert.strictEqual(response.headers.get("cache-control"), "no-store, no-transform")
      const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
      let text = ""
      const readUntil = (event: string) =>
        Effect.promise(async () => {
          while (!text.includes(`event: ${event}\n`)) {
            // oxlint-disable-next-line no-await-in-loop -- a stream has an order
            const read = await reader?.read()
            if (read?.value === undefined) throw new Error(`The events ended without ${event}: ${text}`)
            text += read.value
          }
        })
      yield* readUntil("step-started")
      assert.notInclude(text, "event: report")
      const disposing = mounted.dispose()
      yield* gate.open
      yield* readUntil("report")
      yield* Effect.promise(() => disposing)
    }))

  const { serveFetch } = mount
  if (serveFetch !== undefined) {
    it.live("streams events as they come, asks for no more than is read, and stops when the client leaves", () =>
      Effect.gen(function*() {
        const { answer, state } = endless()
        const mounted = yield* Effect.acquireRelease(
          Effect.promise(() => serveFetch(() => Promise.resolve(answer(65_536)))),
          ({ close, dispose }) => Effect.promise(() => dispose().then(close))
        )
        const controller = new AbortController()
        const response = yield* Effect.promise(() =>
          fetch(`http://127.0.0.1:${mounted.port}/stream/x`, { signal: controller.signal })
        )
        assert.strictEqual(response.headers.get("content-type"), "text/event-stream")
        const reader = response.body?.getReader()
        const first = yield* Effect.promise(async () => reader?.read())
        assert.match(new TextDecoder().decode(first?.value), /^data: x/u)
        // Nobody reads: the sockets fill up and the source rests.
        let before = -1
        let still = 0
        yield* until(() => {
          still = before === state.pulled ? still + 1 : 0
          before = state.pulled
          return still > 200
        })
        assert.isBelow(state.pulled, 1_000)
        assert.isFalse(state.cancelled)
        controller.abort()
        yield* until(() => state.cancelled)
      }))
  }
})
