import { assert, describe, it } from "@effect/vitest"
import { RedisStore } from "@everbeat/store-redis"
import { Effect } from "effect"
import { append, begun, inputFor, onCluster, onServer } from "./support.ts"

for (const [where, options] of [["one server", onServer], ["a Cluster", onCluster]] as const) {
  describe(`sizes on ${where}`, () => {
    it.live("saves 100,000 messages at once, and reads them back", () =>
      Effect.gen(function*() {
        const stores = yield* RedisStore.make({ ...options("many"), timeout: "60 seconds" })
        const lease = yield* begun(stores, inputFor("a"))
        const rows = Array.from({ length: 100_000 }, (_, n) => `message ${n}`)
        const saved = yield* stores.checkpoints.save(lease, { ...append(0), rows, segments: [[0, rows.length]] })
        assert.strictEqual(saved.position, rows.length)
        const { messages } = yield* stores.checkpoints.load(lease.runId)
        assert.isTrue(messages.length === rows.length && messages.every((row, n) => row === rows[n]))
      }).pipe(Effect.scoped), 90_000)

    it.live("saves a message of 10 MB, and reads it back", () =>
      Effect.gen(function*() {
        const stores = yield* RedisStore.make({ ...options("big"), timeout: "60 seconds" })
        const lease = yield* begun(stores, inputFor("a"))
        const row = "0123456789".repeat(1024 * 1024)
        yield* stores.checkpoints.save(lease, { ...append(0, row), notes: `${row}\ud800` })
        const { messages, notes } = yield* stores.checkpoints.load(lease.runId)
        assert.isTrue(messages[0] === row && notes === `${row}\ud800`)
      }).pipe(Effect.scoped), 90_000)

    it.live("refuses more messages at once than Redis takes, and goes on", () =>
      Effect.gen(function*() {
        const stores = yield* RedisStore.make(options("more"))
        const lease = yield* begun(stores, inputFor("a"))
        const rows = Array.from({ length: 1_000_001 }, () => "")
        const error = yield* Effect.flip(stores.checkpoints.save(lease, { ...append(0), rows }))
        assert(error._tag === "StoreError")
        assert.strictEqual(error.reason, "refused")
        yield* stores.checkpoints.save(lease, append(0, "a"))
      }).pipe(Effect.scoped))
  })
}
