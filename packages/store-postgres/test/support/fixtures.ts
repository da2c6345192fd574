/** Runs and stores that the tests of this package begin with. */
import { assert } from "@effect/vitest"
import { AgentName, RunId } from "@everbeat/core"
import type { AgentRun } from "@everbeat/core/AgentRun"
import type { BeginInput, CheckpointStore, Delta } from "@everbeat/core/CheckpointStore"
import { PostgresStore } from "@everbeat/store-postgres"
import { DateTime, Duration, Effect } from "effect"
import { randomUUID } from "node:crypto"
import type { Pool, PoolConfig } from "pg"
import { freshSchema, hostPool } from "./database.ts"

export const ttl = Duration.minutes(1)

export const freshAgent = (): AgentName.AgentName => AgentName.make(`agent-${randomUUID()}`)

export const inputOf = (
  given: Partial<Omit<BeginInput, "meta">> & { readonly meta?: Partial<BeginInput["meta"]> } = {}
) => {
  const agentName = given.meta?.agentName ?? freshAgent()
  const input: BeginInput = {
    owner: randomUUID(),
    ttl,
    maxAttempts: 1_000,
    exclusive: false,
    resumes: "same-name",
    ...given,
    meta: {
      runId: RunId.make(agentName),
      kind: "heartbeat",
      agentName,
      definition: { name: "dispatch", hash: "1" },
      ...given.meta
    }
  }
  return input
}

export const begun = (store: CheckpointStore["Service"], input: BeginInput = inputOf()) =>
  Effect.map(store.begin(input), (answer) => {
    assert(answer._tag === "Begun")
    return answer.lease
  })

export const append = (position: number, rows: ReadonlyArray<string>, more: Partial<Delta> = {}): Delta => ({
  position,
  rows,
  segments: [[0, position + rows.length]],
  ttl,
  ...more
})

export const recordOf = ({ meta }: BeginInput): AgentRun => ({
  ...meta,
  status: "ok",
  startedAt: DateTime.makeUnsafe(0),
  finishedAt: DateTime.makeUnsafe(1),
  summary: "1 step ok",
  warnings: [],
  errors: [],
  touchedIssueUrls: [],
  steps: [],
  attempts: []
})

/** Both services in a fresh schema on a pool of the host. */
export const freshStore = Effect.fnUntraced(
  function*(poolOptions: PoolConfig = {}, options: PostgresStore.StoreOptions = {}) {
    const schema = options.schema ?? freshSchema()
    const pool = yield* hostPool(poolOptions)
    return { ...(yield* PostgresStore.make(pool, { ...options, schema })), pool, schema }
  }
)

/** Another process on the same schema, as far as the server can tell. */
export const replicas = (schema: string, size: number, poolOptions: PoolConfig = { max: 4 }) =>
  Effect.forEach(Array.from({ length: size }), () => freshStore(poolOptions, { schema }), { concurrency: "unbounded" })

/** Keeps the rows of a run locked while the effect runs. */
export const whileLocked = <A, E>(pool: Pool, schema: string, runId: string, effect: Effect.Effect<A, E>) =>
  Effect.acquireUseRelease(
    Effect.promise(async () => {
      const client = await pool.connect()
      await client.query("begin")
      await client.query(`select 1 from "${schema}".run where run_id = $1 for update`, [runId])
      return client
    }),
    () => effect,
    (client) =>
      Effect.promise(async () => {
        await client.query("rollback")
        client.release()
      })
  )

/** Waits until statements on the schema wait for a lock, and answers the process of the server that runs one of them. */
export const waitingFor = Effect.fnUntraced(function*(pool: Pool, schema: string, statements = 1) {
  for (;;) {
    const { rows } = yield* Effect.promise(() =>
      pool.query<{ pid: number }>(
        "select pid from pg_stat_activity where wait_event_type = 'Lock' and query like '%' || $1 || '%'",
        [schema]
      )
    )
    const [row] = rows
    if (row !== undefined && rows.length >= statements) return row.pid
    yield* Effect.sleep(5)
  }
})
