import { assert, describe, it } from "@effect/vitest"
import { HeartbeatHandler, NodeAdapter } from "@everbeat/http"
import { Effect } from "effect"
import { type IncomingMessage, request, type ServerResponse } from "node:http"
import { connect } from "node:net"
import { acquire, auth, gated, host, makeGate, secrets, seen, until, type Wire } from "./harness.ts"
import { listen, serving } from "./nodeServer.ts"

const path = "/api/agents/triage/heartbeat"

/** What express.json() does: reads the stream and leaves the value in `body`. */
const jsonParser = async (incoming: IncomingMessage & { body?: unknown }): Promise<void> => {
  const chunks: Array<Uint8Array> = []
  for await (const chunk of incoming) chunks.push(chunk)
  const text = Buffer.concat(chunks).toString()
  incoming.body = text === "" ? {} : JSON.parse(text)
}

const post = (port: number, init: RequestInit = {}) =>
  Effect.promise(async () => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, {
      method: "POST",
      ...init,
      headers: { authorization: `Bearer ${secrets.triage}`, ...(init.headers as Record<string, string>) }
    })
    return { status: response.status, headers: response.headers, json: await wire(response) }
  })

const wire = (response: Response): Promise<Wire> => response.json()

const json = { "content-type": "application/json" }

describe("NodeAdapter", () => {
  it.live("serves with node:http, with a content length", () =>
    Effect.gen(function*() {
      const { node } = yield* serving
      const port = yield* listen(node)
      seen.length = 0
      const { headers, json: report, status } = yield* post(port, { body: `{"a":1}`, headers: json })
      assert.strictEqual(status, 200)
      assert.strictEqual(report.status, "ok")
      assert.deepStrictEqual(seen, [{ a: 1 }])
      assert.isAbove(Number(headers.get("content-length")), 0)
      assert.isNull(headers.get("transfer-encoding"))
      assert.strictEqual((yield* post(port)).status, 200)
      assert.strictEqual((yield* post(port, { body: "{", headers: json })).status, 400)
    }))

  it.live("takes the body that a parser consumed", () =>
    Effect.gen(function*() {
      const { node } = yield* serving
      const port = yield* listen((incoming, response) => void jsonParser(incoming).then(() => node(incoming, response)))
      seen.length = 0
      assert.strictEqual((yield* post(port, { body: `{"a":1}`, headers: json })).status, 200)
      assert.strictEqual((yield* post(port, { body: `"text"`, headers: json })).status, 200)
      assert.strictEqual((yield* post(port)).status, 200)
      assert.deepStrictEqual(seen, [{ a: 1 }, "text", undefined])
      const form = { "content-type": "application/x-www-form-urlencoded" }
      assert.strictEqual((yield* post(port, { body: "{}", headers: form })).status, 415)
    }))

  it.live("prefers the raw bytes that a platform kept", () =>
    Effect.gen(function*() {
      const { node } = yield* serving
      const port = yield* listen((incoming, response) =>
        void jsonParser(incoming).then(() =>
          node(Object.assign(incoming, { rawBody: Buffer.from(`{"raw":true}`) }), response)
        )
      )
      seen.length = 0
      assert.strictEqual((yield* post(port, { body: `{"raw":false}`, headers: json })).status, 200)
      assert.deepStrictEqual(seen, [{ raw: true }])
    }))

  it.live("says so when a body was consumed and lost", () =>
    Effect.gen(function*() {
      const { node } = yield* serving
      const port = yield* listen((incoming, response) => {
        incoming.resume().on("end", () => void node(incoming, response))
      })
      const { json: problem, status } = yield* post(port, { body: `{"a":1}`, headers: json })
      assert.strictEqual(status, 500)
      assert.strictEqual(problem.type, "https://everbeat.dev/problems/body-already-consumed")
    }))

  it.live("uses the address before a mount path was cut off", () =>
    Effect.gen(function*() {
      const { node } = yield* serving
      const port = yield* listen((incoming, response) => {
        const originalUrl = incoming.url
        incoming.url = incoming.url?.replace("/api", "") ?? "/"
        void node(Object.assign(incoming, { originalUrl }), response)
      })
      assert.strictEqual((yield* post(port)).status, 200)
    }))

  it.live("aborts when the client disconnects, and the pass goes on", () =>
    Effect.gen(function*() {
      const gate = yield* makeGate
      const beats = gated(gate.pass)
      const verify = yield* auth
      const handler = yield* acquire(() =>
        HeartbeatHandler.make({ heartbeats: { triage: beats }, auth: verify, layer: host })
      )
      const statuses: Array<number> = []
      const node = NodeAdapter.toNodeHandler({
        fetch: async (incoming) => {
          const response = await handler.fetch(incoming)
          statuses.push(response.status)
          return response
        }
      })
      const port = yield* listen(node)
      const client = request({ port, path, method: "POST", headers: { authorization: `Bearer ${secrets.triage}` } })
      client.on("error", () => {}).end()
      yield* gate.reached
      client.destroy()
      yield* until(() => statuses.length === 1)
      assert.deepStrictEqual(statuses, [499])
      yield* gate.open
      yield* until(async () => {
        const runs = await fetch(`http://127.0.0.1:${port}/api/agents/triage/runs`, {
          headers: { authorization: `Bearer ${secrets.triage}` }
        })
        const page = await wire(runs)
        return page.items[0].status === "ok"
      })
    }))

  it.live("survives a client that disconnects in the middle of its body", () =>
    Effect.gen(function*() {
      const { node } = yield* serving
      let ended = 0
      const port = yield* listen((incoming, response) => void node(incoming, response).then(() => ended++))
      const socket = connect(port, "127.0.0.1")
      socket.on("error", () => {})
      socket.write(
        `POST ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${secrets.triage}\r\n`
          + `content-type: application/json\r\ncontent-length: 1000\r\n\r\n{"a":`,
        () => socket.resetAndDestroy()
      )
      yield* until(() => ended === 1)
      assert.strictEqual((yield* post(port)).status, 200)
    }))

  for (const [title, token, status] of [["too big", secrets.triage, 413], ["not authorised", "guess", 401]] as const) {
    it.live(`answers a body of 50 MB that is ${title} early and buffers none of it`, () =>
      Effect.gen(function*() {
        const { node } = yield* serving
        let buffered = 0
        const port = yield* listen((incoming, response) => {
          incoming.on("close", () => {
            buffered = Math.max(buffered, incoming.readableLength)
          })
          void node(incoming, response)
        })
        const answer = yield* Effect.callback<number | undefined>((resume) => {
          const chunk = Buffer.alloc(65_536, 0x20)
          let left = 50_000_000
          const client = request({
            port,
            path,
            method: "POST",
            headers: { authorization: `Bearer ${token}`, "content-type": "application/json" }
          }, (response) => {
            response.resume().on("end", () => {
              resume(Effect.succeed(response.statusCode))
              client.destroy()
            })
          })
          client.on("error", () => {}) // the upload is cut when the answer is there
          const write = (): void => {
            while (left > 0) {
              left -= chunk.length
              if (!client.write(chunk)) {
                client.once("drain", write)
                return
              }
            }
            client.end()
          }
          write()
        })
        assert.strictEqual(answer, status)
        assert.isBelow(buffered, 1_000_000)
      }))
  }

  it.live("streams with back-pressure", () =>
    Effect.gen(function*() {
      let pulled = 0
      const body = () =>
        new ReadableStream<Uint8Array>({
          pull: (controller) => {
            if (pulled++ < 400) controller.enqueue(new Uint8Array(65_536))
            else controller.close()
          }
        }, { highWaterMark: 0 })
      const port = yield* listen(NodeAdapter.toNodeHandler({ fetch: () => new Response(body()) }))
      const response = yield* Effect.callback<IncomingMessage>((resume) => {
        request({ port, path: "/" }, (response) => resume(Effect.succeed(response))).end()
      })
      // Nobody reads: the sockets fill up and the source is asked for no more.
      let before = -1
      yield* until(() => {
        const still = before === pulled && pulled > 0
        before = pulled
        return still
      })
      assert.isBelow(pulled, 400)
      const length = yield* Effect.promise(async () => {
        let length = 0
        for await (const chunk of response) length += (chunk as Uint8Array).length
        return length
      })
      assert.strictEqual(length, 400 * 65_536)
    }))

  it.live("closes connections while it drains", () =>
    Effect.gen(function*() {
      const { handler, node } = yield* serving
      const port = yield* listen(node)
      assert.strictEqual((yield* post(port)).status, 200)
      yield* Effect.promise(() => handler.dispose())
      const { headers, json: problem, status } = yield* post(port)
      assert.strictEqual(status, 503)
      assert.strictEqual(problem.type, "https://everbeat.dev/problems/shutting-down")
      assert.strictEqual(headers.get("connection"), "close")
      assert.isNotNull(headers.get("retry-after"))
    }))

  it.live("answers methods and addresses that a web request cannot express", () =>
    Effect.gen(function*() {
      const { node } = yield* serving
      const port = yield* listen(node)
      const raw = (head: string) =>
        Effect.callback<string>((resume) => {
          let text = ""
          const socket = connect(port, "127.0.0.1")
          socket.setEncoding("utf8").on("data", (chunk) => {
            text += String(chunk)
          }).on("close", () => resume(Effect.succeed(text)))
          socket.write(`${head}\r\nconnection: close\r\n\r\n`)
        })
      assert.match(yield* raw("TRACE / HTTP/1.1\r\nhost: x"), /^HTTP\/1\.1 405 .*\r\nallow: GET, HEAD, POST/su)
      assert.match(yield* raw("GET //evil.test/api HTTP/1.1\r\nhost: x"), /^HTTP\/1\.1 404 /u)
      assert.match(yield* raw("GET /nope HTTP/1.1\r\nhost: not a host"), /^HTTP\/1\.1 404 /u)
      assert.match(yield* raw("OPTIONS * HTTP/1.1\r\nhost: x"), /^HTTP\/1\.1 404 /u)
    }))

  it.live("answers the same with web objects in between, as to handlers of others", () =>
    Effect.gen(function*() {
      const { handler, node } = yield* serving
      const ports = [
        yield* listen(node),
        yield* listen(NodeAdapter.toNodeHandler({ fetch: (incoming) => handler.fetch(incoming) }))
      ]
      const ask = (port: number, method: string, target: string, body: string) =>
        Effect.callback<unknown>((resume) => {
          const headers = { authorization: `Bearer ${secrets.triage}`, "x-request-id": "same", ...json }
          const asked = request({ port, method, path: target, headers, agent: false }, (response) => {
            let text = ""
            response.setEncoding("utf8").on("data", (chunk: string) => {
              text += chunk
            }).on("end", () => {
              const { "content-type": type, "content-length": length, "x-request-id": id, allow } = response.headers
              const { detail, status, type: problem } = text === "" ? {} : JSON.parse(text)
              const { statusCode } = response
              resume(Effect.succeed({ statusCode, type, length, id, allow, detail, status, problem }))
            })
          })
          asked.end(body)
        })
      const asked = [
        ["POST", path, "{}"],
        ["POST", path, ""],
        ["POST", path, "{"],
        ["POST", path, `"${"x".repeat(300_000)}"`],
        ["POST", "/api/agents/tri%61ge/heartbeat", ""],
        ["POST", `/api/agents/tri"age/heartbeat`, ""],
        ["POST", "/api/agents/tri|age/heartbeat?q=\"", ""],
        ["POST", "http://OTHER.test:80/api/agents/triage/heartbeat", ""],
        ["PUT", path, "{}"],
        ["GET", "/api/agents/triage/runs?limit=1&status=ok", ""],
        ["GET", "/api/agents/triage/runs?limit=none", ""],
        ["HEAD", "/api/health", ""],
        ["HEAD", "/api/nowhere", ""]
      ] as const
      for (const [method, target, body] of asked) {
        const [ours, others] = yield* Effect.forEach(ports, (port) => ask(port, method, target, body))
        assert.deepStrictEqual(ours, others, `${method} ${target}`)
      }
    }))

  it.live("hands a failure to the framework", () =>
    Effect.gen(function*() {
      const failing = NodeAdapter.toNodeHandler({ fetch: () => Promise.reject(new Error("broken")) })
      let handed: unknown
      const port = yield* listen((incoming, response) =>
        void failing(incoming, response, (error) => {
          handed = error
          response.statusCode = 502
          response.end("{}")
        })
      )
      assert.strictEqual((yield* post(port)).status, 502)
      assert.instanceOf(handed, Error)
      const alone = yield* listen((incoming: IncomingMessage, response: ServerResponse) =>
        void failing(incoming, response)
      )
      const response = yield* Effect.promise(() => fetch(`http://127.0.0.1:${alone}/`))
      assert.strictEqual(response.status, 500)
    }))
})
