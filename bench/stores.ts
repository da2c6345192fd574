/**
 * What a save costs: two messages of 1 KB per turn, through `CheckpointStore.save`
 * of each store, side by side with the least that anybody would write instead. On
 * Postgres that is an `INSERT` of the same rows into a table of the same shape, without
 * head and fence; on Redis, a script that appends them and does nothing else. All
 * take their turns in one process, in an order that changes with every turn, so noise
 * of the machine hits all; only their ratios mean something.
 *
 *   npm run bench:stores                 a table
 *   npm run bench:stores -- --json       one line of JSON
 *   npm run bench:stores -- --data FILE  messages of a file instead: an array of runs, or one message per line
 *
 * The exit code is 1 when a limit does not hold. `pgSaveVsFloor` and `redisSaveVsFloor` are ratios of the medians of all
 * saves, `pgSlope` and `redisSlope` of those up to turn 1,000 and up to turn 100; `storedVsBytes` is the worse store.
 */
import { AgentName, type CheckpointStore, RunId } from "@everbeat/core"
import { MemoryStore } from "@everbeat/store-memory"
import { PostgresStore } from "@everbeat/store-postgres"
import { RedisStore } from "@everbeat/store-redis"
import { Duration, Effect } from "effect"
import { randomUUID } from "node:crypto"
import { parseArgs } from "node:util"
import type { Pool, Redis } from "./support/drivers.ts"
import { bytesOf, random, turnsOf } from "./support/history.ts"
import { conclude, median, percentile, print, round, short } from "./support/numbers.ts"
import { countingPool, countingRedis, postgres, redis, type Sent } from "./support/servers.ts"

const marks = [10, 100, 500, 1000]
const last = 1000
const rounds = 6
const warmUp = 200

const { values: { data } } = parseArgs({ options: { data: { type: "string" }, json: { type: "boolean" } } })
const turns = turnsOf(last, data)

/** One run at a time that appends. */
interface Candidate {
  readonly name: string
  /** Begins another run. */
  readonly begin: Effect.Effect<void, unknown>
  readonly save: (position: number, rows: ReadonlyArray<string>) => Effect.Effect<unknown, unknown>
  readonly sent: () => Sent
  /** Bytes that the server holds, all runs together. */
  readonly stored: Effect.Effect<number>
}

const agentName = AgentName.make("bench")
const ttl = Duration.seconds(30)

const through = (store: CheckpointStore.CheckpointStore["Service"]): Pick<Candidate, "begin" | "save"> => {
  let lease = { runId: RunId.make(agentName), owner: "", fence: 0 }
  return {
    begin: Effect.gen(function*() {
      const begun = yield* store.begin({
        meta: { runId: RunId.make(agentName), kind: "agent", agentName, definition: { name: "bench", hash: "1" } },
        owner: randomUUID(),
        ttl,
        maxAttempts: 3,
        exclusive: false,
        resumes: "same-name"
      })
      if (begun._tag !== "Begun") throw new Error(`begin answered ${begun._tag}`)
      lease = begun.lease
    }),
    save: (position, rows) => {
      const end = position + rows.length
      return store.save(lease, { position, rows, segments: [[0, end]], iteration: end / 2, ttl })
    }
  }
}

const insert = "insert into floor (run_id, row_no, body) values ($1, $2, $3), ($1, $4, $5)"

const insertOnly = (pool: Pool): Pick<Candidate, "begin" | "save"> => {
  let run = ""
  return {
    begin: Effect.sync(() => {
      run = RunId.make(agentName)
    }),
    save: (position, [first, second]) =>
      Effect.promise(() =>
        pool.query({ name: "floor", text: insert, values: [run, position, first, position + 1, second] })
      )
  }
}

const append = "return redis.call('RPUSH', KEYS[1], unpack(ARGV))"

const appendOnly = (client: Redis, sha: string): Pick<Candidate, "begin" | "save"> => {
  let key = ""
  return {
    begin: Effect.sync(() => {
      key = `floor:${randomUUID()}`
    }),
    save: (_, rows) => Effect.promise(() => client.evalsha(sha, 1, key, ...rows))
  }
}

/** Tables with their indexes and what was moved out of line. */
const tableBytes = (pool: Pool, schema: string) =>
  Effect.promise(async () => {
    const { rows } = await pool.query<{ readonly bytes: string }>(
      "select sum(pg_total_relation_size(oid))::text as bytes from pg_class where relkind = 'r' and relnamespace = $1::regnamespace",
      [schema]
    )
    return Number(rows[0]?.bytes)
  })

const keyBytes = (client: Redis, pattern: string) =>
  Effect.promise(async () => {
    const keys = await client.keys(pattern)
    const sizes = await Promise.all(keys.map((key) => client.memory("USAGE", key, "SAMPLES", 0)))
    return sizes.reduce<number>((bytes, size) => bytes + (size ?? 0), 0)
  })

const candidates = Effect.gen(function*() {
  const memory = yield* MemoryStore.make()
  const { url } = yield* postgres
  const ours = yield* countingPool(url)
  const floor = yield* countingPool(url)
  yield* Effect.promise(() =>
    floor.pool.query(
      "create table floor (run_id uuid not null, row_no integer not null, body text not null, primary key (run_id, row_no))"
    )
  )
  const inPostgres = yield* PostgresStore.make(ours.pool)
  const server = yield* redis
  const ourRedis = yield* countingRedis(server.url)
  const floorRedis = yield* countingRedis(server.url)
  const sha = yield* Effect.promise(() => floorRedis.client.script("LOAD", append))
  const inRedis = yield* RedisStore.makeFrom(ourRedis.client, { onWarning: () => Effect.void })
  return {
    memory: {
      name: "memory",
      ...through(memory.checkpoints),
      sent: () => ({ statements: 0, bytes: 0 }),
      stored: Effect.succeed(NaN)
    },
    pg: {
      name: "postgres",
      ...through(inPostgres.checkpoints),
      sent: ours.sent,
      stored: tableBytes(ours.pool, "everbeat")
    },
    pgFloor: {
      name: "postgres, INSERT only",
      ...insertOnly(floor.pool),
      sent: floor.sent,
      stored: tableBytes(floor.pool, "public")
    },
    redis: {
      name: "redis",
      ...through(inRedis.checkpoints),
      sent: ourRedis.sent,
      stored: keyBytes(ourRedis.client, "{everbeat:*")
    },
    redisFloor: {
      name: "redis, RPUSH only",
      ...appendOnly(floorRedis.client, String(sha)),
      sent: floorRedis.sent,
      stored: keyBytes(floorRedis.client, "floor:*")
    }
  } satisfies Record<string, Candidate>
})

interface Save extends Sent {
  readonly turn: number
  readonly micros: number
}

const oneSave = Effect.fnUntraced(function*(candidate: Candidate, turn: number, rows: ReadonlyArray<string>) {
  const before = candidate.sent()
  const from = process.hrtime.bigint()
  yield* candidate.save(2 * turn, rows)
  const micros = Number(process.hrtime.bigint() - from) / 1000
  const after = candidate.sent()
  return { turn, micros, statements: after.statements - before.statements, bytes: after.bytes - before.bytes }
})

const next = random(4711)

/** Who comes after whom is left to chance: a server that was asked a moment ago is awake. */
const shuffled = <A>(values: ReadonlyArray<A>): ReadonlyArray<A> =>
  values.map((value) => ({ value, at: next() })).toSorted((a, b) => a.at - b.at).map(({ value }) => value)

/** One run of each candidate. */
const oneRound = Effect.fnUntraced(function*(
  all: ReadonlyArray<Candidate>,
  count: number,
  record: (candidate: Candidate, save: Save) => void
) {
  for (const candidate of all) yield* candidate.begin
  for (const [turn, rows] of turns.slice(0, count).entries()) {
    for (const candidate of shuffled(all)) record(candidate, yield* oneSave(candidate, turn, rows))
  }
})

const measure = Effect.gen(function*() {
  const named = yield* candidates
  const all: ReadonlyArray<Candidate> = Object.values(named)
  const saves = new Map<Candidate, Array<Save>>(all.map((candidate) => [candidate, []]))
  yield* oneRound(all, warmUp, () => {})
  const result = Effect.fnUntraced(function*(candidate: Candidate, before: number) {
    const stored = ((yield* candidate.stored) - before) / rounds
    return { name: candidate.name, saves: saves.get(candidate) ?? [], stored }
  })
  // What an empty store and the runs of the warm-up take are no bytes of the messages.
  const before = {
    memory: yield* named.memory.stored,
    pg: yield* named.pg.stored,
    pgFloor: yield* named.pgFloor.stored,
    redis: yield* named.redis.stored,
    redisFloor: yield* named.redisFloor.stored
  }
  for (let n = 0; n < rounds; n++) {
    yield* oneRound(all, last, (candidate, save) => saves.get(candidate)?.push(save))
  }
  return {
    memory: yield* result(named.memory, before.memory),
    pg: yield* result(named.pg, before.pg),
    pgFloor: yield* result(named.pgFloor, before.pgFloor),
    redis: yield* result(named.redis, before.redis),
    redisFloor: yield* result(named.redisFloor, before.redisFloor)
  }
})

const results = await Effect.runPromise(Effect.scoped(measure))
const messageBytes = bytesOf(turns.flat())

/** The saves up to a turn: the last 50, or all of them when they are few. */
const upTo = (saves: ReadonlyArray<Save>, mark: number) =>
  saves.filter(({ turn }) => turn < mark && turn >= mark - Math.min(mark, 50))

const micros = (saves: ReadonlyArray<Save>) => saves.map((save) => save.micros)
const p50 = (saves: ReadonlyArray<Save>) => median(micros(saves))
const slope = (saves: ReadonlyArray<Save>) => p50(upTo(saves, last)) / p50(upTo(saves, 100))

const { memory, pg, pgFloor, redis: inRedis, redisFloor } = results
const summary = {
  pgSaveVsFloor: round(p50(pg.saves) / p50(pgFloor.saves)),
  redisSaveVsFloor: round(p50(inRedis.saves) / p50(redisFloor.saves)),
  pgSlope: round(slope(pg.saves)),
  redisSlope: round(slope(inRedis.saves)),
  memorySlope: round(slope(memory.saves)),
  storedVsBytes: round(Math.max(pg.stored, inRedis.stored) / messageBytes),
  pgStoredVsBytes: round(pg.stored / messageBytes),
  redisStoredVsBytes: round(inRedis.stored / messageBytes),
  pgSentVsFloor: round(median(pg.saves.map(({ bytes }) => bytes)) / median(pgFloor.saves.map(({ bytes }) => bytes))),
  pgStatementsPerSave: round(pg.saves.reduce((sum, { statements }) => sum + statements, 0) / pg.saves.length)
}

conclude(summary, [
  { name: "pgSaveVsFloor", value: summary.pgSaveVsFloor, operator: "<=", limit: 2 },
  { name: "redisSaveVsFloor", value: summary.redisSaveVsFloor, operator: "<=", limit: 1.5 },
  { name: "pgSlope", value: summary.pgSlope, operator: "<=", limit: 1.3 },
  { name: "redisSlope", value: summary.redisSlope, operator: "<=", limit: 1.3 },
  // The limit is one of messages of 1 KB.
  ...(data === undefined
    ? [{ name: "storedVsBytes", value: summary.storedVsBytes, operator: "<=" as const, limit: 1.3 }]
    : [])
], () => {
  const all = [memory, pg, pgFloor, inRedis, redisFloor]
  const cell = (saves: ReadonlyArray<Save>) => `${short(p50(saves))} / ${short(percentile(micros(saves), 0.99))}`
  const perSave = (saves: ReadonlyArray<Save>, of: (save: Save) => number) =>
    short(saves.reduce((sum, save) => sum + of(save), 0) / saves.length)
  print([
    ["p50 / p99 in \u00B5s at turn", ...marks.map(String), "statements", "bytes sent", "bytes stored"],
    ...all.map(({ name, saves, stored }) => [
      name,
      ...marks.map((mark) => cell(upTo(saves, mark))),
      ...(saves.every(({ statements }) => statements === 0)
        ? ["", "", ""]
        : [perSave(saves, ({ statements }) => statements), perSave(saves, ({ bytes }) => bytes), short(stored)])
    ])
  ])
  console.log(`statements and bytes sent: per save; bytes stored: after ${last} turns of ${short(messageBytes)} bytes`)
})
