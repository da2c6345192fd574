/** Requests that nobody would write, made of a seed that a failure names. */
import { secrets } from "./harness.ts"

/** A small generator of numbers (mulberry32): the same seed, the same requests. */
export const generator = (seed: number) => {
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

export type Random = ReturnType<typeof generator>

export const unknownId = "01a1fc4b-0e11-76af-a7f8-60f1a1b3dc01"

const odd = "aZ09-_.~%/\\?#&=;:@!$'()*+,[]{}|^`\"<> \u00e9\u{1f600}"
/** All that a header may hold: `Headers` itself refuses the rest. */
const visible = Array.from({ length: 95 }, (_, index) => String.fromCodePoint(32 + index)).join("")
const bytes = `${visible}\t${Array.from({ length: 128 }, (_, index) => String.fromCodePoint(128 + index)).join("")}`

const segments = [
  "triage",
  "release",
  "nobody",
  "Triage",
  "TRIAGE",
  "triage%00",
  "triage%20",
  "triage;a=b",
  ";",
  ";/heartbeat",
  "heartbeat;",
  "%74riage",
  "%54riage",
  "__proto__",
  "constructor",
  "hasOwnProperty",
  "toString",
  "..",
  ".",
  "",
  "...",
  "%2e%2e",
  "%2e",
  "%2F",
  "%5C",
  "%00",
  "%0d%0aset-cookie:a=b",
  "%",
  "%zz",
  "%C3%28",
  "%c0%ae%c0%ae",
  "%ed%a0%80",
  "%f4%90%80%80",
  "%252e%252e",
  "\u202etriage",
  "tri\u00adage",
  "\uff54riage",
  "a".repeat(300),
  "%61".repeat(4000),
  "a/".repeat(500),
  ":agentName",
  "*",
  "heartbeat",
  "runs",
  "checkpoints",
  "cancel",
  "resume",
  unknownId,
  unknownId.toUpperCase()
]

const segment = (random: Random): string => random.chance(0.3) ? random.text(odd, 12) : random.pick(segments)

const known = (runId: string): ReadonlyArray<readonly [method: string, path: string]> => [
  ["GET", "/api/health"],
  ["GET", "/api/ready"],
  ["GET", "/api/metrics"],
  ["GET", "/api/docs"],
  ["GET", "/api/openapi.json"],
  ["POST", "/api/agents/triage/heartbeat"],
  ["POST", "/api/agents/triage/heartbeat"],
  ["POST", "/api/agents/triage/heartbeat"],
  ["POST", "/api/agents/triage/heartbeat"],
  ["POST", "/api/agents/release/heartbeat"],
  ["GET", "/api/agents/triage/runs"],
  ["GET", `/api/agents/triage/runs/${runId}`],
  ["GET", `/api/agents/release/runs/${runId}`],
  ["POST", `/api/agents/triage/runs/${runId}/cancel`],
  ["GET", "/api/agents/triage/checkpoints"],
  ["GET", `/api/agents/triage/checkpoints/${runId}`],
  ["DELETE", `/api/agents/triage/checkpoints/${runId}`],
  ["POST", `/api/agents/triage/checkpoints/${runId}/resume`]
]

const escape = (text: string): string =>
  Array.from(new TextEncoder().encode(text), (byte) => `%${byte.toString(16).padStart(2, "0")}`).join("")

/** A known address, now and then with another method, with one segment replaced or escaped, or made of anything. */
export const targetOf = (random: Random, runId: string): readonly [method: string, path: string] => {
  const [method, path] = random.pick(known(runId))
  const parts = path.split("/")
  const at = 1 + random.int(parts.length - 1)
  if (random.chance(0.15)) parts[at] = segment(random)
  else if (random.chance(0.05)) parts[at] = escape(parts[at] ?? "")
  if (random.chance(0.05)) parts.splice(1 + random.int(parts.length), 0, segment(random))
  const any = `/${Array.from({ length: 1 + random.int(7) }, () => segment(random)).join("/")}`
  return [
    random.chance(0.1) ? random.pick(["PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "QUERY", "PROPFIND", "X"]) : method,
    withQuery(random, random.chance(0.1) ? any : parts.join("/"), runId)
  ]
}

const withQuery = (random: Random, path: string, runId: string): string => {
  if (!random.chance(0.3)) return path
  const names = ["limit", "cursor", "status", "kind", "callerId", "from", "until", "token", "access_token", "__proto__"]
  const values = ["1", "-1", "9e9", "0x1", runId, "ok", "heartbeat", "", "%00", "2026-01-01", "-271821-04-20", "1,1"]
  const query = Array.from(
    { length: 1 + random.int(4) },
    () =>
      `${random.chance(0.9) ? random.pick(names) : random.text(odd, 5)}=${
        random.chance(0.8) ? random.pick(values) : random.text(odd, 20)
      }`
  ).join("&")
  return `${path}?${query}`
}

const choicesOf = (runId: string): Readonly<Record<string, ReadonlyArray<string>>> => ({
  "content-type": [
    "application/json",
    "application/json; charset=latin1",
    "APPLICATION/JSON;;;",
    "application/+json",
    `application/${"+".repeat(2000)}json`,
    "text/plain",
    "multipart/form-data",
    "application/x-www-form-urlencoded",
    ""
  ],
  "content-encoding": ["gzip", "identity", "IDENTITY", "br, gzip", "x", ""],
  accept: [
    "*/*",
    "application/json",
    "text/event-stream",
    "text/event-stream;q=0",
    "text/event-stream;q=1e9",
    "text/event-stream, ".repeat(40),
    "text/event-stream, ".repeat(400),
    ";q=,".repeat(200),
    "application/xml",
    ""
  ],
  prefer: [
    "respond-async",
    "wait=0",
    "wait=1",
    "wait=999999999",
    "wait=-1",
    `wait=${"9".repeat(300)}`,
    "respond-async, wait=0",
    "everbeat-fail-on=error",
    "everbeat-fail-on=error, wait=5",
    `everbeat-fail-on="error"`,
    "everbeat-fail-on=errors",
    `x="everbeat-fail-on=error`,
    `${`"\\`.repeat(500)},`,
    " ".repeat(1000),
    "return=minimal",
    ""
  ],
  "idempotency-key": [
    "k",
    `"k"`,
    `"`,
    `""`,
    "",
    "a".repeat(255),
    "a".repeat(300),
    `"\\x"`,
    `"\\"\\\\"`,
    "k, k",
    "__proto__"
  ],
  "last-event-id": [
    "1",
    "",
    `${runId}.00c0ffee.1`,
    `${runId}.record.1`,
    `${runId}.00c0ffee.999999`,
    `${unknownId}.00c0ffee.1`,
    `${runId}.00c0ffee.-1`,
    "9".repeat(5000)
  ],
  traceparent: ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "x", "00-".repeat(1000)],
  "x-request-id": ["id-1", "no spaces", "a".repeat(200), "../../x", ""],
  "content-length": ["0", "00", "5", "+5", "-1", "0x10", "1e3", "5.5", " 5", "5, 5", "99999999"],
  "transfer-encoding": ["chunked", "chunked, identity", "xchunked"],
  "x-http-method-override": ["DELETE"],
  "x-forwarded-host": ["evil.test"],
  "if-none-match": ["*", `"etag"`],
  "if-modified-since": ["Thu, 01 Jan 2099 00:00:00 GMT"],
  range: ["bytes=0-1"],
  expect: ["100-continue"],
  origin: ["https://evil.test"],
  cookie: [`token=${secrets.triage}`]
})

export const headersOf = (random: Random, runId: string): Headers => {
  const headers = new Headers()
  for (const [name, choices] of Object.entries(choicesOf(runId))) {
    if (!random.chance(0.12)) continue
    const value = () => random.chance(0.2) ? random.text(random.pick([visible, bytes]), 60) : random.pick(choices)
    headers.append(name, value())
    // Sent twice: they are joined by a comma.
    if (random.chance(0.1)) headers.append(name, value())
  }
  return headers
}

export const bodies = [
  "",
  "null",
  "{}",
  `{"mode":"warn"}`,
  `{"mode":"fail"}`,
  `{"mode":"throw"}`,
  "{",
  "[]",
  "\u0000",
  `"\\u0000\\ud800"`,
  `{"\\u0000":{"toJSON":1}}`,
  `"${"x".repeat(5000)}"`,
  `${"[".repeat(500)}${"]".repeat(500)}`,
  `{"__proto__":{"mode":"fail"}}`,
  `{"constructor":{"prototype":{"mode":"fail"}}}`,
  `{"mode":"warn","mode":"fail"}`,
  "1e999",
  "-0",
  "\ufeff{}"
]

/** What every seed begins with, so that no answer is left to chance. */
export const plain: ReadonlyArray<{
  readonly token: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
}> = [
  { token: secrets.triage, headers: {}, body: `{"mode":"warn"}` },
  { token: secrets.triage, headers: { "idempotency-key": "plain" }, body: "{}" },
  { token: secrets.triage, headers: { "idempotency-key": "plain" }, body: "[]" },
  { token: secrets.triage, headers: { prefer: "everbeat-fail-on=error" }, body: `{"mode":"fail"}` },
  { token: secrets.triage, headers: { prefer: "wait=0" }, body: "{}" },
  { token: secrets.triage, headers: { "content-length": "5" }, body: undefined },
  { token: secrets.triage, headers: {}, body: `"${"x".repeat(5000)}"` },
  { token: secrets.reader, headers: {}, body: "{}" },
  { token: secrets.ghost, headers: {}, body: "{}" }
]
