import { assert, describe, it } from "@effect/vitest"
import { CheckpointStore } from "@everbeat/core/CheckpointStore"
import type { StoreError } from "@everbeat/core/StoreError"
import { CheckpointStoreTest, RunStoreTest } from "@everbeat/core/testing"
import { PostgresStore } from "@everbeat/store-postgres"
import { Effect, Result } from "effect"
import type { PoolClient } from "pg"
import { poolSize } from "../../../test/servers/pgbouncer.ts"
import { freshSchema, hostPool, kitOptions, poolerUrl } from "./support/database.ts"
import { append, begun, freshStore, inputOf, recordOf, whileLocked } from "./support/fixtures.ts"

for (const { suite } of [CheckpointStoreTest, RunStoreTest]) {
  const schema = freshSchema()
  const layer = PostgresStore.layer({ url: poolerUrl(), schema, prepare: false })
  suite("postgres, behind a pooler in transaction mode", layer, kitOptions(schema))
}

const throughPooler = { connectionString: poolerUrl() }

const backendOf = async (client: PoolClient): Promise<unknown> => {
  const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid")
  return rows[0]?.pid
}

describe("PostgresStore, behind a pooler in transaction mode", () => {
  it.live("is tested with one that moves a client between its connections", () =>
    Effect.gen(function*() {
      const pool = yield* hostPool(throughPooler)
      const client = yield* Effect.acquireRelease(
        Effect.promise(() => pool.connect()),
        (client) => Effect.sync(() => client.release())
      )
      const backends = new Set<unknown>()
      while (backends.size < poolSize) {
        yield* Effect.promise(async () => {
          const other = await pool.connect()
          await other.query("begin")
          backends.add(await backendOf(client))
          await other.query("commit")
          other.release()
          backends.add(await backendOf(client))
        })
      }
      assert.strictEqual(backends.size, poolSize)
    }).pipe(Effect.scoped))

  it.live("migrates when 6 start at once on a fresh schema, and again on the migrated one", () =>
    Effect.gen(function*() {
      const pools = yield* Effect.forEach(Array.from({ length: 6 }), () => hostPool({ ...throughPooler, max: 3 }))
      for (let round = 0; round < 5; round++) {
        const schema = freshSchema()
        for (const migrate of ["auto", "check"] as const) {
          const stores = yield* Effect.forEach(
            pools,
            (pool) => PostgresStore.make(pool, { schema, migrate, prepare: false }),
            { concurrency: "unbounded" }
          )
          yield* Effect.forEach(stores, ({ checkpoints }) => begun(checkpoints), { concurrency: "unbounded" })
        }
      }
    }).pipe(Effect.scoped))

  it.live("saves and settles 50 runs at once from 5 processes' pools", () =>
    Effect.gen(function*() {
      const schema = freshSchema()
      const stores = yield* Effect.forEach(
        Array.from({ length: 5 }),
        () => freshStore({ ...throughPooler, max: 5 }, { schema, prepare: false }),
        { concurrency: "unbounded" }
      )
      const [first] = stores
      assert(first !== undefined)
      const work = (store: typeof first) =>
        Effect.gen(function*() {
          const input = inputOf()
          const lease = yield* begun(store.checkpoints, input)
          for (let row = 0; row < 5; row++) yield* store.checkpoints.save(lease, append(row, [`${row}`]))
          const { messages } = yield* store.checkpoints.load(lease.runId)
          assert.deepStrictEqual(messages, ["0", "1", "2", "3", "4"])
          yield* store.checkpoints.settle(lease, recordOf(input))
        })
      yield* Effect.forEach(stores.flatMap((store) => Array.from({ length: 10 }, () => store)), work, {
        concurrency: "unbounded"
      })

      assert.lengthOf((yield* first.runs.list({ status: ["ok"] })).items, 50)
    }).pipe(Effect.scoped))

  it.live("is refused with the option that helps when it prepares statements all the same", () =>
    Effect.gen(function*() {
      const { checkpoints } = yield* freshStore({ ...throughPooler, max: poolSize + 2 })
      // Each client prepares on the connection it is given: one more than there are cannot all be the first.
      const results = yield* Effect.forEach(
        Array.from({ length: poolSize + 2 }),
        () => Effect.result(checkpoints.ping),
        { concurrency: "unbounded" }
      )
      const failures = results.filter(Result.isFailure).map(({ failure }) => failure)
      assert.isNotEmpty(failures)
      for (const error of failures) {
        assert.strictEqual(error.reason, "refused")
        assert.isFalse(error.isRetryable)
        assert.include(error.message, "prepare: false")
      }
    }).pipe(Effect.scoped))

  it.live("is refused with the option that helps when the pooler refuses a setting of the connection", () =>
    Effect.gen(function*() {
      const options = { url: poolerUrl(), schema: freshSchema() }
      const refused = [
        PostgresStore.layer(options),
        PostgresStore.layer({ ...options, prepare: false, pool: { lock_timeout: 1_000 } })
      ]
      for (const layer of refused) {
        const error = yield* Effect.flip(Effect.provide(CheckpointStore, layer))
        assert.strictEqual(error.reason, "refused")
        assert.include(error.message, "prepare: false")
      }
    }))

  it.live("says timeout when a statement takes too long, and goes on on another connection", () =>
    Effect.gen(function*() {
      const schema = freshSchema()
      const admin = yield* hostPool()
      const layer = PostgresStore.layer({
        url: poolerUrl(),
        schema,
        prepare: false,
        statementTimeout: "2 seconds",
        maxConnections: 1
      })
      yield* Effect.provide(
        Effect.gen(function*() {
          const checkpoints = yield* CheckpointStore
          const [lease, other] = [yield* begun(checkpoints), yield* begun(checkpoints)]
          const save = checkpoints.save(lease, append(0, ["a"]))
          const error = yield* whileLocked(
            admin,
            schema,
            lease.runId,
            Effect.gen(function*() {
              const error = yield* Effect.flip(save)
              yield* checkpoints.save(other, append(0, ["a"]))
              return error
            })
          )
          assert.strictEqual(error._tag, "StoreError")
          assert.strictEqual((error as StoreError).reason, "timeout")
        }),
        layer
      )
    }).pipe(Effect.scoped))
})
