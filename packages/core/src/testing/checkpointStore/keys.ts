/**
 * Cases of idempotency keys.
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
 * What holds for runs that are begun with an idempotency key.
 *
 * @category testing
 * @since 0.1.0
 */
export const cases: ReadonlyArray<Case> = [
  check(
    "replays the record of a settled run for the same key",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { meta, record } = yield* Fixtures.settled({ idempotency: Fixtures.idempotency("key") })
      const again = yield* Fixtures.inputOf({
        idempotency: Fixtures.idempotency("key"),
        meta: { agentName: meta.agentName }
      })
      const first = Fixtures.asReplayed(yield* store.begin(again))
      const second = Fixtures.asReplayed(yield* store.begin(again))

      Fixtures.assertSameRun(first.run, record)
      Fixtures.assertSameRun(second.run, record)
      yield* Fixtures.refused(store.load(again.meta.runId), "RunNotFound")
    })
  ),
  check(
    "replays also for a caller that repeats the run's id",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { input, record } = yield* Fixtures.settled({ idempotency: Fixtures.idempotency("key") })

      Fixtures.assertSameRun(Fixtures.asReplayed(yield* store.begin(input)).run, record)
    })
  ),
  check(
    "replays while the agent is busy with another run",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { meta, record } = yield* Fixtures.settled({ idempotency: Fixtures.idempotency("key") })
      yield* Fixtures.started({ meta: { agentName: meta.agentName } })
      const again = yield* Fixtures.inputOf({
        idempotency: Fixtures.idempotency("key"),
        meta: { agentName: meta.agentName }
      })

      Fixtures.assertSameRun(Fixtures.asReplayed(yield* store.begin(again)).run, record)
    })
  ),
  check(
    "replays runs that are not exclusive as well",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { meta, record } = yield* Fixtures.settled({
        exclusive: false,
        idempotency: Fixtures.idempotency("key"),
        meta: { kind: "agent" }
      })
      const again = yield* Fixtures.inputOf({
        exclusive: false,
        idempotency: Fixtures.idempotency("key"),
        meta: { kind: "agent", agentName: meta.agentName }
      })

      Fixtures.assertSameRun(Fixtures.asReplayed(yield* store.begin(again)).run, record)
    })
  ),
  check(
    "begins a fresh run for a fresh key",
    Effect.gen(function*() {
      const { meta } = yield* Fixtures.settled({ idempotency: Fixtures.idempotency("key") })

      yield* Fixtures.started({ idempotency: Fixtures.idempotency("KEY"), meta: { agentName: meta.agentName } })
    })
  ),
  check(
    "scopes keys to their agent",
    Effect.gen(function*() {
      yield* Fixtures.settled({ idempotency: Fixtures.idempotency("key") })

      yield* Fixtures.started({ idempotency: Fixtures.idempotency("key", "other payload") })
    })
  ),
  check(
    "refuses the key of a run in flight with another payload",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { meta, runId } = yield* Fixtures.started({ idempotency: Fixtures.idempotency("key") })
      const other = yield* Fixtures.inputOf({
        idempotency: Fixtures.idempotency("key", "other payload"),
        meta: { agentName: meta.agentName }
      })
      const error = yield* Fixtures.refused(store.begin(other), "KeyMismatch")

      assert.strictEqual(error.key, "key")
      assert.strictEqual(error.runId, runId)
    })
  ),
  check(
    "refuses the key of an interrupted run with another payload and leaves the run to others",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { lease, meta, runId } = yield* Fixtures.handedOver({ idempotency: Fixtures.idempotency("key") })
      const other = yield* Fixtures.inputOf({
        idempotency: Fixtures.idempotency("key", "other payload"),
        meta: { agentName: meta.agentName }
      })
      yield* Fixtures.refused(store.begin(other), "KeyMismatch")

      const { attempts } = yield* store.load(runId)
      assert.deepStrictEqual(attempts.map(({ fence }) => fence), [lease.fence])
    })
  ),
  check(
    "refuses the key of a settled run with another payload",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { meta, runId } = yield* Fixtures.settled({ idempotency: Fixtures.idempotency("key") })
      const other = yield* Fixtures.inputOf({
        idempotency: Fixtures.idempotency("key", "other payload"),
        meta: { agentName: meta.agentName }
      })

      assert.strictEqual((yield* Fixtures.refused(store.begin(other), "KeyMismatch")).runId, runId)
    })
  ),
  check(
    "is busy for the key of a run in flight that is not exclusive",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { meta, runId } = yield* Fixtures.started({ exclusive: false, idempotency: Fixtures.idempotency("key") })
      const again = yield* Fixtures.inputOf({
        exclusive: false,
        idempotency: Fixtures.idempotency("key"),
        meta: { agentName: meta.agentName }
      })

      assert.strictEqual((yield* Fixtures.refused(store.begin(again), "AgentBusy")).runId, runId)
    })
  ),
  check(
    "frees the key when the run is deleted without a record",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { lease, meta } = yield* Fixtures.started({ idempotency: Fixtures.idempotency("key") })
      yield* store.delete(lease)

      yield* Fixtures.started({
        idempotency: Fixtures.idempotency("key", "other payload"),
        meta: { agentName: meta.agentName }
      })
    })
  ),
  check(
    "keeps the key through hand-overs until the run is settled by its last owner",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const run = yield* Fixtures.handedOver({ idempotency: Fixtures.idempotency("key") })
      const { idempotency, lease } = yield* Fixtures.takeOver(run.runId)
      assert.deepStrictEqual(idempotency, Fixtures.idempotency("key"))
      const record = yield* Fixtures.recordOf({ ...run, lease })
      yield* store.settle(lease, record)

      const again = yield* Fixtures.inputOf({
        idempotency: Fixtures.idempotency("key"),
        meta: { agentName: run.meta.agentName }
      })
      Fixtures.assertSameRun(Fixtures.asReplayed(yield* store.begin(again)).run, record)
    })
  ),
  check(
    "gives the record the key of its run, whether its owner names it or not",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const runs = yield* RunStore
      const run = yield* Fixtures.started({ idempotency: Fixtures.idempotency("key") })
      const { idempotency: _, ...record } = yield* Fixtures.recordOf(run)
      yield* store.settle(run.lease, record)
      const again = yield* Fixtures.inputOf({
        idempotency: Fixtures.idempotency("key"),
        meta: { agentName: run.meta.agentName }
      })

      // Otherwise the key answers KeyMismatch to the very payload that it came with.
      assert.strictEqual(Fixtures.asReplayed(yield* store.begin(again)).run.runId, run.runId)
      assert.strictEqual(yield* runs.erase({ agentName: run.meta.agentName }), 1)
      Fixtures.asBegun(yield* store.begin(again))
    })
  ),
  check(
    "lets exactly one of many concurrent callers with one key begin",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const agentName = yield* Fixtures.freshAgent
      for (const exclusive of [true, false]) {
        const key = Fixtures.idempotency(`key ${exclusive}`)
        const inputs = yield* Effect.forEach(
          Array.from({ length: 8 }),
          () => Fixtures.inputOf({ exclusive, idempotency: key, meta: { agentName } })
        )
        const results = yield* Fixtures.race(inputs.map((input) => store.begin(input)))

        assert.deepStrictEqual(Fixtures.tagsOf(results, ({ _tag }) => _tag), [
          ...Array.from({ length: 7 }, () => "AgentBusy"),
          "Begun"
        ])
      }
    })
  ),
  check(
    "takes every visible character in a key and confuses none",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const agentName = yield* Fixtures.freshAgent
      const visible = Array.from({ length: 94 }, (_, index) => String.fromCharCode(33 + index)).join("")
      const keys = [visible, "*", ":", "{a}", "%", "_", "a:b", "a", "__proto__", "x".repeat(255)]
      for (const key of keys) {
        yield* Fixtures.settled({ idempotency: Fixtures.idempotency(key, key), meta: { agentName } })
      }
      for (const key of keys) {
        const input = yield* Fixtures.inputOf({ idempotency: Fixtures.idempotency(key, key), meta: { agentName } })
        const { run } = Fixtures.asReplayed(yield* store.begin(input))
        assert.deepStrictEqual(run.idempotency, Fixtures.idempotency(key, key))
      }
    })
  ),
  check(
    "tells keys of 1,000 bytes apart that nothing shortens",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const agentName = yield* Fixtures.freshAgent
      const long = Array.from({ length: 40 }, () => Fixtures.freshText("")).join("").slice(0, 999)
      const keys = [`${long}a`, `${long}b`]
      for (const key of keys) {
        yield* Fixtures.settled({ idempotency: Fixtures.idempotency(key), meta: { agentName } })
      }
      for (const key of keys) {
        const input = yield* Fixtures.inputOf({ idempotency: Fixtures.idempotency(key), meta: { agentName } })
        const { run } = Fixtures.asReplayed(yield* store.begin(input))
        assert.deepStrictEqual(run.idempotency, Fixtures.idempotency(key))
      }
    })
  )
]
