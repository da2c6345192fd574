/** The least that anybody would write: the same rows, without head and fence. Nothing could be continued from them safely. */
import { Effect } from "effect"
import { randomUUID } from "node:crypto"
import { acquireRedis, countingPool, countingRedis } from "../../support/servers.ts"
import { type Candidate, keyBytes, type Message, tableBytes } from "./candidate.ts"

const insert = "insert into floor.rows (run_id, row_no, body) values ($1, $2, $3), ($1, $4, $5)"
const insertOne = "insert into floor.rows (run_id, row_no, body) values ($1, $2, $3)"
const insertAll =
  "insert into floor.rows (run_id, row_no, body) select $1, r.n - 1, r.body from unnest($2::text[]) with ordinality r(body, n)"

const encode = (message: Message): string => JSON.stringify(message)
const lengthOf = (texts: ReadonlyArray<string>): number => texts.map((text): unknown => JSON.parse(text)).length

/** An `INSERT` of the same rows into a table of the same shape with the same index. */
export const insertOnly = Effect.fnUntraced(function*(url: string) {
  const { pool, sent } = yield* countingPool(url)
  yield* Effect.promise(() =>
    pool.query(
      "create schema floor; create table floor.rows (run_id uuid not null, row_no integer not null, body text not null, primary key (run_id, row_no))"
    )
  )
  let run = ""
  let position = 0
  const candidate: Candidate = {
    name: "floor: INSERT",
    grows: false,
    begin: (history) => {
      run = randomUUID()
      position = history.length
      return Effect.promise(() => pool.query(insertAll, [run, history.map(encode)]))
    },
    save: (turn) => {
      const at = position
      position += turn.length
      const [first, second] = turn
      if (first === undefined) return Effect.void
      return Effect.promise(() =>
        second === undefined
          ? pool.query({ name: "one", text: insertOne, values: [run, at, encode(first)] })
          : pool.query({ name: "two", text: insert, values: [run, at, encode(first), at + 1, encode(second)] })
      )
    },
    load: Effect.promise(async () => {
      const { rows } = await pool.query<{ readonly body: string }>({
        name: "load",
        text: "select body from floor.rows where run_id = $1 order by row_no",
        values: [run]
      })
      return lengthOf(rows.map(({ body }) => body))
    }),
    sent,
    stored: tableBytes(pool, "floor")
  }
  return candidate
})

const append = "return redis.call('RPUSH', KEYS[1], unpack(ARGV))"

/** A script that appends the same bytes and does nothing else. */
export const appendOnly = Effect.fnUntraced(function*(url: string) {
  const { client, sent } = yield* countingRedis(url)
  const admin = yield* acquireRedis(url)
  const sha = String(yield* Effect.promise(() => client.script("LOAD", append)))
  let key = ""
  const candidate: Candidate = {
    name: "floor: Redis RPUSH",
    grows: false,
    begin: (history) => {
      key = `floor:${randomUUID()}`
      return history.length === 0 ? Effect.void : Effect.promise(() => client.rpush(key, ...history.map(encode)))
    },
    save: (turn) => Effect.promise(() => client.evalsha(sha, 1, key, ...turn.map(encode))),
    load: Effect.promise(async () => lengthOf(await client.lrange(key, 0, -1))),
    sent,
    stored: keyBytes(admin, "floor:*")
  }
  return candidate
})
