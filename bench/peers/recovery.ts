/**
 * How long a workflow waits whose process was ended in the middle of a step, until another process is in that step again; and
 * how much a process asks of the database that has nothing to do. All systems at the same time: they only wait.
 *
 *   npm run bench -- --suite recovery           waits up to 60 s
 *   npm run bench -- --suite recovery --quick   waits up to 15 s
 */
import { Effect } from "effect"
import { fork } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { farServer } from "../support/farServer.ts"
import { conclude, print, round, short } from "../support/numbers.ts"
import { postgres } from "../support/servers.ts"
import type { Told } from "./recovering/host.ts"
import { startChild } from "./systems/child.ts"

const { values: { quick } } = parseArgs({
  options: { quick: { type: "boolean" }, json: { type: "boolean" } }
})
const patience = quick === true ? 15 : 60
const idleSeconds = quick === true ? 10 : 40
const shortLease = 5

const say = (line: string): void => console.error(`recovery: ${line}`)

interface Scenario {
  readonly name: string
  readonly system: string
  readonly signal: "SIGKILL" | "SIGTERM"
  /** Whether the other process is there already, or is started when the first one has ended. */
  readonly heir: "beside" | "restarted"
  readonly identities: readonly [first: string, heir: string]
  readonly leaseSeconds: number
}

const two = { heir: "beside", identities: ["a", "b"] } as const
const again = { heir: "restarted", identities: ["a", "a"] } as const
const scenarios: ReadonlyArray<Scenario> = [
  {
    name: `Everbeat, lease of ${shortLease} s: kill -9, another process`,
    system: "everbeat",
    signal: "SIGKILL",
    ...two,
    leaseSeconds: shortLease
  },
  { name: "Everbeat: SIGTERM, another process", system: "everbeat", signal: "SIGTERM", ...two, leaseSeconds: 30 },
  ...(quick === true ? [] : [{
    name: "Everbeat, lease of 30 s (default): kill -9, another process",
    system: "everbeat",
    signal: "SIGKILL" as const,
    ...two,
    leaseSeconds: 30
  }]),
  { name: "DBOS: kill -9, another executor", system: "dbos", signal: "SIGKILL", ...two, leaseSeconds: NaN },
  {
    name: "DBOS: kill -9, same executor started again",
    system: "dbos",
    signal: "SIGKILL",
    ...again,
    leaseSeconds: NaN
  },
  {
    name: "Effect SingleRunner: kill -9, started again",
    system: "effectCluster",
    signal: "SIGKILL",
    ...again,
    leaseSeconds: NaN
  },
  // Its lease lives for 30 s, and a quick run does not wait that long.
  ...(quick === true ? [] : [{
    name: "OpenWorkflow: kill -9, another worker",
    system: "openWorkflow",
    signal: "SIGKILL" as const,
    ...two,
    leaseSeconds: NaN
  }])
]

const host = fileURLToPath(new URL("recovering/host.ts", import.meta.url))

const acquireProcess = (scenario: Scenario, role: "first" | "heir", url: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const identity = scenario.identities[role === "first" ? 0 : 1]
      const child = fork(host, [scenario.system, role, identity, String(scenario.leaseSeconds), url], {
        execArgv: ["--conditions=@everbeat/source", "--no-deprecation"],
        stdio: ["ignore", "ignore", "inherit", "ipc"]
      })
      const told = new Map<unknown, () => void>()
      const heard = new Set<unknown>()
      child.on("message", (what) => {
        heard.add(what)
        told.get(what)?.()
      })
      return {
        child,
        exited: new Promise((resolve) => child.once("exit", resolve)),
        hears: (what: Told) =>
          new Promise<void>((resolve) => {
            if (heard.has(what)) resolve()
            else told.set(what, resolve)
          })
      }
    }),
    ({ child }) =>
      Effect.promise(async () => {
        if (child.exitCode !== null || child.signalCode !== null) return
        const ended = once(child, "exit")
        child.kill("SIGKILL")
        await ended
      })
  )

/** Seconds, or nothing when it did not happen in time. */
const measure = Effect.fnUntraced(function*(scenario: Scenario, url: string) {
  const first = yield* acquireProcess(scenario, "first", url)
  yield* Effect.promise(() => first.hears("second step"))
  const beside = scenario.heir === "beside" ? yield* acquireProcess(scenario, "heir", url) : undefined
  if (beside !== undefined) yield* Effect.promise(() => beside.hears("ready"))
  const from = performance.now()
  first.child.kill(scenario.signal)
  yield* Effect.promise(() => first.exited)
  const heir = beside ?? (yield* acquireProcess(scenario, "heir", url))
  const continued = yield* Effect.timeoutOption(Effect.promise(() => heir.hears("second step")), patience * 1_000)
  const seconds = continued._tag === "Some" ? (performance.now() - from) / 1_000 : undefined
  say(`${scenario.name}: ${seconds === undefined ? `not within ${patience} s` : `${short(seconds)} s`}`)
  return { scenario, seconds }
})

const idle = [
  { name: "Everbeat, engine and recovery", system: "everbeat", variant: "recovering" },
  { name: "DBOS", system: "dbos", variant: "" },
  { name: "Effect ClusterWorkflowEngine", system: "effectCluster", variant: "sql" },
  { name: "OpenWorkflow, a worker for 10 runs", system: "openWorkflow", variant: "" }
]

const statementsOf = Effect.fnUntraced(function*(one: (typeof idle)[number], url: string) {
  const proxy = yield* farServer(url, 0)
  const { ask } = yield* startChild(one)
  yield* ask({ do: "open", url: proxy.url, concurrency: 10 })
  yield* Effect.sleep("5 seconds")
  const before = proxy.statements()
  yield* Effect.sleep(idleSeconds * 1_000)
  return { name: one.name, perSecond: (proxy.statements() - before) / idleSeconds }
})

const everything = Effect.gen(function*() {
  const { admin, url } = yield* postgres
  const ownDatabase = (suffix: string) =>
    Effect.acquireRelease(
      Effect.promise(async () => {
        const own = new URL(url)
        own.pathname = `${own.pathname}_${suffix}`
        await admin.query(`create database ${own.pathname.slice(1)}`)
        return own
      }),
      (own) => Effect.promise(() => admin.query(`drop database ${own.pathname.slice(1)} with (force)`))
    )
  const each = <A, B>(items: ReadonlyArray<A>, name: string, f: (item: A, url: string) => Effect.Effect<B>) =>
    Effect.forEach(items, (item, index) => Effect.flatMap(ownDatabase(`${name}${index}`), (own) => f(item, own.href)), {
      concurrency: "unbounded"
    })
  return yield* Effect.all([
    each(scenarios, "s", (scenario, own) => Effect.scoped(measure(scenario, own))),
    each(idle, "i", (one, own) => Effect.scoped(statementsOf(one, own)))
  ], { concurrency: "unbounded" })
})

const [recovered, statements] = await Effect.runPromise(Effect.scoped(everything))

const secondsOf = (which: (scenario: Scenario) => boolean): number =>
  recovered.find(({ scenario }) => scenario.system === "everbeat" && which(scenario))?.seconds ?? NaN
const idleOf = (index: number): number => statements[index]?.perSecond ?? NaN
const summary = {
  recoverySeconds: round(secondsOf(({ leaseSeconds, signal }) => signal === "SIGKILL" && leaseSeconds === shortLease)),
  recoveryLeaseSeconds: shortLease,
  handoverSeconds: round(secondsOf(({ signal }) => signal === "SIGTERM")),
  idleStatementsPerSecond: round(idleOf(0)),
  idleVsDbos: round(idleOf(1) / idleOf(0))
}

conclude(
  summary,
  [
    // The lease, and the longest pause between two polls of the recovery.
    { name: "recoverySeconds", value: summary.recoverySeconds, operator: "<=", limit: shortLease + 11 },
    { name: "idleStatementsPerSecond", value: summary.idleStatementsPerSecond, operator: "<=", limit: 0.5 }
  ],
  () => {
    print([
      ["until the step is running again", "seconds"],
      ...recovered.map(({ scenario, seconds }) => [
        scenario.name,
        seconds === undefined ? `not within ${patience}` : short(seconds)
      ])
    ])
    print([
      ["a process without work", "statements/s"],
      ...statements.map(({ name, perSecond }) => [name, short(perSecond)])
    ])
  }
)
