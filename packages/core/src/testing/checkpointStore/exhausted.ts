/**
 * Cases of runs that are given up.
 *
 * @since 0.1.0
 */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { CheckpointStore } from "../../CheckpointStore.ts"
import { type Case, check } from "../Conformance.ts"
import * as Fixtures from "../internal/fixtures.ts"

/**
 * What holds for runs that used up their attempts.
 *
 * @category testing
 * @since 0.1.0
 */
export const cases: ReadonlyArray<Case> = [
  check(
    "gives a run up after its attempts",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { lease, runId } = yield* Fixtures.started({ maxAttempts: 3 })
      let held = lease
      for (let attempt = 1; attempt <= 3; attempt++) {
        yield* store.save(held, Fixtures.append(attempt - 1, [`progress ${attempt}`]))
        yield* store.release(held)
        assert.strictEqual((yield* store.load(runId)).status, attempt === 3 ? "exhausted" : "interrupted")
        const claimed = yield* Fixtures.takeOver(runId)
        assert.strictEqual(claimed.exhausted, attempt === 3)
        held = claimed.lease
      }
    })
  ),
  check(
    "counts attempts that expired like those that were released",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { runId } = yield* Fixtures.expired({ maxAttempts: 1 })

      assert.strictEqual((yield* store.load(runId)).status, "exhausted")
      assert.isTrue((yield* Fixtures.takeOver(runId)).exhausted)
    })
  ),
  check(
    "is running, not exhausted, while the last attempt's lease is live",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { runId } = yield* Fixtures.started({ maxAttempts: 1 })

      assert.strictEqual((yield* store.load(runId)).status, "running")
    })
  ),
  check(
    "gives a run up after two attempts in a row without progress",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { lease, runId } = yield* Fixtures.handedOver({ maxAttempts: 100 })
      assert.strictEqual((yield* store.load(runId)).status, "interrupted")
      const second = yield* Fixtures.takeOver(runId)
      assert.isFalse(second.exhausted)
      assert.isAbove(second.lease.fence, lease.fence)
      yield* store.release(second.lease)

      assert.strictEqual((yield* store.load(runId)).status, "exhausted")
      assert.isTrue((yield* Fixtures.takeOver(runId)).exhausted)
    })
  ),
  check(
    "starts counting anew after progress in rows, notes or workspace",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      for (const progress of [{ rows: ["a"] }, { notes: "new" }, { workspace: "new" }]) {
        const { runId } = yield* Fixtures.handedOver({ maxAttempts: 100 })
        const second = yield* Fixtures.takeOver(runId)
        yield* store.save(second.lease, Fixtures.append(0, progress.rows ?? [], progress))
        yield* store.release(second.lease)
        assert.strictEqual((yield* store.load(runId)).status, "interrupted")

        const third = yield* Fixtures.takeOver(runId)
        yield* store.release(third.lease)
        assert.strictEqual((yield* store.load(runId)).status, "interrupted")
        yield* store.release((yield* Fixtures.takeOver(runId)).lease)
        assert.strictEqual((yield* store.load(runId)).status, "exhausted")
      }
    })
  ),
  check(
    "takes a save of nothing new for no progress",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { lease, runId } = yield* Fixtures.started({ maxAttempts: 100 })
      yield* store.save(lease, Fixtures.append(0, ["a"], { notes: "n", workspace: "w" }))
      yield* store.release(lease)
      for (let attempt = 0; attempt < 2; attempt++) {
        assert.strictEqual((yield* store.load(runId)).status, "interrupted")
        const { lease } = yield* Fixtures.takeOver(runId)
        yield* store.save(lease, Fixtures.append(1, [], { notes: "n", workspace: "w" }))
        yield* store.renew([lease], Fixtures.longTtl)
        yield* store.release(lease)
      }

      assert.strictEqual((yield* store.load(runId)).status, "exhausted")
    })
  ),
  check(
    "does not count an attempt with progress that a shutdown in good order ended",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { lease, runId } = yield* Fixtures.started({ maxAttempts: 2 })
      let held = lease
      for (let deploy = 0; deploy < 5; deploy++) {
        yield* store.save(held, Fixtures.append(deploy, [`progress ${deploy}`]))
        yield* store.release(held, "shutdown", { shutdown: true })
        assert.strictEqual((yield* store.load(runId)).status, "interrupted")
        const claimed = yield* Fixtures.takeOver(runId)
        assert.isFalse(claimed.exhausted)
        held = claimed.lease
      }
      // Two that end in another way are what it was given.
      for (let attempt = 0; attempt < 2; attempt++) {
        assert.strictEqual((yield* store.load(runId)).status, "running")
        yield* store.save(held, Fixtures.append(5 + attempt, ["more"]))
        yield* store.release(held, "timeout")
        assert.strictEqual((yield* store.load(runId)).status, attempt === 0 ? "interrupted" : "exhausted")
        if (attempt === 0) held = (yield* Fixtures.takeOver(runId)).lease
      }
      const { attempts } = yield* store.load(runId)

      assert.deepStrictEqual(attempts.map(({ number }) => number), [1, 2, 3, 4, 5, 6, 7])
      assert.strictEqual(attempts[4]?.reason, "shutdown")
    })
  ),
  check(
    "counts an attempt without progress also when a shutdown ended it",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const only = yield* Fixtures.started({ maxAttempts: 1 })
      yield* store.save(only.lease, Fixtures.append(0, []))
      yield* store.release(only.lease, "shutdown", { shutdown: true })
      assert.strictEqual((yield* store.load(only.runId)).status, "exhausted")

      const { lease, runId } = yield* Fixtures.started({ maxAttempts: 100 })
      yield* store.save(lease, Fixtures.append(0, ["a"]))
      yield* store.release(lease, "shutdown", { shutdown: true })
      for (let attempt = 0; attempt < 2; attempt++) {
        assert.strictEqual((yield* store.load(runId)).status, "interrupted")
        yield* store.release((yield* Fixtures.takeOver(runId)).lease, "shutdown", { shutdown: true })
      }
      assert.strictEqual((yield* store.load(runId)).status, "exhausted")
    })
  ),
  check(
    "hands an exhausted exclusive run to the next heartbeat, marked",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const run = yield* Fixtures.exhausted()
      const resumed = Fixtures.asResumed(
        yield* store.begin(yield* Fixtures.inputOf({ meta: { agentName: run.meta.agentName } }))
      )
      assert.strictEqual(resumed.lease.runId, run.runId)
      assert.isTrue(resumed.exhausted)
      const { lease } = resumed
      yield* store.settle(lease, yield* Fixtures.recordOf({ ...run, lease }, { status: "error" }))

      yield* Fixtures.started({ meta: { agentName: run.meta.agentName } })
    })
  ),
  check(
    "never claims an exhausted run unasked",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { meta, runId } = yield* Fixtures.exhausted()
      const claimed = yield* store.claimNext(yield* Fixtures.freshOwner, Fixtures.longTtl, 10, {
        definitions: [meta.definition.name]
      })

      assert.deepStrictEqual(claimed, [])
      assert.lengthOf((yield* store.load(runId)).attempts, 1)
    })
  ),
  check(
    "stores the number of attempts with the run, not with who claims it",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { meta } = yield* Fixtures.handedOver({ maxAttempts: 100 })
      const next = yield* Fixtures.inputOf({ maxAttempts: 1, meta: { agentName: meta.agentName } })

      assert.isFalse(Fixtures.asResumed(yield* store.begin(next)).exhausted)
    })
  )
]
