import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { type Heartbeat, HeartbeatEngine } from "@everbeat/core"
import { HeartbeatHandler } from "@everbeat/http"
import { MemoryStore } from "@everbeat/store-memory"
import { Effect, Fiber, Layer, Logger, Metric, Stream, type Tracer } from "effect"
import { HttpMiddleware, HttpRouter, HttpServerResponse } from "effect/http"
import { createServer } from "node:http"
import { acquire, auth, heartbeats, host, hostWith, requestOf, secrets, until } from "./harness.ts"
import { observed } from "./observed.ts"

/** A token of the published format, and one that is cut off and in other letters. */
const inPath = [
  "evb_live_triage1_3q2r8x5c7v9b1n4m6k8j0h2g4f6d8s0a1q2w3e4r5t6y7u8i9o0p",
  "EVB_live_triage1_3q2r8x5c"
]

const attributesOf = (span: Tracer.Span | undefined) => Object.fromEntries(span?.attributes ?? [])

const broken = hostWith({ runs: () => ({ list: () => Effect.die(new Error("a bug")) }) })

const asks = (token: string): ReadonlyArray<readonly [method: string, path: string, expected: number]> => [
  ["POST", `/api/agents/${token}/heartbeat`, 403],
  ["GET", `/api/agents/${token}/runs`, 403],
  ["GET", `/api/agents/triage/runs/${token}`, 400],
  ["POST", `/api/agents/triage/runs/${token}/cancel`, 400],
  ["DELETE", `/api/agents/triage/heartbeat?${token}=${token}`, 405],
  ["GET", `/api/agents/triage/runs?limit=${token}&${token}`, 400]
]

const unknownAsks = (token: string) =>
  [
    ["GET", `/api/agents/${token}`],
    ["GET", `/api/agents/${token}/nope`],
    ["POST", `/${token}`],
    ["GET", `/api/${token}/health?access=${token}`],
    [token, "/api/health"]
  ] as const

describe("the span of a request to the fetch core", () => {
  it.live("has no token that was put into the path, nor has a log, whatever became of the request", () =>
    Effect.gen(function*() {
      const { layer, spans, text } = observed()
      const verify = yield* auth
      const handler = yield* acquire(() =>
        HeartbeatHandler.make({ heartbeats, auth: verify, layer: Layer.provideMerge(broken, layer) })
      )
      const ask = (method: string, path: string, token?: string) =>
        Effect.promise(() => handler.fetch(requestOf(path, { method, token })))
      for (const token of inPath) {
        for (const [method, path, status] of asks(token)) {
          assert.strictEqual((yield* ask(method, path, secrets.triage)).status, status)
        }
        for (const [method, path] of unknownAsks(token)) {
          assert.include([404, 405], (yield* ask(method, path)).status)
        }
        assert.strictEqual((yield* ask("GET", `/api/agents/triage/runs?${token}`, secrets.triage)).status, 500)
      }
      const seen = text()
      assert.isAbove(spans.length, 20)
      assert.notMatch(seen, /evb_/iu)
      assert.include(seen, `"url.path","/unknown"`)
      assert.include(seen, `"url.path","/api/agents/:agentName/heartbeat"`)
      assert.include(seen, `"url.path","/api/agents/triage/runs/:runId"`)
      assert.include(seen, `"http.request.method","_OTHER"`)
    }))

  it.live("tells what the API knows of the address", () =>
    Effect.gen(function*() {
      const { layer, spans } = observed()
      const verify = yield* auth
      const handler = yield* acquire(() =>
        HeartbeatHandler.make({ heartbeats, auth: verify, layer: Layer.merge(host, layer), basePath: "/internal" })
      )
      const id = "01a1fc4b-0e11-76af-a7f8-60f1a1b3dc01"
      for (const rest of [`/${id}`, "?limit=7&status=ok&cursor=abc&x=1"]) {
        const path = `/internal/api/agents/triage/runs${rest}`
        yield* Effect.promise(() => handler.fetch(requestOf(path, { token: secrets.triage })))
      }
      const [one, list] = spans.filter(({ kind }) => kind === "server")
      assert.strictEqual(one?.name, "GET /internal/api/agents/:agentName/runs/:runId")
      assert.deepInclude(attributesOf(one), {
        "http.route": "/internal/api/agents/:agentName/runs/:runId",
        "http.request.method": "GET",
        "http.response.status_code": 404,
        "url.path": `/internal/api/agents/triage/runs/${id}`,
        "url.full": `http://localhost/internal/api/agents/triage/runs/${id}`,
        "server.address": "localhost"
      })
      assert.strictEqual(attributesOf(list)["url.query"], "limit=7&status=REDACTED&cursor=REDACTED")
    }))

  it.live("is none where the host wants none", () =>
    Effect.gen(function*() {
      const { layer, spans } = observed()
      const verify = yield* auth
      const none = Layer.succeed(HttpMiddleware.TracerDisabledWhen, ({ url }) => url.endsWith("/api/ready"))
      const handler = yield* acquire(() =>
        HeartbeatHandler.make({ heartbeats, auth: verify, layer: Layer.mergeAll(host, layer, none) })
      )
      for (const path of ["/api/ready", "/api/agents/triage/runs"]) {
        const { status } = yield* Effect.promise(() => handler.fetch(requestOf(path, { token: secrets.triage })))
        assert.strictEqual(status, 200)
      }
      assert.deepStrictEqual(spans.filter(({ kind }) => kind === "server").map(({ name }) => name), [
        "GET /api/agents/:agentName/runs"
      ])
    }))
})

type Options = Partial<HeartbeatHandler.RoutesOptions<Heartbeat.Any, never>> & { readonly spans?: boolean }

/** A real server of a host that runs on Effect, with the routes and a page of its own. */
const onNode = Effect.fnUntraced(function*(options: Options, observing: Layer.Layer<never>) {
  const { spans = true, ...rest } = options
  const verify = yield* auth
  const server = createServer()
  const routes = HeartbeatHandler.layer({ heartbeats, auth: verify, basePath: "/internal", ...rest })
  const own = HttpRouter.add("GET", "/own", HttpServerResponse.text("mine"))
  const app = HttpRouter.serve(Layer.mergeAll(own, routes), { disableLogger: true, disableListenLog: true }).pipe(
    Layer.provide(spans ? HeartbeatHandler.layerSpans({ basePath: "/internal" }) : Layer.empty),
    Layer.provideMerge(NodeHttpServer.layer(() => server, { port: 0, host: "127.0.0.1" })),
    Layer.provideMerge(HeartbeatEngine.layer),
    Layer.provideMerge(MemoryStore.layer),
    Layer.provideMerge(observing)
  )
  const context = yield* Layer.build(app)
  const address = server.address()
  const origin = `http://127.0.0.1:${typeof address === "object" ? address?.port : undefined}`
  const ask = (method: string, path: string, token?: string) =>
    Effect.promise(async () => {
      const headers = { connection: "close", ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) }
      const response = await fetch(`${origin}${path}`, { method, headers })
      return { status: response.status, text: await response.text() }
    })
  return { ask, context }
})

describe("the routes in a host that runs on Effect", () => {
  it.live("make the spans of their requests, without what may be a secret", () =>
    Effect.gen(function*() {
      const { layer, spans, text } = observed()
      const { ask } = yield* onNode({}, layer)
      for (const token of inPath) {
        for (const [method, path, status] of asks(token)) {
          assert.strictEqual((yield* ask(method, `/internal${path}`, secrets.triage)).status, status)
        }
      }
      const beat = yield* ask("POST", "/internal/api/agents/triage/heartbeat", secrets.triage)
      assert.strictEqual(JSON.parse(beat.text).status, "ok")
      yield* ask("GET", "/own?page=2")
      yield* until(() => spans.filter(({ kind }) => kind === "server").length === inPath.length * asks("").length + 2)
      assert.notMatch(text(), /evb_/iu)
      const served = spans.filter(({ kind }) => kind === "server")
      const beaten = served.find((span) =>
        attributesOf(span)["url.path"] === "/internal/api/agents/triage/heartbeat"
        && attributesOf(span)["http.response.status_code"] === 200
      )
      assert.strictEqual(beaten?.name, "POST /internal/api/agents/:agentName/heartbeat")
      assert.strictEqual(attributesOf(beaten)["http.route"], "/internal/api/agents/:agentName/heartbeat")
      assert.isTrue(spans.some(({ parent }) => parent._tag === "Some" && parent.value.spanId === beaten?.spanId))
      // The host's own are made by its server.
      assert.strictEqual(attributesOf(served.find(({ name }) => name === "GET"))["url.query"], "page=2")
    }))

  it.live("leave the spans to the server of the host where they were not asked for them", () =>
    Effect.gen(function*() {
      const { layer, spans } = observed()
      const { ask } = yield* onNode({ spans: false }, layer)
      yield* ask("POST", "/internal/api/agents/triage/heartbeat", secrets.triage)
      yield* until(() => spans.some(({ kind, status }) => kind === "server" && status._tag === "Ended"))
      const served = spans.filter(({ kind }) => kind === "server")
      assert.deepStrictEqual(served.map(({ name }) => name), ["POST"])
      assert.strictEqual(attributesOf(served[0])["http.route"], "/internal/api/agents/:agentName/heartbeat")
    }))

  it.live("make them behind a web handler of the host as well", () =>
    Effect.gen(function*() {
      const { layer, spans } = observed()
      const verify = yield* auth
      const routes = HeartbeatHandler.layer({ heartbeats, auth: verify })
      const { dispose, handler } = HttpRouter.toWebHandler(
        Layer.mergeAll(routes, HeartbeatHandler.layerSpans(), layer).pipe(Layer.provide(host)),
        { disableLogger: true }
      )
      yield* Effect.addFinalizer(() => Effect.promise(dispose))
      const path = `/api/agents/${inPath[0]}/runs`
      const { status } = yield* Effect.promise(() => handler(requestOf(path, { token: secrets.triage })))
      assert.strictEqual(status, 403)
      const served = spans.filter(({ kind }) => kind === "server")
      assert.deepStrictEqual(served.map(({ name }) => name), ["GET /api/agents/:agentName/runs"])
      assert.strictEqual(attributesOf(served[0])["url.path"], "/api/agents/:agentName/runs")
    }))

  it.live("count their requests, and no others", () =>
    Effect.gen(function*() {
      const { ask, context } = yield* onNode({}, Layer.succeed(Metric.MetricRegistry, new Map()))
      yield* ask("POST", "/internal/api/agents/triage/heartbeat", secrets.triage)
      yield* ask("POST", "/internal/api/agents/triage/heartbeat")
      yield* ask("GET", "/internal/api/agents/triage/heartbeat")
      yield* ask("GET", "/own")
      const counted = yield* Effect.provideContext(Metric.snapshot, context)
      assert.sameDeepMembers(
        counted.filter(({ id }) => id === "everbeat_http_requests_total").map(({ attributes, state }) => [
          attributes?.["method"],
          attributes?.["route"],
          attributes?.["status"],
          "count" in state ? state.count : undefined
        ]),
        [
          ["POST", "/api/agents/:agentName/heartbeat", "200", 1],
          ["POST", "/api/agents/:agentName/heartbeat", "401", 1],
          ["GET", "/api/agents/:agentName/heartbeat", "405", 1]
        ]
      )
    }))

  it.live("tell of settled runs, to a callback and as a stream", () =>
    Effect.gen(function*() {
      const told: Array<string> = []
      const onSettled = async ({ runId }: { readonly runId: string }) => {
        await new Promise((next) => setImmediate(next))
        told.push(runId)
        if (told.length === 1) throw new Error("an alert that fails")
      }
      yield* Effect.scoped(Effect.gen(function*() {
        const { ask, context } = yield* onNode({ onSettled }, Logger.layer([]))
        const streamed = yield* HeartbeatHandler.settled.pipe(
          Stream.take(2),
          Stream.runCollect,
          Effect.provideContext(context),
          Effect.forkChild({ startImmediately: true })
        )
        const first = yield* ask("POST", "/internal/api/agents/triage/heartbeat", secrets.triage)
        const second = yield* ask("POST", "/internal/api/agents/release/heartbeat", secrets.release)
        const ids = [first, second].map(({ text }) => JSON.parse(text).runId)
        assert.deepStrictEqual((yield* Fiber.join(streamed)).map(({ runId }) => runId), ids)
        yield* until(() => told.length === 2)
        assert.deepStrictEqual(told, ids)
        yield* ask("POST", "/internal/api/agents/triage/heartbeat", secrets.triage)
      }))
      // Whoever was told of last is waited for.
      assert.strictEqual(told.length, 3)
    }))
})
