/**
 * Cases of erasing runs.
 *
 * @since 0.1.0
 */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as AgentName from "../../AgentName.ts"
import { CheckpointStore } from "../../CheckpointStore.ts"
import { RunStore } from "../../RunStore.ts"
import { type Case, check } from "../Conformance.ts"
import * as Fixtures from "../internal/fixtures.ts"

/**
 * What holds when the runs of a caller or of an agent are erased.
 *
 * @category testing
 * @since 0.1.0
 */
export const cases: ReadonlyArray<Case> = [
  check(
    "erases every settled run of a caller, of all agents, and of nobody else",
    Effect.gen(function*() {
      const runs = yield* RunStore
      const callerId = Fixtures.freshText("caller")
      const one = yield* Fixtures.settled({ meta: { callerId } })
      const two = yield* Fixtures.settled({ meta: { callerId, kind: "agent" } })
      const other = yield* Fixtures.settled({ meta: { agentName: one.meta.agentName, callerId: `${callerId}0` } })
      const nobody = yield* Fixtures.settled({ meta: { agentName: one.meta.agentName } })

      assert.strictEqual(yield* runs.erase({ callerId }), 2)
      yield* Fixtures.refused(runs.get(one.runId), "RunNotFound")
      yield* Fixtures.refused(runs.get(two.runId), "RunNotFound")
      Fixtures.assertSameRun(yield* runs.get(other.runId), other.record)
      Fixtures.assertSameRun(yield* runs.get(nobody.runId), nobody.record)
      assert.deepStrictEqual((yield* runs.list({ callerId })).items, [])
      assert.strictEqual(yield* runs.erase({ callerId }), 0)
    })
  ),
  check(
    "erases every settled run of an agent and of no other",
    Effect.gen(function*() {
      const runs = yield* RunStore
      const agentName = yield* Fixtures.freshAgent
      for (let count = 0; count < 3; count++) yield* Fixtures.settled({ meta: { agentName } })
      const other = yield* Fixtures.settled({ meta: { agentName: AgentName.make(`${agentName}.1`) } })

      assert.strictEqual(yield* runs.erase({ agentName }), 3)
      assert.deepStrictEqual((yield* runs.list({ agentName })).items, [])
      Fixtures.assertSameRun(yield* runs.get(other.runId), other.record)
    })
  ),
  check(
    "erases young keys as well and frees them",
    Effect.gen(function*() {
      const runs = yield* RunStore
      const callerId = Fixtures.freshText("caller")
      const byCaller = yield* Fixtures.settled({ idempotency: Fixtures.idempotency("key"), meta: { callerId } })
      const byAgent = yield* Fixtures.settled({ idempotency: Fixtures.idempotency("key") })
      assert.strictEqual(yield* runs.erase({ callerId }), 1)
      assert.strictEqual(yield* runs.erase({ agentName: byAgent.meta.agentName }), 1)

      for (const { meta: { agentName } } of [byCaller, byAgent]) {
        yield* Fixtures.started({ idempotency: Fixtures.idempotency("key", "other payload"), meta: { agentName } })
      }
    })
  ),
  check(
    "leaves runs in flight alone",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const runs = yield* RunStore
      const agentName = yield* Fixtures.freshAgent
      const callerId = Fixtures.freshText("caller")
      const given: Fixtures.Given = { exclusive: false, meta: { agentName, callerId } }
      yield* Fixtures.settled(given)
      const running = yield* Fixtures.started({ ...given, idempotency: Fixtures.idempotency("key") })
      const interrupted = yield* Fixtures.handedOver(given)

      assert.strictEqual(yield* runs.erase({ callerId }), 1)
      assert.strictEqual(yield* runs.erase({ agentName }), 0)
      assert.strictEqual((yield* runs.get(running.runId)).status, "running")
      assert.strictEqual((yield* runs.get(interrupted.runId)).status, "interrupted")
      const again = yield* Fixtures.inputOf({
        exclusive: false,
        idempotency: Fixtures.idempotency("key"),
        meta: { agentName }
      })
      yield* Fixtures.refused(store.begin(again), "AgentBusy")
    })
  ),
  check(
    "refuses a late write to an erased run",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const runs = yield* RunStore
      const { lease, meta, runId } = yield* Fixtures.settled()
      yield* runs.erase({ agentName: meta.agentName })

      yield* Fixtures.refused(store.save(lease, Fixtures.append(0, ["late"])), "Gone")
      yield* Fixtures.refused(store.load(runId), "RunNotFound")
    })
  ),
  check(
    "erases more than a page of runs",
    Effect.gen(function*() {
      const runs = yield* RunStore
      const agentName = yield* Fixtures.freshAgent
      yield* Effect.forEach(Array.from({ length: 120 }), () => Fixtures.settled({ meta: { agentName } }))

      assert.strictEqual(yield* runs.erase({ agentName }), 120)
    })
  )
]
