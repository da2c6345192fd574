import { Config, Context, Duration, Effect, identity, Layer, Option, type Redacted, Schedule, Schema } from "effect"
import { FetchHttpClient, HttpClient, type HttpClientError, HttpClientRequest } from "effect/http"
import {
  type ForgeError,
  ForgePayloadRefused,
  ForgeTimeout,
  ForgeUnavailable,
  RepositoryNotFound
} from "./ForgeError.ts"
import { describeFailure, followableLink, nextLink, readText, refusal } from "./ForgeResponse.ts"
import { type Issue, IssueState, RepositoryName } from "./Issue.ts"

/** All issues of one repository, as the forge showed them during one walk over its pages. */
export interface ForgeListing {
  readonly repository: string
  /** Open and closed issues by ascending number, without pull requests. */
  readonly issues: ReadonlyArray<Issue>
  readonly pages: number
  /** Pages the forge did not send again because nothing on them had changed. */
  readonly unchangedPages: number
  /** Entries that were left out because they are pull requests. */
  readonly pullRequests: number
}

/** How the forge client reaches the forge. */
export interface ForgeOptions {
  /** Root of a GitHub-compatible REST API. @default "https://api.github.com" */
  readonly url?: string | URL | undefined
  readonly token?: Redacted.Redacted | undefined
  /** Issues per page, at most 100. @default 100 */
  readonly perPage?: number | undefined
  /** Bound for one request including its body. @default "5 seconds" */
  readonly timeout?: Duration.Input | undefined
  /** Pause before the first retry; doubles for the second. @default "200 millis" */
  readonly retryDelay?: Duration.Input | undefined
  /** Pages of one repository that are read before the client gives up. @default 100 */
  readonly maxPages?: number | undefined
  /** Size of one page that is read before the client gives up. @default 32 MiB */
  readonly maxPageBytes?: number | undefined
}

interface Page {
  readonly etag: string | undefined
  readonly issues: ReadonlyArray<Issue>
  readonly pullRequests: number
  readonly next: string | undefined
}

type Fetched = Page & { readonly unchanged: boolean }

const maxRedirects = 3
const maxCachedRepositories = 200

const decodePage = Schema.decodeEffect(Schema.fromJsonString(Schema.Array(Schema.Struct({
  number: Schema.Int,
  title: Schema.String,
  state: IssueState,
  // The address ends up in people's browsers: anything but a web address is refused.
  html_url: Schema.String.check(Schema.isPattern(/^https?:\/\//u)),
  updated_at: Schema.DateTimeUtcFromString,
  assignee: Schema.optionalKey(Schema.NullOr(Schema.Struct({ login: Schema.String }))),
  pull_request: Schema.optionalKey(Schema.Unknown)
}))))

const make = Effect.fnUntraced(function*(options: ForgeOptions): Effect.fn.Return<
  Forge["Service"],
  never,
  HttpClient.HttpClient
> {
  const client = yield* HttpClient.HttpClient
  const root = new URL(options.url ?? "https://api.github.com")
  const token = options.token
  const perPage = Math.min(options.perPage ?? 100, 100)
  const timeout = Duration.fromInputUnsafe(options.timeout ?? "5 seconds")
  const retryDelay = options.retryDelay ?? "200 millis"
  const maxPages = options.maxPages ?? 100
  const maxPageBytes = options.maxPageBytes ?? 32 * 1024 * 1024
  const cache = new Map<string, ReadonlyMap<string, Page>>()

  const exchange = Effect.fnUntraced(function*(
    repository: string,
    url: string,
    cached: Page | undefined,
    redirects: number
  ): Effect.fn.Return<Fetched, ForgeError | HttpClientError.HttpClientError> {
    const response = yield* HttpClientRequest.get(url).pipe(
      HttpClientRequest.setHeaders({
        accept: "application/vnd.github+json",
        "x-github-api-version": "2022-11-28",
        "user-agent": "everbeat-dispatch",
        ...(cached?.etag === undefined ? undefined : { "if-none-match": cached.etag })
      }),
      token === undefined ? identity : HttpClientRequest.bearerToken(token),
      client.execute,
      // A redirect is followed below, after its origin has been checked: the token travels with the request.
      Effect.provideService(FetchHttpClient.RequestInit, { redirect: "manual" })
    )
    if (response.status === 304 && cached !== undefined) {
      return { ...cached, unchanged: true }
    }
    // Errors are read too: the body tells rate limits from other refusals, and an unread body holds its connection.
    const body = yield* readText(repository, url, response, maxPageBytes)
    const location = response.headers["location"]
    if (location !== undefined && [301, 302, 307, 308].includes(response.status)) {
      if (redirects >= maxRedirects) {
        return yield* new ForgePayloadRefused({ repository, url, reason: "it redirects too often" })
      }
      const target = yield* followableLink(repository, root, url, location)
      return yield* exchange(repository, target, undefined, redirects + 1)
    }
    if (response.status !== 200) {
      return yield* refusal(repository, url, response, body, token !== undefined)
    }
    const entries = yield* decodePage(body).pipe(
      Effect.mapError((error) => new ForgePayloadRefused({ repository, url, reason: error.message.slice(0, 300) }))
    )
    const link = nextLink(response.headers["link"])
    const next = link === undefined ? undefined : yield* followableLink(repository, root, url, link)
    const issues = entries.filter((entry) => entry.pull_request === undefined).map((entry): Issue => ({
      repository,
      number: entry.number,
      title: entry.title,
      state: entry.state,
      assignee: entry.assignee?.login ?? null,
      url: entry.html_url,
      updatedAt: entry.updated_at
    }))
    // A full last page may gain a successor without changing itself, so it is always fetched in full.
    const conditional = next !== undefined || entries.length < perPage
    return {
      etag: conditional ? response.headers["etag"] : undefined,
      issues,
      pullRequests: entries.length - issues.length,
      next,
      unchanged: false
    }
  })

  const fetchPage = (repository: string, url: string, cached: Page | undefined) =>
    exchange(repository, url, cached, 0).pipe(
      Effect.timeoutOrElse({
        duration: timeout,
        orElse: () => Effect.fail(new ForgeTimeout({ repository, url, millis: Duration.toMillis(timeout) }))
      }),
      // The client's own error carries the whole request, so only its description leaves this function.
      Effect.catchTag(
        "HttpClientError",
        (error) => Effect.fail(new ForgeUnavailable({ repository, url, reason: describeFailure(error.reason) }))
      ),
      Effect.retry({
        while: (error) => error._tag === "ForgeUnavailable",
        times: 2,
        schedule: Schedule.exponential(retryDelay)
      })
    )

  const issues = Effect.fn("Forge.issues")(function*(
    repository: string
  ): Effect.fn.Return<ForgeListing, ForgeError> {
    yield* Effect.annotateCurrentSpan({ repository })
    if (!Schema.is(RepositoryName)(repository)) {
      return yield* new RepositoryNotFound({ repository })
    }
    const known = cache.get(repository)
    const pages = new Map<string, Page>()
    const byNumber = new Map<number, Issue>()
    let unchangedPages = 0
    let pullRequests = 0
    // Ascending creation keeps earlier pages stable while new issues are opened during the walk.
    const query = `state=all&sort=created&direction=asc&per_page=${perPage}`
    const first = `${root.origin}${root.pathname.replace(/\/+$/u, "")}/repos/${repository}/issues?${query}`
    for (let url: string | undefined = first; url !== undefined;) {
      if (pages.size >= maxPages || pages.has(url)) {
        const reason = pages.has(url) ? "its pages form a circle" : `it has more than ${maxPages} pages`
        return yield* new ForgePayloadRefused({ repository, url, reason })
      }
      const { unchanged, ...page }: Fetched = yield* fetchPage(repository, url, known?.get(url))
      pages.set(url, page)
      page.issues.forEach((issue) => byNumber.set(issue.number, issue))
      unchangedPages += unchanged ? 1 : 0
      pullRequests += page.pullRequests
      url = page.next
    }
    cache.delete(repository)
    cache.set(repository, pages)
    const [oldest] = cache.keys()
    if (cache.size > maxCachedRepositories && oldest !== undefined) {
      cache.delete(oldest)
    }
    return {
      repository,
      issues: [...byNumber.values()].sort((a, b) => a.number - b.number),
      pages: pages.size,
      unchangedPages,
      pullRequests
    }
  })

  return Forge.of({ issues })
})

/**
 * Reads the issues of a repository from a GitHub-compatible forge with the single endpoint
 * `GET /repos/{owner}/{repo}/issues`. Unchanged pages are not transferred again, server and transport failures are
 * retried twice, and the token never leaves the origin of the forge.
 */
export class Forge extends Context.Service<Forge, {
  /** All issues of a repository, open and closed. */
  readonly issues: (repository: string) => Effect.Effect<ForgeListing, ForgeError>
}>()("@everbeat/example-dispatch/Forge") {
  /** A forge client on any HTTP client. */
  static readonly layerNoDeps = (options: ForgeOptions): Layer.Layer<Forge, never, HttpClient.HttpClient> =>
    Layer.effect(Forge, make(options))

  /** A forge client with the given options. */
  static readonly layerWith = (options: ForgeOptions): Layer.Layer<Forge> =>
    Forge.layerNoDeps(options).pipe(Layer.provide(FetchHttpClient.layer))

  /** A forge client configured by `FORGE_URL` and, if the forge wants one, `FORGE_TOKEN`. */
  static readonly layer: Layer.Layer<Forge, Config.ConfigError> = Layer.unwrap(Effect.gen(function*() {
    const url = yield* Config.option(Config.URL("FORGE_URL"))
    const token = yield* Config.option(Config.Redacted("FORGE_TOKEN"))
    return Forge.layerWith({ url: Option.getOrUndefined(url), token: Option.getOrUndefined(token) })
  }))
}
