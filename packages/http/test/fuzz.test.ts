/** Thousands of requests that nobody would write, from a seed that a failure names. */
import { assert, describe, it } from "@effect/vitest"
import { AgentSupervisor, Recovery } from "@everbeat/core"
import { AgentToken, HeartbeatHandler, Problem } from "@everbeat/http"
import { Effect, Layer, Redacted, Schema } from "effect"
import { acquire, auth, heartbeats, host, secrets } from "./harness.ts"

const requests = 5000

/** A small generator of numbers (mulberry32): the same seed, the same requests. */
const generator = (seed: number) => {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b_79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const int = (below: number): number => Math.floor(next() * below)
  const pick = <A>(values: ReadonlyArray<A>): A => values[int(values.length)] as A
  const text = (alphabet: string, most: number): string =>
    Array.from({ length: int(most + 1) }, () => pick(Array.from(alphabet))).join("")
  return { chance: (share: number) => next() < share, int, pick, text }
}

type Random = ReturnType<typeof generator>

const runId = "01a1fc4b-0e11-76af-a7f8-60f1a1b3dc01"
const odd = "aZ09-_.~%/\\?#&=;:@!$'()*+,[]{}|^`\"<> \u00e9\u{1f600}"
const visible = Array.from({ length: 95 }, (_, index) => String.fromCodePoint(32 + index)).join("")

const segment = (random: Random): string =>
  random.pick([
    "triage",
    "release",
    "nobody",
    "Triage",
    "__proto__",
    "constructor",
    "..",
    ".",
    "",
    "%2e%2e",
    "%2F",
    "%00",
    "%",
    "%zz",
    "%C3%28",
    "a".repeat(300),
    "heartbeat",
    "runs",
    "checkpoints",
    "cancel",
    "resume",
    runId,
    runId.toUpperCase(),
    random.text(odd, 12)
  ])

const known: ReadonlyArray<readonly [method: string, path: string]> = [
  ["GET", "/api/health"],
  ["GET", "/api/ready"],
  ["GET", "/api/metrics"],
  ["GET", "/api/docs"],
  ["GET", "/api/openapi.json"],
  ["POST", "/api/agents/triage/heartbeat"],
  ["POST", "/api/agents/triage/heartbeat"],
  ["POST", "/api/agents/triage/heartbeat"],
  ["POST", "/api/agents/release/heartbeat"],
  ["GET", "/api/agents/triage/runs"],
  ["GET", `/api/agents/triage/runs/${runId}`],
  ["POST", `/api/agents/triage/runs/${runId}/cancel`],
  ["GET", "/api/agents/triage/checkpoints"],
  ["GET", `/api/agents/triage/checkpoints/${runId}`],
  ["DELETE", `/api/agents/triage/checkpoints/${runId}`],
  ["POST", `/api/agents/triage/checkpoints/${runId}/resume`]
]

/** A known address, now and then with another method, with one segment replaced, or made of anything. */
const targetOf = (random: Random): readonly [method: string, path: string] => {
  const [method, path] = random.pick(known)
  const segments = path.split("/")
  if (random.chance(0.15)) segments[1 + random.int(segments.length - 1)] = segment(random)
  if (random.chance(0.05)) segments.splice(1 + random.int(segments.length), 0, segment(random))
  const any = `/${Array.from({ length: 1 + random.int(7) }, () => segment(random)).join("/")}`
  return [
    random.chance(0.1) ? random.pick(["PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "QUERY", "PROPFIND", "X"]) : method,
    withQuery(random, random.chance(0.1) ? any : segments.join("/"))
  ]
}

const withQuery = (random: Random, api: string): string => {
  if (!random.chance(0.3)) return api
  const query = Array.from(
    { length: 1 + random.int(4) },
    () =>
      `${random.pick(["limit", "cursor", "status", "token", "access_token", random.text(odd, 5)])}=${
        random.pick(["1", "-1", "9e9", runId, "ok", "", random.text(odd, 20)])
      }`
  ).join("&")
  return `${api}?${query}`
}

const headersOf = (random: Random): Headers => {
  const headers = new Headers()
  const values: Readonly<Record<string, ReadonlyArray<string>>> = {
    "content-type": [
      "application/json",
      "application/json; charset=latin1",
      "text/plain",
      "multipart/form-data",
      "application/x-www-form-urlencoded",
      ""
    ],
    "content-encoding": ["gzip", "identity", "br, gzip", "x"],
    accept: ["*/*", "application/json", "text/event-stream", "text/event-stream;q=0", "application/xml", ""],
    prefer: [
      "respond-async",
      "wait=0",
      "wait=1",
      "respond-async, wait=0",
      "everbeat-fail-on=error",
      "return=minimal",
      ""
    ],
    "idempotency-key": ["k", `"k"`, `"`, "", "a".repeat(300), `"\\x"`],
    "last-event-id": ["1", `${runId}.00c0ffee.1`, ""],
    traceparent: ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "x"],
    "x-request-id": ["id-1", "no spaces", "a".repeat(200)],
    "content-length": ["0", "5", "-1", "99999999"],
    "x-http-method-override": ["DELETE"],
    range: ["bytes=0-1"],
    expect: ["100-continue"],
    origin: ["https://evil.test"],
    cookie: [`token=${secrets.triage}`]
  }
  for (const [name, choices] of Object.entries(values)) {
    if (!random.chance(0.12)) continue
    headers.set(name, random.chance(0.2) ? random.text(visible, 60) : random.pick(choices))
  }
  return headers
}

const bodies = [
  "",
  "null",
  "{}",
  `{"mode":"warn"}`,
  `{"mode":"fail"}`,
  `{"mode":"throw"}`,
  "{",
  "[]",
  "\u0000",
  `"${"x".repeat(5000)}"`,
  `${"[".repeat(500)}${"]".repeat(500)}`,
  `{"__proto__":{"mode":"fail"}}`,
  "1e999",
  "\ufeff{}"
]

const ProblemBody = Schema.Struct({
  type: Schema.String,
  title: Schema.String,
  status: Schema.Int,
  detail: Schema.String
})
const isProblem = Schema.is(ProblemBody)
const statusOf = new Map(Problem.table.map(({ status, type }) => [type as string, status]))

/** What anybody may read: it says nothing of an agent or of the host. */
const isPublic = (url: string): boolean => /^\/api\/health\/?$/u.test(new URL(url).pathname)

describe("the fetch core", () => {
  it.live(
    `answers ${requests} odd requests without a 5xx, each error as a problem, none without a token`,
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
        const tokens: ReadonlyArray<string | undefined> = [
          ...Object.values(secrets),
          undefined,
          undefined,
          "guess",
          "",
          Redacted.value(operator.token).slice(0, -1)
        ]
        const statuses = new Map<number, number>()
        for (let index = 0; index < requests; index++) {
          const headers = headersOf(random)
          const [method, path] = targetOf(random)
          const token = random.chance(0.7)
            ? path.includes("release") ? secrets.release : secrets.triage
            : random.pick(tokens)
          const scheme = random.chance(0.95) ? "Bearer" : random.pick(["Basic", "bearer", "", "Bearer Bearer"])
          if (token !== undefined) headers.set("authorization", `${scheme} ${token}`)
          const isToken = token !== undefined && Object.values(secrets).some((secret) => secret === token)
            && /^bearer$/iu.test(scheme)
          const body = method === "GET" || method === "HEAD" || random.chance(0.4) ? undefined : random.pick(bodies)
          const url = `http://host.test${path}`
          const what = `seed ${seed}, request ${index}: ${method} ${JSON.stringify(url)} ${
            JSON.stringify([...headers])
          } ${body}`
          const response = yield* Effect.promise(() =>
            handler.fetch(new Request(url, { method, headers, ...(body === undefined ? undefined : { body }) }))
          )
          const text = yield* Effect.promise(() => response.text())
          statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1)
          // What was asked for: a failed pass as 500, and a body that is announced and does not come.
          const asked = response.status === 500
            && (headers.get("prefer") === "everbeat-fail-on=error" || Number(headers.get("content-length")) > 0)
          assert.isTrue(response.status < 500 || asked, `${what} -> ${response.status} ${text}`)
          assert.isNotNull(response.headers.get("x-request-id"), what)
          assert.strictEqual(response.headers.get("x-content-type-options"), "nosniff", what)
          if (response.status >= 400) {
            assert.strictEqual(response.headers.get("content-type"), "application/problem+json", what)
            if (method !== "HEAD") {
              const json: unknown = JSON.parse(text)
              assert.isTrue(isProblem(json), `${what} -> ${text}`)
              if (isProblem(json)) assert.strictEqual(statusOf.get(json.type), response.status, `${what} -> ${text}`)
            }
            if (response.status === 401) assert.isNotNull(response.headers.get("www-authenticate"), what)
            if (response.status === 405) assert.isNotNull(response.headers.get("allow"), what)
            if ([409, 429, 503].includes(response.status) && text.includes("retryAfterSeconds")) {
              assert.isNotNull(response.headers.get("retry-after"), what)
            }
          } else {
            assert.isTrue(isToken || isPublic(url), `${what} -> ${response.status} without a token`)
          }
          for (const secret of Object.values(secrets)) assert.notInclude(text, secret, what)
        }
        // The generator reaches what it is for.
        for (const status of [200, 202, 400, 401, 403, 404, 405, 413, 415]) {
          assert.isTrue(statuses.has(status), `no ${status}`)
        }
      }),
    120_000
  )
})
