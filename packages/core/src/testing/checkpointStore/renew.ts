/**
 * Cases of renewing leases and of cancelling runs.
 *
 * @since 0.1.0
 */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { CheckpointStore } from "../../CheckpointStore.ts"
import { type Case, check, StoreTime } from "../Conformance.ts"
import * as Fixtures from "../internal/fixtures.ts"

/**
 * What holds when leases are renewed.
 *
 * @category testing
 * @since 0.1.0
 */
export const cases: ReadonlyArray<Case> = [
  check(
    "answers an empty batch",
    Effect.gen(function*() {
      const store = yield* CheckpointStore

      assert.deepStrictEqual(yield* store.renew([], Fixtures.longTtl), [])
    })
  ),
  check(
    "prolongs every lease of a batch",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { shortTtl } = yield* StoreTime
      const runs = yield* Effect.forEach(Array.from({ length: 5 }), () => Fixtures.started({ ttl: shortTtl }))
      const renewals = yield* store.renew(runs.map(({ lease }) => lease), Fixtures.longTtl)
      yield* Fixtures.untilExpired

      assert.deepStrictEqual(
        renewals,
        runs.map(({ runId }) => ({ runId, state: "renewed", cancelRequested: false }))
      )
      for (const { runId } of runs) assert.strictEqual((yield* store.load(runId)).status, "running")
    })
  ),
  check(
    "answers in the order of the leases, each with its own state",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const runs = yield* Effect.forEach(Array.from({ length: 24 }), (_, index) =>
        Effect.gen(function*() {
          if (index % 4 === 0) return { state: "renewed", lease: (yield* Fixtures.started()).lease }
          if (index % 4 === 1) return { state: "gone", lease: (yield* Fixtures.settled()).lease }
          const { lease, runId } = yield* Fixtures.handedOver()
          const heir = yield* Fixtures.takeOver(runId)
          return index % 4 === 2 ? { state: "fenced", lease } : { state: "renewed", lease: heir.lease }
        }))
      // Neither by id nor by age.
      const mixed = [...runs.filter((_, index) => index % 3 === 1), ...runs.filter((_, index) => index % 3 !== 1)]
        .toReversed()
      const renewals = yield* store.renew(mixed.map(({ lease }) => lease), Fixtures.longTtl)

      assert.deepStrictEqual(
        renewals.map(({ runId, state }) => ({ runId, state })),
        mixed.map(({ lease, state }) => ({ runId: lease.runId, state }))
      )
    })
  ),
  check(
    "says gone for a run that never was",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { meta, owner } = yield* Fixtures.inputOf()
      const renewals = yield* store.renew([{ runId: meta.runId, owner, fence: 1 }], Fixtures.longTtl)

      assert.deepStrictEqual(renewals.map(({ state }) => state), ["gone"])
    })
  ),
  check(
    "renews a lease late, while nobody has claimed the run",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { lease, runId } = yield* Fixtures.expired()
      const renewals = yield* store.renew([lease], Fixtures.longTtl)

      assert.deepStrictEqual(renewals.map(({ state }) => state), ["renewed"])
      yield* Fixtures.refused(Fixtures.takeOver(runId), "LeaseHeld")
    })
  ),
  check(
    "changes nothing but the lease",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { lease, runId } = yield* Fixtures.started()
      yield* store.save(lease, Fixtures.append(0, ["a"], { phase: "code", notes: "n" }))
      const before = yield* store.load(runId)
      yield* store.renew([lease], Fixtures.longTtl)
      const after = yield* store.load(runId)

      assert.deepStrictEqual(after.messages, before.messages)
      assert.deepStrictEqual(after.attempts.map(({ fence }) => fence), [lease.fence])
      assert.strictEqual(after.phase, "code")
      assert.strictEqual(after.notes, "n")
    })
  ),
  check(
    "tells the owner about a cancellation at the next save and at the next renewal",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { lease, runId } = yield* Fixtures.started()
      const other = yield* Fixtures.started()
      yield* store.requestCancel(runId)
      const saved = yield* store.save(lease, Fixtures.append(0, ["a"]))
      const renewals = yield* store.renew([other.lease, lease], Fixtures.longTtl)

      assert.isTrue(saved.cancelRequested)
      assert.deepStrictEqual(renewals.map(({ cancelRequested }) => cancelRequested), [false, true])
      assert.isTrue((yield* store.load(runId)).cancelRequested)
    })
  ),
  check(
    "keeps a cancellation for the next owner",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { runId } = yield* Fixtures.handedOver()
      yield* store.requestCancel(runId)
      yield* store.requestCancel(runId)
      const { checkpoint, lease } = yield* Fixtures.takeOver(runId)

      assert.isTrue(checkpoint.cancelRequested)
      assert.isTrue((yield* store.save(lease, Fixtures.append(0, ["a"]))).cancelRequested)
    })
  ),
  check(
    "shows a cancellation in reads of heads, and of no other run",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const agentName = yield* Fixtures.freshAgent
      const one = yield* Fixtures.started({ exclusive: false, meta: { agentName } })
      const two = yield* Fixtures.started({ exclusive: false, meta: { agentName } })
      yield* store.requestCancel(one.runId)
      const { items } = yield* store.listInterrupted({ agentName, status: ["running"] })

      assert.deepStrictEqual(
        new Map(items.map(({ cancelRequested, runId }) => [runId, cancelRequested])),
        new Map([[one.runId, true], [two.runId, false]])
      )
    })
  ),
  check(
    "does not let a cancellation touch the lease or the progress",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { lease, runId } = yield* Fixtures.started()
      yield* store.save(lease, Fixtures.append(0, ["a"]))
      yield* store.requestCancel(runId)

      yield* Fixtures.refused(Fixtures.takeOver(runId), "LeaseHeld")
      assert.deepStrictEqual((yield* store.load(runId)).messages, ["a"])
    })
  )
]
