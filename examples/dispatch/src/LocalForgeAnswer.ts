import { DateTime, Effect, Redacted } from "effect"
import { HttpServerResponse } from "effect/http"
import { createHash } from "node:crypto"
import type { IssuePayload } from "./ForgePayloads.ts"

/** Something that is wrong with a repository of the local forge. */
export type Fault =
  | { readonly _tag: "RateLimit"; readonly resetAt: DateTime.Utc }
  | { readonly _tag: "Status"; readonly status: number; readonly times: number }
  | { readonly _tag: "Stall" }
  | { readonly _tag: "Truncate" }

/** A request together with what the local forge knows. */
export interface Exchange {
  readonly url: string
  readonly token: Redacted.Redacted | undefined
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly repositories: ReadonlyMap<string, ReadonlyArray<IssuePayload>>
  readonly takeFault: (repository: string) => Effect.Effect<Fault | undefined>
}

/** What the local forge answers. */
export interface Answer {
  readonly authorization: "absent" | "accepted" | "refused"
  /** `undefined` if the request is to stay unanswered. */
  readonly response: HttpServerResponse.HttpServerResponse | undefined
}

/** Answers a request the way GitHub's REST API does. */
export const answer = Effect.fnUntraced(function*(exchange: Exchange): Effect.fn.Return<Answer> {
  const sent = exchange.headers["authorization"]
  const wanted = exchange.token === undefined ? undefined : `Bearer ${Redacted.value(exchange.token)}`
  const authorization = sent === undefined ? "absent" : wanted === undefined || sent === wanted ? "accepted" : "refused"
  const answered = (response: HttpServerResponse.HttpServerResponse | undefined): Answer => ({
    authorization,
    response
  })

  if (authorization === "refused" || (wanted !== undefined && authorization === "absent")) {
    return answered(failure(401, authorization === "absent" ? "Requires authentication" : "Bad credentials"))
  }
  const target = new URL(exchange.path, exchange.url)
  const wantedName = /^\/repos\/([^/]+\/[^/]+)\/issues$/u.exec(target.pathname)?.[1]?.toLowerCase()
  const [name, issues] = [...exchange.repositories].find(([name]) => name.toLowerCase() === wantedName) ?? []
  if (exchange.method !== "GET" || name === undefined || issues === undefined) {
    return answered(failure(404, "Not Found"))
  }
  const fault = yield* exchange.takeFault(name)
  switch (fault?._tag) {
    case "Stall":
      return answered(undefined)
    case "Status":
      return answered(failure(fault.status, messages[fault.status] ?? "Server Error"))
    case "RateLimit":
      return answered(failure(403, "API rate limit exceeded for 127.0.0.1.", {
        "x-ratelimit-limit": "60",
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": String(DateTime.toEpochSeconds(fault.resetAt)),
        "x-ratelimit-resource": "core"
      }))
    case "Truncate": {
      const whole = page(exchange.url, target, name, issues).body
      return answered(HttpServerResponse.text(whole.slice(0, Math.ceil(whole.length / 2)), { contentType }))
    }
    case undefined: {
      const { body, headers } = page(exchange.url, target, name, issues)
      return answered(
        exchange.headers["if-none-match"] === headers["etag"]
          ? HttpServerResponse.empty({ status: 304, headers })
          : HttpServerResponse.text(body, { headers, contentType })
      )
    }
  }
})

// internal

const contentType = "application/json; charset=utf-8"

const messages: Readonly<Record<number, string>> = {
  401: "Bad credentials",
  403: "Resource not accessible by personal access token",
  404: "Not Found",
  410: "Issues are disabled for this repo"
}

const failure = (status: number, message: string, headers: Readonly<Record<string, string>> = {}) =>
  HttpServerResponse.text(
    JSON.stringify({
      message,
      documentation_url: "https://docs.github.com/rest/issues/issues#list-repository-issues",
      status: String(status)
    }),
    { status, headers, contentType }
  )

const positive = (value: string | null, fallback: number): number =>
  value !== null && /^[1-9]\d{0,8}$/u.test(value) ? Number(value) : fallback

const page = (
  url: string,
  target: URL,
  name: string,
  issues: ReadonlyArray<IssuePayload>
): { readonly body: string; readonly headers: Readonly<Record<string, string>> } => {
  const query = target.searchParams
  // GitHub's defaults: open issues, the newest first, thirty to a page.
  const state = query.get("state") ?? "open"
  const direction = query.get("direction") === "asc" ? 1 : -1
  const perPage = Math.min(positive(query.get("per_page"), 30), 100)
  const current = positive(query.get("page"), 1)
  const listed = issues
    .filter((issue) => state === "all" || issue.state === state)
    .sort((a, b) =>
      direction * (a.created_at < b.created_at ? -1 : a.created_at > b.created_at ? 1 : a.number - b.number)
    )
  const last = Math.max(1, Math.ceil(listed.length / perPage))
  const link = (relation: string, page: number) => {
    const address = new URL(`${url}/repos/${name}/issues?${query}`)
    address.searchParams.set("page", String(page))
    return `<${address.href}>; rel="${relation}"`
  }
  const links = [
    ...(current > 1 ? [link("prev", Math.min(current - 1, last))] : []),
    ...(current < last ? [link("next", current + 1), link("last", last)] : []),
    ...(current > 1 ? [link("first", 1)] : [])
  ].join(", ")
  const body = JSON.stringify(listed.slice((current - 1) * perPage, current * perPage))
  const etag = `W/"${createHash("sha256").update(body).update(links).digest("hex")}"`
  return {
    body,
    headers: {
      etag,
      ...(links === "" ? undefined : { link: links }),
      "x-github-media-type": "github.v3; format=json"
    }
  }
}
