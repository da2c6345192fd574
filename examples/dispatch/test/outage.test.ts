/** `npm run dispatch` while its database is away. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Logger, type Scope } from "effect"
import { LocalForge } from "../src/LocalForge.ts"
import { beat, request, until } from "./support/client.ts"
import { breakable, password } from "./support/outages.ts"
import { startHost } from "./support/processes.ts"

type Answer = Effect.Success<ReturnType<typeof request>>

/** An answer that says that it is not the caller's fault, and when to come again. */
const isOutage = (answer: Answer, ...types: ReadonlyArray<string>): void => {
  assert.strictEqual(answer.status, 503, JSON.stringify(answer.body))
  assert.match(answer.headers.get("content-type") ?? "", /^application\/problem\+json/)
  assert.isAbove(Number(answer.headers.get("retry-after")), 0)
  assert.strictEqual(answer.body.status, 503)
  assert.include(types, String(answer.body.type).split("/").at(-1))
}

const kinds = ["stopped", "frozen"] as const

describe.concurrent.each(breakable)("npm run dispatch on %s, whose server goes away", (_scheme, server) => {
  const test = (name: string, effect: Effect.Effect<void, unknown, LocalForge | Scope.Scope>) =>
    it.live(
      name,
      () =>
        Effect.scoped(effect).pipe(
          Effect.provide(Layer.fresh(LocalForge.layer)),
          Effect.provide(Logger.layer([]))
        ),
      240_000
    )

  for (const kind of kinds) {
    test(
      `answers typed problems while it is ${kind}, and works again after`,
      Effect.gen(function*() {
        const forge = yield* LocalForge
        const { freeze, start, stop, thaw, url } = yield* server
        const leave = Effect.promise(async () => kind === "stopped" ? stop() : freeze())
        const comeBack = Effect.promise(async () => kind === "stopped" ? start() : thaw())
        const [stalled = ""] = forge.repositories
        const host = yield* startHost({
          EVERBEAT_STORE: url,
          EVERBEAT_LEASE: "5 seconds",
          FORGE_URL: forge.url,
          FORGE_REPOS: forge.repositories.join(",")
        })
        const api = (path: string) => request("GET", `${host.url}/api/${path}`)
        const first = yield* beat(host.url)
        assert.deepStrictEqual([first.status, first.body.status], [200, "ok"])
        const before = (yield* api("issues")).body

        // One pass is under way when the server leaves.
        yield* forge.stall(stalled)
        const underWay = yield* Effect.forkChild(beat(host.url))
        yield* until(forge.requests, (requests) => requests.some(({ status }) => status === null))
        yield* leave
        yield* Effect.gen(function*() {
          isOutage(yield* Fiber.join(underWay), "run-not-recorded", "run-interrupted", "store-unavailable")
          const answers = yield* Effect.all([
            beat(host.url, "coder"),
            api("agents/triage/runs"),
            api("issues"),
            api("reports"),
            request("POST", `${host.url}/api/issues/claim`, "t-coder", { url: before[0].url }),
            request("POST", `${host.url}/api/issues/sync`)
          ], { concurrency: "unbounded" })
          const [heartbeat, runs, ...own] = answers
          isOutage(heartbeat, "store-unavailable")
          isOutage(runs, "store-unavailable")
          for (const answer of own) {
            isOutage(answer, "about:blank")
            assert.strictEqual(answer.body.title, "Tracker unavailable")
          }
          assert.isTrue(host.isAlive(), host.output())
        }).pipe(Effect.ensuring(comeBack))
        yield* forge.heal(stalled)

        for (const agent of ["triage", "coder"]) {
          const { body } = yield* until(beat(host.url, agent), ({ status }) => status === 200)
          assert.strictEqual(body.status, "ok")
        }
        const after = yield* until(api("issues"), ({ status }) => status === 200)
        const urls = (issues: ReadonlyArray<{ readonly url: string }>) => issues.map(({ url }) => url)
        assert.deepStrictEqual(urls(after.body), urls(before))
        assert.notInclude(host.output(), password)
        assert.strictEqual(yield* host.end("SIGTERM"), 0)
      })
    )
  }
})
