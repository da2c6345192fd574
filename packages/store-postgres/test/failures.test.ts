import { assert, describe, it } from "@effect/vitest"
import { RunId } from "@everbeat/core"
import { CheckpointStore } from "@everbeat/core/CheckpointStore"
import type { StoreError } from "@everbeat/core/StoreError"
import { PostgresStore } from "@everbeat/store-postgres"
import { Config, ConfigProvider, Effect, Fiber, Layer } from "effect"
import type { Pool } from "pg"
import { countingProxy } from "./support/counter.ts"
import { freshSchema, hostPool, url } from "./support/database.ts"
import {
  append,
  begun,
  freshAgent,
  freshStore,
  inputOf,
  recordOf,
  ttl,
  waitingFor,
  whileLocked
} from "./support/fixtures.ts"

const failure = <A, E extends { readonly _tag: string }>(effect: Effect.Effect<A, E>) =>
  Effect.map(Effect.flip(effect), (error) => {
    assert.strictEqual(error._tag, "StoreError")
    return error as unknown as StoreError
  })

const sql = (pool: Pool, text: string, values: Array<unknown> = []) =>
  Effect.promise(() => pool.query<Record<string, unknown>>(text, values))

describe("PostgresStore, when something fails", () => {
  it.live("answers a save whose checked-out connection is killed as unknown, and goes on with the next", () =>
    Effect.gen(function*() {
      const admin = yield* hostPool()
      for (const max of [1, 5]) {
        const { checkpoints, schema } = yield* freshStore({ max })
        const lease = yield* begun(checkpoints)
        const save = checkpoints.save(lease, append(0, ["a"]))
        const error = yield* whileLocked(
          admin,
          schema,
          lease.runId,
          Effect.gen(function*() {
            const fiber = yield* Effect.forkChild(failure(save))
            yield* sql(admin, "select pg_terminate_backend($1)", [yield* waitingFor(admin, schema)])
            return yield* Fiber.join(fiber)
          })
        )
        assert.strictEqual(error.reason, "unavailable")
        assert.strictEqual(error.operation, "save")
        assert.isTrue(error.isRetryable)

        assert.strictEqual((yield* save).position, 1)
      }
    }).pipe(Effect.scoped))

  it.live("survives the death of every connection, idle ones included", () =>
    Effect.gen(function*() {
      const { url, cut } = yield* countingProxy
      const { checkpoints } = yield* freshStore({ connectionString: url, max: 4 })
      const leases = yield* Effect.forEach(Array.from({ length: 4 }), () => begun(checkpoints), {
        concurrency: "unbounded"
      })
      cut()
      yield* Effect.sleep(50)

      for (const lease of leases) yield* checkpoints.save(lease, append(0, ["a"]))
    }).pipe(Effect.scoped))

  it.live("is unavailable when nobody listens", () =>
    Effect.gen(function*() {
      const pool = yield* hostPool({ connectionString: "postgres://nobody@127.0.0.1:1/none" })
      const error = yield* Effect.flip(PostgresStore.make(pool))
      assert.strictEqual(error.reason, "unavailable")

      const { checkpoints } = yield* PostgresStore.make(pool, { migrate: "off" })
      assert.strictEqual((yield* failure(checkpoints.ping)).reason, "unavailable")
      assert.strictEqual((yield* failure(checkpoints.begin(inputOf()))).reason, "unavailable")
    }).pipe(Effect.scoped))

  it.live("says timeout when the server works for too long on a statement", () =>
    Effect.gen(function*() {
      const admin = yield* hostPool()
      const { checkpoints, schema } = yield* freshStore({ statement_timeout: 100 })
      const lease = yield* begun(checkpoints)
      const save = checkpoints.save(lease, append(0, ["a"]))
      const error = yield* whileLocked(admin, schema, lease.runId, failure(save))
      assert.strictEqual(error.reason, "timeout")
      assert.isTrue(error.isRetryable)

      yield* save
    }).pipe(Effect.scoped))

  it.live("says timeout when a lock is not free in the time that the host allows", () =>
    Effect.gen(function*() {
      const admin = yield* hostPool()
      const { checkpoints, schema } = yield* freshStore({ lock_timeout: 50 })
      const lease = yield* begun(checkpoints)
      const error = yield* whileLocked(admin, schema, lease.runId, failure(checkpoints.release(lease)))

      assert.strictEqual(error.reason, "timeout")
    }).pipe(Effect.scoped))

  it.live("is refused what the role may not do", () =>
    Effect.gen(function*() {
      const { pool, schema } = yield* freshStore()
      const role = `poor_${schema}`
      yield* sql(pool, `create role ${role} login password '${role}'`)
      yield* sql(pool, `grant usage on schema ${schema} to ${role}`)
      const address = new URL(url())
      address.username = role
      address.password = role
      const own = yield* hostPool({ connectionString: address.href })
      const { checkpoints } = yield* PostgresStore.make(own, { schema, migrate: "off" })
      const error = yield* failure(checkpoints.begin(inputOf()))
      assert.strictEqual(error.reason, "refused")
      assert.isFalse(error.isRetryable)
      yield* sql(pool, `drop owned by ${role}; drop role ${role}`)
    }).pipe(Effect.scoped))

  it.live("hands out the runs that are claimed together with a damaged one", () =>
    Effect.gen(function*() {
      const { checkpoints, pool, schema } = yield* freshStore()
      const leases = yield* Effect.forEach([0, 1, 2], () => begun(checkpoints))
      for (const lease of leases) {
        yield* checkpoints.save(lease, append(0, ["a"]))
        yield* checkpoints.release(lease)
      }
      const [damaged, ...others] = leases.map(({ runId }) => runId)
      yield* Effect.promise(() => pool.query(`delete from "${schema}".run_row where run_id = $1`, [damaged]))
      const claimed = yield* checkpoints.claimNext("heir", ttl, 10)
      assert.sameMembers(claimed.map(({ lease }) => lease.runId), others)
    }).pipe(Effect.scoped))

  it.live("calls what it cannot read back corrupt, names it, and leaves it alone", () =>
    Effect.gen(function*() {
      const { checkpoints, pool, runs, schema } = yield* freshStore()
      const input = inputOf({ meta: { prompt: "p", callerId: "\0c" } })
      const lease = yield* begun(checkpoints, input)
      yield* checkpoints.save(lease, append(0, ["a", "b"]))
      yield* sql(pool, `delete from ${schema}.run_row where row_no = 0`)
      assert.strictEqual((yield* failure(checkpoints.load(lease.runId))).reason, "corrupt")
      yield* sql(pool, `update ${schema}.run set meta = '{}'`)
      assert.include((yield* failure(checkpoints.load(lease.runId))).detail, lease.runId)
      // Its columns tell what people need to find it.
      assert.deepInclude(yield* runs.get(lease.runId), { runId: lease.runId, callerId: "\0c", status: "running" })
      yield* sql(pool, `delete from ${schema}.run_row`)
      yield* sql(pool, `update ${schema}.run set next_row = 0`)
      yield* checkpoints.settle(lease, recordOf(input))
      yield* sql(pool, `update ${schema}.run set record = '{"status":"fine"}'`)
      const error = yield* failure(runs.get(lease.runId))
      assert.strictEqual(error.reason, "corrupt")
      assert.include(error.detail, lease.runId)
      const other = yield* begun(checkpoints)
      assert.deepStrictEqual((yield* runs.list()).items.map(({ runId }) => runId), [other.runId])
      const second = yield* runs.list({}, { limit: 1, cursor: (yield* runs.list({}, { limit: 1 })).next })
      assert.deepStrictEqual(second, { items: [] }) // a page of none but damaged ones ends nothing else
    }).pipe(Effect.scoped))

  it.live("ends no attempt before it began, when the clock of the server was set back", () =>
    Effect.gen(function*() {
      const { checkpoints, pool, schema } = yield* freshStore()
      const lease = yield* begun(checkpoints)
      yield* checkpoints.release(lease)
      yield* sql(pool, `update ${schema}.run set attempt_at = attempt_at + interval '1 hour'`)
      const { checkpoint: { attempts: [first] } } = yield* checkpoints.claim(lease.runId, "heir", ttl)
      assert(first !== undefined)
      assert.deepStrictEqual(first.endedAt, first.startedAt)
    }).pipe(Effect.scoped))

  it.live("refuses a key that is too long for the index", () =>
    Effect.gen(function*() {
      const { checkpoints } = yield* freshStore()
      const key = Array.from({ length: 4_000 }, () => RunId.make(freshAgent())).join("")
      const error = yield* failure(checkpoints.begin(inputOf({ idempotency: { key, fingerprint: "" } })))

      assert.strictEqual(error.reason, "refused")
    }).pipe(Effect.scoped))

  it.live("takes callers and channels of any length", () =>
    Effect.gen(function*() {
      const { checkpoints, runs } = yield* freshStore()
      const callerId = Array.from({ length: 1_000 }, () => RunId.make(freshAgent())).join("")
      const lease = yield* begun(checkpoints, inputOf({ meta: { callerId, channelId: callerId } }))
      yield* begun(checkpoints, inputOf({ meta: { callerId: `${callerId}.`, channelId: callerId } }))

      assert.deepStrictEqual((yield* runs.list({ callerId })).items.map(({ runId }) => runId), [lease.runId])
    }).pipe(Effect.scoped))
})

describe("PostgresStore.layerFrom", () => {
  it.live("never ends the host's pool, and leaves no listener on it", () =>
    Effect.gen(function*() {
      const pool = yield* hostPool()
      const before = pool.listenerCount("error")
      const use = Effect.flatMap(CheckpointStore, (store) => store.ping)
      yield* Effect.provide(use, PostgresStore.layerFrom(pool, { schema: freshSchema() }))

      assert.isFalse(pool.ending)
      assert.strictEqual(pool.listenerCount("error"), before)
      assert.lengthOf((yield* sql(pool, "select 1")).rows, 1)
    }).pipe(Effect.scoped))

  it.live("keeps no client after 1,000 failures", () =>
    Effect.gen(function*() {
      for (const max of [1, 5]) {
        const pool = yield* hostPool({ max })
        const { checkpoints, runs } = yield* PostgresStore.make(pool, { schema: freshSchema(), migrate: "off" })
        for (let round = 0; round < 125; round++) {
          yield* Effect.all([
            failure(checkpoints.begin(inputOf())),
            failure(checkpoints.ping.pipe(Effect.andThen(runs.list()))),
            failure(checkpoints.claimNext("owner", ttl, 1)),
            Effect.timeoutOption(failure(checkpoints.listInterrupted()), round % 3)
          ], { concurrency: "unbounded" })
        }
        // What was interrupted may still be under way; a client that leaked would never be idle.
        while (pool.idleCount < pool.totalCount) yield* Effect.sleep(5)
        yield* checkpoints.ping

        assert.strictEqual(pool.waitingCount, 0)
        assert.isAtMost(pool.totalCount, max)
      }
    }).pipe(Effect.scoped))

  it.live("does not depend on the parsers that the host gave pg", () =>
    Effect.gen(function*() {
      const types = { getTypeParser: () => () => "parsed by the host" }
      const schema = freshSchema()
      yield* freshStore({}, { schema })
      const { checkpoints } = yield* freshStore({ types }, { schema, migrate: "off" })
      const lease = yield* begun(checkpoints)
      yield* checkpoints.save(lease, append(0, ["a"]))

      assert.deepStrictEqual((yield* checkpoints.load(lease.runId)).messages, ["a"])
    }).pipe(Effect.scoped))

  it.live("repeats what a stricter isolation of the host's pool undoes", () =>
    Effect.gen(function*() {
      const { checkpoints } = yield* freshStore({ options: "-c default_transaction_isolation=serializable" })
      const agentName = freshAgent()
      const results = yield* Effect.forEach(
        Array.from({ length: 12 }),
        () => Effect.result(checkpoints.begin(inputOf({ exclusive: true, meta: { agentName } }))),
        { concurrency: "unbounded" }
      )

      assert.lengthOf(results.filter(({ _tag }) => _tag === "Success"), 1)
    }).pipe(Effect.scoped))
})

describe("PostgresStore.layerConfig", () => {
  it.live("reads its options from the configuration and ends its own pool", () =>
    Effect.gen(function*() {
      const config = Config.all({ url: Config.Redacted("DATABASE_URL"), schema: Config.String("SCHEMA") })
      const provider = ConfigProvider.fromUnknown({ DATABASE_URL: url(), SCHEMA: freshSchema() })
      const layer = Layer.provide(PostgresStore.layerConfig(config), ConfigProvider.layer(provider))
      const store = yield* Effect.provide(CheckpointStore, layer)

      assert.strictEqual((yield* failure(store.ping)).reason, "refused")
    }))
})
