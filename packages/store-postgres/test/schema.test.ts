import { assert, describe, it } from "@effect/vitest"
import { PostgresMigrations, PostgresStore } from "@everbeat/store-postgres"
import { Effect } from "effect"
import type { Pool } from "pg"
import * as Schema from "../src/internal/schema.ts"
import { freshSchema, hostPool } from "./support/database.ts"
import { append, begun, freshStore, waitingFor } from "./support/fixtures.ts"
import { everyTransition } from "./support/transitions.ts"

const query = (pool: Pool, text: string, values: Array<unknown> = []) =>
  Effect.promise(() => pool.query<Record<string, unknown>>(text, values))

/** What a later version may do to the schema while this version runs: it only adds. */
const addition = (schema: string): string =>
  `begin;
alter table "${schema}".run add column priority integer not null default 0, add column extra text;
alter table "${schema}".run_row add column size integer;
create table "${schema}".signal (run_id uuid primary key);
create index on "${schema}".run (priority) where settled_at is null;
insert into "${schema}".migration (version, oldest) values (${
    PostgresMigrations.version + 1
  }, ${PostgresMigrations.version});
commit;`

describe("the schema", () => {
  it.live("may grow under a store that runs, and the store of before starts on the grown one", () =>
    Effect.gen(function*() {
      const running = yield* freshStore()
      const { pool, schema } = running
      // Its statements are prepared by now.
      yield* everyTransition(running)
      const lease = yield* begun(running.checkpoints)
      yield* running.checkpoints.save(lease, append(0, ["before"]))
      yield* query(pool, addition(schema))
      yield* running.checkpoints.save(lease, append(1, ["after"]))
      yield* everyTransition(running)
      for (const migrate of ["auto", "check", "off"] as const) {
        const started = yield* PostgresStore.make(pool, { schema, migrate })
        yield* everyTransition(started)
        assert.deepStrictEqual((yield* started.checkpoints.load(lease.runId)).messages, ["before", "after"])
      }
    }).pipe(Effect.scoped))

  it.live("keeps messages as text: exactly as they came, whatever JSON would make of them", () =>
    Effect.gen(function*() {
      const { checkpoints, pool, schema } = yield* freshStore()
      const messages = ["{\"b\":1,\"a\":1.0,\"b\":2}", " [1e400] ", "\"\\u0000\\ud800\"", "no JSON"]
      const lease = yield* begun(checkpoints)
      yield* checkpoints.save(lease, append(0, messages))
      const { rows } = yield* query(pool, `select body from "${schema}".run_row order by row_no`)
      assert.deepStrictEqual(rows.map(({ body }) => body), messages)
      assert.deepStrictEqual((yield* checkpoints.load(lease.runId)).messages, messages)

      const columns = yield* query(
        pool,
        "select distinct data_type from information_schema.columns where table_schema = $1 and data_type like 'json%'",
        [schema]
      )
      assert.deepStrictEqual(columns.rows, [])
    }).pipe(Effect.scoped))

  it.live("has no foreign key, so that a save of many rows does not look its run up for each", () =>
    Effect.gen(function*() {
      const { pool, schema } = yield* freshStore()
      const { rows } = yield* query(
        pool,
        "select c.conname from pg_constraint c join pg_namespace n on n.oid = c.connamespace " +
          "where n.nspname = $1 and c.contype = 'f'",
        [schema]
      )
      assert.deepStrictEqual(rows, [])
    }).pipe(Effect.scoped))

  it.live("may have any name, and a name is never read as SQL", () =>
    Effect.gen(function*() {
      const pool = yield* hostPool()
      const victim = yield* freshStore()
      const lease = yield* begun(victim.checkpoints)
      const names = [
        `"; drop schema "${victim.schema}" cascade; --`,
        `'; drop schema "${victim.schema}" cascade; --`,
        `\\'; drop schema "${victim.schema}" cascade; --`,
        " Ä 😀.$1 %s"
      ]
      for (const name of names) {
        const schema = `${freshSchema()}${name}`.slice(0, 60)
        // The host's server may still read a backslash in a text as an escape.
        for (const options of ["", "-c standard_conforming_strings=off"]) {
          const own = yield* hostPool({ options, max: 2 })
          yield* everyTransition(yield* PostgresStore.make(own, { schema }))
          yield* query(own, PostgresMigrations.sql(schema))
        }
        const { rows } = yield* query(pool, "select 1 from pg_namespace where nspname = $1", [schema])
        assert.lengthOf(rows, 1)
        yield* victim.checkpoints.load(lease.runId)
      }
    }).pipe(Effect.scoped))

  it.live("must have a name that the server does not cut off", () =>
    Effect.gen(function*() {
      const pool = yield* hostPool()
      for (const schema of ["", "a".repeat(64), "ä".repeat(32), "a\0b"]) {
        for (const migrate of ["auto", "check", "off"] as const) {
          const error = yield* Effect.flip(PostgresStore.make(pool, { schema, migrate }))
          assert.strictEqual(error.reason, "refused")
          assert.include(error.message, "1 to 63 bytes")
        }
      }
      yield* PostgresStore.make(pool, { schema: freshSchema().padEnd(63, "x") })
    }).pipe(Effect.scoped))

  it.live("is read the same under whatever else the host has set for its connections", () =>
    Effect.gen(function*() {
      const settings = {
        search_path: "pg_temp",
        DateStyle: "German",
        IntervalStyle: "sql_standard",
        TimeZone: "Pacific/Chatham",
        lc_messages: "C",
        standard_conforming_strings: "off",
        default_transaction_isolation: "serializable",
        plan_cache_mode: "force_generic_plan",
        enable_seqscan: "off",
        bytea_output: "escape",
        extra_float_digits: "-15"
      }
      const options = Object.entries(settings).map(([name, value]) => `-c ${name}=${value}`).join(" ")
      const store = yield* freshStore({ options })
      yield* everyTransition(store)
    }).pipe(Effect.scoped))
})

const lockOf = "hashtextextended('everbeat migration of ' || $1, 0)"

describe("a migration", () => {
  it.live("sees what was committed while it waited, in a session that had looked for the schema before", () =>
    Effect.gen(function*() {
      const admin = yield* hostPool()
      const [first, second] = yield* Effect.promise(() => Promise.all([admin.connect(), admin.connect()]))
      yield* Effect.addFinalizer(() => Effect.sync(() => void [first.release(), second.release()]))
      // A fresh session reads the catalog for many reasons; one that has migrated before only when it has to.
      for (let round = 0; round < 4; round++) {
        const schema = freshSchema()
        const script = Schema.script(schema, 0, { createSchema: true })
        yield* Effect.promise(() => second.query(`select 1 from "${schema}".migration`).catch(() => {}))
        yield* Effect.promise(() => first.query(`begin; ${script}`))
        const waiting = second.query(script)
        yield* waitingFor(admin, schema)
        yield* Effect.promise(() => first.query("commit"))
        yield* Effect.promise(() => waiting)
      }
    }).pipe(Effect.scoped))

  it.live("says timeout when another holds its lock for longer than it waits", () =>
    Effect.gen(function*() {
      const admin = yield* hostPool()
      const pool = yield* hostPool({ max: 1 })
      const schema = freshSchema()
      yield* Effect.acquireUseRelease(
        Effect.promise(async () => {
          const client = await admin.connect()
          await client.query(`select pg_advisory_lock(${lockOf})`, [schema])
          return client
        }),
        () =>
          Effect.gen(function*() {
            const error = yield* Effect.flip(PostgresStore.make(pool, { schema }))
            assert.strictEqual(error.reason, "timeout")
            assert.isTrue(error.isRetryable)
          }),
        (client) =>
          Effect.promise(async () => {
            await client.query(`select pg_advisory_unlock(${lockOf})`, [schema])
            client.release()
          })
      )
      // Nothing is left of the attempt, neither its lock nor its lock_timeout.
      const { rows } = yield* query(pool, "show lock_timeout")
      assert.deepStrictEqual(rows, [{ lock_timeout: "0" }])
      yield* everyTransition(yield* PostgresStore.make(pool, { schema }))
    }).pipe(Effect.scoped))
})
