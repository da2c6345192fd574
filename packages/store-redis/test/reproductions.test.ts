/**
 * What is known to go wrong in checkpoint stores, and must not here. Forks, values, zombies and late saves are in the
 * conformance kit; this is what needs a server.
 */
import { assert, describe, it } from "@effect/vitest"
import { Checkpointer } from "@everbeat/core"
import { RedisStore } from "@everbeat/store-redis"
import { Effect, Fiber } from "effect"
import { startProxy } from "../../../test/servers/proxy.ts"
import { append, begun, fresh, hostClient, inputFor, ownServer } from "./support.ts"

describe("RedisStore, where checkpoint stores are known to fail", () => {
  it.live("a connection killed during a save rejects the save, and the process lives", () =>
    Effect.gen(function*() {
      const server = yield* ownServer()
      const proxy = yield* Effect.acquireRelease(
        Effect.promise(() => startProxy(server.url, 6379)),
        (proxy) => Effect.sync(() => proxy.close())
      )
      const admin = yield* hostClient(server.url)
      const client = yield* hostClient(proxy.url, { autoResendUnfulfilledCommands: false, maxRetriesPerRequest: 0 })
      const stores = yield* RedisStore.makeFrom(client, { onWarning: () => Effect.void })
      const { checkpoints } = stores
      const lease = yield* begun(stores, inputFor("a"))
      for (let round = 0; round < 10; round++) {
        const save = checkpoints.save(lease, append(round, `row ${round} ${"x".repeat(5_000)}`))
        // The connection is killed when the server has half of the command.
        const half = new Promise<void>((resolve) => proxy.stopAfter(2_500, resolve))
        const fiber = yield* Effect.forkChild(Effect.flip(save))
        yield* Effect.promise(() => half)
        yield* Effect.promise(() => admin.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"))
        const error = yield* Fiber.join(fiber)
        assert(error._tag === "StoreError")
        assert.isTrue(error.isRetryable)
        proxy.restore()
        const { position } = yield* Effect.retry(save, { while: (error) => error._tag === "StoreError", times: 200 })
        assert.strictEqual(position, round + 1)
      }
      assert.lengthOf((yield* checkpoints.load(lease.runId)).messages, 10)
    }).pipe(Effect.scoped))

  it.live("a lost connection loses no acknowledged state of an agent and makes up none", () =>
    Effect.gen(function*() {
      const server = yield* ownServer()
      const stores = yield* RedisStore.make({ url: server.url, onWarning: () => Effect.void })
      const { checkpoints } = stores
      const admin = yield* hostClient(server.url)
      const checkpointer = yield* Checkpointer.make({ store: checkpoints, meta: inputFor(fresh("agent")).meta })
      const messages: Array<number> = []
      for (let round = 0; round < 20; round++) {
        messages.push(round)
        yield* checkpointer.save({ messages, iteration: round })
        yield* Effect.promise(() => admin.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"))
        yield* checkpointer.flush
        const { iteration, messages: rows } = yield* Effect.retry(checkpoints.load(checkpointer.runId), { times: 5 })
        assert.strictEqual(iteration, round)
        assert.deepStrictEqual(rows.map((row) => Number(row.slice(row.indexOf(":") + 1))), messages)
      }
    }).pipe(Effect.scoped))
})
