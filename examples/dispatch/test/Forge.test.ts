import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Context, DateTime, Effect, Fiber, Layer, Redacted, Ref, Schema, Tracer } from "effect"
import { FetchHttpClient, HttpClient, type HttpClientRequest, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { Forge } from "../src/Forge.ts"
import { ForgeError } from "../src/ForgeError.ts"
import { LocalForge } from "../src/LocalForge.ts"

const paginated = "octokit-fixture-org/paginate-issues"

const withForge = (options?: Parameters<typeof LocalForge.layerForge>[0]) =>
  Effect.provide(
    LocalForge.layerForge({ retryDelay: "1 millis", ...options }).pipe(Layer.provideMerge(LocalForge.layer))
  )

const page = (issues: ReadonlyArray<unknown>, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify(issues), { headers })

const issueOne = {
  number: 1,
  title: "One",
  state: "open",
  html_url: "https://forge.example/a/b/issues/1",
  updated_at: "2026-01-01T00:00:00Z",
  assignee: null
}

/** A forge client whose requests are recorded and answered in order. */
const scripted = Effect.fnUntraced(function*(
  answers: ReadonlyArray<Response>,
  options?: Omit<Parameters<typeof Forge.layerNoDeps>[0], "url">
) {
  const requests = yield* Ref.make<ReadonlyArray<HttpClientRequest.HttpClientRequest>>([])
  const client = HttpClient.make((request) =>
    Effect.map(
      Ref.modify(requests, (all) => [answers[all.length] ?? new Response(null, { status: 500 }), [...all, request]]),
      (response) => HttpClientResponse.fromWeb(request, response)
    )
  )
  const context = yield* Layer.build(
    Forge.layerNoDeps({
      url: "https://forge.example/api/v3/",
      token: Redacted.make("secret-token"),
      retryDelay: 0,
      ...options
    }).pipe(Layer.provide(Layer.succeed(HttpClient.HttpClient, client)))
  )
  return { issues: Effect.provide(Forge.use((forge) => forge.issues("a/b")), context), requests: Ref.get(requests) }
})

describe("Forge", () => {
  it.live("follows all five pages of the recorded repository", () =>
    Effect.gen(function*() {
      const listing = yield* (yield* Forge).issues(paginated)
      assert.deepStrictEqual(listing.issues.map((issue) => issue.number), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13])
      assert.strictEqual(listing.pages, 5)
      assert.strictEqual(listing.unchangedPages, 0)
      assert.strictEqual(listing.issues[0]?.url, "https://github.com/octokit-fixture-org/paginate-issues/issues/1")
      const requests = yield* (yield* LocalForge).requests
      assert.deepStrictEqual(requests.map((request) => request.status), [200, 200, 200, 200, 200])
    }).pipe(withForge({ perPage: 3 })))

  it.live("does not transfer unchanged pages again", () =>
    Effect.gen(function*() {
      const forge = yield* Forge
      const local = yield* LocalForge
      const first = yield* forge.issues(paginated)
      const second = yield* forge.issues(paginated)
      assert.deepStrictEqual(second.issues, first.issues)
      assert.strictEqual(second.unchangedPages, 5)
      assert.strictEqual((yield* local.requests).filter((request) => request.status === 304).length, 5)
      yield* local.edit(paginated, 5, { title: "Edited" })
      const third = yield* forge.issues(paginated)
      assert.strictEqual(third.unchangedPages, 4)
      assert.strictEqual(third.issues[4]?.title, "Edited")
    }).pipe(withForge({ perPage: 3 })))

  it.effect("asks for a full last page in full, because it may have gained a successor", () =>
    Effect.gen(function*() {
      const full = () => page([issueOne], { etag: "\"1\"" })
      const { issues, requests } = yield* scripted([full(), full()], { perPage: 1 })
      yield* issues
      yield* issues
      assert.deepStrictEqual((yield* requests).map((request) => request.headers["if-none-match"]), [
        undefined,
        undefined
      ])
    }))

  it.live("leaves pull requests out", () =>
    Effect.gen(function*() {
      const listing = yield* (yield* Forge).issues("Codertocat/Hello-World")
      assert.deepStrictEqual(listing.issues, [])
      assert.strictEqual(listing.pullRequests, 1)
    }).pipe(withForge()))

  it.live("says until when a repository is rate limited", () =>
    Effect.gen(function*() {
      const resetAt = yield* (yield* LocalForge).rateLimit(paginated, "10 minutes")
      const error = yield* Effect.flip((yield* Forge).issues(paginated))
      assert(error._tag === "RateLimited")
      assert.strictEqual(DateTime.formatIso(error.resetAt), DateTime.formatIso(resetAt))
      assert.include(error.hint, DateTime.formatIso(resetAt))
      yield* (yield* LocalForge).heal(paginated)
      assert.strictEqual((yield* (yield* Forge).issues(paginated)).issues.length, 13)
    }).pipe(withForge()))

  it.effect("reads the pause of a secondary rate limit", () =>
    Effect.gen(function*() {
      const { issues } = yield* scripted([
        new Response("{}", { status: 429, headers: { "retry-after": "30" } }),
        new Response("{\"message\":\"You have exceeded a secondary rate limit\"}", { status: 403 })
      ])
      const first = yield* Effect.flip(issues)
      const second = yield* Effect.flip(issues)
      assert(first._tag === "RateLimited" && second._tag === "RateLimited")
      assert.strictEqual(DateTime.toEpochMillis(first.resetAt), 30_000)
      assert.strictEqual(DateTime.toEpochMillis(second.resetAt), 60_000)
    }))

  it.live("retries server errors twice", () =>
    Effect.gen(function*() {
      const forge = yield* Forge
      const local = yield* LocalForge
      yield* local.fail(paginated, 502, 2)
      assert.strictEqual((yield* forge.issues(paginated)).issues.length, 13)
      assert.deepStrictEqual((yield* local.requests).map((request) => request.status), [502, 502, 200])
      yield* local.fail(paginated, 503)
      const error = yield* Effect.flip(forge.issues(paginated))
      assert.strictEqual(error._tag, "ForgeUnavailable")
      assert.include(error.message, "status 503")
      assert.strictEqual((yield* local.requests).length, 6)
    }).pipe(withForge()))

  it.live("says why the forge cannot be reached", () =>
    Effect.gen(function*() {
      const closed = yield* Effect.scoped(Layer.build(LocalForge.layer))
      const { url } = Context.get(closed, LocalForge)
      const context = yield* Layer.build(Forge.layerWith({ url, retryDelay: 0 }))
      const error = yield* Effect.flip(Effect.provide(Forge.use((forge) => forge.issues(paginated)), context))
      assert.strictEqual(error._tag, "ForgeUnavailable")
      assert.include(error.message, url)
      assert.include(error.message, "ECONNREFUSED")
    }).pipe(Effect.scoped))

  it.effect("gives up on a forge that does not answer within five seconds", () =>
    Effect.gen(function*() {
      yield* (yield* LocalForge).stall(paginated)
      const fiber = yield* Effect.forkChild(Effect.flip((yield* Forge).issues(paginated)))
      yield* TestClock.adjust("5 seconds")
      const error = yield* Fiber.join(fiber)
      assert(error._tag === "ForgeTimeout")
      assert.strictEqual(error.millis, 5000)
    }).pipe(withForge()))

  it.live("refuses an answer that was cut off", () =>
    Effect.gen(function*() {
      yield* (yield* LocalForge).truncate(paginated)
      const error = yield* Effect.flip((yield* Forge).issues(paginated))
      assert.strictEqual(error._tag, "ForgePayloadRefused")
      assert.include(error.message, paginated)
    }).pipe(withForge()))

  it.effect.each(
    [
      ["another shape", page([{ number: "one" }]), {}],
      ["a script as an address", page([{ ...issueOne, html_url: "javascript:alert(1)" }]), {}],
      ["a page that is too large", page([issueOne]), { maxPageBytes: 10 }],
      [
        "a page that follows itself",
        page([issueOne], { link: "<?state=all&sort=created&direction=asc&per_page=100>; rel=\"next\"" }),
        {}
      ],
      ["another endpoint", page([issueOne], { link: "</api/v3/user>; rel=\"next\"" }), {}],
      ["an unexpected status", new Response("{}", { status: 422 }), {}]
    ] as const
  )("refuses %s", ([, answer, options]) =>
    Effect.gen(function*() {
      const { issues } = yield* scripted([answer], options)
      assert.strictEqual((yield* Effect.flip(issues))._tag, "ForgePayloadRefused")
    }))

  it.effect("refuses more pages than allowed", () =>
    Effect.gen(function*() {
      const next = (n: number) => page([{ ...issueOne, number: n }], { link: `<?page=${n + 1}>; rel="next"` })
      const { issues, requests } = yield* scripted([next(1), next(2), next(3)], { maxPages: 2 })
      const error = yield* Effect.flip(issues)
      assert.include(error.message, "more than 2 pages")
      assert.strictEqual((yield* requests).length, 2)
    }))

  it.effect.each(
    [
      ["link", page([issueOne], { link: "<https://evil.example/repos/a/b/issues?page=2>; rel=\"next\"" })],
      ["redirect", new Response(null, { status: 301, headers: { location: "https://evil.example/repos/a/b/issues" } })]
    ] as const
  )("never sends the token to another origin: %s", ([, answer]) =>
    Effect.gen(function*() {
      const { issues, requests } = yield* scripted([answer, page([issueOne])])
      const error = yield* Effect.flip(issues)
      assert.strictEqual(error._tag, "ForgePayloadRefused")
      assert.include(error.message, "https://evil.example")
      const sent = yield* requests
      assert.deepStrictEqual(sent.map((request) => new URL(request.url).origin), ["https://forge.example"])
      assert.strictEqual(sent[0]?.headers["authorization"], "Bearer secret-token")
    }))

  it.effect("follows redirects and links at its own origin", () =>
    Effect.gen(function*() {
      const { issues, requests } = yield* scripted([
        new Response(null, { status: 301, headers: { location: "/api/v3/repositories/7/issues" } }),
        page([issueOne], { link: "<https://forge.example/api/v3/repositories/7/issues?page=2>; rel=\"next\"" }),
        page([{ ...issueOne, number: 2, state: "closed", assignee: { login: "ada" } }])
      ])
      const listing = yield* issues
      assert.deepStrictEqual(listing.issues.map(({ assignee, number, state }) => [number, state, assignee]), [
        [1, "open", null],
        [2, "closed", "ada"]
      ])
      assert.deepStrictEqual((yield* requests).map((request) => request.url), [
        "https://forge.example/api/v3/repos/a/b/issues?state=all&sort=created&direction=asc&per_page=100",
        "https://forge.example/api/v3/repositories/7/issues",
        "https://forge.example/api/v3/repositories/7/issues?page=2"
      ])
    }))

  it.effect("lets no HTTP client follow redirects by itself", () =>
    Effect.gen(function*() {
      const modes: Array<RequestRedirect | undefined> = []
      const fetch: typeof globalThis.fetch = (_url, init) => {
        modes.push(init?.redirect)
        return Promise.resolve(page([issueOne]))
      }
      const listing = yield* Forge.use((forge) => forge.issues("a/b")).pipe(
        Effect.provide(Forge.layerWith({ url: "https://forge.example" })),
        Effect.provideService(FetchHttpClient.Fetch, fetch)
      )
      assert.strictEqual(listing.issues.length, 1)
      assert.deepStrictEqual(modes, ["manual"])
    }))

  it.live.each([["right", 13], ["", "TokenRefused"]] as const)(
    "is configured by the environment: token %j",
    ([token, expected]) =>
      Effect.gen(function*() {
        const { url } = yield* LocalForge
        const env = ConfigProvider.fromEnv({ env: { FORGE_URL: url, FORGE_TOKEN: token } })
        const outcome = yield* Forge.use((forge) => forge.issues(paginated)).pipe(
          Effect.provide(Forge.layer.pipe(Layer.provide(ConfigProvider.layer(env)))),
          Effect.match({ onFailure: (error) => error._tag, onSuccess: (listing) => listing.issues.length })
        )
        assert.strictEqual(outcome, expected)
        const [request] = yield* (yield* LocalForge).requests
        assert.strictEqual(request?.authorization, token === "" ? "absent" : "accepted")
      }).pipe(Effect.provide(LocalForge.layerWith({ token: Redacted.make("right") })))
  )

  it.effect.each([401, 403, 404, 410, 500] as const)(
    "keeps the token out of the error for status %s",
    (status) =>
      Effect.gen(function*() {
        const answers = [0, 1, 2].map(() => new Response("{}", { status }))
        const { issues } = yield* scripted(answers)
        const error = yield* Effect.flip(issues)
        const encoded = JSON.stringify(yield* Schema.encodeEffect(ForgeError)(error))
        assert.notInclude(`${encoded} ${error.message} ${error.hint} ${error.stack}`, "secret-token")
        assert.isFalse(error.message.startsWith(error._tag))
      })
  )

  it.live("keeps the token out of spans", () =>
    Effect.gen(function*() {
      const spans: Array<Tracer.Span> = []
      const tracer = Tracer.make({
        span: (options) => {
          const span = new Tracer.NativeSpan(options)
          spans.push(span)
          return span
        }
      })
      yield* Effect.withTracer(Forge.use((forge) => forge.issues(paginated)), tracer)
      assert.isTrue(spans.some((span) => span.name === "Forge.issues"))
      assert.notInclude(
        JSON.stringify(spans.map((span) => [span.name, Object.fromEntries(span.attributes)])),
        "secret-token"
      )
    }).pipe(withForge({ token: Redacted.make("secret-token") })))

  it.live("is refused with a wrong token and served with the right one", () =>
    Effect.gen(function*() {
      const local = yield* LocalForge
      const issues = (token: string | undefined) =>
        Forge.use((forge) => forge.issues(paginated)).pipe(
          Effect.provide(LocalForge.layerForge({ token: token === undefined ? undefined : Redacted.make(token) }))
        )
      const wrong = yield* Effect.flip(issues("wrong"))
      const none = yield* Effect.flip(issues(undefined))
      assert(wrong._tag === "TokenRefused" && none._tag === "TokenRefused")
      assert.deepStrictEqual([wrong.tokenSent, none.tokenSent], [true, false])
      assert.strictEqual((yield* issues("right")).issues.length, 13)
      assert.deepStrictEqual((yield* local.requests).map(({ authorization, status }) => [authorization, status]), [
        ["refused", 401],
        ["absent", 401],
        ["accepted", 200]
      ])
    }).pipe(Effect.provide(LocalForge.layerWith({ token: Redacted.make("right") }))))

  it.live.each(["octokit-fixture-org/unknown", "no-owner", "../user", "a/..", "a/b/c", ""])(
    "does not find %j",
    (repository) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip((yield* Forge).issues(repository))
        assert.strictEqual(error._tag, "RepositoryNotFound")
      }).pipe(withForge())
  )
})
