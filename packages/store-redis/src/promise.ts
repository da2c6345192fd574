/**
 * The Redis store for applications that do not use Effect.
 *
 * @since 0.1.0
 */
import type { Duration } from "@everbeat/core/promise/Duration"
import { InvalidOptions, type OptionProblem } from "@everbeat/core/promise/InvalidOptions"
import { type Store, storeFromLayer } from "@everbeat/core/promise/Store"
import * as Effect from "effect/Effect"
import type { Cluster, Redis, RedisOptions as ClientOptions } from "ioredis"
import * as RedisStore from "./RedisStore.ts"
import type { RedisWarning } from "./RedisWarning.ts"

/**
 * Options of the store: a `client` of yours, which is never closed, or a `url`,
 * whose connection ends with `dispose`.
 *
 * @category models
 * @since 0.1.0
 */
export interface RedisOptions {
  /** A client of `ioredis`, also a `Cluster`. */
  readonly client?: Redis | Cluster | undefined
  /** `redis://user:password@host:port/db`, or `rediss://` for TLS. */
  readonly url?: string | undefined
  /** Options of a client of the store's own, such as `sentinels`. */
  readonly redis?: ClientOptions | undefined
  /** Nodes of a Cluster to begin with, for a client of the store's own. */
  readonly cluster?: RedisStore.Options["cluster"]
  /**
   * Begins every key.
   *
   * @default "everbeat"
   */
  readonly prefix?: string | undefined
  /**
   * Hash slots over which agents are spread, 1 to 256. It cannot be changed while runs are stored.
   *
   * @default 16
   */
  readonly partitions?: number | undefined
  /**
   * How long one script may take.
   *
   * @default "5 seconds"
   */
  readonly timeout?: Duration | undefined
  /** How long the records of settled runs are kept, 24 hours at least. Absent: for ever. */
  readonly recordTtl?: Duration | undefined
  /** Is told at the start what is wrong with the configuration of Redis. Absent: it is logged. */
  readonly onWarning?: ((warning: RedisWarning) => void) | undefined
}

/**
 * Creates a store on Redis.
 *
 * **Details**
 *
 * Nothing is connected before the first call of the instance, or `ready`. Throws
 * `InvalidOptions` for options of a wrong type, and unless it is given one of
 * `client`, `url`, `redis` and `cluster`.
 *
 * **Example** (The client of the host)
 *
 * ```ts no-run
 * import { createEverbeat } from "@everbeat/core/promise"
 * import { redisStore } from "@everbeat/store-redis/promise"
 * import { Redis } from "ioredis"
 *
 * const client = new Redis("redis://localhost:6379")
 * const everbeat = createEverbeat({ store: redisStore({ client }) })
 * await everbeat.ready()
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const redisStore = (options: RedisOptions): Store => {
  const problems = problemsOf(options)
  if (problems.length > 0) throw new InvalidOptions("redisStore", problems)
  const { client, cluster, onWarning, redis, url, ...rest } = options
  const store = {
    ...rest,
    onWarning: onWarning && ((warning: RedisWarning) => Effect.sync(() => onWarning(warning)))
  }
  return storeFromLayer(
    client === undefined
      ? RedisStore.layer({ ...store, url, redis, cluster })
      : RedisStore.layerFrom(client, store)
  )
}

// internal

const sources = ["client", "url", "redis", "cluster"] as const

const known = new Set<string>([...sources, "prefix", "partitions", "timeout", "recordTtl", "onWarning"])

const problemsOf = (options: RedisOptions): ReadonlyArray<OptionProblem> => {
  if (typeof options !== "object" || options === null) {
    return [{ option: "the options", given: typeof options, expected: "an object" }]
  }
  const { client, onWarning, partitions = 16, prefix = "everbeat", url } = options
  const problems: Array<OptionProblem> = []
  const wrong = (option: string, given: string, expected: string): void => {
    problems.push({ option, given, expected })
  }
  const given = sources.filter((source) => options[source] !== undefined)
  if (given.length === 0) wrong("client", "undefined", "a client of ioredis, or else url, redis or cluster")
  if (client !== undefined) {
    if (typeof client !== "object" || client === null || typeof client.call !== "function") {
      wrong("client", typeof client, "a Redis or a Cluster of ioredis")
    }
    for (const other of given) if (other !== "client") wrong(other, "given", "nothing beside a client of yours")
  }
  // Not the value: it has a password in it.
  if (url !== undefined && typeof url !== "string") wrong("url", typeof url, "a string")
  if (!Number.isInteger(partitions) || partitions < 1 || partitions > 256) {
    wrong("partitions", String(partitions), "an integer from 1 to 256")
  }
  if (typeof prefix !== "string" || !/^[^{}]+$/u.test(prefix)) {
    wrong("prefix", JSON.stringify(prefix), "a text without braces, not empty")
  }
  if (onWarning !== undefined && typeof onWarning !== "function") wrong("onWarning", typeof onWarning, "a function")
  for (const option of Object.keys(options)) {
    if (!known.has(option)) wrong(option, "given", `nothing: the options are ${[...known].join(", ")}`)
  }
  return problems
}
