/**
 * Cases of claiming one run and of handing it over.
 *
 * @since 0.1.0
 */
import { assert } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { CheckpointStore } from "../../CheckpointStore.ts"
import { type Case, check, StoreTime } from "../Conformance.ts"
import * as Fixtures from "../internal/fixtures.ts"

/**
 * What holds when a lease is claimed, expires or is released.
 *
 * @category testing
 * @since 0.1.0
 */
export const cases: ReadonlyArray<Case> = [
  check(
    "refuses to claim a run with a live lease",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { runId } = yield* Fixtures.started()
      const error = yield* Fixtures.refused(Fixtures.takeOver(runId), "LeaseHeld")

      assert.strictEqual(error.runId, runId)
      assert.isAbove(error.retryAfterMillis, 0)
      assert.isAtMost(error.retryAfterMillis, Duration.toMillis(Fixtures.longTtl))
      assert.lengthOf((yield* store.load(runId)).attempts, 1)
    })
  ),
  check(
    "refuses the owner of a live lease as well",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { lease, runId } = yield* Fixtures.started()

      yield* Fixtures.refused(store.claim(runId, lease.owner, Fixtures.longTtl), "LeaseHeld")
    })
  ),
  check(
    "does not know a run that never was",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { meta } = yield* Fixtures.inputOf()

      assert.strictEqual((yield* Fixtures.refused(Fixtures.takeOver(meta.runId), "RunNotFound")).runId, meta.runId)
      yield* Fixtures.refused(store.load(meta.runId), "RunNotFound")
      yield* Fixtures.refused(store.requestCancel(meta.runId), "RunNotFound")
    })
  ),
  check(
    "claims a run whose lease has expired, with its checkpoint",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { shortTtl } = yield* StoreTime
      const run = yield* Fixtures.started({ idempotency: Fixtures.idempotency("key") })
      yield* store.save(run.lease, Fixtures.append(0, ["a", "b"], { phase: "code", notes: "n", ttl: shortTtl }))
      yield* Fixtures.untilExpired
      const owner = yield* Fixtures.freshOwner
      const claimed = yield* store.claim(run.runId, owner, Fixtures.longTtl)

      assert.strictEqual(claimed._tag, "Resumed")
      assert.strictEqual(claimed.lease.runId, run.runId)
      assert.strictEqual(claimed.lease.owner, owner)
      assert.isAbove(claimed.lease.fence, run.lease.fence)
      assert.isFalse(claimed.exhausted)
      assert.deepStrictEqual(claimed.idempotency, Fixtures.idempotency("key"))
      assert.deepStrictEqual(claimed.checkpoint.messages, ["a", "b"])
      assert.strictEqual(claimed.checkpoint.phase, "code")
      assert.strictEqual(claimed.checkpoint.notes, "n")
      Fixtures.assertSameMeta(claimed.checkpoint, run.meta)
      yield* Fixtures.refused(Fixtures.takeOver(run.runId), "LeaseHeld")
    })
  ),
  check(
    "gives the claimed lease the life that was asked for",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { shortTtl } = yield* StoreTime
      const { runId } = yield* Fixtures.handedOver()
      yield* store.claim(runId, yield* Fixtures.freshOwner, shortTtl)
      yield* Fixtures.untilExpired

      assert.strictEqual((yield* Fixtures.takeOver(runId)).checkpoint.attempts.length, 3)
    })
  ),
  check(
    "says that an attempt expired, and when",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { runId } = yield* Fixtures.expired()
      const { leaseUntil } = yield* store.load(runId)
      const { checkpoint } = yield* Fixtures.takeOver(runId)

      for (const { attempts } of [checkpoint, yield* store.load(runId)]) {
        assert.lengthOf(attempts, 2)
        assert.strictEqual(attempts[0]?.end, "expired")
        assert.strictEqual(attempts[0]?.endedAt?.epochMilliseconds, leaseUntil.epochMilliseconds)
        assert.isFalse(attempts[0] !== undefined && "reason" in attempts[0])
        assert.isFalse(attempts[1] !== undefined && ("end" in attempts[1] || "endedAt" in attempts[1]))
      }
    })
  ),
  check(
    "hands a released run over at once",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { lease, runId } = yield* Fixtures.started()
      yield* store.save(lease, Fixtures.append(0, ["a"]))
      yield* store.release(lease)
      assert.strictEqual((yield* store.load(runId)).status, "interrupted")
      const next = yield* Fixtures.takeOver(runId)

      assert.isAbove(next.lease.fence, lease.fence)
      assert.deepStrictEqual(next.checkpoint.messages, ["a"])
    })
  ),
  check(
    "says that an attempt was released, and why",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { lease, runId } = yield* Fixtures.started()
      const reason = "shutdown: \u0000 \ud83d 🚀 'x' \"y\""
      yield* store.release(lease, reason)
      const second = yield* Fixtures.takeOver(runId)
      yield* store.release(second.lease)
      const { checkpoint } = yield* Fixtures.takeOver(runId)

      assert.deepStrictEqual(
        checkpoint.attempts.map(({ end, number }) => ({ end, number })),
        [{ end: "released", number: 1 }, { end: "released", number: 2 }, { end: undefined, number: 3 }]
      )
      assert.strictEqual(checkpoint.attempts[0]?.reason, reason)
      assert.isDefined(checkpoint.attempts[0]?.endedAt)
      assert.isFalse(checkpoint.attempts[1] !== undefined && "reason" in checkpoint.attempts[1])
    })
  ),
  check(
    "refuses every write and renewal of a released lease, so that one under way does not take it back",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const run = yield* Fixtures.handedOver()
      const { lease, runId } = run
      yield* Fixtures.refused(store.save(lease, Fixtures.append(0, ["late"])), "Fenced")
      yield* Fixtures.refused(store.settle(lease, yield* Fixtures.recordOf(run)), "Fenced")
      yield* Fixtures.refused(store.release(lease), "Fenced")
      yield* Fixtures.refused(store.delete(lease), "Fenced")
      const [renewal] = yield* store.renew([lease], Fixtures.longTtl)
      assert.strictEqual(renewal?.state, "fenced")

      const { checkpoint } = yield* Fixtures.takeOver(runId)
      assert.deepStrictEqual([checkpoint.attempts[0]?.end, checkpoint.messages], ["released", []])
    })
  ),
  check(
    "lets the last owner release a run whose lease has expired",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { lease, runId } = yield* Fixtures.expired()
      yield* store.release(lease, "late")

      assert.strictEqual((yield* Fixtures.takeOver(runId)).checkpoint.attempts[0]?.end, "released")
    })
  ),
  check(
    "raises the fence with every claim",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { lease, runId } = yield* Fixtures.started({ maxAttempts: 100 })
      const fences = [lease.fence]
      let held = lease
      for (let round = 0; round < 5; round++) {
        yield* store.release(held)
        held = (yield* Fixtures.takeOver(runId)).lease
        fences.push(held.fence)
      }
      const { attempts } = yield* store.load(runId)

      assert.deepStrictEqual(fences, [...new Set(fences)].toSorted((a, b) => a - b))
      assert.deepStrictEqual(attempts.map(({ fence }) => fence), fences)
      assert.deepStrictEqual(attempts.map(({ number }) => number), [1, 2, 3, 4, 5, 6])
    })
  ),
  check(
    "reads a run without claiming it",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { runId } = yield* Fixtures.handedOver()
      yield* store.load(runId)
      const { attempts, status } = yield* store.load(runId)

      assert.lengthOf(attempts, 1)
      assert.strictEqual(status, "interrupted")
      assert.lengthOf((yield* Fixtures.takeOver(runId)).checkpoint.attempts, 2)
    })
  ),
  check(
    "lets exactly one of many concurrent claims win",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { runId } = yield* Fixtures.handedOver()
      const results = yield* Fixtures.race(Array.from({ length: 16 }, () => Fixtures.takeOver(runId)))

      assert.deepStrictEqual(Fixtures.tagsOf(results, ({ _tag }) => _tag), [
        ...Array.from({ length: 15 }, () => "LeaseHeld"),
        "Resumed"
      ])
      const { attempts } = yield* store.load(runId)
      const winner = results.find((result) => result._tag === "Success")
      assert.lengthOf(attempts, 2)
      assert.strictEqual(attempts[1]?.owner, winner?._tag === "Success" ? winner.success.lease.owner : undefined)
    })
  ),
  check(
    "leaves a run to its old or to its new owner when a claim is interrupted",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      for (let round = 0; round < 10; round++) {
        const { lease, runId } = yield* Fixtures.handedOver({ maxAttempts: 10 })
        const owner = yield* Fixtures.freshOwner
        const fiber = yield* Effect.forkChild(store.claim(runId, owner, Fixtures.longTtl))
        for (let turn = 0; turn < round; turn++) yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
        // What is under way may still land: then the run has a live owner, and is whole.
        const again = yield* Effect.result(Fixtures.takeOver(runId))
        const { attempts, messages } = yield* store.load(runId)

        assert(again._tag === "Success" || again.failure._tag === "LeaseHeld")
        assert.deepStrictEqual(messages, [])
        assert.deepStrictEqual(attempts.map(({ number }) => number), attempts.map((_, index) => index + 1))
        if (again._tag === "Failure") assert.strictEqual(attempts.at(-1)?.owner, owner)
        yield* Fixtures.refused(store.save(lease, Fixtures.append(0, ["old"])), "Fenced")
      }
    })
  ),
  ...[-3_600_000, 3_600_000].map((skew) =>
    check(
      `takes no notice of a caller whose clock is ${skew < 0 ? "behind" : "ahead"}`,
      Effect.gen(function*() {
        const store = yield* CheckpointStore
        const { shortTtl } = yield* StoreTime
        const wrong = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
          Effect.flatMap(Clock.Clock, (clock) => Effect.provideService(effect, Clock.Clock, skewed(clock, skew)))
        const live = yield* wrong(Fixtures.started())
        yield* Fixtures.refused(wrong(Fixtures.takeOver(live.runId)), "LeaseHeld")
        yield* wrong(store.save(live.lease, Fixtures.append(0, ["a"])))
        yield* wrong(store.renew([live.lease], Fixtures.longTtl))
        yield* Fixtures.refused(Fixtures.takeOver(live.runId), "LeaseHeld")
        const { leaseUntil, startedAt, updatedAt } = yield* store.load(live.runId)
        assert.isAtMost(Math.abs(updatedAt.epochMilliseconds - startedAt.epochMilliseconds), 60_000)
        assert.isAtMost(leaseUntil.epochMilliseconds - updatedAt.epochMilliseconds, 3_660_000)

        const short = yield* wrong(Fixtures.started({ ttl: shortTtl }))
        yield* Fixtures.untilExpired
        assert.strictEqual((yield* wrong(Fixtures.takeOver(short.runId))).lease.runId, short.runId)
      })
    )
  )
]

/** A wall clock that is wrong; only the time since the start of the process is right. */
const skewed = (clock: Clock.Clock, millis: number): Clock.Clock => {
  const nanos = BigInt(millis) * 1_000_000n
  return {
    currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + millis,
    currentTimeMillis: Effect.map(clock.currentTimeMillis, (now) => now + millis),
    currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe() + nanos,
    currentTimeNanos: Effect.map(clock.currentTimeNanos, (now) => now + nanos),
    monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
    monotonicTimeNanos: clock.monotonicTimeNanos,
    sleep: (duration) => clock.sleep(duration)
  }
}
