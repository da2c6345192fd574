/**
 * Cases of claims under which nothing was run, and of runs that others continue.
 *
 * @since 0.1.0
 */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { CheckpointStore } from "../../CheckpointStore.ts"
import * as RunId from "../../RunId.ts"
import { type Case, check } from "../Conformance.ts"
import * as Fixtures from "../internal/fixtures.ts"

/** Claims the run and gives it back without having run anything. */
const givenBack = Effect.fnUntraced(function*(runId: RunId.RunId) {
  const store = yield* CheckpointStore
  const { lease } = yield* store.claim(runId, yield* Fixtures.freshOwner, Fixtures.longTtl)
  yield* store.release(lease, "cannot read it", { unstarted: true })
  return lease
})

/**
 * What holds when an owner gives a claim back because it cannot continue the
 * run, and when a sweeper leaves children to their parents.
 *
 * @category testing
 * @since 0.1.0
 */
export const cases: ReadonlyArray<Case> = [
  check(
    "a claim that is given back unstarted is no attempt",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const run = yield* Fixtures.started({ maxAttempts: 2 })
      yield* store.save(run.lease, Fixtures.append(0, ["a"]))
      yield* store.release(run.lease, "shutdown")
      for (let n = 0; n < 5; n++) yield* givenBack(run.runId)
      const waiting = yield* store.load(run.runId)
      const { checkpoint, exhausted, lease } = yield* store.claim(
        run.runId,
        yield* Fixtures.freshOwner,
        Fixtures.longTtl
      )

      assert.strictEqual(waiting.status, "interrupted")
      assert.deepStrictEqual(waiting.attempts.map(({ end, reason }) => ({ end, reason })), [
        { end: "released", reason: "shutdown" }
      ])
      assert.isFalse(exhausted)
      assert.deepStrictEqual(checkpoint.messages, ["a"])
      assert.deepStrictEqual(
        checkpoint.attempts.map(({ end, fence, number, reason }) => ({ end, fence, number, reason })),
        [
          { number: 1, fence: run.lease.fence, end: "released", reason: "shutdown" },
          { number: 2, fence: lease.fence, end: undefined, reason: undefined }
        ]
      )
      assert.deepStrictEqual(checkpoint.attempts[0]?.endedAt, waiting.attempts[0]?.endedAt)
    })
  ),
  check(
    "an attempt that expired stays expired when a later claim is given back",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const run = yield* Fixtures.expired()
      yield* givenBack(run.runId)
      const { checkpoint } = yield* store.claim(run.runId, yield* Fixtures.freshOwner, Fixtures.longTtl)

      assert.deepStrictEqual(checkpoint.attempts.map(({ end }) => end), ["expired", undefined])
    })
  ),
  check(
    "who gave a claim back may not write, and the fence goes on growing",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const run = yield* Fixtures.handedOver()
      const first = yield* givenBack(run.runId)
      yield* Fixtures.refused(store.save(first, Fixtures.append(0, ["late"])), "Fenced")
      const second = yield* givenBack(run.runId)

      assert.isAbove(first.fence, run.lease.fence)
      assert.isAbove(second.fence, first.fence)
      yield* Fixtures.refused(store.save(first, Fixtures.append(0, ["late"])), "Fenced")
    })
  ),
  check(
    "it is not counted among the attempts without progress",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const run = yield* Fixtures.handedOver({ maxAttempts: 9 })
      yield* givenBack(run.runId)
      yield* givenBack(run.runId)
      const owner = yield* Fixtures.freshOwner
      const [claimed] = yield* store.claimNext(owner, Fixtures.longTtl, 1, {
        definitions: [run.meta.definition.name]
      })

      assert.isFalse(claimed?.exhausted)
      assert.lengthOf(claimed?.checkpoint.attempts ?? [], 2)
    })
  ),
  check(
    "of a first attempt it changes nothing",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const run = yield* Fixtures.started()
      yield* store.release(run.lease, "other version", { unstarted: true })
      const { attempts } = yield* store.load(run.runId)

      assert.lengthOf(attempts, 1)
      const { checkpoint } = yield* store.claim(run.runId, yield* Fixtures.freshOwner, Fixtures.longTtl)
      assert.deepStrictEqual(checkpoint.attempts.map(({ end, reason }) => ({ end, reason })), [
        { end: "released", reason: "other version" },
        { end: undefined, reason: undefined }
      ])
    })
  ),
  check(
    "a sweeper of roots leaves children alone",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const definition = { name: Fixtures.freshText("definition"), hash: "1" }
      const root = yield* Fixtures.handedOver({ meta: { definition } })
      const parentRunId = RunId.make(root.meta.agentName)
      const child = yield* Fixtures.handedOver({ meta: { definition, parentRunId } })
      const owner = yield* Fixtures.freshOwner
      const filter = { definitions: [definition.name] }
      const roots = yield* store.claimNext(owner, Fixtures.longTtl, 10, { ...filter, roots: true })
      const rest = yield* store.claimNext(owner, Fixtures.longTtl, 10, filter)

      assert.deepStrictEqual(roots.map(({ lease }) => lease.runId), [root.runId])
      assert.deepStrictEqual(rest.map(({ lease }) => lease.runId), [child.runId])
    })
  )
]
