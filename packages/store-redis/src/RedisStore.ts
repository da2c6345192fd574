/**
 * Both store services on Redis, through `ioredis`: stand-alone, behind
 * Sentinel, or a Cluster.
 *
 * Every transition is one Lua script of core commands on one hash slot, one
 * round trip. Time is that of Redis. What Redis acknowledged is as safe as its
 * own configuration makes it: read in the README what asynchronous replication
 * can lose.
 *
 * @since 0.1.0
 */
import { CheckpointStore } from "@everbeat/core/CheckpointStore"
import { keyRetention, RunStore } from "@everbeat/core/RunStore"
import type { StoreError } from "@everbeat/core/StoreError"
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Cluster, ClusterNode, ClusterOptions, Redis, RedisOptions } from "ioredis"
import * as Checkpoints from "./internal/checkpoints.ts"
import * as Connection from "./internal/connection.ts"
import { inspect } from "./internal/inspect.ts"
import * as Partitions from "./internal/partitions.ts"
import * as Runs from "./internal/runs.ts"
import type { RedisWarning } from "./RedisWarning.ts"

/**
 * Options of a store on a client of the host.
 *
 * @category models
 * @since 0.1.0
 */
export interface StoreOptions {
  /**
   * Begins every key, within its hash tag: `{everbeat:07}`.
   *
   * @default "everbeat"
   */
  readonly prefix?: string | undefined
  /**
   * Hash slots over which agents are spread, 1 to 256. Every process must use
   * the same number, and it cannot be changed while runs are stored.
   *
   * @default 16
   */
  readonly partitions?: number | undefined
  /**
   * How long one script may take before it counts as failed.
   *
   * @default "5 seconds"
   */
  readonly timeout?: Duration.Input | undefined
  /**
   * How long the records of settled runs are kept; less than 24 hours, the
   * life of an idempotency key, counts as 24 hours. Without it, records stay
   * until `RunStore.prune`.
   *
   * @default for ever
   */
  readonly recordTtl?: Duration.Input | undefined
  /**
   * Called at the start for everything that is wrong with the configuration of
   * Redis.
   *
   * @default Effect.logWarning
   */
  readonly onWarning?: ((warning: RedisWarning) => Effect.Effect<void>) | undefined
}

/**
 * Options of a store with a connection of its own: `url` or `redis` for one
 * server or for Sentinel (`sentinels` and `name`), or else `cluster`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends StoreOptions {
  /** `redis://user:password@host:port/db`, or `rediss://` for TLS. */
  readonly url?: string | undefined
  /** Options of the client, over the defaults of this store. */
  readonly redis?: RedisOptions | undefined
  /** Nodes of a Cluster to begin with, and options of the client. */
  readonly cluster?: {
    readonly nodes: ReadonlyArray<ClusterNode>
    readonly options?: ClusterOptions | undefined
  } | undefined
}

/**
 * Both services on one Redis.
 *
 * @category models
 * @since 0.1.0
 */
export interface Stores {
  readonly checkpoints: CheckpointStore["Service"]
  readonly runs: RunStore["Service"]
}

/**
 * Creates both services on a client of the host, which is used as it is and
 * never closed.
 *
 * **Details**
 *
 * What is wrong with the configuration of Redis is reported before the services
 * are there. A Redis that is down is no failure here: each operation says so.
 *
 * By default, `ioredis` sends a command again when its connection was lost
 * before the answer came. A script that had run is recognised then, and answers
 * what it did.
 *
 * **Gotchas**
 *
 * With `autoResendUnfulfilledCommands: false`, `ioredis` drops such commands
 * without a word, unless `maxRetriesPerRequest` is 0: they fail after `timeout`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeFrom = (client: Redis | Cluster, options: StoreOptions = {}): Effect.Effect<Stores> =>
  Effect.gen(function*() {
    const { onWarning = (warning: RedisWarning) => Effect.logWarning(warning.message, warning) } = options
    const settings = resolve(options)
    const partitions = yield* Partitions.make(client, settings)
    yield* Effect.forEach(yield* inspect(client, settings.timeout), onWarning, { discard: true })
    return { checkpoints: Checkpoints.make(partitions), runs: Runs.make(partitions) }
  })

/**
 * Creates both services on a connection of their own, closed with the scope.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options): Effect.Effect<Stores, StoreError, Scope.Scope> =>
  Effect.flatMap(
    Connection.connect(options, resolve(options).timeout),
    (client) => makeFrom(client, options)
  )

/**
 * Layer that provides both services on a client of the host, which is used as
 * it is and never closed.
 *
 * **Example** (Sharing the client of the host)
 *
 * ```ts no-run
 * import { RedisStore } from "@everbeat/store-redis"
 * import { Redis } from "ioredis"
 *
 * const client = new Redis("redis://localhost:6379")
 * const stores = RedisStore.layerFrom(client, { prefix: "dispatch" })
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerFrom = (
  client: Redis | Cluster,
  options: StoreOptions = {}
): Layer.Layer<CheckpointStore | RunStore> => Layer.effectContext(Effect.map(makeFrom(client, options), toContext))

/**
 * Layer that provides both services on a connection of their own, which closes
 * with the layer. It fails when Redis cannot be reached.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<CheckpointStore | RunStore, StoreError> =>
  Layer.effectContext(Effect.map(make(options), toContext))

/**
 * Layer that provides both services with options read from the configuration.
 *
 * **Example** (Reading the address from the environment)
 *
 * ```ts no-run
 * import { RedisStore } from "@everbeat/store-redis"
 * import { Config } from "effect"
 *
 * const stores = RedisStore.layerConfig(Config.all({ url: Config.String("REDIS_URL") }))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  config: Config.Config<Options>
): Layer.Layer<CheckpointStore | RunStore, StoreError | Config.ConfigError> =>
  Layer.effectContext(Effect.map(Effect.flatMap(config, make), toContext))

// internal

const toContext = ({ checkpoints, runs }: Stores): Context.Context<CheckpointStore | RunStore> =>
  Context.make(CheckpointStore, checkpoints).pipe(Context.add(RunStore, runs))

const resolve = ({ partitions = 16, prefix = "everbeat", recordTtl, timeout = "5 seconds" }: StoreOptions) => {
  if (!Number.isInteger(partitions) || partitions < 1 || partitions > 256) {
    throw new RangeError(`The number of partitions is an integer from 1 to 256, not ${partitions}.`)
  }
  if (!/^[^{}]+$/u.test(prefix)) throw new RangeError("The prefix of the keys has no braces and is not empty.")
  const life = recordTtl === undefined ? undefined : Duration.fromInputUnsafe(recordTtl)
  return {
    prefix,
    partitions,
    timeout: Duration.fromInputUnsafe(timeout),
    recordMillis: life === undefined || !Duration.isFinite(life)
      ? 0
      : Math.ceil(Duration.toMillis(Duration.max(life, keyRetention)))
  }
}
