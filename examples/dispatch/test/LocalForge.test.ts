import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { FetchHttpClient, HttpClient } from "effect/http"
import { LocalForge } from "../src/LocalForge.ts"

const helloWorld = "Codertocat/Hello-World"
const paginated = "octokit-fixture-org/paginate-issues"

const withLocal = Effect.provide(Layer.mergeAll(LocalForge.layer, FetchHttpClient.layer))

const get = Effect.fnUntraced(function*(path: string, headers: Record<string, string> = {}) {
  const { url } = yield* LocalForge
  const response = yield* HttpClient.get(`${url}${path}`, { headers })
  return { status: response.status, headers: response.headers, body: yield* response.text }
})

describe("LocalForge", () => {
  it.live("pages like GitHub", () =>
    Effect.gen(function*() {
      const { url } = yield* LocalForge
      const first = yield* get(`/repos/${paginated}/issues?per_page=3`)
      assert.deepStrictEqual(JSON.parse(first.body).map((issue: { number: number }) => issue.number), [13, 12, 11])
      assert.strictEqual(
        first.headers["link"],
        `<${url}/repos/${paginated}/issues?per_page=3&page=2>; rel="next", ` +
          `<${url}/repos/${paginated}/issues?per_page=3&page=5>; rel="last"`
      )
      const last = yield* get(`/repos/${paginated}/issues?per_page=3&page=5`)
      assert.deepStrictEqual(JSON.parse(last.body).map((issue: { number: number }) => issue.number), [1])
      assert.notInclude(last.headers["link"] ?? "", "rel=\"next\"")
    }).pipe(withLocal))

  it.live("answers 304 to a matching ETag", () =>
    Effect.gen(function*() {
      const first = yield* get(`/repos/${paginated}/issues`)
      const second = yield* get(`/repos/${paginated}/issues`, { "if-none-match": first.headers["etag"] ?? "" })
      assert.strictEqual(second.status, 304)
      assert.strictEqual(second.body, "")
    }).pipe(withLocal))

  it.live("shows errors in GitHub's shape", () =>
    Effect.gen(function*() {
      for (const path of ["/repos/a/b/issues", "/user", `/repos/${paginated}/issues/1`]) {
        const { body, status } = yield* get(path)
        assert.strictEqual(status, 404)
        assert.strictEqual(JSON.parse(body).message, "Not Found")
      }
    }).pipe(withLocal))

  it.live("replays the recorded events in the order in which they happened", () =>
    Effect.gen(function*() {
      const local = yield* LocalForge
      const events = yield* local.replay(14)
      assert.deepStrictEqual(
        events.map((event) => `${event.action}#${event.number}${event.changed ? " changed" : ""}`),
        [
          "opened#1 changed",
          "edited#1",
          "assigned#1",
          "labeled#1",
          "pinned#1",
          "unpinned#1",
          "unassigned#1 changed",
          "unlabeled#1",
          "locked#1",
          "unlocked#1",
          "demilestoned#2",
          "milestoned#2",
          "deleted#1 changed",
          "reopened#1 changed"
        ]
      )
      const again = yield* local.nextEvent
      assert.deepStrictEqual([again.action, again.repository], ["opened", helloWorld])
    }).pipe(withLocal))

  it.live("moves the time of an issue with every change", () =>
    Effect.gen(function*() {
      const local = yield* LocalForge
      const updatedAt = Effect.map(
        get(`/repos/${paginated}/issues?per_page=1`),
        ({ body }): string => JSON.parse(body)[0].updated_at
      )
      const before = yield* updatedAt
      yield* local.edit(paginated, 13, { title: "Edited" })
      const after = yield* updatedAt
      yield* local.edit(paginated, 13, { assignee: "ada" })
      const later = yield* updatedAt
      assert.isTrue(before < after && after < later)
      assert.match(later, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/u)
    }).pipe(withLocal))

  it.live("refuses controls for what it does not serve", () =>
    Effect.gen(function*() {
      const local = yield* LocalForge
      const error = yield* Effect.flip(local.stall("a/b"))
      assert.strictEqual(error.message, "The local forge does not serve a/b")
      assert.include(error.hint, paginated)
      assert.include((yield* Effect.flip(local.edit(paginated, 99, {}))).message, "#99")
    }).pipe(withLocal))

  it.live("closes while a request is stalled", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const local = Context.get(yield* Layer.buildWithScope(LocalForge.layer, scope), LocalForge)
      yield* local.stall(paginated)
      const fiber = yield* Effect.forkChild(Effect.exit(HttpClient.get(`${local.url}/repos/${paginated}/issues`)))
      yield* Effect.repeat(Effect.yieldNow, { until: () => Effect.map(local.requests, (all) => all.length === 1) })
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(Exit.isFailure(yield* Fiber.join(fiber)))
    }).pipe(Effect.provide(FetchHttpClient.layer)))
})
