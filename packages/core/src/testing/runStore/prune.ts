/**
 * Cases of pruning runs.
 *
 * @since 0.1.0
 */
import { assert } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { CheckpointStore } from "../../CheckpointStore.ts"
import { keyRetention, type PruneOptions, RunStore } from "../../RunStore.ts"
import { type Case, check, StoreTime } from "../Conformance.ts"
import * as Fixtures from "../internal/fixtures.ts"

/** Prunes until nothing is left to prune and answers how many went, at most so many with each call. */
const pruneAll = Effect.fnUntraced(function*(options: PruneOptions) {
  const runs = yield* RunStore
  const { batch = 1000 } = options
  let total = 0
  for (let round = 0; round < 100; round++) {
    const count = yield* runs.prune(options)
    assert.isAtMost(count, batch)
    total += count
    if (count < batch) return total
  }
  return assert.fail("there is always something left to prune")
})

const existing = Effect.fnUntraced(function*(started: ReadonlyArray<Fixtures.Started>) {
  const runs = yield* RunStore
  const found = yield* Effect.forEach(started, ({ runId }) => Effect.result(runs.get(runId)))
  return found.map(({ _tag }) => _tag === "Success")
})

/**
 * What holds when old runs are pruned.
 *
 * @category testing
 * @since 0.1.0
 */
export const cases: ReadonlyArray<Case> = [
  check(
    "prunes nothing without a rule",
    Effect.gen(function*() {
      const runs = yield* RunStore
      const run = yield* Fixtures.settled()
      yield* Fixtures.untilExpired

      assert.strictEqual(yield* runs.prune({}), 0)
      assert.strictEqual(yield* runs.prune({ batch: 1 }), 0)
      assert.deepStrictEqual(yield* existing([run]), [true])
    })
  ),
  check(
    "prunes settled runs by their age and keeps younger ones",
    Effect.gen(function*() {
      const { shortTtl } = yield* StoreTime
      const run = yield* Fixtures.settled()
      yield* Fixtures.untilExpired
      yield* pruneAll({ olderThan: Duration.hours(1) })
      assert.deepStrictEqual(yield* existing([run]), [true])

      const pruned = yield* pruneAll({ olderThan: shortTtl })
      assert.isAtLeast(pruned, 1)
      assert.deepStrictEqual(yield* existing([run]), [false])
      assert.strictEqual(yield* pruneAll({ olderThan: shortTtl }), 0)
    })
  ),
  check(
    "prunes all but the newest settled runs of each agent",
    Effect.gen(function*() {
      const runs = yield* RunStore
      yield* pruneAll({ keepLast: 2 })
      const busy = yield* Fixtures.freshAgent
      const quiet = yield* Fixtures.freshAgent
      const many = yield* Effect.forEach(
        Array.from({ length: 5 }),
        () => Fixtures.settled({ meta: { agentName: busy } })
      )
      const few = yield* Effect.forEach(
        Array.from({ length: 2 }),
        () => Fixtures.settled({ meta: { agentName: quiet } })
      )

      assert.strictEqual(yield* runs.prune({ keepLast: 2 }), 3)
      assert.deepStrictEqual(yield* existing(many), [false, false, false, true, true])
      assert.deepStrictEqual(yield* existing(few), [true, true])
      assert.strictEqual(yield* runs.prune({ keepLast: 2 }), 0)
    })
  ),
  check(
    "does not count runs in flight among the newest, and prunes none of them",
    Effect.gen(function*() {
      const { shortTtl } = yield* StoreTime
      const agentName = yield* Fixtures.freshAgent
      const given: Fixtures.Given = { exclusive: false, meta: { agentName } }
      const settled = yield* Fixtures.settled(given)
      const inFlight = [
        yield* Fixtures.started(given),
        yield* Fixtures.handedOver(given),
        yield* Fixtures.exhausted(given)
      ]
      yield* pruneAll({ keepLast: 1 })
      assert.deepStrictEqual(yield* existing([settled, ...inFlight]), [true, true, true, true])

      yield* Fixtures.untilExpired
      yield* pruneAll({ keepLast: 0, olderThan: shortTtl })
      assert.deepStrictEqual(yield* existing([settled, ...inFlight]), [false, true, true, true])
    })
  ),
  check(
    "deletes no more than a batch with one call, and says how many",
    Effect.gen(function*() {
      const runs = yield* RunStore
      yield* pruneAll({ keepLast: 1 })
      const agentName = yield* Fixtures.freshAgent
      const all = yield* Effect.forEach(Array.from({ length: 6 }), () => Fixtures.settled({ meta: { agentName } }))
      const counts: Array<number> = []
      for (let round = 0; round < 4; round++) counts.push(yield* runs.prune({ keepLast: 1, batch: 2 }))

      assert.deepStrictEqual(counts, [2, 2, 1, 0])
      assert.deepStrictEqual(yield* existing(all), [false, false, false, false, false, true])
    })
  ),
  check(
    "prunes a run when any of two rules says so",
    Effect.gen(function*() {
      const { shortTtl } = yield* StoreTime
      const agentName = yield* Fixtures.freshAgent
      const old = yield* Fixtures.settled()
      yield* Fixtures.untilExpired
      const many = yield* Effect.forEach(Array.from({ length: 2 }), () => Fixtures.settled({ meta: { agentName } }))
      yield* pruneAll({ olderThan: shortTtl, keepLast: 1 })

      assert.deepStrictEqual((yield* existing([old, ...many])).slice(0, 2), [false, false])
    })
  ),
  check(
    "keeps a run whose idempotency key may still be asked for",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { shortTtl } = yield* StoreTime
      const run = yield* Fixtures.settled({ idempotency: Fixtures.idempotency("key") })
      yield* Fixtures.settled({ meta: { agentName: run.meta.agentName } })
      yield* Fixtures.untilExpired
      yield* pruneAll({ olderThan: shortTtl, keepLast: 1 })

      assert.deepStrictEqual(yield* existing([run]), [true])
      const again = yield* Fixtures.inputOf({
        idempotency: Fixtures.idempotency("key"),
        meta: { agentName: run.meta.agentName }
      })
      Fixtures.assertSameRun(Fixtures.asReplayed(yield* store.begin(again)).run, run.record)
    })
  ),
  check(
    "fills a batch with what may go, however much may not",
    Effect.gen(function*() {
      const runs = yield* RunStore
      yield* pruneAll({ keepLast: 1 })
      const agentName = yield* Fixtures.freshAgent
      yield* Effect.forEach(
        Array.from({ length: 5 }),
        (_, n) => Fixtures.settled({ idempotency: Fixtures.idempotency(`key ${n}`), meta: { agentName } })
      )
      const free = yield* Effect.forEach(Array.from({ length: 3 }), () => Fixtures.settled({ meta: { agentName } }))

      // Less than a batch means done: kept runs must not take up places in it.
      assert.strictEqual(yield* runs.prune({ keepLast: 1, batch: 2 }), 2)
      assert.deepStrictEqual(yield* existing(free), [false, false, true])
    })
  ),
  check(
    "prunes a run with a key a day later, and frees the key",
    Effect.gen(function*() {
      const { age } = yield* StoreTime
      const run = yield* Fixtures.settled({ idempotency: Fixtures.idempotency("key") })
      const { agentName } = run.meta
      yield* age(Duration.subtract(keyRetention, Duration.minutes(1)))
      yield* pruneAll({ olderThan: Duration.hours(1) })
      assert.deepStrictEqual(yield* existing([run]), [true])

      yield* age(Duration.minutes(2))
      yield* pruneAll({ olderThan: Duration.hours(1) })
      assert.deepStrictEqual(yield* existing([run]), [false])
      yield* Fixtures.started({ idempotency: Fixtures.idempotency("key", "other payload"), meta: { agentName } })
    }),
    { needsDays: true }
  ),
  check(
    "prunes exhausted runs by the end of their lease, and frees their agent",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { shortTtl } = yield* StoreTime
      const exhausted = yield* Fixtures.started({ maxAttempts: 1 })
      yield* store.save(exhausted.lease, Fixtures.append(0, ["a"]))
      yield* store.release(exhausted.lease)
      const interrupted = yield* Fixtures.handedOver()
      const running = yield* Fixtures.started({ maxAttempts: 1 })
      const all = [exhausted, interrupted, running]
      yield* Fixtures.untilExpired
      yield* pruneAll({ exhaustedFor: Duration.hours(1) })
      assert.deepStrictEqual(yield* existing(all), [true, true, true])

      assert.isAtLeast(yield* pruneAll({ exhaustedFor: shortTtl }), 1)
      assert.deepStrictEqual(yield* existing(all), [false, true, true])
      yield* Fixtures.refused(store.load(exhausted.runId), "RunNotFound")
      yield* Fixtures.refused(store.save(exhausted.lease, Fixtures.append(1, ["late"])), "Gone")
      yield* Fixtures.started({ meta: { agentName: exhausted.meta.agentName } })
    })
  ),
  check(
    "counts exhausted runs in the batch",
    Effect.gen(function*() {
      const runs = yield* RunStore
      const { shortTtl } = yield* StoreTime
      yield* Effect.forEach(Array.from({ length: 3 }), () => Fixtures.exhausted())
      yield* Fixtures.untilExpired

      assert.strictEqual(yield* runs.prune({ exhaustedFor: shortTtl, batch: 2 }), 2)
    })
  ),
  check(
    "gives an exhausted run to who claims it or to a prune, never to both",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const runs = yield* RunStore
      const { shortTtl } = yield* StoreTime
      const all = yield* Effect.forEach(
        Array.from({ length: 6 }),
        () =>
          Effect.gen(function*() {
            const run = yield* Fixtures.started({ maxAttempts: 1 })
            yield* store.save(run.lease, Fixtures.append(0, ["a", "b"]))
            yield* store.release(run.lease)
            return run
          })
      )
      yield* Fixtures.untilExpired
      const claims = all.map(({ runId }) => Effect.result(Fixtures.takeOver(runId)))
      const [claimed] = yield* Effect.all([
        Effect.all(claims, { concurrency: "unbounded" }),
        runs.prune({ exhaustedFor: shortTtl })
      ], { concurrency: "unbounded" })
      for (const [index, result] of claimed.entries()) {
        const { runId } = all[index] ?? assert.fail()
        if (result._tag === "Failure") {
          yield* Fixtures.refused(store.load(runId), "RunNotFound")
          continue
        }
        // Claimed, and so it is whole: a prune that came second has taken no row of it.
        yield* store.save(result.success.lease, Fixtures.append(2, ["c"]))
        assert.deepStrictEqual((yield* store.load(runId)).messages, ["a", "b", "c"])
        yield* store.delete(result.success.lease)
      }
    })
  ),
  check(
    "keeps an exhausted run whose idempotency key may still be asked for",
    Effect.gen(function*() {
      const { shortTtl } = yield* StoreTime
      const run = yield* Fixtures.exhausted({ idempotency: Fixtures.idempotency("key") })
      yield* Fixtures.untilExpired
      yield* pruneAll({ exhaustedFor: shortTtl })

      assert.deepStrictEqual(yield* existing([run]), [true])
    })
  )
]
