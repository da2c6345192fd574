/**
 * What five durable steps that do nothing cost, side by side: DBOS, Effect's ClusterWorkflowEngine, OpenWorkflow, and a heartbeat
 * with every step durable before the next one starts. Each system is in a process and a database of its own, on the
 * same server, and they take turns; no two run at a time. First one after the other, then 50 at once, then
 * both again with the database 2 ms away (1 ms each way, through a proxy that counts the statements).
 *
 *   npm run bench -- --suite passes           3 rounds
 *   npm run bench -- --suite passes --quick   3 shorter rounds
 *
 * Ratios are medians of the ratios of each round. Flushes of the log are those of the server's sessions, less what it takes to start
 * and to stop the system.
 */
import { Effect } from "effect"
import { parseArgs } from "node:util"
import { farServer } from "../support/farServer.ts"
import { conclude, median, print, round, short } from "../support/numbers.ts"
import { postgres } from "../support/servers.ts"
import { startChild } from "./systems/child.ts"

const { values: { quick } } = parseArgs({
  options: { quick: { type: "boolean" }, json: { type: "boolean" } }
})
const rounds = 3
const farRounds = 1
const crowd = 50

/** How long the callers of a round go on. */
const forMillis = quick === true
  ? { alone: 700, warmUp: 4_000, crowd: 1_000 }
  : { alone: 1_000, warmUp: 4_000, crowd: 2_000 }

interface Contender {
  readonly name: string
  readonly system: string
  readonly variant: string
  /** Rounds it takes part in, when not all: it waits more than it works. */
  readonly rounds?: number
}

const contenders: ReadonlyArray<Contender> = [
  { name: "Everbeat, every step sync", system: "everbeat", variant: "sync" },
  { name: "Everbeat, coalesced (default)", system: "everbeat", variant: "coalesce" },
  { name: "DBOS", system: "dbos", variant: "" },
  { name: "Effect ClusterWorkflowEngine", system: "effectCluster", variant: "sql" },
  ...(quick === true ? [] : [{
    name: "the same, runner storage in memory",
    system: "effectCluster",
    variant: "memory"
  }]),
  { name: "OpenWorkflow", system: "openWorkflow", variant: "" }
]

const say = (line: string): void => console.error(`passes: ${line}`)

interface Speed {
  readonly perSecond: number
  readonly p50: number
  readonly p99: number
  readonly cpu: number
  readonly statements: number
  readonly flushes: number
}

const measure = Effect.gen(function*() {
  const { admin, url } = yield* postgres
  const urls = new Map<Contender, string>()
  for (const [index, contender] of contenders.entries()) {
    const own = new URL(url)
    own.pathname = `${own.pathname}_${index}`
    yield* Effect.acquireRelease(
      Effect.promise(() => admin.query(`create database ${own.pathname.slice(1)}`)),
      () => Effect.promise(() => admin.query(`drop database ${own.pathname.slice(1)} with (force)`))
    )
    urls.set(contender, own.href)
  }
  const flushes = Effect.promise(async () => {
    // A session tells of its flushes when it ends at the latest.
    for (;;) {
      const { rows } = await admin.query(
        "select from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"
      )
      if (rows.length === 0) break
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    const { rows } = await admin.query<{ readonly syncs: string }>("select wal_sync::text as syncs from pg_stat_wal")
    return Number(rows[0]?.syncs)
  })

  /** Opens the system, lets callers run, one and then many or only one kind of them, and closes it again. */
  const session = Effect.fnUntraced(function*(
    ask: Effect.Success<ReturnType<typeof startChild>>["ask"],
    at: string,
    crowds: ReadonlyArray<number>,
    statements: () => number
  ) {
    const before = yield* flushes
    yield* ask({ do: "open", url: at, concurrency: crowd })
    let runs = (yield* ask({ do: "run", forMillis: 0, concurrency: 3 })).runs
    const results: Array<Omit<Speed, "flushes">> = []
    for (const concurrency of crowds) {
      // What has just begun is slower: code is not compiled, connections are not open.
      const warmUp = concurrency === 1 ? forMillis.alone / 2 : forMillis.warmUp
      runs += (yield* ask({ do: "run", forMillis: warmUp, concurrency })).runs
      const from = statements()
      const time = concurrency === 1 ? forMillis.alone : forMillis.crowd
      const answer = yield* ask({ do: "run", forMillis: time, concurrency })
      runs += answer.runs
      results.push({
        perSecond: answer.runs / answer.millis * 1_000,
        p50: answer.p50,
        p99: answer.p99,
        cpu: answer.cpu / answer.runs,
        statements: (statements() - from) / answer.runs
      })
    }
    yield* ask({ do: "close" })
    return { results, runs, flushes: (yield* flushes) - before }
  })

  const idle = new Map<Contender, number>()

  const oneRound = Effect.fnUntraced(function*(contender: Contender, index: number) {
    const at = urls.get(contender) ?? ""
    const { ask } = yield* startChild(contender)
    const none = () => NaN
    if (index === 0) {
      yield* session(ask, at, [], none) // its tables
      idle.set(contender, (yield* session(ask, at, [], none)).flushes)
    }
    const speeds: Record<string, Speed> = {}
    for (const [name, concurrency] of [["alone", 1], ["crowd", crowd]] as const) {
      const { flushes, results: [result], runs } = yield* session(ask, at, [concurrency], none)
      // Of those three runs that each start has, the flushes are in both.
      const spent = Math.max(0, flushes - (idle.get(contender) ?? 0)) / (runs - 3)
      if (result !== undefined) speeds[name] = { ...result, flushes: spent }
    }
    if (index < farRounds) {
      const far = yield* farServer(at, 1)
      const { results: [alone, many] } = yield* session(ask, far.url, [1, crowd], far.statements)
      if (alone !== undefined) speeds["farAlone"] = { ...alone, flushes: NaN }
      if (many !== undefined) speeds["farCrowd"] = { ...many, flushes: NaN }
    }
    return speeds
  })

  const seen = new Map<Contender, Array<Readonly<Record<string, Speed>>>>(contenders.map((one) => [one, []]))
  for (let index = 0; index < rounds; index++) {
    // Another one begins each round.
    for (
      const contender of [
        ...contenders.slice(index % contenders.length),
        ...contenders.slice(0, index % contenders.length)
      ]
    ) {
      if (index >= (contender.rounds ?? rounds)) continue
      say(`round ${index + 1} of ${rounds}: ${contender.name}`)
      seen.get(contender)?.push(yield* Effect.scoped(oneRound(contender, index)))
    }
  }
  return seen
})

const seen = await Effect.runPromise(Effect.scoped(measure))

const valuesOf = (contender: Contender | undefined, phase: string, pick: (speed: Speed) => number) =>
  (contender === undefined ? [] : seen.get(contender) ?? []).flatMap((speeds) => {
    const speed = speeds[phase]
    return speed === undefined || Number.isNaN(pick(speed)) ? [] : [pick(speed)]
  })
const middle = (contender: Contender | undefined, phase: string, pick: (speed: Speed) => number): number =>
  median(valuesOf(contender, phase, pick))
const called = (system: string, variant = ""): Contender | undefined =>
  contenders.find((contender) => contender.system === system && (variant === "" || contender.variant === variant))

const ours = called("everbeat", "sync")
const perSecond = ({ perSecond }: Speed): number => perSecond
const times = (other: Contender | undefined, phase: string): number => {
  const theirs = valuesOf(other, phase, perSecond)
  // Some take part in the first rounds only.
  return median(
    valuesOf(ours, phase, perSecond).slice(0, theirs.length).map((speed, index) => speed / (theirs[index] ?? NaN))
  )
}

const statements = ({ statements }: Speed): number => statements
const summary = {
  passesVsDbos: round(times(called("dbos"), "crowd")),
  passesVsEffectCluster: round(times(called("effectCluster", "sql"), "crowd")),
  passesVsOpenWorkflow: round(times(called("openWorkflow"), "crowd")),
  passesAloneVsDbos: round(times(called("dbos"), "alone")),
  passesAloneVsEffectCluster: round(times(called("effectCluster", "sql"), "alone")),
  passesFarVsDbos: round(times(called("dbos"), "farCrowd")),
  passesFarAloneVsDbos: round(times(called("dbos"), "farAlone")),
  statementsPerPass: round(middle(ours, "farAlone", statements)),
  statementsPerPassOf50: round(middle(ours, "farCrowd", statements)),
  flushesPerPassOf50: round(middle(ours, "crowd", ({ flushes }) => flushes)),
  ...(quick === true ? {} : {
    passesVsEffectClusterInMemory: round(times(called("effectCluster", "memory"), "crowd"))
  })
}

conclude(
  summary,
  [
    { name: "passesVsDbos", value: summary.passesVsDbos, operator: ">=", limit: 10 },
    // A renewal of leases may fall into the time of the count.
    { name: "statementsPerPass", value: Math.round(summary.statementsPerPass), operator: "<=", limit: 6 }
  ],
  () => {
    for (
      const [title, alone, many] of [
        ["database beside", "alone", "crowd"],
        ["database 2 ms away", "farAlone", "farCrowd"]
      ] as const
    ) {
      print([
        [`five durable steps, ${title}`, "runs/s, one by one", "p50 / p99, ms", "runs/s, 50 at once", "p50 / p99, ms"],
        ...contenders.map((one) => [
          one.name,
          short(middle(one, alone, perSecond)),
          `${short(middle(one, alone, ({ p50 }) => p50))} / ${short(middle(one, alone, ({ p99 }) => p99))}`,
          short(middle(one, many, perSecond)),
          `${short(middle(one, many, ({ p50 }) => p50))} / ${short(middle(one, many, ({ p99 }) => p99))}`
        ])
      ])
    }
    print([
      [
        "per run",
        "statements, one by one",
        "50 at once",
        "log flushes, one by one",
        "50 at once",
        "CPU ms, 50 at once"
      ],
      ...contenders.map((one) => [
        one.name,
        short(middle(one, "farAlone", statements)),
        short(middle(one, "farCrowd", statements)),
        short(middle(one, "alone", ({ flushes }) => flushes)),
        short(middle(one, "crowd", ({ flushes }) => flushes)),
        short(middle(one, "crowd", ({ cpu }) => cpu))
      ])
    ])
  },
  [{
    name: "passes",
    title: "Five durable steps, 50 runs at once",
    label: "runs per second",
    bars: contenders.map((one) => ({ name: one.name, value: middle(one, "crowd", perSecond) }))
  }]
)
