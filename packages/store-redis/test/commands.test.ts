import { assert, describe, it } from "@effect/vitest"
import { CheckpointStore, Heartbeat, HeartbeatEngine, RunStore, Step } from "@everbeat/core"
import { RedisStore } from "@everbeat/store-redis"
import { Context, Effect, Layer } from "effect"
import { append, begun, fresh, hostClient, inputFor, ownServer, recordOf, ttl } from "./support.ts"

/** Commands that reach a server from outside, not those of its scripts. */
const monitored = Effect.gen(function*() {
  const server = yield* ownServer("--appendfsync", "no")
  const client = yield* hostClient(server.url)
  const monitor = yield* Effect.acquireRelease(
    // Ready before: ioredis takes what the client sends to connect for an answer to the monitor, where it comes too early.
    Effect.promise(() => client.ping().then(() => client.monitor())),
    (monitor) => Effect.sync(() => monitor.disconnect())
  )
  const seen: Array<ReadonlyArray<string>> = []
  const names: Array<string> = []
  monitor.on("monitor", (_time: string, args: ReadonlyArray<string>, source: string) => {
    if (source !== "lua") {
      seen.push(args)
      names.push(args[0]?.toLowerCase() ?? "")
    }
  })
  /** Runs an effect and answers the commands that it sent. */
  const during = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<ReadonlyArray<string>, E, R> =>
    Effect.gen(function*() {
      const settle = (mark: string) =>
        Effect.gen(function*() {
          yield* Effect.promise(() => client.echo(mark))
          while (!seen.some((args) => args[1] === mark)) yield* Effect.sleep("2 millis")
          return seen.findIndex((args) => args[1] === mark)
        })
      const from = yield* settle(fresh("from"))
      yield* effect
      const to = yield* settle(fresh("to"))
      return names.slice(from + 1, to)
    })
  return { client, server, during }
})

describe("commands", () => {
  it.live("sends one script for each transition", () =>
    Effect.gen(function*() {
      const { client, during } = yield* monitored
      const stores = yield* RedisStore.makeFrom(client)
      const { checkpoints, runs } = stores
      const round = Effect.gen(function*() {
        const counts: Array<ReadonlyArray<string>> = []
        const input = inputFor("counted", { idempotency: { key: fresh("key"), fingerprint: "f" } })
        const count = <A, E>(effect: Effect.Effect<A, E>) =>
          Effect.gen(function*() {
            const { exit, sent } = yield* Effect.gen(function*() {
              let exit: A | undefined
              const sent = yield* during(Effect.tap(effect, (value) => Effect.sync(() => void (exit = value))))
              return { exit, sent }
            })
            counts.push(sent)
            assert(exit !== undefined || sent.length > 0)
            return exit
          })
        const lease = (yield* count(begun(stores, input))) ?? assert.fail()
        yield* count(checkpoints.save(lease, append(0, ...Array.from({ length: 2500 }, (_, n) => `row ${n}`))))
        yield* count(checkpoints.renew([lease, lease], ttl))
        yield* count(checkpoints.requestCancel(lease.runId))
        yield* count(checkpoints.load(lease.runId))
        yield* count(runs.get(lease.runId))
        yield* count(checkpoints.release(lease))
        const resumed = (yield* count(checkpoints.claim(lease.runId, "heir", ttl))) ?? assert.fail()
        yield* count(checkpoints.settle(resumed.lease, yield* recordOf(input)))
        yield* count(checkpoints.begin(input))
        const second = yield* begun(stores, inputFor("counted"))
        yield* count(checkpoints.delete(second))
        return counts
      })
      yield* round // the server learns the scripts
      const counts = yield* round

      assert.deepStrictEqual(counts, counts.map(() => ["evalsha"]))
    }).pipe(Effect.scoped))

  it.live("asks each partition once to claim or to list, and reads what it shows", () =>
    Effect.gen(function*() {
      const { client, during } = yield* monitored
      const stores = yield* RedisStore.makeFrom(client, { partitions: 8 })
      const leases = yield* Effect.forEach(
        Array.from({ length: 30 }, (_, n) => inputFor(`agent-${n}`)),
        (input) => begun(stores, input)
      )
      yield* Effect.forEach(leases, (lease) => stores.checkpoints.release(lease))
      const once = Effect.all([stores.runs.list(), stores.checkpoints.listInterrupted()])
      yield* once

      const listed = yield* during(stores.runs.list())
      assert.isAtMost(listed.length, 16)
      assert.isAtMost((yield* during(stores.checkpoints.listInterrupted())).length, 24)
      assert.lengthOf(yield* during(stores.runs.list({ agentName: inputFor("agent-1").meta.agentName })), 2)
      yield* stores.checkpoints.claimNext("first", ttl, 1)
      assert.lengthOf(yield* during(stores.checkpoints.claimNext("owner", ttl, 1)), 9)
      yield* stores.checkpoints.claimNext("owner", ttl, 100)
      assert.lengthOf(yield* during(stores.checkpoints.claimNext("owner", ttl, 1)), 8)
      for (const command of listed) assert.strictEqual(command, "evalsha")
    }).pipe(Effect.scoped))

  for (const [durability, expected] of [["coalesce", 2], ["sync", 6]] as const) {
    it.live(`costs ${expected} round trips for a pass of five steps that are written with "${durability}"`, () =>
      Effect.gen(function*() {
        const { client, during } = yield* monitored
        const stores = yield* RedisStore.makeFrom(client)
        const names = ["one", "two", "three", "four", "five"]
        const heartbeat = Heartbeat.make(
          "counted",
          names.map((name) => Step.make(name, { durability }, () => Effect.void))
        )
        const context = Context.make(CheckpointStore.CheckpointStore, stores.checkpoints).pipe(
          Context.add(RunStore.RunStore, stores.runs)
        )
        const engine = Layer.provide(HeartbeatEngine.layer, Layer.succeedContext(context))
        const agentName = inputFor("counted").meta.agentName
        const sent = yield* Effect.gen(function*() {
          yield* Heartbeat.run(heartbeat, { agent: agentName }) // the server learns the scripts
          return yield* during(Heartbeat.run(heartbeat, { agent: agentName }))
        }).pipe(Effect.provide(engine))

        assert.deepStrictEqual(sent, Array.from({ length: expected }, () => "evalsha"))
      }).pipe(Effect.scoped))
  }

  it.live("names keys by their partition and leaves none behind", () =>
    Effect.gen(function*() {
      const { client } = yield* monitored
      const stores = yield* RedisStore.makeFrom(client, { prefix: "app", partitions: 4 })
      for (let n = 0; n < 8; n++) {
        const input = inputFor(`agent-${n}`, { idempotency: { key: `{k}${n}`, fingerprint: "f" } })
        const lease = yield* begun(stores, { ...input, meta: { ...input.meta, callerId: "c" } })
        yield* stores.checkpoints.save(lease, append(0, "a"))
        if (n % 2 === 0) yield* stores.checkpoints.settle(lease, yield* recordOf(input))
        else yield* stores.checkpoints.delete(lease)
      }
      const keys = yield* Effect.promise(() => client.keys("*"))
      assert.isAbove(keys.length, 8)
      for (const key of keys) assert.match(key, /^\{app:0[0-3]\}:/)
      assert.strictEqual(yield* stores.runs.erase({ callerId: "c" }), 4)

      assert.deepStrictEqual(yield* Effect.promise(() => client.keys("*")), [])
    }).pipe(Effect.scoped))
})
