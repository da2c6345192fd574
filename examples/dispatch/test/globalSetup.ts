import type { TestProject } from "vitest/node"
import { startPostgres } from "../../../test/servers/postgres.ts"
import { startRedis } from "../../../test/servers/redis.ts"

declare module "vitest" {
  interface ProvidedContext {
    /** Servers that Dispatch is tested on. */
    readonly dispatchStores: { readonly postgres: string; readonly redis: string }
  }
}

export default async (project: TestProject): Promise<() => Promise<void>> => {
  const [postgres, redis] = await Promise.all([startPostgres(), startRedis(["--databases", "1000"])])
  project.provide("dispatchStores", { postgres: postgres.url, redis: redis.url })
  return async () => {
    await Promise.all([postgres.stop(), redis.stop()])
  }
}
