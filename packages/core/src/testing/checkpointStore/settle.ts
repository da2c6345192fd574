/**
 * Cases of the end of a run.
 *
 * @since 0.1.0
 */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { CheckpointStore } from "../../CheckpointStore.ts"
import { RunStore } from "../../RunStore.ts"
import { type Case, check } from "../Conformance.ts"
import * as Fixtures from "../internal/fixtures.ts"

/**
 * What holds when a run is settled or deleted.
 *
 * @category testing
 * @since 0.1.0
 */
export const cases: ReadonlyArray<Case> = [
  check(
    "records the run and deletes its checkpoint",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const runs = yield* RunStore
      const run = yield* Fixtures.started()
      yield* store.save(run.lease, Fixtures.append(0, ["a"]))
      const record = yield* Fixtures.recordOf(run)
      yield* store.settle(run.lease, record)

      Fixtures.assertSameRun(yield* runs.get(run.runId), record)
      assert.strictEqual((yield* Fixtures.refused(store.load(run.runId), "RunNotFound")).runId, run.runId)
      const every = ["running", "interrupted", "exhausted"] as const
      assert.deepStrictEqual(
        (yield* store.listInterrupted({ agentName: run.meta.agentName, status: every })).items,
        []
      )
    })
  ),
  check(
    "shows a run that is being settled in flight or settled, never both and never neither",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const runs = yield* RunStore
      const run = yield* Fixtures.started()
      const record = yield* Fixtures.recordOf(run)
      const reader = runs.list({ agentName: run.meta.agentName }).pipe(
        Effect.map(({ items }) => Fixtures.idsOf(items)),
        Effect.tap(() => Effect.yieldNow)
      )
      const [, , seen] = yield* Effect.all([
        Effect.andThen(Effect.yieldNow, store.settle(run.lease, record)),
        Effect.forEach(Array.from({ length: 10 }), () => runs.get(run.runId), { concurrency: "unbounded" }),
        Effect.forEach(Array.from({ length: 10 }), () => reader)
      ], { concurrency: "unbounded" })

      for (const ids of seen) assert.deepStrictEqual(ids, [run.runId])
    })
  ),
  check(
    "refuses every write after the run was settled and resurrects nothing",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const runs = yield* RunStore
      const run = yield* Fixtures.settled()
      const other = yield* Fixtures.recordOf(run, { summary: "another end" })

      yield* Fixtures.refused(store.save(run.lease, Fixtures.append(0, ["late"])), "Gone")
      yield* Fixtures.refused(store.settle(run.lease, other), "Gone")
      yield* Fixtures.refused(store.release(run.lease), "Gone")
      yield* Fixtures.refused(store.delete(run.lease), "Gone")
      assert.deepStrictEqual((yield* store.renew([run.lease], Fixtures.longTtl)).map(({ state }) => state), ["gone"])
      yield* Fixtures.refused(Fixtures.takeOver(run.runId), "RunNotFound")
      yield* Fixtures.refused(store.requestCancel(run.runId), "RunNotFound")
      yield* Fixtures.refused(store.load(run.runId), "RunNotFound")
      Fixtures.assertSameRun(yield* runs.get(run.runId), run.record)
    })
  ),
  check(
    "refuses every write after the run was deleted and resurrects nothing",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const runs = yield* RunStore
      const run = yield* Fixtures.started()
      yield* store.delete(run.lease)

      const error = yield* Fixtures.refused(store.save(run.lease, Fixtures.append(0, ["late"])), "Gone")
      assert.strictEqual(error.runId, run.runId)
      yield* Fixtures.refused(store.settle(run.lease, yield* Fixtures.recordOf(run)), "Gone")
      yield* Fixtures.refused(store.release(run.lease), "Gone")
      yield* Fixtures.refused(store.delete(run.lease), "Gone")
      assert.deepStrictEqual((yield* store.renew([run.lease], Fixtures.longTtl)).map(({ state }) => state), ["gone"])
      yield* Fixtures.refused(Fixtures.takeOver(run.runId), "RunNotFound")
      yield* Fixtures.refused(store.load(run.runId), "RunNotFound")
      yield* Fixtures.refused(runs.get(run.runId), "RunNotFound")
      assert.deepStrictEqual((yield* runs.list({ agentName: run.meta.agentName })).items, [])
    })
  ),
  check(
    "leaves no row of a deleted run to a new one under its id",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { lease, meta, runId } = yield* Fixtures.started()
      yield* store.save(lease, Fixtures.append(0, ["old"], { notes: "old", phase: "old" }))
      yield* store.requestCancel(runId)
      yield* store.delete(lease)
      const again = yield* Fixtures.started({ meta })
      const checkpoint = yield* store.load(runId)

      assert.deepStrictEqual(checkpoint.messages, [])
      assert.strictEqual(checkpoint.position, 0)
      assert.isUndefined(checkpoint.notes)
      assert.strictEqual(checkpoint.phase, "")
      assert.isFalse(checkpoint.cancelRequested)
      yield* Fixtures.refused(store.save(lease, Fixtures.append(0, ["zombie"])), "Fenced")
      yield* store.save(again.lease, Fixtures.append(0, ["new"]))
      assert.deepStrictEqual((yield* store.load(runId)).messages, ["new"])
    })
  ),
  check(
    "lists a run once that was begun again under the id of a deleted one",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const runs = yield* RunStore
      const { lease, meta, runId } = yield* Fixtures.started()
      yield* store.delete(lease)
      yield* Fixtures.started({ meta })

      assert.deepStrictEqual(Fixtures.idsOf((yield* runs.list({ agentName: meta.agentName })).items), [runId])
    })
  ),
  check(
    "accepts a late settle while nobody has claimed the run",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const runs = yield* RunStore
      const run = yield* Fixtures.expired()
      const record = yield* Fixtures.recordOf(run)
      yield* store.settle(run.lease, record)

      Fixtures.assertSameRun(yield* runs.get(run.runId), record)
    })
  ),
  check(
    "accepts a late delete while nobody has claimed the run",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const run = yield* Fixtures.expired()
      yield* store.delete(run.lease)

      yield* Fixtures.refused(store.load(run.runId), "RunNotFound")
    })
  ),
  check(
    "settles once when many settle at the same time",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const runs = yield* RunStore
      const run = yield* Fixtures.started()
      const records = yield* Effect.forEach(
        ["a", "b", "c", "d", "e", "f"],
        (summary) => Fixtures.recordOf(run, { summary })
      )
      const results = yield* Fixtures.race(
        records.map((record) => Effect.as(store.settle(run.lease, record), record.summary))
      )
      const winners = results.flatMap((result) => result._tag === "Success" ? [result.success] : [])
      const stored = yield* runs.get(run.runId)

      assert.lengthOf(winners, 1)
      assert.deepStrictEqual([...new Set(Fixtures.tagsOf(results, () => "settled"))], ["Gone", "settled"])
      assert.strictEqual("summary" in stored ? stored.summary : undefined, winners[0])
    })
  ),
  check(
    "gives a run either to the owner who settles or to the one who claims",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const runs = yield* RunStore
      for (let round = 0; round < 5; round++) {
        const run = yield* Fixtures.handedOver()
        const record = yield* Fixtures.recordOf(run)
        const [settled, claimed] = yield* Effect.all([
          Effect.result(store.settle(run.lease, record)),
          Effect.result(Fixtures.takeOver(run.runId))
        ], { concurrency: "unbounded" })
        const stored = yield* runs.get(run.runId)

        assert.notStrictEqual(settled._tag, claimed._tag)
        assert.strictEqual("finishedAt" in stored, settled._tag === "Success")
      }
    })
  ),
  check(
    "leaves nothing of a run whose saves and delete cross",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      for (let round = 0; round < 8; round++) {
        const { lease, meta, runId } = yield* Fixtures.started()
        yield* store.save(lease, Fixtures.append(0, ["0"]))
        const save = (position: number) => store.save(lease, Fixtures.append(position, [`${position}`], { notes: "n" }))
        yield* Effect.all([
          Effect.ignore(Effect.andThen(save(1), save(2))),
          Effect.andThen(Effect.forEach(Array.from({ length: round % 4 }), () => Effect.yieldNow), store.delete(lease)),
          Effect.ignore(save(1))
        ], { concurrency: "unbounded" })
        yield* Fixtures.refused(store.load(runId), "RunNotFound")
        yield* Fixtures.refused(save(1), "Gone")
        yield* Fixtures.started({ meta })
        const again = yield* store.load(runId)

        assert.deepStrictEqual(again.messages, [])
        assert.strictEqual(again.position, 0)
        assert.isUndefined(again.notes)
      }
    })
  ),
  check(
    "keeps the child of a run that ends first",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      for (const end of ["delete", "settle"] as const) {
        const parent = yield* Fixtures.started()
        const meta = { parentRunId: parent.runId }
        const child = yield* Fixtures.started({ meta })
        yield* store.save(child.lease, Fixtures.append(0, ["of the child"]))
        if (end === "delete") yield* store.delete(parent.lease)
        else yield* store.settle(parent.lease, yield* Fixtures.recordOf(parent))
        yield* store.save(child.lease, Fixtures.append(1, ["goes on"]))
        yield* store.release(child.lease)
        const { items } = yield* store.listInterrupted({ parentRunId: parent.runId })

        assert.deepStrictEqual(Fixtures.idsOf(items), [child.runId])
        const { checkpoint } = yield* Fixtures.takeOver(child.runId)
        assert.deepStrictEqual(checkpoint.messages, ["of the child", "goes on"])
        assert.strictEqual(checkpoint.parentRunId, parent.runId)
      }
    })
  )
]
