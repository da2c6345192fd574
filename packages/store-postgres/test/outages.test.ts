import { assert, describe, it } from "@effect/vitest"
import type { Lease } from "@everbeat/core/Lease"
import type { StoreError } from "@everbeat/core/StoreError"
import { PostgresStore } from "@everbeat/store-postgres"
import { Effect, Fiber } from "effect"
import { startPrivatePostgres } from "../../../test/servers/postgres.ts"
import { countingProxy } from "./support/counter.ts"
import { freshSchema, hostPool } from "./support/database.ts"
import { append, begun, freshStore, inputOf, recordOf, waitingFor, whileLocked } from "./support/fixtures.ts"
import { everyTransition } from "./support/transitions.ts"

const reasonOf = <A, E extends { readonly _tag: string }>(effect: Effect.Effect<A, E>) =>
  Effect.map(Effect.flip(effect), (error) => {
    assert.strictEqual(error._tag, "StoreError")
    return (error as unknown as StoreError).reason
  })

describe("PostgresStore, in an outage", () => {
  it.live(
    "loses no acknowledged save when the server crashes, and goes on when it is back",
    () =>
      Effect.gen(function*() {
        const server = yield* Effect.acquireRelease(
          Effect.promise(startPrivatePostgres),
          ({ stop }) => Effect.promise(stop)
        )
        const pool = yield* hostPool({ connectionString: server.url, max: 4 })
        const schema = freshSchema()
        const { checkpoints, runs } = yield* PostgresStore.make(pool, { schema })
        const input = inputOf()
        const acknowledged = new Map<Lease, number>()
        const settled = yield* begun(checkpoints, input)
        yield* checkpoints.settle(settled, recordOf(input))
        const leases = yield* Effect.forEach(Array.from({ length: 8 }), () => begun(checkpoints))
        const saving = Effect.forEach(leases, (lease) =>
          Effect.gen(function*() {
            for (let row = 0;; row++) {
              yield* checkpoints.save(lease, append(row, [`${row}`]))
              acknowledged.set(lease, row + 1)
            }
          }).pipe(reasonOf), { concurrency: "unbounded" })
        const fiber = yield* Effect.forkChild(saving)
        while (leases.some((lease) => (acknowledged.get(lease) ?? 0) < 20)) yield* Effect.sleep(5)
        yield* Effect.promise(server.crash)
        for (const reason of yield* Fiber.join(fiber)) assert.strictEqual(reason, "unavailable")

        // It recovers for a moment: until then the store is unavailable.
        yield* Effect.retry(checkpoints.ping, { while: ({ isRetryable }) => isRetryable })

        for (const lease of leases) {
          const { messages, position } = yield* checkpoints.load(lease.runId)
          const saved = acknowledged.get(lease) ?? 0
          // The save that had no answer may have landed.
          assert.include([saved, saved + 1], position)
          assert.deepStrictEqual(messages, Array.from({ length: position }, (_, row) => `${row}`))
          yield* checkpoints.save(lease, append(position, ["after"]))
        }
        assert.strictEqual((yield* runs.get(settled.runId)).status, "ok")
      }).pipe(Effect.scoped),
    60_000
  )

  it.live("leaves each save of a statement whose connection is reset done once or not at all", () =>
    Effect.gen(function*() {
      const admin = yield* hostPool()
      const { cut, url } = yield* countingProxy
      for (const isCommitted of [true, false]) {
        const { checkpoints, schema } = yield* freshStore({ connectionString: url })
        const leases = yield* Effect.forEach(Array.from({ length: 10 }), () => begun(checkpoints))
        const [locked] = leases
        assert(locked !== undefined)
        const saves = leases.map((lease) => checkpoints.save(lease, append(0, ["a"])))
        yield* whileLocked(
          admin,
          schema,
          locked.runId,
          Effect.gen(function*() {
            const fiber = yield* Effect.forkChild(
              Effect.forEach(saves, reasonOf, { concurrency: "unbounded" })
            )
            const pid = yield* waitingFor(admin, schema)
            cut()
            assert.deepStrictEqual(yield* Fiber.join(fiber), leases.map(() => "unavailable"))
            // The server does not notice while it waits for the lock: the statement still lands, or it is ended too.
            if (!isCommitted) yield* Effect.promise(() => admin.query("select pg_terminate_backend($1)", [pid]))
          })
        )
        const again = yield* Effect.forEach(
          saves,
          (save) => Effect.catchTag(save, "Conflict", ({ position }) => Effect.succeed({ position })),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(again.map(({ position }) => position), leases.map(() => 1))
        for (const lease of leases) assert.deepStrictEqual((yield* checkpoints.load(lease.runId)).messages, ["a"])
      }
    }).pipe(Effect.scoped))

  it.live("waits for a connection as long as the host allows when the host uses all of them", () =>
    Effect.gen(function*() {
      const { checkpoints, pool } = yield* freshStore({ max: 2, connectionTimeoutMillis: 100 })
      const lease = yield* begun(checkpoints)
      const clients = yield* Effect.promise(() => Promise.all([pool.connect(), pool.connect()]))
      const save = checkpoints.save(lease, append(0, ["a"]))
      assert.strictEqual(yield* reasonOf(save), "timeout")
      assert.strictEqual(yield* reasonOf(checkpoints.ping), "timeout")
      for (const client of clients) client.release()

      assert.strictEqual((yield* save).position, 1)
    }).pipe(Effect.scoped))

  it.live("holds no transaction open: a server that ends idle ones ends none of its own", () =>
    Effect.gen(function*() {
      const store = yield* freshStore({ max: 1, options: "-c idle_in_transaction_session_timeout=1" })
      const { rows: [before] } = yield* Effect.promise(() => store.pool.query("select pg_backend_pid() as pid"))
      yield* everyTransition(store)
      const { rows: [after] } = yield* Effect.promise(() => store.pool.query("select pg_backend_pid() as pid"))

      assert.deepStrictEqual(after, before)
    }).pipe(Effect.scoped))

  it.live("prunes while runs begin and end, and takes none that is in flight", () =>
    Effect.gen(function*() {
      const { checkpoints, pool, runs, schema } = yield* freshStore()
      const inFlight = new Set<string>()
      const work = { isOver: false }
      let pruned = 0
      const busy = Effect.gen(function*() {
        for (let round = 0; round < 25; round++) {
          const input = inputOf()
          const lease = yield* begun(checkpoints, input)
          yield* checkpoints.save(lease, append(0, ["a", "b"]))
          if (round % 5 === 0) inFlight.add(lease.runId)
          else yield* checkpoints.settle(lease, recordOf(input))
        }
      })
      const prune = Effect.gen(function*() {
        while (!work.isOver) {
          const count = yield* runs.prune({ keepLast: 0, batch: 7 })
          pruned += count
        }
      })
      const pruners = yield* Effect.forEach([prune, prune], (effect) => Effect.forkChild(effect))
      yield* Effect.all(Array.from({ length: 12 }, () => busy), { concurrency: "unbounded" })
      work.isOver = true
      yield* Effect.forEach(pruners, Fiber.join)
      const last = yield* runs.prune({ keepLast: 0 })

      assert.strictEqual(pruned + last, 12 * 20)
      for (const runId of inFlight) {
        const { rows } = yield* Effect.promise(() =>
          pool.query(`select 1 from "${schema}".run_row where run_id = $1`, [runId])
        )
        assert.lengthOf(rows, 2)
      }
      assert.lengthOf((yield* runs.list({}, { limit: 1_000 })).items, inFlight.size)
      const { rows } = yield* Effect.promise(() => pool.query(`select count(*)::int as n from "${schema}".run_row`))
      assert.deepStrictEqual(rows, [{ n: 2 * inFlight.size }])
    }).pipe(Effect.scoped))
})
