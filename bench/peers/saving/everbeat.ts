/** `CheckpointStore.save` of each store. */
import { AgentName, type CheckpointStore, RunId } from "@everbeat/core"
import { MemoryStore } from "@everbeat/store-memory"
import { PostgresStore } from "@everbeat/store-postgres"
import { RedisStore } from "@everbeat/store-redis"
import { Duration, Effect } from "effect"
import { randomUUID } from "node:crypto"
import { acquireRedis, countingPool, countingRedis } from "../../support/servers.ts"
import { type Candidate, keyBytes, tableBytes } from "./candidate.ts"

type Store = CheckpointStore.CheckpointStore["Service"]

const agentName = AgentName.make("bench")
const ttl = Duration.seconds(30)

/** A run of the agent, with its lease. */
export const begin = Effect.fnUntraced(function*(store: Store, leaseTtl: Duration.Duration = ttl) {
  const begun = yield* store.begin({
    meta: { runId: RunId.make(agentName), kind: "agent", agentName, definition: { name: "bench", hash: "1" } },
    owner: randomUUID(),
    ttl: leaseTtl,
    maxAttempts: 3,
    exclusive: false,
    resumes: "same-name"
  })
  if (begun._tag !== "Begun") throw new Error(`begin answered ${begun._tag}`)
  return begun.lease
})

const through = (store: Store): Pick<Candidate, "begin" | "save" | "load" | "grows"> => {
  let lease = { runId: RunId.make(agentName), owner: "", fence: 0 }
  let position = 0
  const save: Candidate["save"] = (turn) =>
    Effect.suspend(() => {
      const end = position + turn.length
      const rows = turn.map((message) => JSON.stringify(message))
      const saved = store.save(lease, { position, rows, segments: [[0, end]], iteration: end >> 1, ttl })
      position = end
      return saved
    })
  return {
    grows: false,
    begin: Effect.fnUntraced(function*(history) {
      lease = yield* begin(store)
      position = 0
      if (history.length > 0) yield* save(history)
    }),
    save,
    load: Effect.suspend(() =>
      Effect.map(store.load(lease.runId), ({ messages }) => messages.map((text): unknown => JSON.parse(text)).length)
    )
  }
}

export const inPostgres = Effect.fnUntraced(function*(url: string) {
  const { pool, sent } = yield* countingPool(url)
  const { checkpoints: store } = yield* PostgresStore.make(pool)
  const candidate: Candidate = {
    name: "Everbeat, Postgres",
    ...through(store),
    sent,
    stored: tableBytes(pool, "everbeat")
  }
  return { candidate, store }
})

export const inRedis = Effect.fnUntraced(function*(url: string) {
  const { client, sent } = yield* countingRedis(url)
  const admin = yield* acquireRedis(url)
  const { checkpoints: store } = yield* RedisStore.makeFrom(client, { onWarning: () => Effect.void })
  const candidate: Candidate = {
    name: "Everbeat, Redis",
    ...through(store),
    sent,
    stored: keyBytes(admin, "{everbeat:*")
  }
  return { candidate, store }
})

export const inMemory = Effect.fnUntraced(function*() {
  const { checkpoints: store } = yield* MemoryStore.make()
  const candidate: Candidate = { name: "Everbeat, memory", ...through(store) }
  return { candidate, store }
})
