import { assert, describe, it } from "@effect/vitest"
import { HeartbeatHandler, HonoAdapter, NodeAdapter } from "@everbeat/http"
import { Effect } from "effect"
import { Hono } from "hono"
import { createServer } from "node:http"
import { acquire, auth, gated, host, makeGate, read, secrets, until } from "./harness.ts"
import { listening } from "./hosts/mount.ts"

const path = "/api/agents/triage/heartbeat"
const init = {
  method: "POST",
  body: "[1]",
  headers: { authorization: `Bearer ${secrets.triage}`, "content-type": "application/json" }
}

/** A Hono application that reads the body in front of the handler. */
const reading = (pass: Effect.Effect<unknown>, readBody: "cached" | "raw") =>
  Effect.gen(function*() {
    const verify = yield* auth
    const heartbeats = { triage: gated(pass) }
    const handler = yield* acquire(() => HeartbeatHandler.make({ heartbeats, auth: verify, layer: host }))
    const app = new Hono()
    app.use(async ({ req }, next) => {
      await (readBody === "raw" ? req.raw.text() : req.json())
      await next()
    })
    app.all("/api/*", HonoAdapter.toHonoHandler(handler))
    return { app, handler }
  })

describe("HonoAdapter", () => {
  it.live("says so when a middleware read the raw request", () =>
    Effect.gen(function*() {
      const { app } = yield* reading(Effect.void, "raw")
      const { json, status } = yield* Effect.promise(async () => read(await app.request(path, init)))
      assert.deepStrictEqual(
        [status, json.type],
        [500, "https://everbeat.dev/problems/body-already-consumed"]
      )
    }))

  it.live("lets dispose wait for the answer to a request whose body was read before", () =>
    Effect.gen(function*() {
      const gate = yield* makeGate
      const { app, handler } = yield* reading(gate.pass, "cached")
      let written = false
      const node = NodeAdapter.toNodeHandler({ fetch: (request) => app.fetch(request) })
      const server = createServer((request, response) => {
        response.on("finish", () => {
          written = true
        })
        void node(request, response)
      })
      const { close, port } = yield* Effect.promise(() => listening(server, handler.dispose))
      yield* Effect.addFinalizer(() => Effect.promise(close))
      let status = 0
      void fetch(`http://127.0.0.1:${port}${path}`, init).then((response) => {
        status = response.status
        return response.text()
      })
      yield* gate.reached
      const disposing = handler.dispose()
      yield* gate.open
      yield* Effect.promise(() => disposing)
      assert.isTrue(written)
      yield* until(() => status === 200)
    }))
})
