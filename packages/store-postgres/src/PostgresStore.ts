/**
 * Both store services on PostgreSQL, with `pg`.
 *
 * Every transition is one statement on the server's clock: no transaction is
 * held open, no client is checked out, and a transaction-mode pooler may stand
 * in between. Runs that wait at the same time in one process share a statement.
 *
 * @since 0.1.0
 */
import { CheckpointStore } from "@everbeat/core/CheckpointStore"
import { RunStore } from "@everbeat/core/RunStore"
import type { StoreError } from "@everbeat/core/StoreError"
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { Pool, type PoolConfig } from "pg"
import * as Begin from "./internal/begin.ts"
import * as Claims from "./internal/claims.ts"
import * as Client from "./internal/client.ts"
import { Lanes } from "./internal/lanes.ts"
import * as Leases from "./internal/leases.ts"
import * as Reads from "./internal/reads.ts"
import * as Runs from "./internal/runs.ts"
import * as Save from "./internal/save.ts"
import { checkName } from "./internal/schema.ts"
import * as Settle from "./internal/settle.ts"
import * as Sql from "./internal/sql.ts"
import * as PostgresMigrations from "./PostgresMigrations.ts"

/**
 * Options of a store on a pool.
 *
 * @category models
 * @since 0.1.0
 */
export interface StoreOptions {
  /**
   * Schema that holds the tables.
   *
   * @default "everbeat"
   */
  readonly schema?: string | undefined
  /**
   * What to do about the schema at start: migrate it, refuse to start unless it
   * is up to date, or nothing.
   *
   * @default "auto"
   */
  readonly migrate?: "auto" | "check" | "off" | undefined
  /**
   * Whether statements are prepared by name. Turn it off behind a pooler in
   * transaction mode, such as PgBouncer, that does not keep prepared statements.
   *
   * @default true
   */
  readonly prepare?: boolean | undefined
}

/**
 * Options of a store with a pool of its own.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends StoreOptions {
  /** `postgres://user:password@host:port/database`; without it, `pg` reads the `PG*` variables. */
  readonly url?: string | Redacted.Redacted | undefined
  /**
   * Connections at most.
   *
   * @default 10
   */
  readonly maxConnections?: number | undefined
  /**
   * How long the server may work on a statement. With `prepare: false` the
   * client counts, since poolers refuse the setting.
   *
   * @default "10 seconds"
   */
  readonly statementTimeout?: Duration.Input | undefined
  /**
   * How long a free connection may be waited for.
   *
   * @default "5 seconds"
   */
  readonly connectTimeout?: Duration.Input | undefined
  /** Everything else that `pg` takes, such as `ssl`. */
  readonly pool?: PoolConfig | undefined
}

/**
 * Creates both services on the host's pool.
 *
 * **Details**
 *
 * The pool is used as it is and never ended. One connection is enough. While
 * the scope is open, errors of idle connections do not end the process.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (pool: Pool, options: StoreOptions = {}): Effect.Effect<
  { readonly checkpoints: CheckpointStore["Service"]; readonly runs: RunStore["Service"] },
  StoreError,
  Scope.Scope
> =>
  Effect.gen(function*() {
    const { migrate = "auto", prepare = true, schema = "everbeat" } = options
    yield* Effect.acquireRelease(Effect.sync(() => listen(pool)), () => Effect.sync(() => unlisten(pool)))
    yield* checkName(schema)
    if (migrate === "auto") yield* PostgresMigrations.migrate(pool, schema)
    if (migrate === "check") yield* PostgresMigrations.check(pool, schema)
    const client = Client.make(pool, prepare)
    const lanes = new Lanes()
    const tables = Sql.tables(schema)
    return {
      checkpoints: {
        begin: Begin.make(client, lanes, tables),
        save: Save.make(client, lanes, tables),
        settle: Settle.make(client, lanes, tables),
        ...Leases.make(client, tables),
        ...Claims.make(client, tables),
        ...Reads.make(client, tables)
      },
      runs: Runs.make(client, tables)
    }
  })

/**
 * Layer that provides both services on the host's pool, which is never ended.
 *
 * **Example** (The pool of the host)
 *
 * ```ts no-run
 * import { PostgresStore } from "@everbeat/store-postgres"
 * import { Pool } from "pg"
 *
 * const pool = new Pool({ connectionString: "postgres://localhost/app" })
 * const stores = PostgresStore.layerFrom(pool, { schema: "agents" })
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerFrom = (
  pool: Pool,
  options: StoreOptions = {}
): Layer.Layer<CheckpointStore | RunStore, StoreError> => Layer.effectContext(context(pool, options))

/**
 * Layer that provides both services on a pool of its own, which ends with the
 * layer.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options = {}): Layer.Layer<CheckpointStore | RunStore, StoreError> =>
  Layer.effectContext(Effect.flatMap(ownPool(options), (pool) => context(pool, options)))

/**
 * Layer that provides both services with options read from the configuration.
 *
 * **Example** (The address from the environment)
 *
 * ```ts no-run
 * import { PostgresStore } from "@everbeat/store-postgres"
 * import { Config } from "effect"
 *
 * const stores = PostgresStore.layerConfig(Config.all({ url: Config.Redacted("DATABASE_URL") }))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  config: Config.Config<Options>
): Layer.Layer<CheckpointStore | RunStore, StoreError | Config.ConfigError> => Layer.unwrap(Effect.map(config, layer))

// internal

/** A connection that is lost while idle is taken out of the pool; the next statement opens another. */
const ignore = (): void => {}

/** Stores on one pool share a listener. */
const listening = new WeakMap<Pool, number>()

const listen = (pool: Pool): void => {
  const stores = listening.get(pool) ?? 0
  if (stores === 0) pool.on("error", ignore)
  listening.set(pool, stores + 1)
}

const unlisten = (pool: Pool): void => {
  const stores = (listening.get(pool) ?? 1) - 1
  if (stores === 0) pool.off("error", ignore)
  listening.set(pool, stores)
}

const context = (pool: Pool, options: StoreOptions) =>
  Effect.map(
    make(pool, options),
    ({ checkpoints, runs }) => Context.make(CheckpointStore, checkpoints).pipe(Context.add(RunStore, runs))
  )

const millis = (duration: Duration.Input): number => Duration.toMillis(Duration.fromInputUnsafe(duration))

const ownPool = ({ connectTimeout, maxConnections, pool, prepare, statementTimeout, url }: Options) => {
  const timeout = millis(statementTimeout ?? "10 seconds")
  const acquire = Effect.sync(() => {
    const own = new Pool({
      application_name: "everbeat",
      keepAlive: true,
      max: maxConnections ?? 10,
      ...(prepare === false
        ? { query_timeout: timeout }
        // The server answers first, unless it or the way to it is gone.
        : { statement_timeout: timeout, query_timeout: timeout + 5_000 }),
      connectionTimeoutMillis: millis(connectTimeout ?? "5 seconds"),
      ...pool,
      ...(url === undefined ? undefined : { connectionString: Redacted.isRedacted(url) ? Redacted.value(url) : url })
    })
    // For good: connections close after `end` has answered, and a server that is faster reports an error of one.
    return own.on("error", ignore)
  })
  return Effect.acquireRelease(acquire, (pool) => Effect.promise(() => pool.end().catch(ignore)))
}
