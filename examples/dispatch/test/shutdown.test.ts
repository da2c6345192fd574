/** `npm run dispatch`, told to stop with SIGTERM in the middle of a pass. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Logger, type Scope } from "effect"
import { once } from "node:events"
import { createServer } from "node:http"
import { setTimeout as sleep } from "node:timers/promises"
import { LocalForge } from "../src/LocalForge.ts"
import { beat, request, until } from "./support/client.ts"
import { startHost } from "./support/processes.ts"
import { stores } from "./support/stores.ts"

/** A forge that takes a second for each page and has no last one, until it is healed. */
const endlessForge = Effect.acquireRelease(
  Effect.promise(async () => {
    let pages = 0
    let endless = true
    const server = createServer((request, response) => {
      const next = `<http://${request.headers.host}${request.url}&page=${++pages}>; rel="next"`
      void sleep(endless ? 1000 : 0).then(() =>
        response.writeHead(200, { "content-type": "application/json", ...(endless ? { link: next } : {}) }).end("[]")
      )
    }).listen(0, "127.0.0.1")
    await once(server, "listening")
    const address = server.address()
    return {
      url: `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`,
      pages: () => pages,
      heal: () => {
        endless = false
      },
      close: () => {
        server.closeAllConnections()
        server.close()
      }
    }
  }),
  ({ close }) => Effect.sync(close)
)

describe.concurrent.each(stores)("npm run dispatch on %s, told to stop", (_scheme, empty) => {
  const test = (name: string, effect: (url: string) => Effect.Effect<void, unknown, LocalForge | Scope.Scope>) =>
    it.live(
      name,
      () =>
        Effect.scoped(Effect.flatMap(empty, effect)).pipe(
          Effect.provide(Layer.fresh(LocalForge.layer)),
          Effect.provide(Logger.layer([]))
        ),
      240_000
    )

  test("ends the pass in flight, answers its caller, and leaves nothing to continue", (url) =>
    Effect.gen(function*() {
      const forge = yield* LocalForge
      const env = { EVERBEAT_STORE: url, FORGE_URL: forge.url, FORGE_REPOS: forge.repositories.join(",") }
      const [stalled = ""] = forge.repositories
      const host = yield* startHost(env)
      yield* forge.stall(stalled) // until the client's patience of five seconds is over
      const call = yield* Effect.forkChild(beat(host.url))
      yield* until(forge.requests, (requests) => requests.some(({ status }) => status === null))
      const ended = yield* Effect.forkChild(host.end("SIGTERM"), { startImmediately: true })
      const { body, status } = yield* Fiber.join(call)
      assert.deepStrictEqual([status, body.status, body.warnings.length], [200, "warning", 1])
      assert.strictEqual(yield* Fiber.join(ended), 0)
      const again = yield* startHost(env)
      const runs = yield* request("GET", `${again.url}/api/agents/triage/runs`)
      assert.deepStrictEqual(
        runs.body.items.map((run: { readonly runId: string; readonly status: string }) => [run.runId, run.status]),
        [[body.runId, "warning"]]
      )
    }))

  test("releases a pass that does not end within the grace: another process continues it at once", (url) =>
    Effect.gen(function*() {
      const forge = yield* endlessForge
      // With the lease of 30 seconds that nobody changed.
      const env = { EVERBEAT_STORE: url, FORGE_URL: forge.url, FORGE_REPOS: "a/b" }
      const [host, other] = yield* Effect.all([startHost(env), startHost(env)], { concurrency: 2 })
      const call = yield* Effect.forkChild(beat(host.url))
      yield* until(Effect.sync(forge.pages), (pages) => pages > 0)
      const ended = yield* Effect.forkChild(host.end("SIGTERM"), { startImmediately: true })
      const busy = yield* beat(other.url)
      assert.strictEqual(busy.status, 409, "it has its grace")
      const cut = yield* Fiber.join(call)
      assert.strictEqual(cut.status, 503)
      assert.match(cut.body.type, /run-interrupted$/)
      assert.isNotNull(cut.headers.get("retry-after"))
      assert.strictEqual(yield* Fiber.join(ended), 0)
      forge.heal()
      const next = yield* beat(other.url)
      assert.deepStrictEqual([next.status, next.body.status, next.body.runId], [200, "ok", busy.body.runId])
      const run = yield* request("GET", `${other.url}/api/agents/triage/runs/${busy.body.runId}`)
      assert.deepStrictEqual(
        run.body.attempts.map(({ end, reason }: { readonly end: string; readonly reason?: string }) => [end, reason]),
        [["released", "shutdown"], ["settled", undefined]]
      )
    }))
})
