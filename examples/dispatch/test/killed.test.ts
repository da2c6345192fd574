/** `npm run dispatch`, killed in the middle of a pass and started again. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Logger, type Scope } from "effect"
import { LocalForge } from "../src/LocalForge.ts"
import { beat, isBusy, request, until } from "./support/client.ts"
import { holdingProxy } from "./support/holdingProxy.ts"
import { startHost } from "./support/processes.ts"
import { stores } from "./support/stores.ts"

const stalled = "octokit-fixture-org/search-issues"

/**
 * Where a first pass over 16 issues is cut off: when the host names a document of its state for the nth time. A pass
 * reads the tickets of each of the four repositories, reads them again and writes them, and ends with the report.
 */
const cuts = [
  { cut: "before it reads the tickets", document: "tickets", nth: 1, when: "before", tickets: 0, touched: 16 },
  // The step runs again and finds that there is nothing left to do.
  {
    cut: "before it learns that it wrote the tickets",
    document: "tickets",
    nth: 6,
    when: "after",
    tickets: 16,
    touched: 0
  },
  { cut: "before it writes the report", document: "reports", nth: 2, when: "before", tickets: 16, touched: 16 },
  {
    cut: "before it learns that it wrote the report",
    document: "reports",
    nth: 2,
    when: "after",
    tickets: 16,
    touched: 16
  }
] as const

/** What Dispatch is started with, on the forge of the test. */
const environment = (store: string) =>
  Effect.map(LocalForge, (forge) => ({
    EVERBEAT_STORE: store,
    EVERBEAT_LEASE: "5 seconds",
    FORGE_URL: forge.url,
    FORGE_REPOS: forge.repositories.join(",")
  }))

const listed = Effect.fnUntraced(function*(host: string) {
  const { body, status } = yield* request("GET", `${host}/api/agents/triage/runs`)
  assert.strictEqual(status, 200)
  const runs: ReadonlyArray<{ readonly runId: string }> = body.items
  return runs.map(({ runId }) => runId)
})

const issuesOf = (host: string) => Effect.map(request("GET", `${host}/api/issues`), ({ body }) => body)

describe.concurrent.each(stores)("npm run dispatch on %s, killed with kill -9", (_scheme, empty) => {
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

  for (const { cut, document, nth, tickets, touched, when } of cuts) {
    test(`continues the pass from its first step without an outcome: ${cut}`, (url) =>
      Effect.gen(function*() {
        const forge = yield* LocalForge
        const proxy = yield* holdingProxy(url)
        const victim = yield* startHost(yield* environment(proxy.url))
        const held = yield* Effect.forkChild(proxy.hold(document, nth, when), { startImmediately: true })
        yield* Effect.forkScoped(Effect.ignoreCause(beat(victim.url)))
        yield* Fiber.join(held)
        const asked = (yield* forge.requests).length
        assert.isNull(yield* victim.end("SIGKILL"))

        const again = yield* startHost(yield* environment(url))
        const runIds = yield* listed(again.url)
        assert.strictEqual(runIds.length, 1)
        const before = yield* issuesOf(again.url)
        assert.strictEqual(before.length, tickets, "the tracker is as the killed host left it")
        const { body, status } = yield* until(beat(again.url), (answer) => !isBusy(answer))
        assert.deepStrictEqual([status, body.status, body.runId], [200, "ok", runIds[0]])
        assert.strictEqual(new Set(body.touchedIssueUrls).size, touched)

        assert.strictEqual((yield* forge.requests).length, asked, "the forge was not asked again")
        const after = yield* issuesOf(again.url)
        assert.strictEqual(new Set(after.map(({ url }: { readonly url: string }) => url)).size, 16)
        assert.strictEqual(after.length, 16)
        if (tickets > 0) assert.deepStrictEqual(after, before, "what was written was not written again")
        const reports = yield* request("GET", `${again.url}/api/reports`)
        assert.deepStrictEqual(reports.body.map(({ id }: { readonly id: string }) => id), runIds)
        assert.deepStrictEqual(yield* listed(again.url), runIds)
        const run = yield* request("GET", `${again.url}/api/agents/triage/runs/${runIds[0]}`)
        assert.deepStrictEqual(
          run.body.attempts.map(({ end, number }: { readonly end: string; readonly number: number }) => [number, end]),
          [[1, "expired"], [2, "settled"]]
        )
        assert.deepStrictEqual(
          run.body.steps.map(({ name, status }: { readonly name: string; readonly status: string }) => [name, status]),
          ["sync-issues", "reconcile", "release-stale-claims", "report"].map((name) => [name, "ok"])
        )
      }))
  }

  test("repeats a first step that was cut off, with tickets, claims and reports as they were", (url) =>
    Effect.gen(function*() {
      const forge = yield* LocalForge
      const victim = yield* startHost(yield* environment(url))
      const first = yield* beat(victim.url)
      assert.deepStrictEqual([first.status, first.body.touchedIssueUrls.length], [200, 16])
      const claim = yield* request("POST", `${victim.url}/api/issues/claim`, "t-coder", {
        url: first.body.touchedIssueUrls[3]
      })
      assert.strictEqual(claim.status, 200)
      const before = yield* issuesOf(victim.url)
      yield* forge.stall(stalled)
      yield* Effect.forkScoped(Effect.ignoreCause(beat(victim.url)))
      yield* until(forge.requests, (requests) => requests.some(({ status }) => status === null))
      yield* victim.end("SIGKILL")
      yield* forge.heal(stalled)

      const again = yield* startHost(yield* environment(url))
      assert.deepStrictEqual(yield* issuesOf(again.url), before)
      const runIds = yield* listed(again.url)
      const { body, status } = yield* until(beat(again.url), (answer) => !isBusy(answer))
      assert.deepStrictEqual([status, body.status, body.touchedIssueUrls], [200, "ok", []])
      assert.includeMembers([...runIds], [body.runId, first.body.runId])
      assert.strictEqual(runIds.length, 2)
      assert.deepStrictEqual(yield* issuesOf(again.url), before)
    }))
})
