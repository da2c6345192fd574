/** The drivers of the stores, found from where the stores find them. */
import type { PostgresStore } from "@everbeat/store-postgres"
import type { RedisStore } from "@everbeat/store-redis"
import { createRequire } from "node:module"

type Pool = Parameters<typeof PostgresStore.layerFrom>[0]
type PoolConfig = NonNullable<PostgresStore.Options["pool"]>
export type Redis = Extract<Parameters<typeof RedisStore.layerFrom>[0], { readonly stream: unknown }>

const load = (store: string, driver: string): unknown =>
  createRequire(new URL(`../packages/${store}/package.json`, import.meta.url))(driver)

export const { Pool } = load("store-postgres", "pg") as { readonly Pool: new(config: PoolConfig) => Pool }
export const { Redis } = load("store-redis", "ioredis") as {
  readonly Redis: new(url: string, options?: { readonly commandTimeout: number }) => Redis
}
