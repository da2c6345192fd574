/**
 * Cases of runs of which the store has lost or spoilt something.
 *
 * @since 0.1.0
 */
import { assert } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { isSettled } from "../../AgentRun.ts"
import { CheckpointStore } from "../../CheckpointStore.ts"
import * as Lease from "../../Lease.ts"
import type { RunId } from "../../RunId.ts"
import { RunStore } from "../../RunStore.ts"
import type { StoreError } from "../../StoreError.ts"
import { type Case, check, type Damage, StoreDamages, StoreTime } from "../Conformance.ts"
import * as Fixtures from "../internal/fixtures.ts"

/** An interrupted run with three rows. */
const interrupted = Effect.fnUntraced(function*(given?: Fixtures.Given) {
  const store = yield* CheckpointStore
  const run = yield* Fixtures.started({ maxAttempts: 100, exclusive: false, ...given })
  yield* store.save(run.lease, Fixtures.append(0, ["a", "b", "c"], { notes: "n" }))
  yield* store.release(run.lease, "shutdown")
  return run
})

/** What a claim, or a read, of one damaged run says. */
const assertNamed = (error: StoreError, ...runIds: ReadonlyArray<RunId>): void => {
  assert.strictEqual(error.reason, "corrupt")
  assert.isTrue(runIds.some((runId) => error.detail.includes(runId)), `no run is named in: ${error.detail}`)
}

/** For each way of damaging a run. */
const forDamages = <E>(name: string, body: (damage: Damage) => Effect.Effect<void, E, CheckpointStore | RunStore>) =>
  check(
    name,
    Effect.flatMap(StoreDamages, (damages) =>
      Effect.forEach(
        Object.entries(damages),
        // A case that fails must say with which damage.
        ([how, damage]) => Effect.tapCause(body(damage), (cause) => Effect.logError(`damaged: ${how}`, cause)),
        { discard: true }
      )),
    { needsDamage: true }
  )

/**
 * What holds for damaged runs: each fails alone, is told by name, and can be
 * ended.
 *
 * @category testing
 * @since 0.1.0
 */
export const cases: ReadonlyArray<Case> = [
  forDamages(
    "claimNext hands out the healthy runs, however many damaged ones come before them",
    (damage) =>
      Effect.gen(function*() {
        const store = yield* CheckpointStore
        const { elapse } = yield* StoreTime
        const meta = { definition: { name: Fixtures.freshText("definition"), hash: "1" } }
        const runs = yield* Effect.forEach(
          [0, 1, 2, 3, 4],
          () => Effect.tap(interrupted({ meta }), elapse(Duration.millis(5)))
        )
        for (const { runId } of runs.slice(0, 3)) yield* damage(runId)
        const claimed = yield* store.claimNext(yield* Fixtures.freshOwner, Fixtures.longTtl, 2, {
          definitions: [meta.definition.name]
        })

        assert.deepStrictEqual(claimed.map(({ lease }) => lease.runId), runs.slice(3).map(({ runId }) => runId))
        for (const { checkpoint, lease } of claimed) {
          assert.deepStrictEqual(checkpoint.messages, ["a", "b", "c"])
          yield* store.save(lease, Fixtures.append(3, ["d"]))
        }
      })
  ),
  forDamages(
    "claimNext fails, and names one, when none but damaged runs are left; after two claims they are out",
    (damage) =>
      Effect.gen(function*() {
        const store = yield* CheckpointStore
        const { shortTtl } = yield* StoreTime
        const meta = { definition: { name: Fixtures.freshText("definition"), hash: "1" } }
        const runs = yield* Effect.forEach([0, 1], () => interrupted({ meta }))
        for (const { runId } of runs) yield* damage(runId)
        const claim = Effect.flatMap(
          Fixtures.freshOwner,
          (owner) => store.claimNext(owner, shortTtl, 10, { definitions: [meta.definition.name] })
        )
        for (let attempt = 0; attempt < 2; attempt++) {
          assertNamed(yield* Fixtures.refused(claim, "StoreError"), ...runs.map(({ runId }) => runId))
          yield* Fixtures.untilExpired
        }

        assert.deepStrictEqual(yield* claim, [])
      })
  ),
  forDamages("a claim and a load of it fail and name it", (damage) =>
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { runId } = yield* interrupted()
      yield* damage(runId)

      assertNamed(yield* Fixtures.refused(store.load(runId), "StoreError"), runId)
      assertNamed(yield* Fixtures.refused(Fixtures.takeOver(runId), "StoreError"), runId)
    })),
  forDamages("reads of heads show it among the others", (damage) =>
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const records = yield* RunStore
      const agentName = yield* Fixtures.freshAgent
      const definition = { name: Fixtures.freshText("definition"), hash: "1" }
      const parentRunId = (yield* Fixtures.started()).runId
      const meta = { agentName, definition, parentRunId, kind: "agent", callerId: "\0caller", channelId: "c" } as const
      const runs = yield* Effect.forEach([0, 1, 2], () => interrupted({ meta }))
      const ids = runs.map(({ runId }) => runId)
      const [bad] = ids
      assert(bad !== undefined)
      yield* damage(bad)

      assert.sameMembers(Fixtures.idsOf((yield* records.list({ agentName })).items), ids)
      assert.sameMembers(Fixtures.idsOf((yield* store.listInterrupted({ agentName })).items), ids)
      const run = yield* records.get(bad)
      Fixtures.assertSameMeta(run, { runId: bad, ...meta })
      assert.strictEqual(run.status, "interrupted")
    })),
  forDamages("whoever claimed it can settle or delete it", (damage) =>
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const records = yield* RunStore
      for (const end of ["settle", "delete"] as const) {
        const run = yield* interrupted()
        yield* damage(run.runId)
        yield* store.requestCancel(run.runId)
        const owner = yield* Fixtures.freshOwner
        yield* Fixtures.refused(store.claim(run.runId, owner, Fixtures.longTtl), "StoreError")
        const state = yield* records.get(run.runId)
        const lease = isSettled(state) ? undefined : Lease.newest(state)
        assert(lease !== undefined)
        assert.strictEqual(lease.owner, owner)
        assert.isAbove(lease.fence, run.lease.fence)
        if (end === "settle") {
          const record = yield* Fixtures.recordOf({ ...run, lease }, { status: "cancelled" })
          yield* store.settle(lease, record)
          Fixtures.assertSameRun(yield* records.get(run.runId), record)
        } else {
          yield* store.delete(lease)
          yield* Fixtures.refused(records.get(run.runId), "RunNotFound")
        }
      }
    })),
  check(
    "knows no run of an id that is none",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const records = yield* RunStore
      const { runId } = yield* interrupted()
      for (const id of Fixtures.noRunIds(runId)) {
        const owner = yield* Fixtures.freshOwner
        yield* Fixtures.refused(store.load(id), "RunNotFound")
        yield* Fixtures.refused(store.claim(id, owner, Fixtures.longTtl), "RunNotFound")
        yield* Fixtures.refused(store.requestCancel(id), "RunNotFound")
        yield* Fixtures.refused(records.get(id), "RunNotFound")
      }
    })
  )
]
