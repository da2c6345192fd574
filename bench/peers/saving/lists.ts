/** Finding what was interrupted: many runs, of which each has a history that the answer does not need. */
import type { CheckpointStore } from "@everbeat/core"
import type { PostgresSaver } from "@langchain/langgraph-checkpoint-postgres"
import { Duration, Effect } from "effect"
import { randomUUID } from "node:crypto"
import type { Pool } from "../../support/drivers.ts"
import { median, short } from "../../support/numbers.ts"
import type { Message } from "./candidate.ts"
import { begin } from "./everbeat.ts"
import { classesOf, puts } from "./langgraph.ts"

type Store = CheckpointStore.CheckpointStore["Service"]

const timed = (list: Effect.Effect<unknown, unknown>, times = 5) =>
  Effect.gen(function*() {
    const seen: Array<number> = []
    for (let index = 0; index < times; index++) {
      const from = performance.now()
      yield* list
      seen.push(performance.now() - from)
    }
    return median(seen)
  })

/** Runs whose lease has expired. */
const seed = (store: Store, runs: number, messages: ReadonlyArray<Message>) => {
  const rows = messages.map((message) => JSON.stringify(message))
  const one = Effect.gen(function*() {
    const lease = yield* begin(store, Duration.seconds(30))
    const ttl = Duration.millis(1)
    yield* store.save(lease, { position: 0, rows, segments: [[0, rows.length]], iteration: 1, ttl })
  })
  return Effect.forEach(Array.from({ length: runs }), () => one, { concurrency: 100, discard: true })
}

const everPage = (store: Store, limit: number) => store.listInterrupted({}, { limit })

/** Milliseconds for 500 runs of 100 messages, all of them and the first 50; then the first 50 of 10,000 runs. */
const ours = Effect.fnUntraced(function*(name: string, store: Store, history: ReadonlyArray<Message>) {
  yield* seed(store, 500, history)
  const all = yield* timed(everPage(store, 500))
  const page = yield* timed(everPage(store, 50))
  yield* seed(store, 9_500, history.slice(0, 2))
  return { name, all, page, pageOfMany: yield* timed(everPage(store, 50)) }
})

const langgraph = Effect.fnUntraced(function*(
  saver: PostgresSaver,
  history: ReadonlyArray<Message>,
  quick: boolean
) {
  const messages = classesOf(history)
  yield* Effect.promise(async () => {
    for (let index = 0; index < 500; index++) await puts(saver, randomUUID(), messages, 1)
  })
  const list = (limit: number) =>
    timed(
      Effect.promise(async () => {
        for await (const _ of saver.list({}, { limit })) { /* all that there is */ }
      }),
      1
    )
  return {
    name: "LangGraph PostgresSaver.list",
    all: quick ? NaN : yield* list(500),
    page: yield* list(50),
    pageOfMany: NaN
  }
})

const oneRow = Effect.fnUntraced(function*(pool: Pool, history: ReadonlyArray<Message>) {
  yield* Effect.promise(() =>
    pool.query(
      "create table snapshots.listed (run_id text primary key, status text not null, messages jsonb not null, updated_at timestamptz not null)"
    )
  )
  yield* Effect.promise(() =>
    pool.query(
      "insert into snapshots.listed select 'run ' || n, 'running', $1, now() from generate_series(1, 500) n",
      [JSON.stringify(history)]
    )
  )
  const list = (limit: number) =>
    timed(
      Effect.promise(() =>
        pool.query("select * from snapshots.listed where status = 'running' order by updated_at limit $1", [limit])
      )
    )
  return { name: "one row, JSONB: select *", all: yield* list(500), page: yield* list(50), pageOfMany: NaN }
})

export const lists = Effect.fnUntraced(function*(
  stores: ReadonlyArray<readonly [name: string, store: Store]>,
  saver: PostgresSaver,
  pool: Pool,
  history: ReadonlyArray<Message>,
  quick: boolean
) {
  const results = yield* Effect.forEach(stores, ([name, store]) => ours(name, store, history))
  const others = [yield* oneRow(pool, history), yield* langgraph(saver, history, quick)]
  return [...results, ...others]
})

export const linesOf = (results: Effect.Success<ReturnType<typeof lists>>) => [
  ["list of interrupted runs, ms", "500 of 500", "first 50 of 500", "first 50 of 10,000"],
  ...results.map(({ all, name, page, pageOfMany }) => [name, short(all), short(page), short(pageOfMany)])
]
