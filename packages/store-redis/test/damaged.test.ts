/** What is damaged in other ways than those that every store knows: heads without this or that, keys of another type. */
import { assert, describe, it } from "@effect/vitest"
import { Agent, AgentSupervisor, RunStore } from "@everbeat/core"
import { CheckpointStore } from "@everbeat/core/CheckpointStore"
import type { RunId } from "@everbeat/core/RunId"
import { RedisStore } from "@everbeat/store-redis"
import { Context, Duration, Effect, Layer, Schema } from "effect"
import { append, begun, fresh, hostClient, inputFor, onServer, ttl } from "./support.ts"

const coder = Agent.make("coder", {
  message: Schema.String,
  run: (ctx) => Effect.andThen(ctx.checkpoint.save({ messages: ["a", "b"], iteration: 1 }), Effect.never)
})

const opened = Effect.fnUntraced(function*(name: string) {
  const options = onServer(name)
  const stores = yield* RedisStore.make(options)
  const client = yield* hostClient(String(options.url))
  /** The hash of a run, and its rows. */
  const keysOf = (runId: RunId) =>
    Effect.map(Effect.promise(() => client.keys(`{${options.prefix}:*}:run:${runId}`)), ([hash = ""]) => ({
      hash,
      rows: hash.replace(":run:", ":rows:")
    }))
  const interrupted = Effect.fnUntraced(function*() {
    const lease = yield* begun(stores, inputFor(fresh("agent"), { maxAttempts: 100 }))
    yield* stores.checkpoints.save(lease, append(0, "a", "b"))
    yield* stores.checkpoints.release(lease)
    return lease
  })
  return { ...stores, client, keysOf, interrupted }
})

const fields = [
  "fence",
  "lease",
  "n",
  "max",
  "stalled",
  "agent",
  "kind",
  "def",
  "hash",
  "upd",
  "iter",
  "phase",
  "owner"
]

describe("RedisStore, on a damaged run", () => {
  for (const field of [...fields, "everything", "the type"]) {
    it.live(`hands out, lists and renews the others when ${field} is missing`, () =>
      Effect.gen(function*() {
        const { checkpoints, client, interrupted, keysOf, runs } = yield* opened("fields")
        const leases = yield* Effect.forEach([0, 1, 2], interrupted)
        const [bad, ...good] = leases
        assert(bad !== undefined)
        const { hash } = yield* keysOf(bad.runId)
        if (field === "everything" || field === "the type") yield* Effect.promise(() => client.del(hash))
        else yield* Effect.promise(() => client.hdel(hash, field))
        if (field === "the type") yield* Effect.promise(() => client.set(hash, "a"))
        const ids = good.map(({ runId }) => runId)
        const withoutBad = (found: ReadonlyArray<{ readonly runId: RunId }>) =>
          found.map(({ runId }) => runId).filter((runId) => runId !== bad.runId)

        assert.sameMembers(withoutBad((yield* runs.list()).items), ids)
        assert.sameMembers(withoutBad((yield* runs.list({ kind: "heartbeat", status: ["interrupted"] })).items), ids)
        assert.sameMembers(withoutBad((yield* checkpoints.listInterrupted()).items), ids)
        const claimed = yield* checkpoints.claimNext("heir", ttl, 10, { kind: "heartbeat", roots: true })
        assert.sameMembers(withoutBad(claimed.map(({ lease }) => lease)), ids)
        const held = claimed.map(({ lease }) => lease).filter(({ runId }) => runId !== bad.runId)
        const renewed = yield* checkpoints.renew([bad, ...held], ttl)
        assert.deepStrictEqual(renewed.slice(1).map(({ state }) => state), ["renewed", "renewed"])
        // Nothing but the damaged one is left: it is not looked for again and again.
        yield* Effect.result(checkpoints.claimNext("heir", ttl, 10))
        assert.deepStrictEqual(yield* checkpoints.claimNext("heir", ttl, 10), [])
        // Nothing of it stands in the way of tidying up.
        yield* runs.prune({ exhaustedFor: Duration.zero })
        assert.sameMembers(withoutBad((yield* runs.list()).items), ids)
      }).pipe(Effect.scoped))
  }

  it.live("ends no attempt before it began, when the clock of the server was set back", () =>
    Effect.gen(function*() {
      const { checkpoints, client, interrupted, keysOf } = yield* opened("clock")
      const { runId } = yield* interrupted()
      const { hash } = yield* keysOf(runId)
      yield* Effect.promise(() => client.hincrby(hash, "s1", 3_600_000))
      const { checkpoint: { attempts: [first] } } = yield* checkpoints.claim(runId, "heir", ttl)
      assert(first !== undefined)
      assert.deepStrictEqual(first.endedAt, first.startedAt)
    }).pipe(Effect.scoped))

  it.live("cancels it", () =>
    Effect.gen(function*() {
      const { checkpoints, client, keysOf, runs } = yield* opened("cancel")
      const layer = Layer.provideMerge(
        AgentSupervisor.layer,
        Layer.succeedContext(Context.make(CheckpointStore, checkpoints).pipe(Context.add(RunStore.RunStore, runs)))
      )
      const start = Effect.gen(function*() {
        const { runId } = yield* Agent.start(coder)
        while ((yield* checkpoints.load(runId)).iteration < 1) yield* Effect.sleep(5)
        return runId
      })
      const runId = yield* Effect.provide(start, Layer.fresh(layer)) // its process is gone
      const { rows } = yield* keysOf(runId)
      yield* Effect.promise(() => client.del(rows))
      const run = yield* Effect.provide(Agent.cancel(runId), Layer.fresh(layer))

      assert.deepInclude(run, { runId, status: "cancelled" })
      assert.strictEqual((yield* runs.get(runId)).status, "cancelled")
    }).pipe(Effect.scoped))
})
