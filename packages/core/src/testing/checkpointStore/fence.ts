/**
 * Cases of owners that were replaced.
 *
 * @since 0.1.0
 */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { CheckpointStore } from "../../CheckpointStore.ts"
import { RunStore } from "../../RunStore.ts"
import { type Case, check, StoreTime } from "../Conformance.ts"
import * as Fixtures from "../internal/fixtures.ts"

/** A run whose first owner lost it after one save. */
const replaced = Effect.gen(function*() {
  const store = yield* CheckpointStore
  const run = yield* Fixtures.started({ maxAttempts: 10 })
  yield* store.save(run.lease, Fixtures.append(0, ["before"]))
  yield* store.release(run.lease)
  const { lease: heir } = yield* Fixtures.takeOver(run.runId)
  return { run, zombie: run.lease, heir }
})

/**
 * What holds for the writes of an owner whose run was claimed by another.
 *
 * @category testing
 * @since 0.1.0
 */
export const cases: ReadonlyArray<Case> = [
  check(
    "rejects a save from a fenced owner",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { heir, zombie } = yield* replaced
      const error = yield* Fixtures.refused(
        store.save(zombie, Fixtures.append(1, ["zombie"], { phase: "zombie", notes: "zombie" })),
        "Fenced"
      )
      const checkpoint = yield* store.load(heir.runId)

      assert.strictEqual(error.runId, heir.runId)
      assert.deepStrictEqual(checkpoint.messages, ["before"])
      assert.strictEqual(checkpoint.phase, "")
      assert.isUndefined(checkpoint.notes)
    })
  ),
  check(
    "answers Fenced, not Conflict, to a fenced owner that is behind",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { heir, zombie } = yield* replaced
      yield* store.save(heir, Fixtures.append(1, ["a", "b"]))

      yield* Fixtures.refused(store.save(zombie, Fixtures.append(1, ["zombie"])), "Fenced")
      assert.deepStrictEqual((yield* store.load(heir.runId)).messages, ["before", "a", "b"])
    })
  ),
  check(
    "rejects a settle from a fenced owner",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const runs = yield* RunStore
      const { heir, run, zombie } = yield* replaced
      yield* Fixtures.refused(store.settle(zombie, yield* Fixtures.recordOf(run)), "Fenced")

      assert.strictEqual((yield* runs.get(heir.runId)).status, "running")
      yield* store.save(heir, Fixtures.append(1, ["goes on"]))
    })
  ),
  check(
    "rejects a release from a fenced owner",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { heir, zombie } = yield* replaced
      yield* Fixtures.refused(store.release(zombie, "zombie"), "Fenced")

      yield* Fixtures.refused(Fixtures.takeOver(heir.runId), "LeaseHeld")
    })
  ),
  check(
    "rejects a delete from a fenced owner",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { heir, zombie } = yield* replaced
      yield* Fixtures.refused(store.delete(zombie), "Fenced")

      assert.strictEqual((yield* store.load(heir.runId)).status, "running")
    })
  ),
  check(
    "renews nothing for a fenced owner",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { shortTtl } = yield* StoreTime
      const { zombie } = yield* replaced
      const { lease } = yield* Fixtures.handedOver()
      const heir = yield* store.claim(lease.runId, yield* Fixtures.freshOwner, shortTtl)
      const renewals = yield* store.renew([zombie, lease], Fixtures.longTtl)
      assert.deepStrictEqual(renewals.map(({ state }) => state), ["fenced", "fenced"])
      yield* Fixtures.untilExpired

      assert.isAbove((yield* Fixtures.takeOver(lease.runId)).lease.fence, heir.lease.fence)
    })
  ),
  check(
    "tells a fenced owner Gone after its heir has settled",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { heir, run, zombie } = yield* replaced
      yield* store.settle(heir, yield* Fixtures.recordOf({ ...run, lease: heir }))

      yield* Fixtures.refused(store.save(zombie, Fixtures.append(1, ["zombie"])), "Gone")
      yield* Fixtures.refused(store.delete(zombie), "Gone")
    })
  ),
  check(
    "rejects an old lease of an owner that holds the run again",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { heir, run, zombie } = yield* replaced
      yield* store.release(heir)
      const again = yield* store.claim(run.runId, zombie.owner, Fixtures.longTtl)

      yield* Fixtures.refused(store.save(zombie, Fixtures.append(1, ["zombie"])), "Fenced")
      yield* Fixtures.refused(store.delete(zombie), "Fenced")
      yield* store.save(again.lease, Fixtures.append(1, ["again"]))
      assert.deepStrictEqual((yield* store.load(run.runId)).messages, ["before", "again"])
    })
  ),
  check(
    "rejects a stranger that guesses the fence",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { lease, runId } = yield* Fixtures.started()
      const stranger = { ...lease, owner: yield* Fixtures.freshOwner }

      yield* Fixtures.refused(store.save(stranger, Fixtures.append(0, ["x"])), "Fenced")
      yield* Fixtures.refused(store.delete(stranger), "Fenced")
      yield* Fixtures.refused(store.save({ ...lease, fence: lease.fence + 1 }, Fixtures.append(0, ["x"])), "Fenced")
      assert.deepStrictEqual((yield* store.load(runId)).messages, [])
    })
  ),
  check(
    "lets one of an owner and its heir write, never both",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      for (let round = 0; round < 5; round++) {
        const { lease, runId } = yield* Fixtures.handedOver()
        const [claimed, saved] = yield* Effect.all([
          Effect.result(Fixtures.takeOver(runId)),
          Effect.result(store.save(lease, Fixtures.append(0, ["owner"])))
        ], { concurrency: "unbounded" })
        const { messages } = yield* store.load(runId)

        // The save may come before the claim: then it renewed the lease, and the claim was refused.
        assert.notStrictEqual(claimed._tag, saved._tag)
        assert.deepStrictEqual(messages, saved._tag === "Success" ? ["owner"] : [])
      }
    })
  )
]
