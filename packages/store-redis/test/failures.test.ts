import { assert, describe, it } from "@effect/vitest"
import { RedisStore } from "@everbeat/store-redis"
import { Effect, Result } from "effect"
import { Redis } from "ioredis"
import { append, begun, fresh, hostClient, inputFor, onServer, ownServer, recordOf, ttl } from "./support.ts"

const storeError = <A, E extends { readonly _tag: string }>(effect: Effect.Effect<A, E>) =>
  Effect.map(Effect.flip(effect), (error) => {
    assert(error._tag === "StoreError", `a StoreError was expected, not ${error._tag}`)
    return error as Extract<E, { readonly _tag: "StoreError" }>
  })

const untilSaved = (stores: RedisStore.Stores, lease: Parameters<RedisStore.Stores["checkpoints"]["delete"]>[0]) =>
  stores.checkpoints.save(lease, append(0, "late")).pipe(
    Effect.catchTag("Conflict", () => Effect.void),
    Effect.retry({ while: (error) => error._tag === "StoreError" && error.isRetryable, times: 200 })
  )

describe("failures", () => {
  it.live("goes on when the server has forgotten its scripts", () =>
    Effect.gen(function*() {
      const server = yield* ownServer()
      const stores = yield* RedisStore.make({ url: server.url })
      const admin = yield* hostClient(server.url)
      const lease = yield* begun(stores, inputFor("a"))
      yield* stores.checkpoints.save(lease, append(0, "a"))
      yield* Effect.promise(() => admin.script("FLUSH"))
      yield* stores.checkpoints.save(lease, append(1, "b"))

      assert.deepStrictEqual((yield* stores.checkpoints.load(lease.runId)).messages, ["a", "b"])
    }).pipe(Effect.scoped))

  /** Saves, and kills the connection while the server holds the save back. */
  const savedWhileKilled = (admin: Redis, save: ReturnType<RedisStore.Stores["checkpoints"]["save"]>) =>
    Effect.gen(function*() {
      yield* Effect.promise(() => admin.client("PAUSE", 60_000, "WRITE"))
      const kill = Effect.promise(async () => {
        await admin.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await admin.client("UNPAUSE")
      })
      const [answer] = yield* Effect.all(
        [Effect.result(save), Effect.andThen(Effect.sleep("50 millis"), kill)],
        { concurrency: "unbounded" }
      )
      return answer
    })

  it.live("answers a typed error when its connection is killed during a save, and saves the next time", () =>
    Effect.gen(function*() {
      const server = yield* ownServer()
      const options = { autoResendUnfulfilledCommands: false, maxRetriesPerRequest: 0 }
      const stores = yield* RedisStore.makeFrom(yield* hostClient(server.url, options))
      const admin = yield* hostClient(server.url)
      const lease = yield* begun(stores, inputFor("a"))
      yield* stores.checkpoints.save(lease, append(0, "a"))
      const answer = yield* savedWhileKilled(admin, stores.checkpoints.save(lease, append(1, "b")))

      assert(Result.isFailure(answer) && answer.failure._tag === "StoreError")
      assert.strictEqual(answer.failure.reason, "unavailable")
      const { position } = yield* stores.checkpoints.save(lease, append(1, "c"))
      assert.strictEqual(position, 2)
      assert.deepStrictEqual((yield* stores.checkpoints.load(lease.runId)).messages, ["a", "c"])
    }).pipe(Effect.scoped))

  it.live("saves once when its own connection is killed during a save", () =>
    Effect.gen(function*() {
      const server = yield* ownServer()
      const stores = yield* RedisStore.make({ url: server.url })
      const admin = yield* hostClient(server.url)
      const lease = yield* begun(stores, inputFor("a"))
      const answer = yield* savedWhileKilled(admin, stores.checkpoints.save(lease, append(0, "a")))

      assert(Result.isSuccess(answer))
      yield* stores.checkpoints.save(lease, append(1, "b"))
      assert.deepStrictEqual((yield* stores.checkpoints.load(lease.runId)).messages, ["a", "b"])
    }).pipe(Effect.scoped))

  it.live("answers what it did to a client that sends a script again after it lost the connection", () =>
    Effect.gen(function*() {
      const server = yield* ownServer()
      const client = yield* Effect.acquireRelease(
        Effect.sync(() => new Redis(server.url)),
        (client) => Effect.sync(() => client.disconnect())
      )
      client.on("error", () => {})
      // The connection is lost after the script ran and before its answer came: every write is sent twice.
      const sendTwice = new Proxy(client, {
        get: (target, name) => {
          const value: unknown = Reflect.get(target, name)
          if (name !== "evalsha" && name !== "eval") return typeof value === "function" ? value.bind(target) : value
          return async (...args: ReadonlyArray<unknown>) => {
            if (typeof value !== "function") return assert.fail()
            await Reflect.apply(value, target, args)
            return Reflect.apply(value, target, args)
          }
        }
      })
      const stores = yield* RedisStore.makeFrom(sendTwice)
      const { checkpoints } = stores
      const input = inputFor("a", { idempotency: { key: "k", fingerprint: "f" } })
      const lease = yield* begun(stores, input)
      assert.deepStrictEqual(yield* checkpoints.save(lease, append(0, "a")), { position: 1, cancelRequested: false })
      yield* checkpoints.release(lease)
      const claimed = yield* checkpoints.claim(lease.runId, "two", ttl)
      yield* checkpoints.save(claimed.lease, append(1, "b"))
      yield* checkpoints.release(claimed.lease)
      const [next] = yield* checkpoints.claimNext("three", ttl, 1)
      assert(next !== undefined)
      yield* checkpoints.save(next.lease, append(2, "c"))
      yield* checkpoints.release(next.lease)
      const again = yield* checkpoints.begin(input)
      assert(again._tag === "Resumed")
      assert.isTrue(again.exhausted)
      assert.deepStrictEqual(again.checkpoint.messages, ["a", "b", "c"])
      assert.lengthOf(again.checkpoint.attempts, 4)
      yield* checkpoints.settle(again.lease, yield* recordOf(input))

      assert.strictEqual((yield* stores.runs.get(lease.runId)).status, "ok")
      // Another call is another matter.
      assert.strictEqual((yield* Effect.flip(checkpoints.settle(again.lease, yield* recordOf(input))))._tag, "Gone")
    }).pipe(Effect.scoped))

  it.live("has every acknowledged save after the server was killed and started again", () =>
    Effect.gen(function*() {
      const server = yield* ownServer("--appendfsync", "always")
      const stores = yield* RedisStore.make({ url: server.url, timeout: "10 seconds" })
      const { checkpoints } = stores
      const leases = yield* Effect.forEach(
        Array.from({ length: 8 }, (_, n) => inputFor(`agent-${n}`)),
        (input) => begun(stores, input)
      )
      const acknowledged = new Map<string, number>()
      const writers = Effect.forEach(leases, (lease) =>
        Effect.gen(function*() {
          for (let position = 0;; position++) {
            yield* checkpoints.save(lease, append(position, `row ${position}`))
            acknowledged.set(lease.runId, position + 1)
          }
        }).pipe(Effect.ignore), { concurrency: "unbounded", discard: true })
      yield* Effect.all([
        writers,
        Effect.gen(function*() {
          while (leases.some(({ runId }) => (acknowledged.get(runId) ?? 0) < 5)) yield* Effect.sleep("5 millis")
          yield* Effect.promise(() => server.kill())
        })
      ], { concurrency: "unbounded" })
      yield* Effect.promise(() => server.restart())

      for (const { runId } of leases) {
        const { messages } = yield* Effect.retry(checkpoints.load(runId), { times: 50 })
        const count = acknowledged.get(runId) ?? 0
        // The one that was under way may have gone through.
        assert.isAtLeast(messages.length, count)
        assert.isAtMost(messages.length, count + 1)
        assert.deepStrictEqual(messages, messages.map((_, n) => `row ${n}`))
      }
      yield* checkpoints.ping
    }).pipe(Effect.scoped))

  it.live("answers a typed error while the server is frozen or down, and goes on when it is back", () =>
    Effect.gen(function*() {
      const server = yield* ownServer()
      const stores = yield* RedisStore.make({ url: server.url, timeout: "150 millis" })
      const { checkpoints, runs } = stores
      const lease = yield* begun(stores, inputFor("a"))
      process.kill(server.pid(), "SIGSTOP")
      const frozen = yield* storeError(checkpoints.save(lease, append(0, "late")))
      assert.strictEqual(frozen.reason, "timeout")
      yield* storeError(checkpoints.ping)
      yield* storeError(runs.list())
      yield* storeError(checkpoints.claimNext("owner", ttl, 1))
      process.kill(server.pid(), "SIGCONT")
      yield* untilSaved(stores, lease)
      assert.deepStrictEqual((yield* checkpoints.load(lease.runId)).messages, ["late"])

      yield* Effect.promise(() => server.kill())
      const down = yield* storeError(checkpoints.save(lease, append(1, "down")))
      assert.isTrue(down.isRetryable)
      assert.isTrue((yield* storeError(checkpoints.begin(inputFor("b")))).isRetryable)
    }).pipe(Effect.scoped))

  it.live("answers the right reason for what the server refuses", () =>
    Effect.gen(function*() {
      const server = yield* ownServer()
      const stores = yield* RedisStore.make({ url: server.url })
      const { checkpoints, runs } = stores
      const admin = yield* hostClient(server.url)
      const lease = yield* begun(stores, inputFor("a"))
      const save = checkpoints.save(lease, append(0, "a"))

      yield* Effect.promise(() => admin.config("SET", "maxmemory", "1"))
      assert.strictEqual((yield* storeError(save)).reason, "refused")
      assert.strictEqual((yield* storeError(checkpoints.begin(inputFor("b")))).reason, "refused")
      yield* Effect.promise(() => admin.config("SET", "maxmemory", "0"))
      assert.deepStrictEqual((yield* checkpoints.load(lease.runId)).messages, [])

      // A replica of nobody: it neither writes nor, when it may not serve stale data, reads.
      yield* Effect.promise(() => admin.replicaof("127.0.0.1", 1))
      assert.isTrue((yield* storeError(save)).isRetryable)
      yield* Effect.promise(() => admin.config("SET", "replica-serve-stale-data", "no"))
      assert.isTrue((yield* storeError(runs.get(lease.runId))).isRetryable)
      yield* Effect.promise(() => admin.replicaof("NO", "ONE"))
      yield* untilSaved(stores, lease)

      const [rows = ""] = yield* Effect.promise(() => admin.keys("*:rows:*"))
      yield* Effect.promise(() => admin.set(rows, "no list"))
      assert.strictEqual((yield* storeError(checkpoints.save(lease, append(1, "b")))).reason, "corrupt")
      yield* Effect.promise(() => admin.del(rows))
      const [head = ""] = yield* Effect.promise(() => admin.keys("*:run:*"))
      yield* Effect.promise(() => admin.hset(head, "meta", "{"))
      const error = yield* storeError(checkpoints.load(lease.runId))
      assert.strictEqual(error.reason, "corrupt")
      assert.include(error.detail, lease.runId)
      // Its other fields tell what people need to find it.
      assert.deepInclude(yield* runs.get(lease.runId), { runId: lease.runId, kind: "heartbeat", status: "running" })

      yield* Effect.promise(() => admin.acl("SETUSER", "default", "-evalsha"))
      assert.strictEqual((yield* storeError(save)).reason, "refused")
    }).pipe(Effect.scoped))

  it.live("refuses a run id of another agent", () =>
    Effect.gen(function*() {
      const { checkpoints } = yield* RedisStore.make(onServer("bucket"))
      const input = inputFor("a")
      const meta = { ...input.meta, runId: inputFor("b").meta.runId }
      const error = yield* storeError(checkpoints.begin({ ...input, meta }))

      assert.strictEqual(error.reason, "refused")
      assert.include(error.message, "RunId.make")
    }).pipe(Effect.scoped))

  it.live("works on, and never closes, the client of the host", () =>
    Effect.gen(function*() {
      const server = yield* ownServer()
      const client = yield* hostClient(server.url)
      yield* Effect.scoped(Effect.gen(function*() {
        const stores = yield* RedisStore.makeFrom(client, { prefix: fresh("host") })
        yield* begun(stores, inputFor("a"))
      }))

      assert.strictEqual(client.status, "ready")
      assert.strictEqual(yield* Effect.promise(() => client.ping()), "PONG")
    }).pipe(Effect.scoped))

  it.live("answers a typed error on a client that the host has closed", () =>
    Effect.gen(function*() {
      const server = yield* ownServer()
      const client = yield* hostClient(server.url)
      const stores = yield* RedisStore.makeFrom(client)
      yield* Effect.promise(() => client.quit())

      assert.strictEqual((yield* storeError(stores.checkpoints.begin(inputFor("a")))).reason, "unavailable")
      assert.strictEqual((yield* storeError(stores.checkpoints.ping)).reason, "unavailable")
    }).pipe(Effect.scoped))
})
