/**
 * The PostgreSQL store for applications that do not use Effect.
 *
 * @since 0.1.0
 */
import type { Duration } from "@everbeat/core/promise/Duration"
import { InvalidOptions, type OptionProblem } from "@everbeat/core/promise/InvalidOptions"
import { type Store, storeFromLayer } from "@everbeat/core/promise/Store"
import type { Pool, PoolConfig } from "pg"
import * as PostgresStore from "./PostgresStore.ts"

/**
 * Options of the store: a `pool` of yours, which is never closed, or a
 * `connectionString` (else the `PG*` variables), whose pool ends with `dispose`.
 *
 * @category models
 * @since 0.1.0
 */
export interface PostgresOptions {
  readonly pool?: Pool | undefined
  /** `postgres://user:password@host:port/database` */
  readonly connectionString?: string | undefined
  /**
   * Schema that holds the tables.
   *
   * @default "everbeat"
   */
  readonly schema?: string | undefined
  /**
   * What to do about the tables at start: make them, refuse to start unless they are up to date, or nothing.
   *
   * @default "auto"
   */
  readonly migrate?: "auto" | "check" | "off" | undefined
  /**
   * Whether statements are prepared by name. Turn it off behind a pooler that does not keep prepared statements.
   *
   * @default true
   */
  readonly prepare?: boolean | undefined
  /**
   * Connections at most, of a pool of the store's own.
   *
   * @default 10
   */
  readonly maxConnections?: number | undefined
  /**
   * How long the server may work on a statement, with a pool of the store's own.
   *
   * @default "10 seconds"
   */
  readonly statementTimeout?: Duration | undefined
  /**
   * How long a connection may be waited for, with a pool of the store's own.
   *
   * @default "5 seconds"
   */
  readonly connectTimeout?: Duration | undefined
  /** Everything else that `pg` takes for a pool of the store's own, such as `ssl`. */
  readonly config?: PoolConfig | undefined
}

/**
 * Creates a store on PostgreSQL.
 *
 * **Details**
 *
 * Nothing is connected before the first call of the instance, or `ready`; a
 * server that is down is a `StoreError` of that call. Throws `InvalidOptions` for
 * a pool and a connection string at once, and for options of a wrong type.
 *
 * **Example** (The pool of the host)
 *
 * ```ts no-run
 * import { createEverbeat } from "@everbeat/core/promise"
 * import { postgresStore } from "@everbeat/store-postgres/promise"
 * import { Pool } from "pg"
 *
 * const pool = new Pool({ connectionString: process.env["DATABASE_URL"] })
 * const everbeat = createEverbeat({ store: postgresStore({ pool }) })
 * await everbeat.ready()
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const postgresStore = (options: PostgresOptions = {}): Store => {
  const problems = problemsOf(options)
  if (problems.length > 0) throw new InvalidOptions("postgresStore", problems)
  const { config, connectionString, pool, ...rest } = options
  return storeFromLayer(
    pool === undefined
      ? PostgresStore.layer({ ...rest, url: connectionString, pool: config })
      : PostgresStore.layerFrom(pool, rest)
  )
}

// internal

const own = ["connectionString", "maxConnections", "statementTimeout", "connectTimeout", "config"] as const

const known = new Set<string>([...own, "pool", "schema", "migrate", "prepare"])

const problemsOf = (options: PostgresOptions): ReadonlyArray<OptionProblem> => {
  const { connectionString, migrate = "auto", pool, prepare = true, schema = "everbeat" } = options
  const problems: Array<OptionProblem> = []
  const wrong = (option: string, given: unknown, expected: string): void => {
    problems.push({ option, given: typeof given, expected })
  }
  // Not the value: it has a password in it.
  if (connectionString !== undefined && typeof connectionString !== "string") {
    wrong("connectionString", connectionString, "a string")
  }
  if (pool !== undefined && (typeof pool !== "object" || pool === null || typeof pool.query !== "function")) {
    wrong("pool", pool, "a Pool of pg")
  }
  if (pool !== undefined) {
    for (const option of own) {
      if (options[option] !== undefined) wrong(option, options[option], "nothing beside a pool of yours")
    }
  }
  if (!["auto", "check", "off"].includes(migrate)) {
    problems.push({ option: "migrate", given: JSON.stringify(migrate), expected: `"auto", "check" or "off"` })
  }
  if (typeof prepare !== "boolean") wrong("prepare", prepare, "true or false")
  if (typeof schema !== "string") wrong("schema", schema, "a string")
  for (const option of Object.keys(options)) {
    if (!known.has(option)) wrong(option, undefined, `nothing: the options are ${[...known].join(", ")}`)
  }
  return problems
}
