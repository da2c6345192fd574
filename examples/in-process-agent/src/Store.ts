/** The store of runs that `EVERBEAT_STORE` names. */
import { PostgresStore } from "@everbeat/store-postgres"
import { RedisStore } from "@everbeat/store-redis"
import { Config, Effect, Layer, Redacted, Schema } from "effect"

/** An address that names no store which outlives its process. */
class StoreRefused extends Schema.TaggedError<StoreRefused>()("StoreRefused", {}) {
  override get message(): string {
    return "EVERBEAT_STORE must be a URL that begins with postgres:// or redis://: a run has to outlive its process"
  }
}

/** Where the runs are kept, if the environment says so. */
export const address = Config.option(Config.Redacted("EVERBEAT_STORE"))

/** The stores at an address. */
export const layer = (url: Redacted.Redacted) =>
  Layer.unwrap(Effect.suspend(() => {
    const [scheme = ""] = Redacted.value(url).split("://")
    if (/^postgres(ql)?$/.test(scheme)) return Effect.succeed(PostgresStore.layer({ url, maxConnections: 3 }))
    if (/^rediss?$/.test(scheme)) return Effect.succeed(RedisStore.layer({ url: Redacted.value(url) }))
    return Effect.fail(new StoreRefused())
  }))
