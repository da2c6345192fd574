import { assert, describe, it } from "@effect/vitest"
import { AgentName } from "@everbeat/core"
import { DateTime, Effect, Layer, Logger, Option, Redacted, type Scope } from "effect"
import { AgentTokens } from "../src/AgentTokens.ts"
import type * as Configuration from "../src/Configuration.ts"
import { Repositories } from "../src/DispatchHeartbeat.ts"
import * as Host from "../src/Host.ts"
import { LocalForge } from "../src/LocalForge.ts"
import { Mirror } from "../src/Mirror.ts"
import { Reporting } from "../src/Reporting.ts"
import type { TicketWrite } from "../src/Ticket.ts"
import { Tracker } from "../src/Tracker.ts"
import { beat, isBusy, request } from "./support/client.ts"
import { overwrite, stores } from "./support/stores.ts"

const tokens = [
  { agent: AgentName.make("triage"), token: Redacted.make("t-triage") },
  { agent: AgentName.make("coder"), token: Redacted.make("t-coder") }
]

const stalled = "octokit-fixture-org/search-issues"

const addressOf = (url: string): Configuration.StoreAddress => ({
  _tag: url.startsWith("redis") ? "Redis" : "Postgres",
  url: Redacted.make(url),
  place: "the store of the test"
})

/** The services of one host: each call stands for a process of its own. */
const servicesOn = (url: string) => Layer.fresh(Host.layerServicesOn(addressOf(url)))

/** A host in this process, with the forge of the test. */
const hostOn = Effect.fnUntraced(function*(url: string) {
  const forge = yield* LocalForge
  const services = yield* Layer.build(
    Layer.mergeAll(servicesOn(url), AgentTokens.layer(tokens)).pipe(
      Layer.provideMerge(Layer.merge(LocalForge.layerForge(), Layer.succeed(Repositories, forge.repositories)))
    )
  )
  return (yield* Effect.provide(Host.serve(0), services)).url
})

const ticket = (number: number): TicketWrite => ({
  repository: "a/b",
  number,
  title: `Ticket ${number} \u0000 \ud800`,
  state: "open",
  assignee: null,
  url: `https://forge.example/a/b/issues/${number}`,
  forgeUpdatedAt: DateTime.makeUnsafe("2026-01-01T00:00:00Z")
})

describe.each(stores)("Dispatch on %s", (_scheme, empty) => {
  const test = (name: string, effect: (url: string) => Effect.Effect<void, unknown, LocalForge | Scope.Scope>) =>
    it.live(
      name,
      () =>
        Effect.scoped(Effect.flatMap(empty, effect)).pipe(
          Effect.provide(Layer.fresh(LocalForge.layer)),
          Effect.provide(Logger.layer([]))
        ),
      60_000
    )

  test("keeps runs, tickets, mirrored issues, claims and reports over a restart", (url) =>
    Effect.gen(function*() {
      const before = yield* Effect.scoped(Effect.gen(function*() {
        const host = yield* hostOn(url)
        const pass = yield* beat(host)
        assert.deepStrictEqual([pass.status, pass.body.status, pass.body.touchedIssueUrls.length], [200, "ok", 16])
        const claim = yield* request("POST", `${host}/api/issues/claim`, "t-coder", {
          url: pass.body.touchedIssueUrls[0]
        })
        assert.strictEqual(claim.status, 200)
        return {
          tickets: (yield* request("GET", `${host}/api/issues`)).body,
          reports: (yield* request("GET", `${host}/api/reports`)).body,
          runs: (yield* request("GET", `${host}/api/agents/triage/runs`)).body
        }
      }))
      const host = yield* hostOn(url)
      assert.deepStrictEqual((yield* request("GET", `${host}/api/issues`)).body, before.tickets)
      assert.deepStrictEqual((yield* request("GET", `${host}/api/reports`)).body, before.reports)
      assert.deepStrictEqual((yield* request("GET", `${host}/api/agents/triage/runs`)).body, before.runs)
      const synced = yield* request("POST", `${host}/api/issues/sync`)
      assert.deepStrictEqual(synced.body.changes, [])
      const changed: ReadonlyArray<number> = synced.body.synced.map((sync: { changed: number }) => sync.changed)
      assert.deepStrictEqual([...new Set(changed)], [0])
    }))

  test("lets one of two hosts run an agent's pass", (url) =>
    Effect.gen(function*() {
      const forge = yield* LocalForge
      const [one, other] = yield* Effect.all([hostOn(url), hostOn(url)], { concurrency: 2 })
      yield* forge.stall(stalled)
      const [first, second] = yield* Effect.all([beat(one), beat(other)], { concurrency: 2 })
      const [done, refused] = isBusy(first) ? [second, first] : [first, second]
      assert.deepStrictEqual([done.status, refused.status], [200, 409])
      assert.strictEqual(refused.body.runId, done.body.runId)
    }))

  test("loses no ticket, claim or report that two hosts write at the same time", (url) =>
    Effect.gen(function*() {
      const open = Layer.build(servicesOn(url)).pipe(Effect.provide(LocalForge.layerForge()))
      const [one, other] = yield* Effect.all([open, open], { concurrency: 2 })
      const numbers = Array.from({ length: 20 }, (_, index) => index + 1)
      const both = [[one, "ada"], [other, "lin"]] as const
      yield* Effect.forEach(numbers, (number) =>
        Effect.gen(function*() {
          const host = number % 2 === 0 ? one : other
          yield* Effect.provide(Effect.flatMap(Tracker, (tracker) => tracker.write([ticket(number)])), host)
          yield* Effect.provide(Effect.flatMap(Reporting, ({ compose }) => compose(`r${number}`, [])), host)
        }), { concurrency: "unbounded", discard: true })
      const claimed = yield* Effect.forEach(numbers, (number) =>
        Effect.forEach(both, ([host, agent]) =>
          Effect.flatMap(Tracker, (tracker) =>
            tracker.claim(agent, ticket(number).url, "1 hour")).pipe(
              Effect.provide(host),
              Effect.map(() =>
                agent
              ),
              Effect.catchTag("TicketClaimed", () => Effect.succeed(undefined))
            ), { concurrency: 2 }), { concurrency: "unbounded" })
      const winners = claimed.map((agents) =>
        agents.filter((agent) => agent !== undefined)
      )
      assert.deepStrictEqual(winners.map(({ length }) => length), numbers.map(() => 1))
      for (const [host] of both) {
        const tickets = yield* Effect.provide(Effect.flatMap(Tracker, (tracker) => tracker.list("a/b")), host)
        assert.deepStrictEqual(tickets.map(({ claim }) => claim?.agent), winners.flat())
        assert.deepStrictEqual(tickets.map(({ title }) => title), numbers.map((number) => ticket(number).title))
        const reports = yield* Effect.provide(Effect.flatMap(Reporting, ({ reports }) => reports), host)
        assert.deepStrictEqual(new Set(reports.map(({ id }) => id)), new Set(numbers.map((number) => `r${number}`)))
      }
    }))

  test("refuses to write tickets that another host changed, and to mirror what is outdated", (url) =>
    Effect.gen(function*() {
      const [one, other] = yield* Effect.all(
        [1, 2].map(() => Layer.build(servicesOn(url)).pipe(Effect.provide(LocalForge.layerForge())))
      )
      assert(one !== undefined && other !== undefined)
      const tracker = yield* Effect.provide(Tracker, one)
      yield* tracker.write([ticket(1)])
      const seen = yield* tracker.list("a/b")
      yield* (yield* Effect.provide(Tracker, other)).write([{ ...ticket(1), state: "closed" }])
      assert.isFalse(yield* tracker.writeIfUnchanged([ticket(1)], seen))
      assert.deepStrictEqual((yield* tracker.list("a/b")).map(({ state }) => state), ["closed"])
      assert.isTrue(yield* tracker.writeIfUnchanged([ticket(1)], yield* tracker.list("a/b")))
      const early = { repository: "a/b", issues: [], askedAt: DateTime.makeUnsafe("2026-01-01T00:00:00Z") }
      const late = { ...early, askedAt: DateTime.makeUnsafe("2026-01-01T00:00:01Z") }
      yield* (yield* Effect.provide(Mirror, other)).put(late)
      const mirror = yield* Effect.provide(Mirror, one)
      yield* mirror.put(early)
      assert.deepStrictEqual(yield* mirror.get("a/b"), Option.some(late))
    }))

  test("refuses to work with a document that is not what it wrote, and leaves it as it is", (url) =>
    Effect.gen(function*() {
      const services = yield* Layer.build(servicesOn(url)).pipe(Effect.provide(LocalForge.layerForge()))
      const tracker = yield* Effect.provide(Tracker, services)
      yield* tracker.write([ticket(1)])
      for (const text of ["", "{", "[{\"repository\":\"a/b\"}]", "null"]) {
        yield* overwrite(url, "tickets", text)
        const errors = yield* Effect.all([
          Effect.flip(tracker.list("a/b")),
          Effect.flip(tracker.write([ticket(2)])),
          Effect.flip(tracker.claim("ada", ticket(1).url, "1 hour"))
        ])
        for (const error of errors) {
          assert(error._tag === "TrackerUnavailable")
          assert.strictEqual(error.outcome, "unreadable")
          assert.include(error.hint, "Restore Dispatch's state")
        }
        assert.strictEqual(yield* overwrite(url, "tickets", text), text, "nothing was written over it")
      }
    }))
})
