/** What somebody can do who may write texts through the store, and somebody who may write to Redis beside it. */
import { assert, describe, it } from "@effect/vitest"
import type { RunId } from "@everbeat/core/RunId"
import { RedisStore } from "@everbeat/store-redis"
import { Effect } from "effect"
import { append, begun, fresh, hostClient, inputFor, onServer, recordOf, ttl } from "./support.ts"

const opened = Effect.fnUntraced(function*(name: string) {
  const options = onServer(name)
  const stores = yield* RedisStore.make(options)
  const client = yield* hostClient(String(options.url))
  const hashOf = (runId: RunId) =>
    Effect.map(Effect.promise(() => client.keys(`{${options.prefix}:*}:run:${runId}`)), ([hash = ""]) => hash)
  return { ...stores, client, hashOf, prefix: options.prefix ?? "" }
})

/** Lua, the protocol of Redis, patterns, and the forms of our own keys. */
const hostile = [
  "') redis.call('FLUSHALL') --",
  "]] redis.call('FLUSHALL') --[[",
  "%w+ .* [^]",
  "*",
  "\r\n*1\r\n$8\r\nFLUSHALL\r\n",
  "a} {b",
  "+:00}:run:",
  "0,9999999999;0,1",
  "$(id) ${id} `id`"
]

describe("security: RedisStore", () => {
  it.live("takes every text for a text: nothing of it is run, matched, or becomes another key", () =>
    Effect.gen(function*() {
      const { checkpoints, client, prefix, runs } = yield* opened("texts")
      yield* Effect.promise(() => client.set(`${prefix}-canary`, "alive"))
      for (const text of hostile) {
        const input = inputFor(fresh("agent"), { owner: text })
        const { meta } = input
        const own = { ...input, meta: { ...meta, callerId: text, channelId: text, prompt: text } }
        const lease = yield* begun({ checkpoints, runs }, own)
        yield* checkpoints.save(lease, { ...append(0, text), phase: text, completedPhases: [text], notes: text })
        const loaded = yield* checkpoints.load(lease.runId)
        assert.deepInclude(loaded, { phase: text, completedPhases: [text], notes: text, messages: [text] })
        const listed = yield* runs.list({ callerId: text })
        assert.deepStrictEqual(listed.items.map(({ runId }) => runId), [lease.runId])
        yield* checkpoints.settle(lease, yield* recordOf(own))
        assert.strictEqual(yield* runs.erase({ callerId: text }), 1)
      }
      const keys = yield* Effect.promise(() => client.keys(`*${prefix}*`))
      assert.isTrue(keys.every((key) => key === `${prefix}-canary` || key.startsWith(`{${prefix}:`)), keys.join())
      assert.strictEqual(yield* Effect.promise(() => client.get(`${prefix}-canary`)), "alive")
      yield* Effect.promise(() => client.del(`${prefix}-canary`))
    }).pipe(Effect.scoped))

  it.live("takes any text for a cursor", () =>
    Effect.gen(function*() {
      const { checkpoints, runs } = yield* opened("cursors")
      for (const cursor of [...hostile, "[", "(", "+", "-", "inf", "nan"]) {
        yield* runs.list({}, { cursor })
        yield* checkpoints.listInterrupted({}, { cursor })
      }
    }).pipe(Effect.scoped))

  it.live("refuses a prefix that would break out of its hash tag", () =>
    Effect.sync(() => {
      for (const prefix of ["", "a}", "{a", "a}:{b"]) {
        assert.throws(() => RedisStore.make({ prefix }), RangeError)
      }
    }))

  for (const forged of ["1e15", "inf", "9007199254740993"]) {
    it.live(`is not kept busy by a run that claims to have had ${forged} attempts`, () =>
      Effect.gen(function*() {
        const { checkpoints, client, hashOf, runs } = yield* opened("attempts")
        const lease = yield* begun({ checkpoints, runs }, inputFor(fresh("agent")))
        yield* checkpoints.save(lease, append(0, "a"))
        yield* checkpoints.release(lease)
        const other = yield* begun({ checkpoints, runs }, inputFor(fresh("agent")))
        const hash = yield* hashOf(lease.runId)
        yield* Effect.promise(() => client.hset(hash, "n", forged))
        // Whatever they answer: that they answer is what counts.
        yield* Effect.result(runs.get(lease.runId))
        yield* Effect.result(checkpoints.load(lease.runId))
        yield* Effect.result(checkpoints.claim(lease.runId, "heir", ttl))
        yield* Effect.result(checkpoints.claimNext("heir", ttl, 10))
        assert.strictEqual((yield* runs.get(other.runId)).status, "running")
      }).pipe(Effect.scoped))
  }

  it.live("is not kept busy by a history that claims to be endless", () =>
    Effect.gen(function*() {
      const { checkpoints, client, hashOf, runs } = yield* opened("segments")
      const lease = yield* begun({ checkpoints, runs }, inputFor(fresh("agent")))
      yield* checkpoints.save(lease, append(0, "a"))
      const hash = yield* hashOf(lease.runId)
      for (const segments of ["0,99999999999999999999", "5,1", "0,1e9", "x", hostile.join(";")]) {
        yield* Effect.promise(() => client.hset(hash, "segs", segments))
        const answer = yield* Effect.result(checkpoints.load(lease.runId))
        if (answer._tag === "Failure") assert.deepInclude(answer.failure, { _tag: "StoreError", reason: "corrupt" })
        else assert.isAtMost(answer.success.messages.length, 1)
      }
    }).pipe(Effect.scoped))
})
