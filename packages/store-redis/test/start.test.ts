import { assert, describe, inject, it } from "@effect/vitest"
import { CheckpointStore, RunStore } from "@everbeat/core"
import { RedisStore, type RedisWarning } from "@everbeat/store-redis"
import { Config, ConfigProvider, Duration, Effect, Layer, Schedule } from "effect"
import { Redis } from "ioredis"
import { append, begun, hostClient, inputFor, onCluster, onServer, ownServer, recordOf } from "./support.ts"

const warnings = () => {
  const found: Array<RedisWarning.RedisWarning> = []
  return { found, onWarning: (warning: RedisWarning.RedisWarning) => Effect.sync(() => void found.push(warning)) }
}

describe("the start of a store", () => {
  it.live("warns of an eviction policy that may delete runs", () =>
    Effect.gen(function*() {
      const server = yield* ownServer("--maxmemory-policy", "allkeys-lru")
      const { found, onWarning } = warnings()
      yield* RedisStore.make({ url: server.url, onWarning })

      assert.deepStrictEqual(found.map(({ _tag }) => _tag), ["DangerousEviction"])
      assert.include(found[0]?.message, "allkeys-lru")
      assert.include(found[0]?.message, String(server.port))
    }).pipe(Effect.scoped))

  it.live("warns of a server that persists nothing, or only snapshots", () =>
    Effect.gen(function*() {
      const server = yield* ownServer("--appendonly", "no")
      const admin = yield* hostClient(server.url)
      const { found, onWarning } = warnings()
      yield* RedisStore.make({ url: server.url, onWarning })
      yield* Effect.promise(() => admin.config("SET", "save", "3600 1"))
      yield* RedisStore.make({ url: server.url, onWarning })

      assert.deepStrictEqual(
        found.map((warning) => warning._tag === "WeakPersistence" && warning.persistence),
        ["none", "snapshots"]
      )
    }).pipe(Effect.scoped))

  it.live("has nothing to say about a server that keeps everything, alone and in a Cluster", () =>
    Effect.gen(function*() {
      const server = yield* ownServer()
      const { found, onWarning } = warnings()
      yield* RedisStore.make({ url: server.url, onWarning })
      yield* RedisStore.make({ ...onCluster("quiet"), onWarning })

      assert.deepStrictEqual(found, [])
    }).pipe(Effect.scoped))

  it.live("begins on a client of the host whose server is down, and says so", () =>
    Effect.gen(function*() {
      const server = yield* ownServer()
      const client = yield* hostClient(server.url)
      yield* Effect.promise(() => client.ping())
      yield* Effect.promise(() => server.kill())
      const { found, onWarning } = warnings()
      const stores = yield* RedisStore.makeFrom(client, { timeout: "200 millis", onWarning })

      assert.deepStrictEqual(found.map(({ _tag }) => _tag), ["UnknownConfiguration"])
      yield* Effect.promise(() => server.restart())
      const lease = yield* Effect.retry(begun(stores, inputFor("a")), { times: 100 })
      assert.strictEqual((yield* stores.checkpoints.load(lease.runId)).position, 0)
    }).pipe(Effect.scoped))

  it.live("fails with a typed error when its own connection cannot be made", () =>
    Effect.gen(function*() {
      const server = yield* ownServer()
      yield* Effect.promise(() => server.kill())
      const error = yield* Effect.flip(RedisStore.make({ url: server.url, timeout: "2 seconds" }))

      assert.strictEqual(error._tag, "StoreError")
      assert.isTrue(error.isRetryable)
      const refused = yield* Effect.flip(Layer.build(RedisStore.layer({ url: server.url, timeout: "2 seconds" })))
      assert.strictEqual(refused.operation, "connect")
    }).pipe(Effect.scoped))

  it.live("refuses a database that the server does not have, instead of using the first one", () =>
    Effect.gen(function*() {
      const url = new URL(inject("redisUrl"))
      url.pathname = "/99999"
      const error = yield* Effect.flip(RedisStore.make({ url: url.href, onWarning: () => Effect.void }))
      assert.deepStrictEqual([error._tag, error.operation, error.isRetryable], ["StoreError", "connect", false])
      assert.include(error.message, "DB index")
    }).pipe(Effect.scoped))

  it.live("reads its options from the configuration", () =>
    Effect.gen(function*() {
      const { prefix = "", url = "" } = onServer("config")
      const layer = RedisStore.layerConfig(
        Config.all({ url: Config.String("REDIS_URL"), prefix: Config.String("REDIS_PREFIX") })
      )
      const provider = ConfigProvider.fromUnknown({ REDIS_URL: url, REDIS_PREFIX: prefix })
      yield* Effect.gen(function*() {
        const checkpoints = yield* CheckpointStore.CheckpointStore
        yield* checkpoints.begin(inputFor("a"))
      }).pipe(Effect.provide(layer), Effect.provideService(ConfigProvider.ConfigProvider, provider))
      const { runs } = yield* RedisStore.make({ url, prefix })

      assert.lengthOf((yield* runs.list()).items, 1)
    }).pipe(Effect.scoped))

  it.live("provides both services on the client of the host, also with a prefix of its own", () =>
    Effect.gen(function*() {
      const server = yield* ownServer()
      const client = yield* hostClient(server.url, { keyPrefix: "host:" })
      const admin = yield* hostClient(server.url)
      yield* Effect.gen(function*() {
        const checkpoints = yield* CheckpointStore.CheckpointStore
        const runs = yield* RunStore.RunStore
        const input = inputFor("a")
        const lease = yield* begun({ checkpoints, runs }, input)
        yield* checkpoints.save(lease, append(0, "a"))
        yield* checkpoints.settle(lease, yield* recordOf(input))
        assert.strictEqual((yield* runs.get(lease.runId)).status, "ok")
      }).pipe(Effect.provide(RedisStore.layerFrom(client)))

      for (const key of yield* Effect.promise(() => admin.keys("*"))) assert.match(key, /^host:\{everbeat:\d\d\}:/)
    }).pipe(Effect.scoped))

  it.live("refuses options that make no sense", () =>
    Effect.gen(function*() {
      const client = yield* hostClient(onServer("options").url ?? "")
      for (const options of [{ partitions: 0 }, { partitions: 257 }, { partitions: 1.5 }, { prefix: "{a}" }]) {
        const exit = yield* Effect.exit(RedisStore.makeFrom(client, options))
        assert.isTrue(exit._tag === "Failure")
      }
    }).pipe(Effect.scoped))

  it.live("keeps records for as long as it was told, and never less than a day", () =>
    Effect.gen(function*() {
      const server = yield* ownServer()
      const admin = yield* hostClient(server.url)
      const day = Duration.toMillis("24 hours")
      for (const [given, expected] of [["1 minute", day], ["3 days", 3 * day]] as const) {
        const stores = yield* RedisStore.make({ url: server.url, recordTtl: given })
        const input = inputFor("a", { idempotency: { key: given, fingerprint: "f" } })
        const lease = yield* begun(stores, input)
        yield* stores.checkpoints.settle(lease, yield* recordOf(input))
        const keys = yield* Effect.promise(() => admin.keys(`*${lease.runId}`))
        const named = yield* Effect.promise(() => admin.keys(`*:key:a ${given}`))
        assert.lengthOf([...keys, ...named], 2)
        for (const key of [...keys, ...named]) {
          const left = yield* Effect.promise(() => admin.pttl(key))
          assert.isAtMost(left, expected)
          assert.isAbove(left, expected - 60_000)
        }
      }
      const stores = yield* RedisStore.make({ url: server.url })
      const input = inputFor("b")
      const lease = yield* begun(stores, input)
      yield* stores.checkpoints.settle(lease, yield* recordOf(input))
      const [key = ""] = yield* Effect.promise(() => admin.keys(`*${lease.runId}`))
      assert.strictEqual(yield* Effect.promise(() => admin.pttl(key)), -1)
    }).pipe(Effect.scoped))

  it.live("forgets what named a record that has expired", () =>
    Effect.gen(function*() {
      const server = yield* ownServer()
      const admin = yield* hostClient(server.url)
      const stores = yield* RedisStore.make({ url: server.url, recordTtl: "24 hours", partitions: 1 })
      const settle = (callerId: string) =>
        Effect.gen(function*() {
          const input = inputFor("a")
          const meta = { ...input.meta, callerId }
          const lease = yield* begun(stores, { ...input, meta })
          yield* stores.checkpoints.settle(lease, yield* recordOf({ ...input, meta }))
          return lease.runId
        })
      const old = yield* settle("old caller")
      // A day later: the record is gone, and it is a day since it was settled.
      yield* Effect.promise(() => admin.del(`{everbeat:00}:run:${old}`))
      const [member = ""] = yield* Effect.promise(() => admin.zrange("{everbeat:00}:settled", "0", "-1"))
      yield* Effect.promise(() => admin.zadd("{everbeat:00}:settled", "1", member))
      assert.deepStrictEqual(yield* stores.runs.list({ callerId: "old caller" }), { items: [] })
      const next = yield* settle("new caller")

      assert.deepStrictEqual((yield* stores.runs.list()).items.map(({ runId }) => runId), [next])
      const left = yield* Effect.promise(() => admin.keys("*old*"))
      assert.deepStrictEqual(left, [])
      for (const index of ["runs", "agent:a", "done:a", "settled"]) {
        assert.strictEqual(yield* Effect.promise(() => admin.zcard(`{everbeat:00}:${index}`)), 1, index)
      }
    }).pipe(Effect.scoped))

  it.live("prunes a run with a key a day later, and frees the key", () =>
    Effect.gen(function*() {
      const server = yield* ownServer()
      const admin = yield* hostClient(server.url)
      const stores = yield* RedisStore.make({ url: server.url, partitions: 1 })
      const input = inputFor("a", { idempotency: { key: "k", fingerprint: "f" } })
      const lease = yield* begun(stores, input)
      yield* stores.checkpoints.settle(lease, yield* recordOf(input))
      const shift = (millis: number) =>
        Effect.promise(async () => {
          const at = Date.now() - millis
          const [member = ""] = await admin.zrange("{everbeat:00}:held", "0", "-1")
          await admin.zadd("{everbeat:00}:held", String(at), member)
          await admin.hset(`{everbeat:00}:run:${lease.runId}`, "settled", at)
        })
      const rules = { olderThan: Duration.hours(1), keepLast: 0 }
      yield* shift(Duration.toMillis("1439 minutes"))
      assert.strictEqual(yield* stores.runs.prune(rules), 0)
      yield* shift(Duration.toMillis("1441 minutes"))
      assert.strictEqual(yield* stores.runs.prune(rules), 1)

      const other = inputFor("a", { idempotency: { key: "k", fingerprint: "other" } })
      assert.strictEqual((yield* stores.checkpoints.begin(other))._tag, "Begun")
    }).pipe(Effect.scoped))

  it.live("follows a fail-over that Sentinel decides", () =>
    Effect.gen(function*() {
      const master = yield* ownServer()
      const replica = yield* ownServer("--replicaof", "127.0.0.1", String(master.port))
      const sentinel = yield* ownServer("--sentinel")
      const standby = yield* hostClient(replica.url)
      const admin = yield* hostClient(sentinel.url)
      const until = (ready: () => Promise<boolean>) =>
        Effect.promise(ready).pipe(Effect.repeat({ until: (ready) => ready, schedule: Schedule.spaced("20 millis") }))
      // Sentinel asks a master for its replicas at once, and then every ten seconds.
      yield* until(async () => (await standby.info("replication")).includes("master_link_status:up"))
      yield* Effect.promise(async () => {
        await admin.call("SENTINEL", "MONITOR", "everbeat", "127.0.0.1", master.port, 1)
        await admin.call("SENTINEL", "SET", "everbeat", "down-after-milliseconds", "300")
      })
      yield* until(async () =>
        String(await admin.call("SENTINEL", "REPLICAS", "everbeat")).includes(`:${replica.port}`)
      )
      const stores = yield* RedisStore.make({
        redis: { sentinels: [{ host: "127.0.0.1", port: sentinel.port }], name: "everbeat" }
      })
      const lease = yield* begun(stores, inputFor("a"))
      yield* stores.checkpoints.save(lease, append(0, "a"))
      // Replication is asynchronous: wait for it, as a host cannot.
      yield* until(async () => (await standby.keys("*:rows:*")).length > 0)
      yield* Effect.promise(() => master.kill())
      yield* Effect.retry(
        Effect.catchTag(stores.checkpoints.save(lease, append(1, "b")), "Conflict", () => Effect.void),
        {
          while: (error) => error._tag === "StoreError" && error.isRetryable,
          schedule: Schedule.spaced("50 millis"),
          times: 500
        }
      )

      assert.deepStrictEqual((yield* stores.checkpoints.load(lease.runId)).messages, ["a", "b"])
      assert.strictEqual((yield* Effect.promise(() => standby.role()))[0], "master")
    }).pipe(Effect.scoped), 60_000)
})

describe("a client of the host", () => {
  it.live("is used in a Cluster as it is", () =>
    Effect.gen(function*() {
      const { cluster } = onCluster("host")
      const client = yield* Effect.acquireRelease(
        Effect.sync(() => new Redis.Cluster([...(cluster?.nodes ?? [])])),
        (client) => Effect.sync(() => client.disconnect())
      )
      yield* Effect.scoped(
        Effect.flatMap(RedisStore.makeFrom(client, onCluster("host")), (stores) => begun(stores, inputFor("a")))
      )

      assert.strictEqual(client.status, "ready")
    }).pipe(Effect.scoped))
})
