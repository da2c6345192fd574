/**
 * Cases of continuing an interrupted run with `begin`.
 *
 * @since 0.1.0
 */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { CheckpointStore } from "../../CheckpointStore.ts"
import { type Case, check } from "../Conformance.ts"
import * as Fixtures from "../internal/fixtures.ts"

/**
 * What holds when `begin` finds an interrupted run.
 *
 * @category testing
 * @since 0.1.0
 */
export const cases: ReadonlyArray<Case> = [
  check(
    "continues an expired run for a call without a key",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { lease, meta, runId } = yield* Fixtures.expired()
      const next = yield* Fixtures.inputOf({ meta: { agentName: meta.agentName } })
      const resumed = Fixtures.asResumed(yield* store.begin(next))

      assert.strictEqual(resumed.lease.runId, runId)
      assert.strictEqual(resumed.lease.owner, next.owner)
      assert.isAbove(resumed.lease.fence, lease.fence)
      assert.isFalse(resumed.exhausted)
      assert.isUndefined(resumed.idempotency)
      Fixtures.assertSameMeta(resumed.checkpoint, meta)
      assert.strictEqual(resumed.checkpoint.status, "running")
      yield* Fixtures.refused(store.load(next.meta.runId), "RunNotFound")
    })
  ),
  check(
    "continues an expired run with a key for a call without one, and tells the key",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { meta, runId } = yield* Fixtures.expired({ idempotency: Fixtures.idempotency("key") })
      const resumed = Fixtures.asResumed(
        yield* store.begin(yield* Fixtures.inputOf({ meta: { agentName: meta.agentName } }))
      )

      assert.strictEqual(resumed.lease.runId, runId)
      assert.deepStrictEqual(resumed.idempotency, Fixtures.idempotency("key"))
    })
  ),
  check(
    "continues an expired run for a call with the same key",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      for (const exclusive of [true, false]) {
        const { meta, runId } = yield* Fixtures.expired({ exclusive, idempotency: Fixtures.idempotency("key") })
        const again = yield* Fixtures.inputOf({
          exclusive,
          idempotency: Fixtures.idempotency("key"),
          meta: { agentName: meta.agentName }
        })

        assert.strictEqual(Fixtures.asResumed(yield* store.begin(again)).lease.runId, runId)
      }
    })
  ),
  check(
    "stays busy for another key after the lease expired, until the run is settled",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      for (const idempotency of [undefined, Fixtures.idempotency("first")]) {
        const run = yield* Fixtures.expired({ idempotency })
        const other = yield* Fixtures.inputOf({
          idempotency: Fixtures.idempotency("second"),
          meta: { agentName: run.meta.agentName }
        })
        const error = yield* Fixtures.refused(store.begin(other), "AgentBusy")
        assert.strictEqual(error.runId, run.runId)
        assert.isAtLeast(error.retryAfterMillis, 0)
        assert.lengthOf((yield* store.load(run.runId)).attempts, 1)

        const { lease } = yield* Fixtures.takeOver(run.runId)
        yield* Fixtures.refused(store.begin(other), "AgentBusy")
        yield* store.settle(lease, yield* Fixtures.recordOf({ ...run, lease }))
        Fixtures.asBegun(yield* store.begin(other))
      }
    })
  ),
  check(
    "leaves an interrupted run that is not exclusive alone",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { meta, runId } = yield* Fixtures.handedOver({ exclusive: false })
      yield* Fixtures.started({ exclusive: false, meta: { agentName: meta.agentName } })
      yield* Fixtures.started({ exclusive: true, meta: { agentName: meta.agentName } })

      assert.lengthOf((yield* store.load(runId)).attempts, 1)
    })
  ),
  check(
    "hands out the whole checkpoint with the lease",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { lease, meta } = yield* Fixtures.started()
      yield* store.save(
        lease,
        Fixtures.append(0, ["a", "b"], {
          iteration: 2,
          phase: "review",
          completedPhases: ["plan"],
          notes: "n",
          workspace: "w"
        })
      )
      yield* store.release(lease)
      const { checkpoint } = Fixtures.asResumed(
        yield* store.begin(yield* Fixtures.inputOf({ meta: { agentName: meta.agentName } }))
      )

      assert.deepStrictEqual(checkpoint.messages, ["a", "b"])
      assert.deepStrictEqual(checkpoint.segments, [[0, 2]])
      assert.strictEqual(checkpoint.position, 2)
      assert.strictEqual(checkpoint.iteration, 2)
      assert.strictEqual(checkpoint.phase, "review")
      assert.deepStrictEqual(checkpoint.completedPhases, ["plan"])
      assert.strictEqual(checkpoint.notes, "n")
      assert.strictEqual(checkpoint.workspace, "w")
    })
  ),
  check(
    "keeps the start of the run and counts the attempt, in the answer and in the store",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { input, lease, meta, runId } = yield* Fixtures.started()
      const before = yield* store.load(runId)
      yield* store.release(lease)
      const next = yield* Fixtures.inputOf({ meta: { agentName: meta.agentName } })
      const resumed = Fixtures.asResumed(yield* store.begin(next))

      for (const checkpoint of [resumed.checkpoint, yield* store.load(runId)]) {
        assert.strictEqual(checkpoint.startedAt.epochMilliseconds, before.startedAt.epochMilliseconds)
        assert.deepStrictEqual(
          checkpoint.attempts.map(({ fence, number, owner }) => ({ fence, number, owner })),
          [
            { number: 1, owner: input.owner, fence: lease.fence },
            { number: 2, owner: next.owner, fence: resumed.lease.fence }
          ]
        )
      }
    })
  ),
  check(
    "leaves an interrupted run of another definition alone, and does not count the call",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { meta, runId } = yield* Fixtures.handedOver()
      for (const resumes of ["same-name", "same-hash"] as const) {
        const definition = { name: "another", hash: meta.definition.hash }
        const next = yield* Fixtures.inputOf({ resumes, meta: { agentName: meta.agentName, definition } })
        const error = yield* Fixtures.refused(store.begin(next), "OtherDefinition")
        assert.deepStrictEqual([error.runId, error.name], [runId, meta.definition.name])
      }
      assert.lengthOf((yield* store.load(runId)).attempts, 1)
    })
  ),
  check(
    "hands out a run of the same name with another hash only to who can continue it",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { meta, runId } = yield* Fixtures.handedOver()
      const definition = { ...meta.definition, hash: "another" }
      const given = { meta: { agentName: meta.agentName, definition } }
      yield* Fixtures.refused(
        store.begin(yield* Fixtures.inputOf({ ...given, resumes: "same-hash" })),
        "OtherDefinition"
      )
      const resumed = Fixtures.asResumed(yield* store.begin(yield* Fixtures.inputOf(given)))

      assert.strictEqual(resumed.lease.runId, runId)
      assert.deepStrictEqual(resumed.checkpoint.definition, meta.definition)
    })
  ),
  check(
    "hands an interrupted run whose cancel was requested to any caller, to close it",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { meta, runId } = yield* Fixtures.handedOver({ idempotency: Fixtures.idempotency("key") })
      yield* store.requestCancel(runId)
      const next = yield* Fixtures.inputOf({
        resumes: "same-hash",
        idempotency: Fixtures.idempotency("another"),
        meta: { agentName: meta.agentName, definition: { name: "another", hash: "another" } }
      })
      const resumed = Fixtures.asResumed(yield* store.begin(next))

      assert.strictEqual(resumed.lease.runId, runId)
      assert.isTrue(resumed.checkpoint.cancelRequested)
    })
  ),
  check(
    "lets exactly one of many concurrent callers continue an interrupted run",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { meta, runId } = yield* Fixtures.handedOver()
      const inputs = yield* Effect.forEach(
        Array.from({ length: 12 }),
        () => Fixtures.inputOf({ meta: { agentName: meta.agentName } })
      )
      const results = yield* Fixtures.race(inputs.map((input) => store.begin(input)))

      assert.deepStrictEqual(Fixtures.tagsOf(results, ({ _tag }) => _tag), [
        ...Array.from({ length: 11 }, () => "AgentBusy"),
        "Resumed"
      ])
      assert.lengthOf((yield* store.load(runId)).attempts, 2)
    })
  )
]
