/**
 * The schema that the store needs: as SQL for those who migrate by hand, as an
 * effect for those who let the store do it.
 *
 * A migration is one transaction under a transaction-scoped advisory lock, so
 * any number of processes may start at once. It is idempotent, and the code of
 * the version before keeps working on its result.
 *
 * @since 0.1.0
 */
import { StoreError } from "@everbeat/core/StoreError"
import * as Effect from "effect/Effect"
import type { Pool } from "pg"
import { codeOf, storeError } from "./internal/errors.ts"
import * as Schema from "./internal/schema.ts"
import * as Sql from "./internal/sql.ts"

/**
 * Version of the schema that this version of the package writes.
 *
 * @category references
 * @since 0.1.0
 */
export const version: number = Schema.version

/**
 * Returns the whole migration as SQL: run it with the role that owns the
 * schema, once for each release. It changes nothing where it ran before.
 *
 * **Example** (Printing the SQL)
 *
 * ```ts
 * import { PostgresMigrations } from "@everbeat/store-postgres"
 *
 * const sql = PostgresMigrations.sql("agents")
 * sql.startsWith("begin;") // => true
 * ```
 *
 * @category getters
 * @since 0.1.0
 */
export const sql = (schema: string = "everbeat"): string =>
  `begin;\n${Schema.script(schema, 0, { createSchema: true })}\ncommit;\n`

/**
 * Returns the grants that a role needs at run time: no right to change the
 * schema is among them.
 *
 * **Example** (Granting)
 *
 * ```ts
 * import { PostgresMigrations } from "@everbeat/store-postgres"
 *
 * PostgresMigrations.grants("app").includes("grant usage on schema") // => true
 * ```
 *
 * @category getters
 * @since 0.1.0
 */
export const grants = (role: string, schema: string = "everbeat"): string => {
  const tables = Sql.tables(schema)
  const name = Sql.quote(role)
  return `grant usage on schema ${tables.schema} to ${name};
grant select, insert, update, delete on ${tables.run}, ${tables.row} to ${name};
grant select on ${tables.migration} to ${name};
`
}

/**
 * Fails with a `StoreError` of the reason `refused` when the schema is missing,
 * older than this version of the package, or so new that it no longer works
 * with it.
 *
 * @category running
 * @since 0.1.0
 */
export const check = (pool: Pool, schema: string = "everbeat"): Effect.Effect<void, StoreError> =>
  Effect.gen(function*() {
    const found = yield* read(pool, schema)
    if (found.version < Schema.version) {
      return yield* refused(
        found.version === 0
          ? `there is no Everbeat schema "${schema}"; run PostgresMigrations.sql() or use migrate: "auto"`
          : `the schema "${schema}" has version ${found.version} and needs ${Schema.version}; run PostgresMigrations.sql()`
      )
    }
  })

/**
 * Migrates the schema when it is missing or older, and checks it.
 *
 * **Details**
 *
 * One transaction under an advisory lock that is waited for 5 seconds. A schema
 * that is up to date costs one read.
 *
 * @category running
 * @since 0.1.0
 */
export const migrate = (pool: Pool, schema: string = "everbeat"): Effect.Effect<void, StoreError> =>
  Effect.gen(function*() {
    const found = yield* read(pool, schema)
    if (found.version >= Schema.version) return
    const script = Schema.script(schema, found.version, { createSchema: !found.exists })
    // Statements sent as one text are one transaction: no client is held, and a pool of one is enough.
    yield* run(pool, script)
    yield* check(pool, schema)
  })

// internal

const run = (pool: Pool, text: string, values?: Array<unknown>) =>
  Effect.tryPromise({
    try: () => values === undefined ? pool.query(text) : pool.query(text, values),
    catch: (cause) => storeError("migrate", cause)
  })

const refused = (detail: string) => new StoreError({ operation: "migrate", reason: "refused", detail })

/** The version of the schema, 0 when there is none; a schema that is too new is refused. */
const read = (pool: Pool, schema: string) =>
  Effect.gen(function*() {
    yield* Schema.checkName(schema)
    const { migration } = Sql.tables(schema)
    const newest = yield* run(
      pool,
      `select version::text as version, oldest::text as oldest from ${migration} order by version desc limit 1`
    ).pipe(
      Effect.map(({ rows }): { version?: unknown; oldest?: unknown } => rows[0] ?? {}),
      Effect.catch((error) => isMissing(error) ? Effect.succeed({}) : Effect.fail(error))
    )
    const found = Number("version" in newest ? newest.version : 0)
    const oldest = Number("oldest" in newest ? newest.oldest : 0)
    if (oldest > Schema.version) {
      return yield* refused(
        `the schema "${schema}" has version ${found} and works with version ${oldest} or newer of the store; ` +
          `this is version ${Schema.version}: update @everbeat/store-postgres`
      )
    }
    if (found > 0) return { version: found, exists: true }
    const { rows } = yield* run(pool, "select count(*)::text as count from pg_namespace where nspname = $1", [schema])
    return { version: found, exists: rows[0]?.count === "1" }
  })

const isMissing = (error: StoreError): boolean => {
  const code = codeOf(error.cause)
  return code === "42P01" || code === "3F000"
}
