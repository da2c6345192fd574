import { assert, describe, inject, it } from "@effect/vitest"
import { AgentName } from "@everbeat/core"
import { RedisStore } from "@everbeat/store-redis"
import { Duration, Effect, Result } from "effect"
import { Redis } from "ioredis"
import { append, begun, fresh, hostClient, inputFor, onCluster, onServer, recordOf, ttl } from "./support.ts"

const all = { concurrency: "unbounded" } as const
const times = (length: number) => Array.from({ length }, (_, index) => index)

const tally = <A, E extends { readonly _tag: string }>(
  results: ReadonlyArray<Result.Result<A, E>>,
  tag: (value: A) => string
) => {
  const counts: Record<string, number> = {}
  for (const result of results) {
    const name = Result.isSuccess(result) ? tag(result.success) : result.failure._tag
    counts[name] = (counts[name] ?? 0) + 1
  }
  return counts
}

const scale = Number(process.env["EVERBEAT_TEST_SCALE"] ?? 1)

for (const [where, options] of [["one server", onServer], ["a Cluster", onCluster]] as const) {
  describe(`races on ${where}`, () => {
    it.live("lets one of 50 begins of an agent begin", () =>
      Effect.gen(function*() {
        const { checkpoints } = yield* RedisStore.make(options("begins"))
        const results = yield* Effect.forEach(
          times(50),
          () => Effect.result(checkpoints.begin(inputFor("racer"))),
          all
        )

        assert.deepStrictEqual(tally(results, ({ _tag }) => _tag), { Begun: 1, AgentBusy: 49 })
      }))

    it.live("lets one of 20 saves at a position append", () =>
      Effect.gen(function*() {
        const stores = yield* RedisStore.make(options("saves"))
        const lease = yield* begun(stores, inputFor("saver"))
        const results = yield* Effect.forEach(
          times(20),
          (n) => Effect.result(stores.checkpoints.save(lease, append(0, `a${n}`, `b${n}`))),
          all
        )
        const { messages } = yield* stores.checkpoints.load(lease.runId)

        assert.deepStrictEqual(tally(results, () => "saved"), { saved: 1, Conflict: 19 })
        assert.strictEqual(messages.length, 2)
        assert.strictEqual(messages[0]?.slice(1), messages[1]?.slice(1))
      }))

    it.live("lets one of 16 claims win", () =>
      Effect.gen(function*() {
        const stores = yield* RedisStore.make(options("claims"))
        const lease = yield* begun(stores, inputFor("claimed"))
        yield* stores.checkpoints.release(lease)
        const results = yield* Effect.forEach(
          times(16),
          (n) => Effect.result(stores.checkpoints.claim(lease.runId, `owner ${n}`, ttl)),
          all
        )

        assert.deepStrictEqual(tally(results, ({ _tag }) => _tag), { Resumed: 1, LeaseHeld: 15 })
      }))

    it.live("keeps a lease released, whatever renewals and saves of its owner are under way", () =>
      Effect.gen(function*() {
        const stores = yield* RedisStore.make(options("releases"))
        const { checkpoints } = stores
        const input = inputFor("released")
        const lease = yield* begun(stores, input)
        const late = Effect.all(
          [checkpoints.renew([lease], ttl), Effect.result(checkpoints.save(lease, append(0)))],
          all
        )
        yield* Effect.all([...times(10).map(() => late), checkpoints.release(lease), ...times(10).map(() => late)], all)

        assert.strictEqual((yield* checkpoints.load(lease.runId)).status, "interrupted")
        const [renewal] = yield* checkpoints.renew([lease], ttl)
        assert.strictEqual(renewal?.state, "fenced")
        assert.strictEqual((yield* checkpoints.begin(inputFor("released")))._tag, "Resumed")
      }))

    it.live("names the definition that is in the way, whatever characters its name has", () =>
      Effect.gen(function*() {
        const stores = yield* RedisStore.make(options("definitions"))
        const { checkpoints } = stores
        const withDefinition = (name: string, hash: string) => {
          const input = inputFor("defined", { resumes: "same-hash" })
          return { ...input, meta: { ...input.meta, definition: { name, hash } } }
        }
        const [name, hash] = ["\ud800 {n}\0", "\udfff"]
        yield* checkpoints.release(yield* begun(stores, withDefinition(name, hash)))
        for (const [otherName, otherHash] of [[name, "\udffe"], ["\ud801 {n}\0", hash]] as const) {
          const error = yield* Effect.flip(checkpoints.begin(withDefinition(otherName, otherHash)))
          assert(error._tag === "OtherDefinition")
          assert.strictEqual(error.name, name)
        }
        assert.strictEqual((yield* checkpoints.begin(withDefinition(name, hash)))._tag, "Resumed")
      }))

    it.live("splits 60 interrupted runs between 8 callers, each run once", () =>
      Effect.gen(function*() {
        const stores = yield* RedisStore.make(options("splits"))
        const leases = yield* Effect.forEach(times(60), (n) => begun(stores, inputFor(`agent-${n}`)), all)
        yield* Effect.forEach(leases, (lease) => stores.checkpoints.release(lease), all)
        const claims = yield* Effect.forEach(
          times(8),
          (n) => stores.checkpoints.claimNext(`owner ${n}`, ttl, 8),
          all
        )
        const ids = claims.flat().map(({ lease }) => lease.runId)

        for (const claim of claims) assert.isAtMost(claim.length, 8)
        assert.deepStrictEqual(ids.toSorted(), leases.map(({ runId }) => runId).toSorted())
      }))

    it.live("lets only owners write while leases run out under them", () =>
      Effect.gen(function*() {
        const stores = yield* RedisStore.make(options("fences"))
        const { checkpoints, runs } = stores
        const steps = 6
        const short = Duration.millis(60)
        const inputs = times(12 * scale).map((n) =>
          inputFor(`agent-${n}`, { ttl: Duration.millis(1), maxAttempts: 1000 })
        )
        const first = yield* Effect.forEach(inputs, (input) => begun(stores, input), all)
        const zombies = new Map(first.map((lease) => [lease.runId, lease]))
        const settled = new Set<string>()
        const accepted = new Map<string, Array<string>>(inputs.map(({ meta }) => [meta.runId, []]))

        const work = (owner: number): Effect.Effect<void> =>
          Effect.gen(function*() {
            while (settled.size < inputs.length) {
              const claimed = yield* checkpoints.claimNext(`owner ${owner}`, short, 2)
              if (claimed.length === 0) yield* Effect.sleep("10 millis")
              for (const { checkpoint, lease } of claimed) {
                const input = inputs.find(({ meta }) => meta.runId === lease.runId)
                assert(input !== undefined)
                let { position } = checkpoint
                const zombie = zombies.get(lease.runId)
                assert(zombie !== undefined)
                const late = yield* Effect.flip(checkpoints.save(zombie, append(position, "zombie")))
                assert.include(["Fenced", "Gone"], late._tag)
                while (position < steps) {
                  // One in six outlives its lease: a frozen process.
                  yield* Effect.sleep(Math.random() < 0.16 ? Duration.millis(80) : Duration.millis(Math.random() * 10))
                  const row = `${position} ${lease.fence}`
                  const saved = yield* Effect.result(
                    checkpoints.save(lease, { ...append(position, row), ttl: short })
                  )
                  if (Result.isFailure(saved)) break
                  accepted.get(lease.runId)?.push(row)
                  position++
                }
                const ended = position === steps &&
                  Result.isSuccess(yield* Effect.result(checkpoints.settle(lease, yield* recordOf(input))))
                if (ended) {
                  assert.isFalse(settled.has(lease.runId), "a run was settled twice")
                  settled.add(lease.runId)
                }
              }
            }
          }).pipe(Effect.orDie)
        yield* Effect.forEach(times(6), work, { ...all, discard: true })

        for (const { meta } of inputs) {
          const rows = accepted.get(meta.runId) ?? []
          const fences = rows.map((row) => Number(row.split(" ")[1]))
          assert.deepStrictEqual(rows.map((row) => Number(row.split(" ")[0])), times(steps), "one row per position")
          assert.deepStrictEqual(fences, fences.toSorted((a, b) => a - b), "fences never go back")
          assert.strictEqual((yield* runs.get(meta.runId)).status, "ok")
        }
      }).pipe(Effect.scoped))

    it.live("finds runs by their caller and their key, whatever braces these have", () =>
      Effect.gen(function*() {
        const prefix = fresh("tags")
        const stores = yield* RedisStore.make({ ...options("tags"), prefix, partitions: 4 })
        for (const n of times(8)) {
          const input = inputFor(`agent-${n}`, { idempotency: { key: `{x}${n}`, fingerprint: "f" } })
          const lease = yield* begun(stores, { ...input, meta: { ...input.meta, callerId: "{c}" } })
          yield* stores.checkpoints.save(lease, append(0, "a"))
          if (n % 2 === 0) yield* stores.checkpoints.settle(lease, yield* recordOf(input))
        }
        assert.lengthOf((yield* stores.runs.list({ callerId: "{c}" })).items, 8)
        assert.lengthOf((yield* stores.runs.list({ callerId: "{c}", status: ["running"] })).items, 4)
      }))
  })
}

describe("a Cluster", () => {
  it.live("runs no script on a slot that is being moved, and goes on afterwards", () =>
    Effect.gen(function*() {
      const options = onCluster("moving")
      const stores = yield* RedisStore.make({ ...options, partitions: 1, timeout: "400 millis" })
      const lease = yield* begun(stores, inputFor("a"))
      yield* stores.checkpoints.save(lease, append(0, "a"))
      const nodes = yield* Effect.acquireRelease(
        Effect.sync(() => inject("redisClusterPorts").map((port) => new Redis({ host: "127.0.0.1", port }))),
        (nodes) => Effect.sync(() => nodes.forEach((node) => node.disconnect()))
      )
      const base = `{${options.prefix}:00}`
      const slot = yield* Effect.promise(async () => Number(await nodes[0]?.cluster("KEYSLOT", base)))
      const counts = yield* Effect.promise(() =>
        Promise.all(nodes.map(async (node) => Number(await node.call("CLUSTER", "COUNTKEYSINSLOT", slot))))
      )
      const at = counts.findIndex((count) => count > 0)
      const [source, target] = [nodes[at], nodes[(at + 1) % nodes.length]]
      assert(source !== undefined && target !== undefined)
      const setSlot = (node: Redis, ...args: ReadonlyArray<string>) =>
        Effect.promise(() => node.call("CLUSTER", "SETSLOT", slot, ...args))
      const [from, to] = yield* Effect.promise(() => Promise.all([source, target].map((node) => node.cluster("MYID"))))
      yield* setSlot(target, "IMPORTING", from ?? "")
      yield* setSlot(source, "MIGRATING", to ?? "")
      // Half of the keys are gone to the other side.
      yield* Effect.promise(async () =>
        source.call("MIGRATE", "127.0.0.1", target.options.port ?? 0, `${base}:run:${lease.runId}`, 0, 1000)
      )
      for (const write of [stores.checkpoints.save(lease, append(1, "b")), stores.checkpoints.load(lease.runId)]) {
        const error = yield* Effect.flip<unknown, { readonly _tag: string }, never>(write)
        assert.strictEqual(error._tag, "StoreError")
      }
      assert.strictEqual((yield* Effect.flip(stores.checkpoints.begin(inputFor("a"))))._tag, "StoreError")
      const rest = yield* Effect.promise(() => source.call("CLUSTER", "GETKEYSINSLOT", slot, 100))
      assert(Array.isArray(rest))
      for (const key of rest) {
        const port = target.options.port ?? 0
        yield* Effect.promise(() => source.call("MIGRATE", "127.0.0.1", port, String(key), 0, 1000))
      }
      for (const node of [target, source]) yield* setSlot(node, "NODE", to ?? "")
      const saved = yield* Effect.result(Effect.retry(stores.checkpoints.save(lease, append(1, "b")), {
        while: (error) => error._tag === "StoreError" && error.isRetryable,
        times: 50
      }))

      // A save that was under way when the slot was moving may have come through.
      assert.isTrue(Result.isSuccess(saved) || saved.failure._tag === "Conflict")
      assert.deepStrictEqual((yield* stores.checkpoints.load(lease.runId)).messages, ["a", "b"])
    }).pipe(Effect.scoped))
})

describe("races on a slow connection", () => {
  it.live("lists a run whose lease ends while the list is made", () =>
    Effect.gen(function*() {
      const client = yield* hostClient(inject("redisUrl"))
      const stores = yield* RedisStore.makeFrom(client, { prefix: fresh("ending") })
      const status = ["running", "interrupted", "exhausted"] as const
      // Loads the scripts: what is asked below is asked once.
      yield* stores.checkpoints.listInterrupted({ agentName: AgentName.make("a"), status })
      const input = inputFor("a", { ttl: Duration.millis(500) })
      const lease = yield* begun(stores, input)
      const evalsha = client.evalsha.bind(client)
      let asked = 0
      const ended = Effect.runPromise(Effect.repeat(
        Effect.map(stores.checkpoints.load(lease.runId), (run) => run.status),
        { until: (status) => status !== "running" }
      ))
      // Only the first question arrives before the lease ends.
      Object.assign(client, {
        evalsha: async (...args: Parameters<typeof evalsha>) => {
          if (args.includes("any") || args.includes("live") || args.includes("ended")) {
            if (asked++ > 0) await ended
          }
          return evalsha(...args)
        }
      })
      const { items } = yield* stores.checkpoints.listInterrupted({ agentName: input.meta.agentName, status })

      assert.isAbove(asked, 1)
      assert.deepStrictEqual(items.map(({ runId }) => runId), [lease.runId])
    }).pipe(Effect.scoped))
})
