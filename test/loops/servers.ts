/**
 * The servers of the tests of agent loops. Nothing of the packages is imported here: what starts before the tests does not
 * see their sources.
 */
import type { TestProject } from "vitest/node"
import { startPostgres } from "../servers/postgres.ts"
import { startRedis } from "../servers/redis.ts"

declare module "vitest" {
  interface ProvidedContext {
    readonly loopsUrl: string
    readonly loopsRedisUrl: string
  }
}

/** Starts them for a project. */
export const setUp = async (project: TestProject): Promise<() => Promise<void>> => {
  const postgres = await startPostgres()
  project.provide("loopsUrl", postgres.url)
  const redis = await startRedis()
  project.provide("loopsRedisUrl", redis.url)
  return async () => {
    await redis.stop()
    await postgres.stop()
  }
}
