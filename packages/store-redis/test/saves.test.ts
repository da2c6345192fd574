import { assert, describe, inject, it } from "@effect/vitest"
import { RedisStore } from "@everbeat/store-redis"
import { Effect } from "effect"
import { append, begun, hostClient, inputFor, onServer, ownServer, ttl } from "./support.ts"

/** A store, and what the server keeps of its runs. */
const opened = (name: string) =>
  Effect.gen(function*() {
    const options = { ...onServer(name), partitions: 1 }
    const stores = yield* RedisStore.make(options)
    const client = yield* hostClient(inject("redisUrl"))
    const key = (end: string) => `{${options.prefix}:00}:${end}`
    return {
      stores,
      rows: (id: string) => Effect.promise(() => client.lrange(key(`rows:${id}`), 0, -1)),
      lease: (id: string) => Effect.promise(() => client.hget(key(`run:${id}`), "lease")),
      placed: (set: string, id: string) => Effect.promise(() => client.zscore(key(set), id))
    }
  })

describe("a save", () => {
  it.live("leaves all rows as they were when their place is taken", () =>
    Effect.gen(function*() {
      const { rows, stores } = yield* opened("taken")
      const { checkpoints } = stores
      const lease = yield* begun(stores, inputFor("taken"))
      const conflict = (position: number, ...rows: ReadonlyArray<string>) =>
        Effect.map(Effect.flip(checkpoints.save(lease, append(position, ...rows))), (error) => {
          assert(error._tag === "Conflict")
          return error.position
        })
      const many = Array.from({ length: 2500 }, (_, n) => `row ${n}`)

      assert.strictEqual(yield* conflict(3, "too", "late"), 0)
      assert.deepStrictEqual(yield* rows(lease.runId), [])
      yield* checkpoints.save(lease, append(0, "a", "b", "c"))
      for (const [position, refused] of [[0, ["x"]], [2, ["x", "y"]], [4, ["x"]], [0, many], [2, []]] as const) {
        assert.strictEqual(yield* conflict(position, ...refused), 3)
        assert.deepStrictEqual(yield* rows(lease.runId), ["a", "b", "c"])
      }
      assert.strictEqual((yield* checkpoints.save(lease, append(3, "d"))).position, 4)
      assert.deepStrictEqual((yield* checkpoints.load(lease.runId)).messages, ["a", "b", "c", "d"])
    }).pipe(Effect.scoped))

  it.live("moves the run in the set of what is due, also several times in a millisecond", () =>
    Effect.gen(function*() {
      const { lease: leaseOf, placed, stores } = yield* opened("due")
      const lease = yield* begun(stores, inputFor("due"))
      const before = Number(yield* placed("due", lease.runId))
      yield* Effect.sleep("5 millis")
      yield* Effect.forEach(
        Array.from({ length: 100 }, (_, position) => position),
        (position) => stores.checkpoints.save(lease, append(position, `row ${position}`)),
        { concurrency: "unbounded" }
      )
      const after = yield* placed("due", lease.runId)

      assert.isAbove(Number(after), before)
      assert.strictEqual(after, yield* leaseOf(lease.runId))
      assert.isNull(yield* placed("spent", lease.runId))
    }).pipe(Effect.scoped))

  it.live("of an exhausted run keeps it where no sweep looks, unless it makes progress and has attempts left", () =>
    Effect.gen(function*() {
      const { lease: leaseOf, placed, stores } = yield* opened("spent")
      const { checkpoints } = stores
      const last = yield* begun(stores, inputFor("last", { maxAttempts: 1 }))
      yield* checkpoints.save(last, append(0, "a"))
      assert.strictEqual(yield* placed("spent", last.runId), yield* leaseOf(last.runId))
      assert.isNull(yield* placed("due", last.runId))

      const first = yield* begun(stores, inputFor("stalled", { maxAttempts: 5 }))
      yield* checkpoints.release(first)
      const { lease } = yield* checkpoints.claim(first.runId, "heir", ttl)
      assert.isNotNull(yield* placed("spent", lease.runId))
      yield* checkpoints.save(lease, append(0))
      assert.strictEqual(yield* placed("spent", lease.runId), yield* leaseOf(lease.runId))
      assert.isNull(yield* placed("due", lease.runId))
      yield* checkpoints.save(lease, append(0, "a"))
      assert.strictEqual(yield* placed("due", lease.runId), yield* leaseOf(lease.runId))
      assert.isNull(yield* placed("spent", lease.runId))
    }).pipe(Effect.scoped))

  it.live("that is refused for lack of memory has written nothing", () =>
    Effect.gen(function*() {
      const server = yield* ownServer()
      const admin = yield* hostClient(server.url)
      const stores = yield* RedisStore.make({ url: server.url, onWarning: () => Effect.void })
      const { checkpoints } = stores
      const lease = yield* begun(stores, inputFor("full"))
      yield* checkpoints.save(lease, append(0, "a"))
      const before = yield* checkpoints.load(lease.runId)
      yield* Effect.promise(() => admin.config("SET", "maxmemory", "1"))
      const error = yield* Effect.flip(checkpoints.save(lease, append(1, "b")))
      yield* Effect.promise(() => admin.config("SET", "maxmemory", "0"))

      assert(error._tag === "StoreError")
      assert.strictEqual(error.reason, "refused")
      assert.deepStrictEqual(yield* checkpoints.load(lease.runId), before)
      assert.strictEqual((yield* checkpoints.save(lease, append(1, "b"))).position, 2)
    }).pipe(Effect.scoped))
})
