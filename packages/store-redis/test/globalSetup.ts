import type { TestProject } from "vitest/node"
import { redisVersion, startRedis, startRedisCluster } from "../../../test/servers/redis.ts"

declare module "vitest" {
  interface ProvidedContext {
    readonly redisUrl: string
    readonly redisClusterPorts: ReadonlyArray<number>
  }
}

/** Starts one server, or uses that of `EVERBEAT_TEST_REDIS_URL`, and a Cluster of three. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const given = process.env["EVERBEAT_TEST_REDIS_URL"]
  const [server, cluster] = await Promise.all([given === undefined ? startRedis() : undefined, startRedisCluster()])
  const url = server?.url ?? given ?? ""
  const ports = cluster.nodes.map(({ port }) => port)
  project.provide("redisUrl", url)
  project.provide("redisClusterPorts", ports)
  const alone = server === undefined ? "Redis of EVERBEAT_TEST_REDIS_URL" : `port ${server.port}`
  process.stdout.write(
    `everbeat: Redis ${redisVersion()} for the tests: ${alone}, Cluster on ports ${ports.join(", ")}\n`
  )
  return async () => {
    await Promise.all([server?.stop(), cluster.stop()])
  }
}
