import { assert, describe, it } from "@effect/vitest"
import { PostgresMigrations, PostgresStore } from "@everbeat/store-postgres"
import { Effect } from "effect"
import { freshSchema, hostPool, url } from "./support/database.ts"
import { append, begun, freshStore, inputOf, recordOf } from "./support/fixtures.ts"

describe("PostgresMigrations", () => {
  it.live("changes nothing the second time, by itself or by hand", () =>
    Effect.gen(function*() {
      const { checkpoints, pool, schema } = yield* freshStore()
      const lease = yield* begun(checkpoints)
      yield* PostgresMigrations.migrate(pool, schema)
      yield* Effect.promise(() => pool.query(PostgresMigrations.sql(schema)))
      yield* PostgresMigrations.check(pool, schema)

      yield* checkpoints.save(lease, append(0, ["still there"]))
    }).pipe(Effect.scoped))

  it.live("takes the exported SQL for a whole migration, whatever the schema is called", () =>
    Effect.gen(function*() {
      const pool = yield* hostPool()
      const schema = `${freshSchema()} "Ä'`
      yield* Effect.promise(() => pool.query(PostgresMigrations.sql(schema)))
      const { checkpoints } = yield* PostgresStore.make(pool, { schema, migrate: "check" })

      yield* begun(checkpoints)
    }).pipe(Effect.scoped))

  it.live("refuses a schema that is missing when it may only check, and creates nothing", () =>
    Effect.gen(function*() {
      const pool = yield* hostPool()
      const schema = freshSchema()
      const error = yield* Effect.flip(PostgresStore.make(pool, { schema, migrate: "check" }))
      assert.strictEqual(error.reason, "refused")
      assert.include(error.message, "PostgresMigrations.sql()")

      const { rows } = yield* Effect.promise(() =>
        pool.query("select 1 from pg_namespace where nspname = $1", [schema])
      )
      assert.deepStrictEqual(rows, [])
    }).pipe(Effect.scoped))

  it.live("looks at nothing when it is off: statements fail as refused", () =>
    Effect.gen(function*() {
      const { checkpoints, runs } = yield* freshStore({}, { migrate: "off" })
      const error = yield* Effect.flip(checkpoints.begin(inputOf()))
      assert(error._tag === "StoreError")
      assert.strictEqual(error.reason, "refused")
      assert.strictEqual((yield* Effect.flip(runs.list())).reason, "refused")
    }).pipe(Effect.scoped))

  it.live("works on a newer schema that still allows it, and refuses one that does not", () =>
    Effect.gen(function*() {
      const { pool, schema } = yield* freshStore()
      const newer = (version: number, oldest: number) =>
        Effect.promise(() =>
          pool.query(`insert into "${schema}".migration (version, oldest) values ($1, $2)`, [version, oldest])
        )
      yield* newer(PostgresMigrations.version + 1, PostgresMigrations.version)
      for (const migrate of ["auto", "check"] as const) {
        const { checkpoints } = yield* PostgresStore.make(pool, { schema, migrate })
        yield* begun(checkpoints)
      }
      yield* newer(PostgresMigrations.version + 2, PostgresMigrations.version + 1)
      for (const migrate of ["auto", "check"] as const) {
        const error = yield* Effect.flip(PostgresStore.make(pool, { schema, migrate }))
        assert.strictEqual(error.reason, "refused")
        assert.include(error.message, "update @everbeat/store-postgres")
      }
    }).pipe(Effect.scoped))

  it.live("gives a role without rights on the schema all that it needs at run time", () =>
    Effect.gen(function*() {
      const { pool, schema } = yield* freshStore()
      const role = `role_${schema}`
      yield* Effect.promise(() => pool.query(`create role ${role} login password '${role}'`))
      yield* Effect.promise(() => pool.query(PostgresMigrations.grants(role, schema)))
      const address = new URL(url())
      address.username = role
      address.password = role
      const own = yield* hostPool({ connectionString: address.href })
      for (const migrate of ["off", "check", "auto"] as const) {
        const { checkpoints, runs } = yield* PostgresStore.make(own, { schema, migrate })
        const input = inputOf()
        const lease = yield* begun(checkpoints, input)
        yield* checkpoints.save(lease, append(0, ["a"]))
        yield* checkpoints.settle(lease, recordOf(input))
        yield* checkpoints.delete(yield* begun(checkpoints))
        assert.strictEqual(yield* runs.erase({ agentName: input.meta.agentName }), 1)
      }
      const denied = yield* Effect.flip(PostgresStore.make(own, { schema: freshSchema() }))
      assert.strictEqual(denied.reason, "refused")
      yield* Effect.promise(() => pool.query(`drop owned by ${role}; drop role ${role}`))
    }).pipe(Effect.scoped))
})
