import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { append, begun, freshStore, inputOf, recordOf, ttl } from "./support/fixtures.ts"

const sum = (counts: ReadonlyArray<number>): number => counts.reduce((sum, count) => sum + count, 0)

describe("PostgresStore, with much of everything", () => {
  it.live("saves 100,000 messages in one save, reads them back in order and deletes them", () =>
    Effect.gen(function*() {
      const { checkpoints, pool, schema } = yield* freshStore()
      const input = inputOf()
      const lease = yield* begun(checkpoints, input)
      const messages = Array.from({ length: 100_000 }, (_, n) => `message ${n}`)
      // More than a statement may have parameters.
      assert.isAbove(messages.length, 65_535)
      assert.strictEqual((yield* checkpoints.save(lease, append(0, messages))).position, messages.length)
      assert.deepStrictEqual((yield* checkpoints.load(lease.runId)).messages, messages)

      yield* checkpoints.settle(lease, recordOf(input))
      const { rows } = yield* Effect.promise(() => pool.query(`select 1 from "${schema}".run_row limit 1`))
      assert.deepStrictEqual(rows, [])
    }).pipe(Effect.scoped))

  it.live("saves messages of 10 MB, the hardest characters included, beside small ones", () =>
    Effect.gen(function*() {
      const { checkpoints } = yield* freshStore()
      const big = "NUL \0, lone \ud83d, é 😀 ".repeat(500_000)
      assert.isAtLeast(big.length, 10_000_000)
      const leases = yield* Effect.forEach(Array.from({ length: 4 }), () => begun(checkpoints))
      yield* Effect.forEach(leases, (lease, n) => checkpoints.save(lease, append(0, n === 1 ? [big, "b"] : ["a"])), {
        concurrency: "unbounded"
      })
      const loaded = yield* Effect.forEach(leases, ({ runId }) => checkpoints.load(runId))

      assert.deepStrictEqual(loaded.map(({ messages }) => sum(messages.map(({ length }) => length))), [
        1,
        big.length + 1,
        1,
        1
      ])
      assert.isTrue(loaded[1]?.messages[0] === big)
    }).pipe(Effect.scoped))

  it.live(
    "begins 10,000 runs at once, renews all of their leases in one call and tells the lost ones apart",
    () =>
      Effect.gen(function*() {
        const { checkpoints, runs } = yield* freshStore()
        const inputs = Array.from({ length: 10_000 }, () => inputOf())
        const leases = yield* Effect.forEach(inputs, (input) => begun(checkpoints, input), { concurrency: "unbounded" })
        const [settled, released] = leases
        const [input] = inputs
        assert(settled && released && input)
        yield* checkpoints.settle(settled, recordOf(input))
        yield* checkpoints.release(released)
        const renewals = yield* checkpoints.renew(leases, ttl)

        assert.deepStrictEqual(renewals.map(({ runId }) => runId), leases.map(({ runId }) => runId))
        assert.deepStrictEqual(
          renewals.map(({ state }) => state),
          leases.map((_, n) => n === 0 ? "gone" : n === 1 ? "fenced" : "renewed")
        )
        assert.lengthOf((yield* runs.list({ status: ["running"] }, { limit: 20_000 })).items, 9_998)
      }).pipe(Effect.scoped),
    60_000
  )
})
