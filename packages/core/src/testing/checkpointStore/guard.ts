/**
 * Cases of single flight and of the agents that it holds for.
 *
 * @since 0.1.0
 */
import { assert } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as AgentName from "../../AgentName.ts"
import { CheckpointStore } from "../../CheckpointStore.ts"
import { RunStore } from "../../RunStore.ts"
import { type Case, check } from "../Conformance.ts"
import * as Fixtures from "../internal/fixtures.ts"

/**
 * What holds for agents that may have one exclusive run in flight.
 *
 * @category testing
 * @since 0.1.0
 */
export const cases: ReadonlyArray<Case> = [
  check(
    "is busy while the agent has an exclusive run with a live lease",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { meta, runId } = yield* Fixtures.started()
      const next = yield* Fixtures.inputOf({ meta: { agentName: meta.agentName } })
      const error = yield* Fixtures.refused(store.begin(next), "AgentBusy")

      assert.strictEqual(error.runId, runId)
      assert.isAbove(error.retryAfterMillis, 0)
      assert.isAtMost(error.retryAfterMillis, Duration.toMillis(Fixtures.longTtl))
      yield* Fixtures.refused(store.load(next.meta.runId), "RunNotFound")
    })
  ),
  check(
    "is busy for another key and for the same key alike while the lease is live",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { meta, runId } = yield* Fixtures.started({ idempotency: Fixtures.idempotency("first") })
      for (const key of ["first", "second"]) {
        const input = yield* Fixtures.inputOf({
          idempotency: Fixtures.idempotency(key),
          meta: { agentName: meta.agentName }
        })
        assert.strictEqual((yield* Fixtures.refused(store.begin(input), "AgentBusy")).runId, runId)
      }
    })
  ),
  check(
    "does not guard runs that are not exclusive",
    Effect.gen(function*() {
      const agentName = yield* Fixtures.freshAgent
      const runs = yield* Effect.forEach(
        [false, true, false],
        (exclusive) => Fixtures.started({ exclusive, meta: { agentName } })
      )

      assert.strictEqual(new Set(runs.map(({ runId }) => runId)).size, 3)
    })
  ),
  check(
    "frees the agent when its exclusive run is settled or deleted",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { meta } = yield* Fixtures.settled()
      const second = yield* Fixtures.started({ meta: { agentName: meta.agentName } })
      yield* store.delete(second.lease)

      yield* Fixtures.started({ meta: { agentName: meta.agentName } })
    })
  ),
  check(
    "keeps the guard when a run beside the exclusive one ends",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { meta, runId } = yield* Fixtures.started()
      yield* Fixtures.settled({ exclusive: false, meta: { agentName: meta.agentName } })
      const next = yield* Fixtures.inputOf({ meta: { agentName: meta.agentName } })

      assert.strictEqual((yield* Fixtures.refused(store.begin(next), "AgentBusy")).runId, runId)
    })
  ),
  check(
    "lets exactly one of many concurrent callers begin for an agent",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const agentName = yield* Fixtures.freshAgent
      const inputs = yield* Effect.forEach(Array.from({ length: 12 }), () => Fixtures.inputOf({ meta: { agentName } }))
      const results = yield* Fixtures.race(inputs.map((input) => store.begin(input)))

      assert.deepStrictEqual(Fixtures.tagsOf(results, ({ _tag }) => _tag), [
        ...Array.from({ length: 11 }, () => "AgentBusy"),
        "Begun"
      ])
    })
  ),
  check(
    "keeps agents apart whose names look alike",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const suffix = Fixtures.freshText("x")
      const names = [`A.${suffix}`, `a.${suffix}`, `a-${suffix}`, `a_${suffix}`, `a.${suffix}.`, `a.${suffix}-1`]
      const runs = yield* Effect.forEach(
        names,
        (name) =>
          Fixtures.started({ meta: { agentName: AgentName.make(name) }, idempotency: Fixtures.idempotency("same key") })
      )

      for (const { meta, runId } of runs) {
        const { items } = yield* store.listInterrupted({ agentName: meta.agentName, status: ["running"] })
        assert.deepStrictEqual(Fixtures.idsOf(items), [runId])
      }
    })
  ),
  check(
    "takes every valid agent's name, however odd",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const runs = yield* RunStore
      const names = [
        "0",
        "a",
        "null",
        "constructor",
        "toString",
        "hasOwnProperty",
        "1e3",
        "x..",
        "x--",
        "9".repeat(128)
      ]
      for (const name of names) {
        const agentName = AgentName.make(name)
        const run = yield* Fixtures.started({ exclusive: false, meta: { agentName } })
        Fixtures.assertSameMeta(yield* runs.get(run.runId), run.meta)
        const { items } = yield* store.listInterrupted({ agentName, status: ["running"] }, { limit: 100 })
        assert.include(Fixtures.idsOf(items), run.runId)
        // These names are not fresh: leave nothing in flight under them.
        yield* store.delete(run.lease)
      }
    })
  )
]
