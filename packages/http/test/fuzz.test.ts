/** Thousands of requests that nobody would write, from a seed that a failure names. */
import { assert, describe, it } from "@effect/vitest"
import { AgentSupervisor, Recovery } from "@everbeat/core"
import { AgentToken, HeartbeatHandler, Problem } from "@everbeat/http"
import { Effect, Layer, Redacted, Schema } from "effect"
import { existsSync } from "node:fs"
import { acquire, auth, heartbeats, host, secrets } from "./harness.ts"
import { bodies, generator, headersOf, plain, type Random, targetOf, unknownId } from "./odd.ts"

const requests = 5000

const ProblemBody = Schema.Struct({
  type: Schema.String,
  title: Schema.String,
  status: Schema.Int,
  detail: Schema.String
})
const isProblem = Schema.is(ProblemBody)

/** The published problems that have a page. */
const documented = new Map(
  Problem.table
    .filter(({ type }) =>
      existsSync(new URL(`../../../docs/problems/${type.slice(type.lastIndexOf("/") + 1)}.md`, import.meta.url))
    )
    .map(({ status, type }) => [type as string, status])
)

/** What anybody may read: it says nothing of an agent or of the host. */
const isPublic = (path: string): boolean => /^\/api\/health\/?$/u.test(path)

/** Whose the tokens are, and whether they may do more than read. */
const principals: Readonly<Record<string, { readonly agentName: string; readonly acts: boolean }>> = {
  [secrets.triage]: { agentName: "triage", acts: true },
  [secrets.release]: { agentName: "release", acts: true },
  [secrets.ghost]: { agentName: "ghost", acts: true },
  [secrets.reader]: { agentName: "triage", acts: false }
}

/** Whether the credentials may have what was asked for, told without the code that decides it. */
const isAllowed = (authorization: string | null, method: string, path: string, operator: string): boolean => {
  const [, token = ""] = /^bearer +([^ ]+)$/iu.exec(authorization ?? "") ?? []
  if (token === operator) return /^\/api\/(?:ready|metrics|openapi\.json)\/?$/u.test(path)
  const principal = Object.hasOwn(principals, token) ? principals[token] : undefined
  if (principal === undefined) return false
  if (/^\/api\/(?:ready|openapi\.json)\/?$/u.test(path)) return true
  const [, , , agent = ""] = path.split("/")
  return decodeURIComponent(agent) === principal.agentName
    && (principal.acts || method === "GET" || method === "HEAD")
}

/** The only answers of 500 that a caller can bring about: a failed pass for who asked for it, and a lost body. */
const isAsked = (type: string, text: string, headers: Headers, body: string | undefined): boolean => {
  if (type.endsWith("/pass-failed")) {
    const asked = (headers.get("prefer") ?? "").split(",").map((preference) => preference.replaceAll(`"`, "").trim())
    return asked.includes("everbeat-fail-on=error") && JSON.parse(text).report.status === "error"
  }
  return type.endsWith("/body-already-consumed") && (body ?? "") === ""
    && /^0*[1-9]\d*$/u.test(headers.get("content-length") ?? "")
}

/** The requests of a seed, with tokens that are right, almost right, and of somebody else. */
const requestsWith = (hidden: ReadonlyArray<string>) => {
  const tokens: ReadonlyArray<string | undefined> = [
    ...hidden,
    undefined,
    undefined,
    "guess",
    "",
    `${secrets.triage}\u00e9`,
    `${secrets.triage},`,
    `"${secrets.triage}"`,
    secrets.triage.toUpperCase(),
    ...hidden.map((secret) => secret.slice(0, -1))
  ]
  return (random: Random, index: number, runId: string) => {
    const first = plain[index]
    const headers = first === undefined ? headersOf(random, runId) : new Headers(first.headers)
    const [method, path] = first === undefined
      ? targetOf(random, runId)
      : ["POST", "/api/agents/triage/heartbeat"] as const
    if (first !== undefined) {
      headers.set("authorization", `Bearer ${first.token}`)
      headers.set("content-type", "application/json")
      return { method, path, headers, body: first.body }
    }
    const token = random.chance(0.7)
      ? path.includes("release") ? secrets.release : secrets.triage
      : random.pick(tokens)
    const scheme = random.chance(0.95) ? "Bearer" : random.pick(["Basic", "bearer", "", "Bearer Bearer", "Bearer "])
    if (token !== undefined) headers.set("authorization", `${scheme} ${token}`)
    if (random.chance(0.02)) headers.append("authorization", `Bearer ${random.pick(hidden)}`)
    const body = method === "GET" || method === "HEAD" || random.chance(0.4) ? undefined : random.pick(bodies)
    if (body !== undefined && random.chance(0.8)) headers.set("content-type", "application/json")
    return { method, path, headers, body }
  }
}

describe("the fetch core", () => {
  it.live(
    `answers ${requests} odd requests: no 5xx that was not asked for, errors as problems, nothing without a token`,
    () =>
      Effect.gen(function*() {
        const verify = yield* auth
        const operator = yield* AgentToken.create()
        const handler = yield* acquire(() =>
          HeartbeatHandler.make({
            heartbeats,
            auth: verify,
            layer: Recovery.layer({ agents: [] }).pipe(
              Layer.provideMerge(AgentSupervisor.layer),
              Layer.provideMerge(host)
            ),
            maxBodyBytes: 4096,
            operatorTokens: [operator.sha256]
          })
        )
        const seed = Math.floor(Math.random() * 2 ** 32)
        const random = generator(seed)
        const hidden = [...Object.values(secrets), Redacted.value(operator.token)]
        const requestOf = requestsWith(hidden)
        const seen = new Set<number | string>()
        let runId: string = unknownId
        for (let index = 0; index < requests; index++) {
          const { body, headers, method, path } = requestOf(random, index, runId)
          const url = `http://host.test${path}`
          const { pathname } = new URL(url)
          const what = `seed ${seed}, request ${index}: ${method} ${JSON.stringify(url)} ${
            JSON.stringify([...headers])
          } ${body}`
          const response = yield* Effect.promise(() =>
            handler.fetch(new Request(url, { method, headers, ...(body === undefined ? undefined : { body }) }))
          )
          const text = yield* Effect.promise(() => response.text())
          const answer = `${what} -> ${response.status} ${text}`
          seen.add(response.status)
          assert.isNotNull(response.headers.get("x-request-id"), answer)
          assert.strictEqual(response.headers.get("x-content-type-options"), "nosniff", answer)
          assert.match(response.headers.get("cache-control") ?? "", /^no-store/u, answer)
          assert.isNull(response.headers.get("etag"), answer)
          if (response.status >= 400) {
            assert.strictEqual(response.headers.get("content-type"), "application/problem+json", answer)
            if (method !== "HEAD") {
              const json: unknown = JSON.parse(text)
              assert.isTrue(isProblem(json), answer)
              if (isProblem(json)) {
                assert.strictEqual(json.status, response.status, answer)
                assert.strictEqual(documented.get(json.type), response.status, answer)
                assert.isAbove(json.detail.length, 0, answer)
                assert.isTrue(response.status < 500 || isAsked(json.type, text, headers, body), answer)
                seen.add(json.type.slice(json.type.lastIndexOf("/") + 1))
              }
            }
            assert.isTrue(response.status < 500 || method !== "HEAD", answer)
            if (response.status === 401) {
              assert.match(response.headers.get("www-authenticate") ?? "", /^Bearer realm/u, answer)
            }
            if (response.status === 405) assert.isNotNull(response.headers.get("allow"), answer)
            if (text.includes("retryAfterSeconds")) {
              assert.match(response.headers.get("retry-after") ?? "", /^\d+$/u, answer)
            }
          } else {
            assert.include([200, 202, 204], response.status, answer)
            assert.isTrue(
              isPublic(decodeURIComponent(pathname)) ||
                isAllowed(headers.get("authorization"), method, decodedPath(pathname), Redacted.value(operator.token)),
              answer
            )
            runId = response.headers.get("everbeat-run-id") ?? runId
          }
          const wire = JSON.stringify([...response.headers]) + text
          for (const secret of hidden) {
            assert.notInclude(wire, secret, answer)
          }
        }
        // The requests reach what they are for.
        assert.includeMembers([...seen], [200, 202, 400, 401, 403, 404, 405, 413, 415, 422, 500])
        assert.includeMembers([...seen], ["pass-failed", "body-already-consumed", "insufficient-scope"])
      }),
    120_000
  )
})

/** Without the escapes of what is no slash: the router compares names, not their writing. */
const decodedPath = (path: string): string =>
  path.split("/").map((part) => encodeURIComponent(decodeURIComponent(part))).join("/")
