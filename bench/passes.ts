/**
 * What durable passes cost: five steps that do nothing, one agent after the other
 * and 50 agents at once, each with a pass of its own after the other, on Postgres
 * and on Redis. Statements are counted by the servers: transactions of the
 * database, scripts of Redis.
 *
 *   npm run bench:passes            a table
 *   npm run bench:passes -- --json  one line of JSON
 *
 * The exit code is 1 when a limit does not hold. They are limits of statements: how fast passes are, the disk decides.
 */
import { type CheckpointStore, Heartbeat, HeartbeatEngine, type RunStore, Step, type StoreError } from "@everbeat/core"
import { PostgresStore } from "@everbeat/store-postgres"
import { RedisStore } from "@everbeat/store-redis"
import { Effect, Layer } from "effect"
import { Pool } from "./support/drivers.ts"
import { conclude, median, print, round, short } from "./support/numbers.ts"
import { acquireRedis, postgres, redis } from "./support/servers.ts"

const rounds = 3

const durabilities = ["sync", "coalesce"] as const
const crowds = [{ agents: 1, passes: 300 }, { agents: 50, passes: 40 }]

type Stores = Layer.Layer<CheckpointStore.CheckpointStore | RunStore.RunStore, StoreError.StoreError>

interface Server {
  readonly name: string
  readonly stores: Stores
  /** Runs what opens its own connections and closes them, and tells how many statements the server saw of it. */
  readonly counting: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<readonly [A, statements: number], E>
}

const onPostgres = Effect.gen(function*() {
  const { admin, name, url } = yield* postgres
  const quiet = Effect.promise(async () => {
    // A session adds to the counters when it ends at the latest.
    for (;;) {
      const { rows } = await admin.query(
        "select from pg_stat_activity where datname = $1 and backend_type = 'client backend'",
        [name]
      )
      if (rows.length === 0) return
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  })
  const read = Effect.andThen(
    quiet,
    Effect.promise(async () => {
      const { rows } = await admin.query<{ readonly transactions: string; readonly sessions: string }>(
        "select (xact_commit + xact_rollback)::text as transactions, sessions::text as sessions from pg_stat_database where datname = $1",
        [name]
      )
      return { transactions: Number(rows[0]?.transactions), sessions: Number(rows[0]?.sessions) }
    })
  )
  const used = <A, E>(effect: Effect.Effect<A, E>) =>
    Effect.gen(function*() {
      const before = yield* read
      const value = yield* effect
      const after = yield* read
      return {
        value,
        transactions: after.transactions - before.transactions,
        sessions: after.sessions - before.sessions
      }
    })
  const stores = (migrate: "auto" | "off") => PostgresStore.layer({ url, migrate })
  yield* Effect.scoped(Layer.build(stores("auto")))
  // To log in is a transaction too.
  const empty = yield* used(Effect.promise(async () => {
    const pool = new Pool({ connectionString: url, max: 1 })
    await pool.query("select 1")
    await pool.end()
  }))
  const perSession = (empty.transactions - 1) / empty.sessions
  const server: Server = {
    name: "postgres",
    stores: stores("off"),
    counting: (effect) =>
      Effect.map(used(effect), ({ sessions, transactions, value }) => [value, transactions - sessions * perSession])
  }
  return server
})

const onRedis = Effect.gen(function*() {
  const { url } = yield* redis
  const admin = yield* acquireRedis(url)
  const server: Server = {
    name: "redis",
    stores: RedisStore.layer({ url, onWarning: () => Effect.void }),
    counting: (effect) =>
      Effect.gen(function*() {
        yield* Effect.promise(() => admin.config("RESETSTAT"))
        const value = yield* effect
        const stats = yield* Effect.promise(() => admin.info("commandstats"))
        const calls = Array.from(stats.matchAll(/^cmdstat_eval(?:sha)?:calls=(\d+)/gmu))
        return [value, calls.reduce((sum, [, count]) => sum + Number(count), 0)]
      })
  }
  return server
})

const heartbeat = (durability: (typeof durabilities)[number]) =>
  Heartbeat.make("bench", ["one", "two", "three", "four", "five"].map((name) => Step.make(name, Effect.void)), {
    durability
  })

const measure = Effect.fnUntraced(function*(
  { counting, name, stores }: Server,
  durability: (typeof durabilities)[number],
  { agents, passes }: (typeof crowds)[number]
) {
  const beat = heartbeat(durability)
  const all = Array.from({ length: agents }, (_, index) => `agent-${index}`)
  const oneRound = Effect.gen(function*() {
    const from = process.hrtime.bigint()
    yield* Effect.forEach(
      all,
      (agent) =>
        Effect.gen(function*() {
          for (let pass = 0; pass < passes; pass++) {
            const report = yield* Heartbeat.run(beat, { agent })
            if (report.status !== "ok") throw new Error(`a pass ended with ${report.status}`)
          }
        }),
      { concurrency: "unbounded", discard: true }
    )
    return (agents * passes) / (Number(process.hrtime.bigint() - from) / 1e9)
  })
  const engine = Layer.provide(HeartbeatEngine.layer, stores)
  const everyRound = Effect.gen(function*() {
    yield* oneRound // warm-up
    const speeds: Array<number> = []
    for (let n = 0; n < rounds; n++) speeds.push(yield* oneRound)
    return median(speeds)
  })
  const [speed, statements] = yield* counting(Effect.provide(everyRound, engine))
  return { server: name, durability, agents, speed, statements: statements / (agents * passes * (rounds + 1)) }
})

const results = await Effect.runPromise(Effect.scoped(Effect.gen(function*() {
  const servers = [yield* onPostgres, yield* onRedis]
  const cases = servers.flatMap((server) =>
    crowds.flatMap((crowd) => durabilities.map((durability) => [server, durability, crowd] as const))
  )
  return yield* Effect.forEach(cases, (arguments_) => measure(...arguments_))
})))

const nameOf = ({ agents, durability, server }: (typeof results)[number]) =>
  `${server === "postgres" ? "pg" : server}${durability === "sync" ? "Sync" : "Coalesce"}${agents}`

const summary = Object.fromEntries(results.flatMap((result) => [
  [`${nameOf(result)}PassesPerSecond`, Math.round(result.speed)],
  [`${nameOf(result)}Statements`, round(result.statements)]
]))

const limitOf = ({ agents, durability, server }: (typeof results)[number]) => {
  // Postgres merges what waits at the same time into one statement; Redis runs a script for each.
  if (agents > 1 && server === "postgres") return { operator: "<", limit: 1 } as const
  return { operator: "<=", limit: durability === "sync" ? 6 : 2 } as const
}

conclude(
  summary,
  results.map((result) => ({
    name: `${nameOf(result)}Statements`,
    value: round(result.statements),
    ...limitOf(result)
  })),
  () =>
    print([
      ["passes of five steps", "agents", "passes/s", "statements per pass"],
      ...results.map(({ agents, durability, server, speed, statements }) => [
        `${server}, ${durability}`,
        String(agents),
        short(speed),
        statements.toFixed(2)
      ])
    ])
)
