import { inject } from "@effect/vitest"
import type { RunId } from "@everbeat/core"
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

const onNodes = (urls: ReadonlyArray<string>, use: (node: Redis) => Promise<void>): Effect.Effect<void> =>
  Effect.promise(async () => {
    const nodes = urls.map((url) => new Redis(url))
    await Promise.all(nodes.map(use))
    for (const node of nodes) node.disconnect()
  })

const age = (urls: ReadonlyArray<string>, prefix: string) => (duration: Duration.Duration): Effect.Effect<void> =>
  onNodes(urls, (node) => ageNode(node, prefix, Duration.toMillis(duration)))

/** What a disk, an eviction, or a person with a client may do to a run: to its hash, and to the list of its rows. */
const damages: Readonly<Record<string, (node: Redis, hash: string, rows: string) => Promise<unknown>>> = {
  "all rows are missing": (node, _, rows) => node.del(rows),
  "a row is missing": (node, _, rows) => node.lpop(rows),
  "rows are no list": (node, _, rows) => node.set(rows, "a"),
  "segments are missing": (node, hash) => node.hdel(hash, "segs"),
  "segments are something else": (node, hash) => node.hset(hash, "segs", "[[0,3]]"),
  "meta is missing": (node, hash) => node.hdel(hash, "meta"),
  "meta is no JSON": (node, hash) => node.hset(hash, "meta", "{"),
  "phases are no JSON": (node, hash) => node.hset(hash, "phases", "build"),
  "the start is missing": (node, hash) => node.hdel(hash, "start"),
  "an attempt is missing": (node, hash) => node.hdel(hash, "o1", "f1")
}

const damage = (urls: ReadonlyArray<string>, prefix: string, one: (typeof damages)[string]) => (runId: RunId.RunId) =>
  onNodes(urls, async (node) => {
    const [hash] = await node.keys(`{${prefix}:*}:run:${runId}`)
    if (hash !== undefined) await one(node, hash, hash.replace(":run:", ":rows:"))
  })

/** How time passes for a store on the server, or on the Cluster, of this run of the tests, and how it is damaged. */
export const kitOptions = ({ cluster, prefix = "" }: RedisStore.Options): Conformance.Options => {
  const urls = cluster === undefined
    ? [inject("redisUrl")]
    : inject("redisClusterPorts").map((port) => `redis://127.0.0.1:${port}`)
  return {
    elapse: Effect.sleep,
    age: age(urls, prefix),
    damages: Object.fromEntries(Object.entries(damages).map(([how, one]) => [how, damage(urls, prefix, one)]))
  }
}
