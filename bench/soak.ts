/**
 * Whether a process that works for long stays as it is: heartbeats and agents on
 * one store, with what the process holds (memory after a collection, handles, open
 * files) and what the store holds after pruning, sampled all the time.
 *
 *   npm run soak -- --minutes 30                    on Postgres and then in memory, so long each
 *   npm run soak -- --minutes 5 --store postgres    on one of them
 *   npm run soak -- --json                          one line of JSON
 *
 * Writes `bench/results/soak-<store>.json` and `.svg`. The exit code is 1 when
 * memory, handles or tables grow by more than is allowed after the warm-up (a
 * fifth of the time), or when any of the work fails.
 */
import { MemoryStore } from "@everbeat/store-memory"
import { PostgresStore } from "@everbeat/store-postgres"
import { Effect, Fiber, MutableRef, References } from "effect"
import { mkdirSync, writeFileSync } from "node:fs"
import { cpus, totalmem } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { chart, type Panel } from "./soak/lines.ts"
import { measureProcess } from "./soak/process.ts"
import { type Allowance, type Growth, growthOf, type Point } from "./soak/slope.ts"
import { countRuns, type Done, host, prune, work } from "./soak/workload.ts"
import { print, round, short } from "./support/numbers.ts"
import { acquirePool, postgres } from "./support/servers.ts"

const { values: options } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    store: { type: "string", default: "postgres,memory" },
    json: { type: "boolean", default: false }
  }
})
const minutes = Number(options.minutes)
if (!(minutes > 0)) throw new Error(`--minutes must be a positive number, not ${options.minutes}`)
const wanted = options.store.split(",")
for (const store of wanted) {
  if (store === "postgres" || store === "memory") continue
  throw new Error(`--store is postgres, memory, or both with a comma; not ${store}`)
}

type Tables = Readonly<Record<string, number>>
type Sample = Awaited<ReturnType<typeof measureProcess>> & Done & Tables & { readonly minutes: number }

const results = join(import.meta.dirname, "results")
const warmUp = minutes / 5
const every = Math.max(1000, (minutes * 60_000) / 180)

const MiB = 1024 * 1024

/** Over the whole time after the warm-up. Memory after a collection still depends on what is in flight. */
const allowances: Readonly<Record<string, Allowance>> = {
  heapUsed: { share: 0.05, units: MiB },
  external: { share: 0.05, units: MiB },
  handles: { share: 0, units: 1 },
  openFiles: { share: 0, units: 1 },
  runs_kept: { share: 0.05, units: 20 },
  rows_kept: { share: 0.05, units: 20 },
  table_bytes: { share: 0.1, units: MiB }
}

const sampling = (tables: Effect.Effect<Tables>, done: MutableRef.MutableRef<Done>, samples: Array<Sample>) =>
  Effect.gen(function*() {
    const from = process.hrtime.bigint()
    for (;;) {
      yield* Effect.sleep(every)
      const held = yield* tables
      const measured = yield* Effect.promise(measureProcess)
      const at = Number(process.hrtime.bigint() - from) / 60e9
      samples.push({ ...held, ...measured, ...MutableRef.get(done), minutes: at })
      if (!options.json && samples.length % 10 === 0) {
        console.error(
          `${at.toFixed(1)} min: ${short(measured.heapUsed / MiB)} MiB, ${measured.handles} handles, ${
            JSON.stringify({ ...held, ...MutableRef.get(done) })
          }`
        )
      }
      if (at >= minutes) return samples
    }
  })

/** Work and samples of one store: what is sampled last of the store is right after it was pruned. */
const soak = Effect.fnUntraced(function*(
  layer: ReturnType<typeof host>,
  tablesOf: (counted: number) => Effect.Effect<Tables>
) {
  const done = MutableRef.make<Done>({ passes: 0, runs: 0 })
  const samples: Array<Sample> = []
  const tables = Effect.gen(function*() {
    yield* Effect.orDie(prune)
    return yield* tablesOf(yield* Effect.orDie(countRuns))
  })
  const program = Effect.gen(function*() {
    const context = yield* Effect.context<Effect.Services<typeof tables>>()
    const working = yield* Effect.forkChild(work(done))
    const sampled = sampling(Effect.provideContext(tables, context), done, samples)
    // The work never ends by itself, except with what went wrong.
    yield* Effect.raceFirst(sampled, Fiber.join(working))
    yield* Fiber.interrupt(working)
  })
  // Every pass warns, many runs fail, and say so.
  yield* Effect.provide(program, layer).pipe(Effect.provideService(References.MinimumLogLevel, "Fatal"))
  return samples
})

const onMemory = soak(host(MemoryStore.layer), (counted) => Effect.succeed({ runs_kept: counted }))

const onPostgres = Effect.gen(function*() {
  const { admin, isPrivate, url } = yield* postgres
  // Vacuums are a part of what is measured here, and come often enough to be seen in a run of minutes. A server of
  // somebody else keeps its settings.
  if (isPrivate) {
    yield* Effect.promise(() => admin.query("alter system set autovacuum_naptime = '5s'"))
    yield* Effect.promise(() => admin.query("select pg_reload_conf()"))
  }
  const looking = yield* acquirePool({ connectionString: url, max: 1 })
  const tables = Effect.promise(async () => {
    const { rows } = await looking.query<Record<string, string>>(
      `select (select count(*) from everbeat.run) as runs, (select count(*) from everbeat.run_row) as rows,
        pg_total_relation_size('everbeat.run') + pg_total_relation_size('everbeat.run_row') as bytes`
    )
    const [row = {}] = rows
    return { runs_kept: Number(row["runs"]), rows_kept: Number(row["rows"]), table_bytes: Number(row["bytes"]) }
  })
  return yield* soak(host(PostgresStore.layer({ url })), () => tables)
})

const runs = { postgres: onPostgres, memory: onMemory }

const points = (samples: ReadonlyArray<Sample>, name: string, unit = 1): ReadonlyArray<Point> =>
  samples.map((sample) => [sample.minutes, (sample[name] ?? Number.NaN) / unit])

const panelsOf = (samples: ReadonlyArray<Sample>): ReadonlyArray<Panel> => {
  const line = (name: string, of: string, unit = 1) => ({ name, points: points(samples, of, unit) })
  const has = (name: string) => samples.some((sample) => name in sample)
  return [
    { title: "Memory, MiB", lines: [line("heap after a collection", "heapUsed", MiB), line("resident", "rss", MiB)] },
    { title: "Handles", lines: [line("handles", "handles"), line("open files", "openFiles")] },
    {
      title: "Kept in the store after pruning",
      lines: [line("runs", "runs_kept"), ...(has("rows_kept") ? [line("messages", "rows_kept")] : [])]
    },
    ...(has("table_bytes") ? [{ title: "Tables with indexes, MiB", lines: [line("size", "table_bytes", MiB)] }] : []),
    { title: "Event loop late by, ms", lines: [line("p50", "lagP50"), line("p99", "lagP99")] },
    { title: "Done so far", lines: [line("passes", "passes"), line("agents' runs", "runs")] }
  ]
}

const report = (store: string, samples: ReadonlyArray<Sample>) => {
  const after = samples.filter((sample) => sample.minutes >= warmUp)
  const growth = Object.entries(allowances).flatMap(([name, allowance]): ReadonlyArray<Growth> =>
    after.some((sample) => name in sample) ? [growthOf(name, points(after, name), allowance)] : []
  )
  const last = samples.at(-1)
  const summary = {
    store,
    minutes: round(last?.minutes ?? 0),
    passes: last?.passes ?? 0,
    runs: last?.runs ?? 0,
    lagP99: round(Math.max(...after.map(({ lagP99 }) => lagP99))),
    growth,
    machine: { cpus: `${cpus().length} x ${cpus()[0]?.model}`, memory: `${round(totalmem() / 1024 ** 3)} GiB` },
    node: process.version
  }
  mkdirSync(results, { recursive: true })
  writeFileSync(join(results, `soak-${store}.json`), `${JSON.stringify({ ...summary, samples })}\n`)
  writeFileSync(join(results, `soak-${store}.svg`), chart(panelsOf(samples), warmUp))
  return summary
}

const summaries = await Effect.runPromise(
  Effect.forEach(wanted, (store) => {
    const run = Object.entries(runs).find(([name]) => name === store)?.[1]
    if (run === undefined) return Effect.die(`there is no store ${store}`)
    return Effect.map(Effect.scoped(run), (samples) => report(store, samples))
  })
)

const grew = summaries.some(({ growth }) => growth.some(({ holds }) => !holds))
process.exitCode = grew ? 1 : 0
if (options.json) {
  console.log(JSON.stringify({ grew, soaks: summaries }))
} else {
  for (const { growth, minutes, passes, runs, store } of summaries) {
    console.log(`\n${store}: ${minutes} minutes, ${short(passes)} passes, ${short(runs)} runs of agents`)
    print([
      ["after the warm-up", "median", "per minute", "in all", "allowed", ""],
      ...growth.map(({ allowed, holds, median, name, perMinute, total }) => [
        name,
        short(median),
        short(perMinute),
        short(total),
        short(allowed),
        holds ? "holds" : "GROWS"
      ])
    ])
  }
}
