import { assert, describe, it } from "@effect/vitest"
import { HeartbeatHandler, NodeAdapter } from "@everbeat/http"
import { Effect } from "effect"
import { createServer, type IncomingMessage, request } from "node:http"
import * as http2 from "node:http2"
import { connect } from "node:net"
import { acquire, auth, gated, host, makeGate, secrets, seen, until } from "./harness.ts"
import { listen, sendText, serve, serving } from "./nodeServer.ts"

const path = "/api/agents/triage/heartbeat"
const json = "Content-Type: application/json\r\n"
const authorization = `Bearer ${secrets.triage}`

const send = (port: number, target: string, { body = "", headers = "", hostName = "x", method = "POST" } = {}) =>
  sendText(
    port,
    `${method} ${target} HTTP/1.1\r\nHost: ${hostName}\r\nAuthorization: ${authorization}\r\n${headers}`
      + `Connection: close\r\n\r\n${body}`
  )

describe("NodeAdapter and clients that go away", () => {
  it.live("ends every request of HTTP/2 whose stream was reset", () =>
    Effect.gen(function*() {
      const { node } = yield* serving
      let started = 0
      let ended = 0
      const port = yield* serve(http2.createServer((incoming, response) => {
        started++
        void node(incoming, response).then(() => ended++)
      }))
      const client = http2.connect(`http://127.0.0.1:${port}`)
      client.on("error", () => {})
      for (let index = 0; index < 50; index++) {
        const stream = client.request({ ":path": path, ":method": "POST", authorization: "Bearer bad" })
        stream.on("error", () => {}).write("{")
        setImmediate(() => stream.close(http2.constants.NGHTTP2_CANCEL))
      }
      yield* until(() => started === 50 && ended === 50)
      client.destroy()
    }))

  it.live("stops a stream of HTTP/2 that is reset while it is written", () =>
    Effect.gen(function*() {
      let cancelled = false
      let ended = false
      const body = new ReadableStream<Uint8Array>({
        pull: (controller) => controller.enqueue(new Uint8Array(65_536)),
        cancel: () => void (cancelled = true)
      }, { highWaterMark: 0 })
      const node = NodeAdapter.toNodeHandler({ fetch: () => new Response(body) })
      const port = yield* serve(http2.createServer((incoming, response) => {
        void node(incoming, response).then(() => void (ended = true))
      }))
      const client = http2.connect(`http://127.0.0.1:${port}`)
      client.on("error", () => {})
      const stream = client.request({ ":path": "/" })
      stream.on("error", () => {}).on("response", () => stream.close(http2.constants.NGHTTP2_CANCEL))
      yield* until(() => ended && cancelled)
      client.destroy()
    }))

  for (const [title, length] of [["half of its body", 30], ["its whole body", 2]] as const) {
    it.live(`begins no pass for a client that left before a slow middleware was done, after ${title}`, () =>
      Effect.gen(function*() {
        const { node } = yield* serving
        seen.length = 0
        let gone = false
        let ended = false
        const port = yield* listen((incoming, response) => {
          response.on("close", () => {
            gone = true
            setImmediate(() => void node(incoming, response).then(() => void (ended = true)))
          })
        })
        const socket = connect(port, "127.0.0.1")
        socket.on("error", () => {})
        socket.write(
          `POST ${path} HTTP/1.1\r\nhost: x\r\nauthorization: ${authorization}\r\n`
            + `content-type: application/json\r\ncontent-length: ${length}\r\n\r\n{}`,
          () => setTimeout(() => socket.destroy(), 20)
        )
        yield* until(() => gone && ended)
        assert.lengthOf(seen, 0)
      }))
  }

  for (
    const [title, head] of [
      ["headers", `POST ${path} HTTP/1.1\r\nhost: x\r\n`],
      [
        "a body",
        `POST ${path} HTTP/1.1\r\nhost: x\r\nauthorization: ${authorization}\r\n${json}content-length: 9\r\n\r\n`
      ]
    ] as const
  ) {
    it.live(`begins no pass for a client that trickles ${title} until the server cuts it`, () =>
      Effect.gen(function*() {
        const { handler, node } = yield* serving
        seen.length = 0
        let started = 0
        let ended = 0
        const limits = { requestTimeout: 300, headersTimeout: 300, connectionsCheckingInterval: 50 }
        const port = yield* serve(createServer(limits, (incoming, response) => {
          started++
          void node(incoming, response).then(() => ended++)
        }))
        let closed = false
        const socket = connect(port, "127.0.0.1")
        socket.on("error", () => {}).on("close", () => {
          closed = true
        }).resume().write(head)
        const trickle = setInterval(() => socket.write(" "), 20)
        yield* until(() => closed)
        clearInterval(trickle)
        yield* until(() => ended === started)
        assert.lengthOf(seen, 0)
        yield* Effect.promise(() => handler.dispose())
      }))
  }

  it.live("has written the answers of drained passes when dispose resolves", () =>
    Effect.gen(function*() {
      const gate = yield* makeGate
      const beats = gated(gate.pass)
      const verify = yield* auth
      const handler = yield* acquire(() =>
        HeartbeatHandler.make({ heartbeats: { triage: beats }, auth: verify, layer: host })
      )
      const server = createServer(NodeAdapter.toNodeHandler(handler))
      const port = yield* serve(server)
      let complete = false
      let text = ""
      request({ port, path, method: "POST", headers: { authorization } }, (response: IncomingMessage) => {
        response.on("data", (chunk) => {
          text += String(chunk)
        }).on("end", () => {
          complete = response.complete
        }).on("error", () => {})
      }).on("error", () => {}).end()
      yield* gate.reached
      const disposed = handler.dispose()
      yield* gate.open
      yield* Effect.promise(() => disposed)
      server.closeAllConnections()
      yield* until(() => complete)
      assert.strictEqual(JSON.parse(text).status, "ok")
    }))
})

describe("NodeAdapter and the address", () => {
  for (
    const [title, target, hostName, status] of [
      ["a host with a path", "/harmless", "h/api/agents/triage/heartbeat?", 404],
      ["a host with a backslash", "/harmless", String.raw`h\api\agents\triage\heartbeat?`, 404],
      ["a host with a fragment", path, "h#", 200],
      ["a host with a bad port", path, "h:99999", 200],
      ["a host that is an IPv6 address", path, "[::1]:80", 200],
      ["credentials in the host", path, "u:p@h", 400],
      ["credentials in the target", `http://u:p@h${path}`, "x", 400],
      ["an absolute target", `http://h${path}`, "x", 200],
      ["a backslash in the target", String.raw`/api\agents\triage\heartbeat`, "x", 400],
      ["dot segments", "/api/agents/x/../triage/heartbeat", "x", 400],
      ["encoded dot segments", "/api/agents/x/%2E%2e/triage/heartbeat", "x", 400],
      ["a fragment", `${path}#x`, "x", 400]
    ] as const
  ) {
    it.live(`answers ${title} with ${status}, as a problem or a report`, () =>
      Effect.gen(function*() {
        const { node } = yield* serving
        const port = yield* listen(node)
        const answer = yield* send(port, target, { hostName })
        assert.match(answer, new RegExp(`^HTTP/1.1 ${status} `, "u"))
        assert.match(answer, status === 200 ? /content-type: application\/json/u : /application\/problem\+json/u)
        if (status === 400) assert.include(answer, "invalid-request")
      }))
  }

  it.live("refuses a method in lower case, and answers an unusual one with 405", () =>
    Effect.gen(function*() {
      const { node } = yield* serving
      const plain = yield* listen(node)
      for (const method of ["PROPFIND", "M-SEARCH", "PURGE"]) {
        assert.match(yield* send(plain, path, { method }), /^HTTP\/1.1 405 .*\r\nallow: POST\r\n/su)
        assert.match(yield* send(plain, "/nope", { method }), /^HTTP\/1.1 404 /u)
      }
      const lower = yield* listen((incoming, response) => {
        incoming.method = "post"
        void node(incoming, response)
      })
      assert.match(yield* send(lower, path), /^HTTP\/1.1 400 .*invalid-request/su)
    }))
})

describe("NodeAdapter behind body parsers", () => {
  const parsedAs = (parse: (text: string) => unknown) =>
    Effect.gen(function*() {
      const { node } = yield* serving
      return yield* listen((incoming, response) => {
        const chunks: Array<Uint8Array> = []
        incoming.on("data", (chunk: Uint8Array) => chunks.push(chunk)).on("end", () => {
          void node(Object.assign(incoming, { body: parse(Buffer.concat(chunks).toString()) }), response)
        })
      })
    })

  const posted = (port: number, body: string) => {
    const headers = `${json}Content-Length: ${Buffer.byteLength(body)}\r\n`
    return send(port, path, { headers, body })
  }

  const chunked = `${json}Transfer-Encoding: chunked\r\n`

  it.live("tells the text of a body from the string that it stands for", () =>
    Effect.gen(function*() {
      const text = yield* parsedAs((text) => text)
      const value = yield* parsedAs((text) => JSON.parse(text))
      seen.length = 0
      for (const port of [text, value]) {
        for (const body of [`{"a":1}`, `"abc"`, `"12"`, `"é"`]) yield* posted(port, body)
      }
      const expected = [{ a: 1 }, "abc", "12", "é"]
      assert.deepStrictEqual(seen, [...expected, ...expected])
    }))

  it.live("takes an empty chunked body for no payload", () =>
    Effect.gen(function*() {
      const port = yield* parsedAs((text) => text === "" ? {} : JSON.parse(text))
      seen.length = 0
      assert.match(yield* send(port, path, { headers: chunked, body: "0\r\n\r\n" }), /^HTTP\/1.1 200 /u)
      assert.match(
        yield* send(port, path, { headers: chunked, body: `7\r\n{"a":1}\r\n0\r\n\r\n` }),
        /^HTTP\/1.1 200 /u
      )
      assert.deepStrictEqual(seen, [undefined, { a: 1 }])
    }))

  it.live("reads a body that was given an encoding", () =>
    Effect.gen(function*() {
      const { node } = yield* serving
      const port = yield* listen((incoming, response) => void node(incoming.setEncoding("utf8"), response))
      seen.length = 0
      assert.match(yield* posted(port, `{"a":"é"}`), /^HTTP\/1.1 200 /u)
      assert.deepStrictEqual(seen, [{ a: "é" }])
    }))

  it.live("answers a problem for a value that is no JSON, also inside a framework", () =>
    Effect.gen(function*() {
      const { node } = yield* serving
      let handed = 0
      const port = yield* listen((incoming, response) => {
        incoming.resume().on("end", () => {
          void node(Object.assign(incoming, { body: { n: 1n } }), response, () => handed++)
        })
      })
      const answer = yield* posted(port, `{"n":1}`)
      assert.match(answer, /^HTTP\/1.1 500 .*application\/problem\+json.*internal-error/su)
      assert.strictEqual(handed, 0)
    }))
})
