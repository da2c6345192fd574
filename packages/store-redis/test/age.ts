import { inject } from "@effect/vitest"
import type { Conformance } from "@everbeat/core/testing"
import type { RedisStore } from "@everbeat/store-redis"
import { Duration, Effect } from "effect"
import { Redis } from "ioredis"

/** Fields of a run that hold times: of its head, of its record, and the start and the end of each attempt. */
const times = /^(?:lease|start|upd|settled|[se]\d+)$/

/** Makes all that a node holds under a prefix older, as if so much time had passed. */
const ageNode = async (node: Redis, prefix: string, millis: number): Promise<void> => {
  const keys = await node.keys(`{${prefix}:*`)
  await Promise.all(keys.map(async (key) => {
    const name = key.slice(key.indexOf("}") + 2)
    if (name.startsWith("run:")) {
      const fields = Object.entries(await node.hgetall(key)).filter(([field]) => times.test(field))
      const older = fields.flatMap(([field, value]) => [field, String(Number(value) - millis)])
      if (older.length > 0) await node.hset(key, ...older)
    } else if (["due", "spent", "settled", "held"].includes(name)) {
      const members = await node.zrange(key, "0", "-1")
      await Promise.all(members.map((member) => node.zincrby(key, -millis, member)))
    }
  }))
}

const age = (urls: ReadonlyArray<string>, prefix: string) => (duration: Duration.Duration): Effect.Effect<void> =>
  Effect.promise(async () => {
    const nodes = urls.map((url) => new Redis(url))
    await Promise.all(nodes.map((node) => ageNode(node, prefix, Duration.toMillis(duration))))
    for (const node of nodes) node.disconnect()
  })

/** How time passes for a store on the server, or on the Cluster, of this run of the tests. */
export const timeOf = ({ cluster, prefix = "" }: RedisStore.Options): Conformance.Options => {
  const urls = cluster === undefined
    ? [inject("redisUrl")]
    : inject("redisClusterPorts").map((port) => `redis://127.0.0.1:${port}`)
  return { elapse: Effect.sleep, age: age(urls, prefix) }
}
