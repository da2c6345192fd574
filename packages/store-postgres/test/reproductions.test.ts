/**
 * What is known to go wrong in checkpoint stores, and must not here. Forks, values, zombies and late saves are in the
 * conformance kit; this is what needs a server.
 */
import { assert, describe, it } from "@effect/vitest"
import { Checkpointer } from "@everbeat/core"
import { PostgresStore } from "@everbeat/store-postgres"
import { Effect, Fiber, Layer } from "effect"
import type { Pool } from "pg"
import { startProxy } from "../../../test/servers/proxy.ts"
import { freshSchema, hostPool, url } from "./support/database.ts"
import { append, begun, freshAgent, freshStore } from "./support/fixtures.ts"

/** Kills the processes of the server whose last statement was on a schema. */
const terminate = (admin: Pool, schema: string) =>
  Effect.promise(() =>
    admin.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and query like $1",
      [`%${schema}%`]
    )
  )

describe("PostgresStore, where checkpoint stores are known to fail", () => {
  // A driver whose client was checked out without a listener for errors takes the process down with it.
  it.live("a connection killed during a save rejects the save, and the process lives", () =>
    Effect.gen(function*() {
      const proxy = yield* Effect.acquireRelease(
        Effect.promise(() => startProxy(url(), 5432)),
        (proxy) => Effect.sync(() => proxy.close())
      )
      const { checkpoints, pool, schema } = yield* freshStore({ connectionString: proxy.url, max: 1 })
      const admin = yield* hostPool({ max: 1 })
      const lease = yield* begun(checkpoints)
      for (let round = 0; round < 10; round++) {
        const save = checkpoints.save(lease, append(round, [`row ${round} ${"x".repeat(5_000)}`]))
        // The process of the server is killed when it has half of the statement.
        const half = new Promise<void>((resolve) => proxy.stopAfter(2_500, resolve))
        const fiber = yield* Effect.forkChild(Effect.flip(save))
        yield* Effect.promise(() => half)
        yield* terminate(admin, schema)
        const error = yield* Fiber.join(fiber)
        assert(error._tag === "StoreError")
        assert.strictEqual(error.reason, "unavailable")
        proxy.restore()
        assert.strictEqual((yield* save).position, round + 1)
      }
      assert.lengthOf((yield* checkpoints.load(lease.runId)).messages, 10)
      assert.strictEqual(pool.waitingCount, 0)
    }).pipe(Effect.scoped))

  it.live("a lost connection loses no acknowledged state of an agent and makes up none", () =>
    Effect.gen(function*() {
      const { checkpoints, schema } = yield* freshStore({ max: 2 })
      const admin = yield* hostPool({ max: 1 })
      const checkpointer = yield* Checkpointer.make({ store: checkpoints, meta: { agentName: freshAgent() } })
      const messages: Array<number> = []
      for (let round = 0; round < 20; round++) {
        messages.push(round)
        yield* checkpointer.save({ messages, iteration: round })
        yield* terminate(admin, schema)
        yield* checkpointer.flush
        const { iteration, messages: rows } = yield* checkpoints.load(checkpointer.runId).pipe(
          Effect.retry({ times: 5 })
        )
        assert.strictEqual(iteration, round)
        assert.deepStrictEqual(rows.map((row) => Number(row.slice(row.indexOf(":") + 1))), messages)
      }
    }).pipe(Effect.scoped))

  it.live("six pools that set up a fresh schema at once all succeed, and so do those that find it there", () =>
    Effect.gen(function*() {
      for (let trial = 0; trial < 5; trial++) {
        const schema = freshSchema()
        for (let round = 0; round < 2; round++) {
          const results = yield* Effect.forEach(
            Array.from({ length: 6 }),
            () => Effect.result(Effect.scoped(Layer.build(PostgresStore.layer({ url: url(), schema })))),
            { concurrency: "unbounded" }
          )
          assert.deepStrictEqual(results.map(({ _tag }) => _tag), Array.from({ length: 6 }, () => "Success"))
        }
      }
    }).pipe(Effect.scoped))
})
