/**
 * Cases of claiming whatever is interrupted.
 *
 * @since 0.1.0
 */
import { assert } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { CheckpointStore, type ClaimFilter } from "../../CheckpointStore.ts"
import { type Case, check, StoreTime } from "../Conformance.ts"
import * as Fixtures from "../internal/fixtures.ts"

/**
 * What holds when a sweeper claims interrupted runs.
 *
 * @category testing
 * @since 0.1.0
 */
export const cases: ReadonlyArray<Case> = [
  check(
    "claims an interrupted run with its checkpoint",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const run = yield* Fixtures.started({ idempotency: Fixtures.idempotency("key") })
      yield* store.save(run.lease, Fixtures.append(0, ["a"], { notes: "n" }))
      yield* store.release(run.lease, "shutdown")
      const owner = yield* Fixtures.freshOwner
      const claimed = yield* store.claimNext(owner, Fixtures.longTtl, 10, {
        definitions: [run.meta.definition.name]
      })

      assert.lengthOf(claimed, 1)
      for (const { checkpoint, exhausted, idempotency, lease } of claimed) {
        assert.deepStrictEqual({ runId: lease.runId, owner: lease.owner }, { runId: run.runId, owner })
        assert.isAbove(lease.fence, run.lease.fence)
        assert.isFalse(exhausted)
        assert.deepStrictEqual(idempotency, Fixtures.idempotency("key"))
        assert.deepStrictEqual(checkpoint.messages, ["a"])
        assert.strictEqual(checkpoint.notes, "n")
        assert.strictEqual(checkpoint.attempts[0]?.reason, "shutdown")
        assert.strictEqual(checkpoint.attempts[1]?.fence, lease.fence)
        yield* store.save(lease, Fixtures.append(1, ["b"]))
      }
      yield* Fixtures.refused(store.save(run.lease, Fixtures.append(1, ["zombie"])), "Fenced")
    })
  ),
  check(
    "leaves live and ended runs alone",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const meta = { definition: { name: Fixtures.freshText("definition"), hash: "1" } }
      const live = yield* Fixtures.started({ meta })
      yield* Fixtures.settled({ meta })
      const deleted = yield* Fixtures.started({ meta })
      yield* store.delete(deleted.lease)
      const claimed = yield* store.claimNext(yield* Fixtures.freshOwner, Fixtures.longTtl, 10, {
        definitions: [meta.definition.name]
      })

      assert.deepStrictEqual(claimed, [])
      yield* store.save(live.lease, Fixtures.append(0, ["still mine"]))
    })
  ),
  check(
    "claims those first whose lease ended first, and no more than the limit",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { elapse } = yield* StoreTime
      const meta = { definition: { name: Fixtures.freshText("definition"), hash: "1" } }
      const runs = yield* Effect.forEach(Array.from({ length: 5 }), () => Fixtures.started({ meta }))
      // Released in another order than begun: the age of the run must not decide.
      const order = [3, 0, 4, 1, 2].flatMap((index) => runs[index] ?? [])
      for (const { lease } of order) {
        yield* store.release(lease)
        yield* elapse(Duration.millis(5))
      }
      const claim = Effect.flatMap(
        Fixtures.freshOwner,
        (owner) => store.claimNext(owner, Fixtures.longTtl, 2, { definitions: [meta.definition.name] })
      )
      const rounds = [yield* claim, yield* claim, yield* claim, yield* claim]

      assert.deepStrictEqual(
        rounds.map((round) => round.map(({ lease }) => lease.runId)),
        [0, 2, 4, 5].map((start, index) => order.slice(start, index === 3 ? 5 : start + 2).map(({ runId }) => runId))
      )
    })
  ),
  check(
    "claims only the kind and the definitions that were asked for",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const owner = yield* Fixtures.freshOwner
      const heartbeat = yield* Fixtures.handedOver()
      const { definition } = heartbeat.meta
      const agent = yield* Fixtures.handedOver({ meta: { kind: "agent", definition } })
      const other = yield* Fixtures.handedOver({ meta: { kind: "agent" } })
      const idsFor = (filter: ClaimFilter) =>
        Effect.map(
          store.claimNext(owner, Fixtures.longTtl, 10, filter),
          (claimed) => claimed.map(({ lease }) => lease.runId).toSorted()
        )

      assert.deepStrictEqual(yield* idsFor({ definitions: [] }), [])
      assert.deepStrictEqual(yield* idsFor({ definitions: [Fixtures.freshText("definition")] }), [])
      assert.deepStrictEqual(yield* idsFor({ definitions: [definition.name], kind: "agent" }), [agent.runId])
      assert.deepStrictEqual(
        yield* idsFor({ definitions: [definition.name, other.meta.definition.name] }),
        [heartbeat.runId, other.runId]
      )
    })
  ),
  check(
    "claims runs of every definition without a filter",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const one = yield* Fixtures.handedOver()
      const two = yield* Fixtures.handedOver({ exclusive: false, meta: { kind: "agent" } })
      // What other cases left behind is claimed as well: it ended earlier.
      const claimed = yield* store.claimNext(yield* Fixtures.freshOwner, Fixtures.longTtl, 10_000)
      const ids = claimed.map(({ lease }) => lease.runId)

      assert.includeMembers(ids, [one.runId, two.runId])
      assert.strictEqual(new Set(ids).size, ids.length)
    })
  ),
  check(
    "gives no run to two concurrent callers",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const meta = { definition: { name: Fixtures.freshText("definition"), hash: "1" } }
      const runs = yield* Effect.forEach(Array.from({ length: 12 }), () => Fixtures.handedOver({ meta }))
      const claims = yield* Effect.forEach(
        Array.from({ length: 6 }),
        () =>
          Effect.flatMap(
            Fixtures.freshOwner,
            (owner) => store.claimNext(owner, Fixtures.longTtl, 4, { definitions: [meta.definition.name] })
          ),
        { concurrency: "unbounded" }
      )
      const rest = yield* store.claimNext(yield* Fixtures.freshOwner, Fixtures.longTtl, 20, {
        definitions: [meta.definition.name]
      })
      const ids = [...claims.flat(), ...rest].map(({ lease }) => lease.runId)

      for (const claim of claims) assert.isAtMost(claim.length, 4)
      assert.strictEqual(ids.length, 12)
      assert.deepStrictEqual(ids.toSorted(), runs.map(({ runId }) => runId).toSorted())
    })
  ),
  check(
    "claims runs whose lease expired by itself, and again after the next expiry",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { shortTtl } = yield* StoreTime
      const { meta, runId } = yield* Fixtures.expired({ maxAttempts: 10 })
      const filter = { definitions: [meta.definition.name] }
      const first = yield* store.claimNext(yield* Fixtures.freshOwner, shortTtl, 10, filter)
      for (const { lease } of first) yield* store.save(lease, Fixtures.append(0, ["a"], { ttl: shortTtl }))
      yield* Fixtures.untilExpired
      const second = yield* store.claimNext(yield* Fixtures.freshOwner, shortTtl, 10, filter)

      assert.deepStrictEqual([...first, ...second].map(({ lease }) => lease.runId), [runId, runId])
      assert.deepStrictEqual(
        second.flatMap(({ checkpoint }) => checkpoint.attempts.map(({ end }) => end)),
        ["expired", "expired", undefined]
      )
    })
  )
]
