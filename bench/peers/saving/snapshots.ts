/** The shape that most stores have: the whole run in one row, or under one key, written again with each save. */
import { Effect } from "effect"
import { randomUUID } from "node:crypto"
import { acquireRedis, countingPool, countingRedis } from "../../support/servers.ts"
import { type Candidate, keyBytes, type Message, tableBytes } from "./candidate.ts"

const upsert = `insert into snapshots.runs (run_id, messages, iteration, updated_at) values ($1, $2, $3, now())
on conflict (run_id) do update set messages = excluded.messages, iteration = excluded.iteration, updated_at = now()`

const growing = (
  write: (run: string, messages: ReadonlyArray<Message>) => Promise<unknown>,
  read: (run: string) => Promise<unknown>
): Pick<Candidate, "begin" | "save" | "load" | "grows"> => {
  let run = ""
  let messages: ReadonlyArray<Message> = []
  return {
    grows: true,
    begin: (history) => {
      run = randomUUID()
      messages = history
      return Effect.promise(() => write(run, messages))
    },
    save: (turn) => {
      messages = [...messages, ...turn]
      return Effect.promise(() => write(run, messages))
    },
    load: Effect.promise(async () => {
      const found = await read(run)
      return Array.isArray(found) ? found.length : 0
    })
  }
}

/** A row of JSONB. */
export const inOneRow = Effect.fnUntraced(function*(url: string) {
  const { pool, sent } = yield* countingPool(url)
  yield* Effect.promise(() =>
    pool.query(
      "create schema snapshots; create table snapshots.runs (run_id text primary key, messages jsonb not null, iteration int not null, updated_at timestamptz not null)"
    )
  )
  const candidate: Candidate = {
    name: "one row, JSONB",
    ...growing(
      (run, messages) =>
        pool.query({ name: "snapshot", text: upsert, values: [run, JSON.stringify(messages), messages.length] }),
      async (run) => {
        const { rows } = await pool.query<{ readonly messages: unknown }>(
          "select messages from snapshots.runs where run_id = $1",
          [run]
        )
        return rows[0]?.messages
      }
    ),
    sent,
    stored: tableBytes(pool, "snapshots")
  }
  return candidate
})

/** A text under one key. */
export const underOneKey = Effect.fnUntraced(function*(url: string) {
  const { client, sent } = yield* countingRedis(url)
  const admin = yield* acquireRedis(url)
  const candidate: Candidate = {
    name: "one key, Redis SET",
    ...growing(
      (run, messages) => client.set(`snapshot:${run}`, JSON.stringify(messages)),
      async (run): Promise<unknown> => JSON.parse((await client.get(`snapshot:${run}`)) ?? "null")
    ),
    sent,
    stored: keyBytes(admin, "snapshot:*")
  }
  return candidate
})
