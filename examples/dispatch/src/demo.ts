/**
 * `npm run demo`: plays an agent that calls its heartbeat over HTTP, against a host and a forge that this script starts.
 * Ends with exit code 0 only if every answer was as expected.
 */
import { AgentName } from "@everbeat/core"
import { Effect, Layer, Logger, Redacted } from "effect"
import { AgentTokens } from "./AgentTokens.ts"
import { Repositories } from "./DispatchHeartbeat.ts"
import * as Host from "./Host.ts"
import { LocalForge } from "./LocalForge.ts"
import { TrackerControl } from "./Tracker.ts"

const agent = AgentName.make("triage")
const token = "demo-token"

const fields = [
  "status",
  "agentName",
  "startedAt",
  "finishedAt",
  "summary",
  "warnings",
  "errors",
  "touchedIssueUrls",
  "runId"
]

interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: Record<string, unknown>
  readonly text: string
}

let failures = 0

const print = (line = "") => console.log(line)

const scene = (title: string): void => {
  print()
  print(`── ${title} ${"─".repeat(Math.max(0, 96 - title.length))}`)
}

/** Says whether an expectation holds, and remembers when it does not. */
const expect = (what: string, holds: boolean): void => {
  if (!holds) failures++
  print(`   ${holds ? "✓" : "✗ NOT AS EXPECTED:"} ${what}`)
}

const text = (value: unknown): string => typeof value === "string" ? value : ""

const list = (value: unknown): ReadonlyArray<string> => Array.isArray(value) ? value.map(String) : []

const show = ({ body, status }: Answer): void => {
  const outcome = status === 200 ? `status: ${text(body["status"])}  ${text(body["summary"])}` : text(body["detail"])
  print(`   HTTP ${status}  ${outcome}`)
  for (const warning of list(body["warnings"])) print(`   warning  ${warning}`)
  for (const error of list(body["errors"])) print(`   error    ${error}`)
  const urls = list(body["touchedIssueUrls"])
  for (const url of urls.slice(0, 2)) print(`   touched  ${url}`)
  if (urls.length > 2) print(`   touched  ... and ${urls.length - 2} more`)
}

const call = (url: string, init: RequestInit = {}) =>
  Effect.promise(async (signal): Promise<Answer> => {
    const response = await fetch(url, {
      ...init,
      headers: { authorization: `Bearer ${token}`, ...init.headers },
      signal
    })
    const text = await response.text()
    return { status: response.status, headers: response.headers, body: JSON.parse(text), text }
  })

const play = Effect.gen(function*() {
  const forge = yield* LocalForge
  const tracker = yield* TrackerControl
  const { url } = yield* Host.serve(0)
  const endpoint = `${url}/api/agents/${agent}`
  const beat = (headers: Record<string, string> = {}) => call(`${endpoint}/heartbeat`, { method: "POST", headers })

  print(`Dispatch on ${url}, a forge with ${forge.repositories.length} repositories on ${forge.url}.`)
  print(`The agent '${agent}' has one call to make: POST ${endpoint}/heartbeat`)

  scene("1. A clean pass: 16 real issues of three repositories become tickets")
  const clean = yield* beat()
  show(clean)
  expect(
    "status ok, 16 issues touched",
    clean.body["status"] === "ok" && list(clean.body["touchedIssueUrls"]).length === 16
  )
  expect("exactly the fields of the contract", Object.keys(clean.body).toSorted().join() === fields.toSorted().join())

  scene("2. The forge limits requests for one repository; in another an issue was opened")
  yield* forge.rateLimit("octokit-fixture-org/paginate-issues")
  yield* forge.nextEvent
  const limited = yield* beat()
  show(limited)
  expect(
    "a warning, and the other repositories synced all the same",
    limited.body["status"] === "warning" && list(limited.body["warnings"]).length === 1 &&
      list(limited.body["errors"]).length === 0 && list(limited.body["touchedIssueUrls"]).length === 1
  )
  yield* forge.heal("octokit-fixture-org/paginate-issues")

  scene("3. The tracker is down: a critical failure, and what to do about it")
  yield* tracker.setAvailable(false)
  const down = yield* beat()
  show(down)
  expect(
    "HTTP 200 with status error: the pass ran and is recorded",
    down.status === 200 && down.body["status"] === "error" && list(down.body["errors"]).length === 1 &&
      down.headers.get("everbeat-status") === "error"
  )
  yield* tracker.setAvailable(true)

  scene("4. The same idempotency key twice: the second answer is the recorded one")
  const first = yield* beat({ "idempotency-key": "morning" })
  show(first)
  const second = yield* beat({ "idempotency-key": "morning" })
  expect(
    `replayed: the same run ${text(second.body["runId"])}, byte for byte`,
    second.headers.get("idempotency-replayed") === "true" && first.headers.get("idempotency-replayed") === null &&
      second.text === first.text
  )

  scene("5. Two calls at once, while a repository does not answer")
  yield* forge.stall("octokit-fixture-org/search-issues")
  const [one, other] = yield* Effect.all([beat(), beat()], { concurrency: 2 })
  const [done, refused] = one.status === 200 ? [one, other] : [other, one]
  show(refused)
  print(`   Retry-After: ${refused.headers.get("retry-after")} s, for run ${text(refused.body["runId"])}`)
  show(done)
  expect(
    "one ran, the other was told to wait for it",
    done.status === 200 && refused.status === 409 && refused.body["runId"] === done.body["runId"] &&
      refused.headers.has("retry-after")
  )
  expect("the repository that did not answer is a warning", done.body["status"] === "warning")
  yield* forge.heal("octokit-fixture-org/search-issues")

  scene("6. What is recorded")
  const runs = yield* call(`${endpoint}/runs`)
  const items: ReadonlyArray<Record<string, unknown>> = Array.isArray(runs.body["items"]) ? runs.body["items"] : []
  for (const run of items) {
    print(`   ${text(run["runId"])}  ${text(run["status"]).padEnd(8)} ${text(run["summary"])}`)
  }
  expect(
    "five runs, newest first, warnings and errors stored with them",
    items.map((run) => run["status"]).join() === "warning,ok,error,warning,ok" &&
      JSON.stringify(items[2]).includes("TrackerUnavailable") && JSON.stringify(items[3]).includes("RateLimited")
  )

  print()
  print(failures === 0 ? "All as expected." : `${failures} answers were not as expected.`)
})

const services = Layer.mergeAll(
  Host.layerServices,
  AgentTokens.layer([{ agent, token: Redacted.make(token) }])
).pipe(
  Layer.provideMerge(Layer.mergeAll(
    // Dispatch gives a request five seconds; nobody who watches wants to wait that long for the fifth scene.
    LocalForge.layerForge({ timeout: "1 second" }),
    Layer.effect(Repositories, Effect.map(LocalForge, (forge) => forge.repositories))
  )),
  Layer.provideMerge(LocalForge.layer),
  Layer.provideMerge(Logger.layer([]))
)

await Effect.runPromise(Effect.scoped(play).pipe(Effect.provide(services)))
process.exitCode = failures === 0 ? 0 : 1
