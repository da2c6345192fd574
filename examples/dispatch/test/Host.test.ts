import { assert, it } from "@effect/vitest"
import { AgentName } from "@everbeat/core"
import { Effect, Layer, Logger, Option, Redacted } from "effect"
import { AgentTokens } from "../src/AgentTokens.ts"
import { Claims } from "../src/Claims.ts"
import * as Host from "../src/Host.ts"
import { LocalForge } from "../src/LocalForge.ts"
import { TrackerControl } from "../src/Tracker.ts"

const tokens = [
  { agent: AgentName.make("triage"), token: Redacted.make("t-triage") },
  { agent: AgentName.make("coder"), token: Redacted.make("t-coder") }
]

const services = Layer.mergeAll(Host.layerServices, AgentTokens.layer(tokens)).pipe(
  Layer.provideMerge(Host.layerForge({ forgeUrl: Option.none(), repositories: Option.none() })),
  Layer.provideMerge(LocalForge.layer),
  Layer.provideMerge(Logger.layer([]))
)

const request = (url: string, method: "GET" | "POST", token?: string, body?: unknown) =>
  Effect.promise(async (signal) => {
    const response = await fetch(url, {
      method,
      signal,
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { "content-type": "application/json" })
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) })
    })
    return { status: response.status, headers: response.headers, body: await response.json() }
  })

const test = <A, E>(name: string, effect: (url: string) => Effect.Effect<A, E, Layer.Success<typeof services>>) =>
  it.live(
    name,
    () =>
      Effect.scoped(Effect.flatMap(Host.serve(0), ({ url }) => effect(url))).pipe(Effect.provide(Layer.fresh(services)))
  )

test("agents share the heartbeat, each with its own token and its own runs", (url) =>
  Effect.gen(function*() {
    const first = yield* request(`${url}/api/agents/triage/heartbeat`, "POST", "t-triage")
    assert.deepStrictEqual([first.status, first.body.status], [200, "ok"])
    assert.strictEqual(first.body.touchedIssueUrls.length, 16)
    const second = yield* request(`${url}/api/agents/coder/heartbeat`, "POST", "t-coder")
    assert.deepStrictEqual([second.body.status, second.body.touchedIssueUrls], ["ok", []], "nothing has changed since")
    const foreign = yield* request(`${url}/api/agents/coder/heartbeat`, "POST", "t-triage")
    assert.strictEqual(foreign.status, 403)
    const runs = yield* request(`${url}/api/agents/coder/runs`, "GET", "t-coder")
    assert.strictEqual(runs.body.items.length, 1)
  }))

test("people sync with the same services as the steps", (url) =>
  Effect.gen(function*() {
    const forge = yield* LocalForge
    assert.strictEqual((yield* request(`${url}/api/issues/sync`, "POST")).status, 401)
    yield* forge.fail("octokit-fixture-org/search-issues", 404)
    const synced = yield* request(`${url}/api/issues/sync`, "POST", "t-triage")
    assert.strictEqual(synced.status, 200)
    assert.strictEqual(synced.body.changes.length, 14)
    assert.deepStrictEqual(synced.body.failed.map(({ code }: { code: string }) => code), ["RepositoryNotFound"])
    yield* forge.heal("octokit-fixture-org/search-issues")
    const beat = yield* request(`${url}/api/agents/triage/heartbeat`, "POST", "t-triage")
    assert.strictEqual(beat.body.touchedIssueUrls.length, 2, "only what people had not synced")
    assert.strictEqual((yield* request(`${url}/api/issues`, "GET", "t-triage")).body.length, 16)
  }))

test("a claim that was left lying is released by the next heartbeat, and touched", (url) =>
  Effect.gen(function*() {
    const forge = yield* LocalForge
    yield* request(`${url}/api/agents/triage/heartbeat`, "POST", "t-triage")
    const repository = "octokit-fixture-org/search-issues"
    const ticket = (yield* request(`${url}/api/issues`, "GET", "t-triage")).body.find(
      (ticket: { repository: string }) => ticket.repository === repository
    )
    const claimed = yield* request(`${url}/api/issues/claim`, "POST", "t-coder", { url: ticket.url })
    assert.deepStrictEqual([claimed.status, claimed.body.claim.agent], [200, "coder"])
    const taken = yield* request(`${url}/api/issues/claim`, "POST", "t-triage", { url: ticket.url })
    assert.strictEqual(taken.status, 409)
    assert.strictEqual((yield* request(`${url}/api/issues/claim`, "POST", "t-coder", { url: "x" })).status, 404)
    assert.strictEqual((yield* request(`${url}/api/issues/claim`, "POST", "t-coder", 7)).status, 400)
    yield* forge.edit(repository, ticket.number, { state: "closed" })
    const beat = yield* request(`${url}/api/agents/triage/heartbeat`, "POST", "t-triage")
    assert.deepStrictEqual(beat.body.touchedIssueUrls, [ticket.url])
    const claims = yield* Claims
    assert.deepStrictEqual(yield* claims.releaseStale, [])
    const reports = yield* request(`${url}/api/reports`, "GET", "t-triage")
    assert.deepStrictEqual(
      [reports.body[0].id, reports.body[0].total],
      [beat.body.runId, { open: 15, closed: 1, claimed: 0, unassigned: 15 }]
    )
  }))

test("refuses what its own API does not know, and bodies that are too long", (url) =>
  Effect.gen(function*() {
    const wrong = yield* request(`${url}/api/issues/sync`, "GET", "t-triage")
    assert.deepStrictEqual([wrong.status, wrong.headers.get("allow")], [405, "POST"])
    assert.strictEqual((yield* request(`${url}/api/issues/nothing`, "GET", "t-triage")).status, 404)
    const long = yield* request(`${url}/api/issues/claim`, "POST", "t-coder", { url: "x".repeat(100_000) })
    assert.include([400, 413], long.status)
    const text = yield* Effect.promise(() =>
      fetch(`${url}/api/issues/claim`, { method: "POST", headers: { authorization: "Bearer t-coder" }, body: "{}" })
    )
    assert.strictEqual(text.status, 415)
  }))

test("a tracker that is down is a critical failure of the pass, and 503 for people", (url) =>
  Effect.gen(function*() {
    const tracker = yield* TrackerControl
    yield* tracker.setAvailable(false)
    const beat = yield* request(`${url}/api/agents/triage/heartbeat`, "POST", "t-triage")
    assert.deepStrictEqual([beat.status, beat.body.status, beat.body.errors.length], [200, "error", 1])
    assert.include(beat.body.errors[0], "Bring the tracker up again")
    const people = yield* request(`${url}/api/issues`, "GET", "t-triage")
    assert.deepStrictEqual([people.status, people.headers.get("retry-after")], [503, "5"])
  }))

test("warnings of repositories are in their order, whichever failed first", (url) =>
  Effect.gen(function*() {
    const forge = yield* LocalForge
    for (const repository of forge.repositories.toReversed()) yield* forge.fail(repository, 404)
    const beat = yield* request(`${url}/api/agents/triage/heartbeat`, "POST", "t-triage")
    const warnings: ReadonlyArray<string> = beat.body.warnings
    assert.deepStrictEqual(
      warnings.map((warning) => forge.repositories.find((repository) => warning.includes(repository))),
      [...forge.repositories]
    )
    assert.strictEqual(beat.body.status, "warning")
  }))
