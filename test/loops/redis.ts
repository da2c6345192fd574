/** A real Redis for tests of agent loops. */
import { RedisStore } from "@everbeat/store-redis"
import { Effect } from "effect"
import { randomUUID } from "node:crypto"
import { inject } from "vitest"
import type {} from "./servers.ts"

/** A fresh store. That the server of the tests persists nothing is meant so. */
export const redis = () =>
  RedisStore.layer({
    url: inject("loopsRedisUrl"),
    prefix: `loops-${randomUUID().slice(0, 8)}`,
    onWarning: () => Effect.void
  })
