/**
 * What is wrong with a Redis that is to keep runs: found when the store starts,
 * logged, and never fatal.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * Warning that Redis may delete runs when its memory is full: its
 * `maxmemory-policy` is not `noeviction`.
 *
 * @category models
 * @since 0.1.0
 */
export class DangerousEviction
  extends Schema.TaggedClass<DangerousEviction>("@everbeat/store-redis/DangerousEviction")("DangerousEviction", {
    /** Address of the server. */
    server: Schema.String,
    policy: Schema.String
  })
{
  get message(): string {
    return `Redis at ${this.server} may delete runs when its memory is full (maxmemory-policy is ${this.policy}). `
      + "Set maxmemory-policy to noeviction, or give Everbeat a Redis of its own."
  }
}

/**
 * Warning that runs do not survive a crash of Redis: nothing is written to
 * disk (`none`), or only from time to time (`snapshots`).
 *
 * @category models
 * @since 0.1.0
 */
export class WeakPersistence
  extends Schema.TaggedClass<WeakPersistence>("@everbeat/store-redis/WeakPersistence")("WeakPersistence", {
    /** Address of the server. */
    server: Schema.String,
    persistence: Schema.Literals(["none", "snapshots"])
  })
{
  get message(): string {
    const lost = this.persistence === "none" ? "loses every run" : "loses what came after the last snapshot"
    return `Redis at ${this.server} ${lost} when it crashes or restarts. Set appendonly to yes.`
  }
}

/**
 * Warning that a server did not tell how it is configured, because of its
 * rights or because it could not be reached.
 *
 * @category models
 * @since 0.1.0
 */
export class UnknownConfiguration
  extends Schema.TaggedClass<UnknownConfiguration>("@everbeat/store-redis/UnknownConfiguration")(
    "UnknownConfiguration",
    {
      /** Address of the server. */
      server: Schema.String,
      detail: Schema.String
    }
  )
{
  get message(): string {
    return `Redis at ${this.server} did not tell how it is configured (${this.detail}). `
      + "Check that maxmemory-policy is noeviction and appendonly is yes."
  }
}

/**
 * What may be wrong with a Redis.
 *
 * @category models
 * @since 0.1.0
 */
export type RedisWarning = DangerousEviction | WeakPersistence | UnknownConfiguration
