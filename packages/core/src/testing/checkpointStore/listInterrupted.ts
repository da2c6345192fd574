/**
 * Cases of listing runs in flight.
 *
 * @since 0.1.0
 */
import { assert } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { InFlightStatus } from "../../AgentRun.ts"
import { CheckpointStore, type InterruptedFilter } from "../../CheckpointStore.ts"
import type { RunId } from "../../RunId.ts"
import { type Case, check, StoreTime } from "../Conformance.ts"
import * as Fixtures from "../internal/fixtures.ts"

/**
 * What holds when runs in flight are listed.
 *
 * @category testing
 * @since 0.1.0
 */
export const cases: ReadonlyArray<Case> = [
  check(
    "lists interrupted and exhausted runs, not those that run",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const agentName = yield* Fixtures.freshAgent
      const given: Fixtures.Given = { exclusive: false, meta: { agentName } }
      const running = yield* Fixtures.started(given)
      const interrupted = yield* Fixtures.handedOver(given)
      const exhausted = yield* Fixtures.exhausted(given)
      yield* Fixtures.settled(given)
      const statusOf = (status?: ReadonlyArray<InFlightStatus>) =>
        Effect.map(
          store.listInterrupted(status === undefined ? { agentName } : { agentName, status }),
          ({ items }) => new Map(items.map((item) => [item.runId, item.status]))
        )

      const all = new Map([
        [running.runId, "running"],
        [interrupted.runId, "interrupted"],
        [exhausted.runId, "exhausted"]
      ])
      const some = (...runs: ReadonlyArray<Fixtures.Started>) =>
        new Map(runs.map(({ runId }) => [runId, all.get(runId)]))
      assert.deepStrictEqual(yield* statusOf(), some(interrupted, exhausted))
      assert.deepStrictEqual(yield* statusOf(["running"]), some(running))
      assert.deepStrictEqual(yield* statusOf(["interrupted"]), some(interrupted))
      assert.deepStrictEqual(yield* statusOf(["exhausted"]), some(exhausted))
      assert.deepStrictEqual(yield* statusOf(["exhausted", "running", "interrupted"]), all)
      assert.deepStrictEqual(yield* statusOf([]), new Map())
    })
  ),
  check(
    "lists a run as soon as its lease has expired",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { meta, runId } = yield* Fixtures.expired()
      const { items } = yield* store.listInterrupted({ agentName: meta.agentName })

      assert.deepStrictEqual(Fixtures.idsOf(items), [runId])
      assert.strictEqual(items[0]?.status, "interrupted")
    })
  ),
  check(
    "reads heads only: no message, no notes, no files",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { lease, meta } = yield* Fixtures.started()
      yield* store.save(
        lease,
        Fixtures.append(0, ["a"], {
          iteration: 4,
          phase: "code",
          completedPhases: ["plan"],
          notes: "n",
          workspace: "w"
        })
      )
      yield* store.release(lease)
      const { items } = yield* store.listInterrupted({ agentName: meta.agentName })

      assert.lengthOf(items, 1)
      for (const item of items) {
        for (const field of ["messages", "segments", "notes", "workspace"]) assert.isFalse(field in item, field)
        Fixtures.assertSameMeta(item, meta)
        assert.strictEqual(item.iteration, 4)
        assert.strictEqual(item.phase, "code")
        assert.deepStrictEqual(item.completedPhases, ["plan"])
        assert.deepStrictEqual(item.attempts.map(({ fence }) => fence), [lease.fence])
      }
    })
  ),
  check(
    "filters by agent, caller, channel and parent, and by all of them together",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const agentName = yield* Fixtures.freshAgent
      const parentRunId = (yield* Fixtures.started()).runId
      const callerId = Fixtures.freshText("caller")
      const channelId = Fixtures.freshText("channel")
      const begin = (meta: Fixtures.Given["meta"]) =>
        Effect.map(Fixtures.handedOver({ exclusive: false, meta }), ({ runId }) => runId)
      const byAgent = yield* begin({ agentName })
      const byCaller = yield* begin({ callerId })
      const byChannel = yield* begin({ channelId })
      const byParent = yield* begin({ parentRunId })
      const byAll = yield* begin({ agentName, callerId, channelId, parentRunId })
      const listed = (filter: InterruptedFilter) =>
        Effect.map(store.listInterrupted(filter), ({ items }) => Fixtures.idsOf(items).toSorted())

      assert.deepStrictEqual(yield* listed({ agentName }), [byAgent, byAll])
      assert.deepStrictEqual(yield* listed({ callerId }), [byCaller, byAll])
      assert.deepStrictEqual(yield* listed({ channelId }), [byChannel, byAll])
      assert.deepStrictEqual(yield* listed({ parentRunId }), [byParent, byAll])
      assert.deepStrictEqual(yield* listed({ agentName, callerId, channelId, parentRunId }), [byAll])
      assert.deepStrictEqual(yield* listed({ agentName, callerId: Fixtures.freshText("caller") }), [])
    })
  ),
  check(
    "takes a caller and a channel for texts, not for patterns",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const agentName = yield* Fixtures.freshAgent
      const odd = [
        "*",
        "%",
        "_",
        "a:b",
        "a",
        "A",
        "a b",
        "{a}",
        "a\0b",
        "a\ud800",
        "\\x00",
        "'",
        "é",
        "e\u0301",
        "x".repeat(10_000)
      ]
      const ids = new Map<string, RunId>()
      for (const callerId of odd) {
        const meta = { agentName, callerId, channelId: callerId }
        ids.set(callerId, (yield* Fixtures.handedOver({ exclusive: false, meta })).runId)
      }
      for (const callerId of odd) {
        for (const filter of [{ callerId }, { channelId: callerId }]) {
          const { items } = yield* store.listInterrupted({ agentName, ...filter })
          assert.deepStrictEqual(Fixtures.idsOf(items), [ids.get(callerId)], callerId.slice(0, 10))
        }
      }
      for (const callerId of ["", "x", "b", "x".repeat(9_999)]) {
        assert.deepStrictEqual((yield* store.listInterrupted({ agentName, callerId })).items, [], callerId.slice(0, 10))
      }
    })
  ),
  check(
    "filters by how long ago the lease ended",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { shortTtl } = yield* StoreTime
      const { meta, runId } = yield* Fixtures.handedOver()
      yield* Fixtures.untilExpired
      const listed = (interruptedFor: Duration.Duration) =>
        Effect.map(
          store.listInterrupted({ agentName: meta.agentName, interruptedFor }),
          ({ items }) => Fixtures.idsOf(items)
        )

      assert.deepStrictEqual(yield* listed(Duration.hours(1)), [])
      assert.deepStrictEqual(yield* listed(shortTtl), [runId])
      assert.deepStrictEqual(yield* listed(Duration.zero), [runId])
    })
  ),
  check(
    "lists those first whose lease ended first, on pages of any size",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { elapse } = yield* StoreTime
      const agentName = yield* Fixtures.freshAgent
      const runs = yield* Effect.forEach(
        Array.from({ length: 6 }),
        () => Fixtures.started({ exclusive: false, meta: { agentName } })
      )
      const order = [5, 0, 3, 1, 4, 2].flatMap((index) => runs[index] ?? [])
      for (const { lease } of order) {
        yield* store.release(lease)
        yield* elapse(Duration.millis(5))
      }
      for (const [limit, sizes] of [[1, [1, 1, 1, 1, 1, 1]], [3, [3, 3]], [4, [4, 2]], [6, [6]], [50, [6]]] as const) {
        const pages = yield* Fixtures.allPages((page) => store.listInterrupted({ agentName }, page), limit)
        assert.deepStrictEqual(pages.map((page) => page.length), [...sizes])
        assert.deepStrictEqual(Fixtures.idsOf(pages.flat()), order.map(({ runId }) => runId))
      }
    })
  ),
  check(
    "lists each once when many leases end at the same time",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const agentName = yield* Fixtures.freshAgent
      const runs = yield* Effect.forEach(
        Array.from({ length: 7 }),
        () => Fixtures.handedOver({ exclusive: false, meta: { agentName } }),
        { concurrency: "unbounded" }
      )
      const pages = yield* Fixtures.allPages((page) => store.listInterrupted({ agentName }, page), 2)

      assert.deepStrictEqual(Fixtures.idsOf(pages.flat()).toSorted(), runs.map(({ runId }) => runId).toSorted())
    })
  ),
  check(
    "has no next page after the last item",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const agentName = yield* Fixtures.freshAgent
      const none = yield* store.listInterrupted({ agentName })
      yield* Fixtures.handedOver({ exclusive: false, meta: { agentName } })
      const one = yield* store.listInterrupted({ agentName }, { limit: 1 })

      assert.deepStrictEqual(none, { items: [] })
      assert.isFalse("next" in one)
    })
  ),
  check(
    "an endless lease and numbers that are none spoil no list",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const agentName = yield* Fixtures.freshAgent
      const given: Fixtures.Given = { exclusive: false, meta: { agentName } }
      const good = yield* Fixtures.started({ ...given, ttl: Duration.infinity })
      yield* store.load(good.runId)
      for (const iteration of [Number.NaN, Infinity]) {
        yield* Effect.result(store.save(good.lease, Fixtures.append(0, [], { iteration, ttl: Fixtures.longTtl })))
        yield* store.load(good.runId)
      }
      // A store may refuse what it cannot keep, but what it accepted it must be able to read.
      const odd = yield* Fixtures.inputOf({ ...given, maxAttempts: Number.NaN })
      const accepted = yield* Effect.result(store.begin(odd))
      const { items } = yield* store.listInterrupted({ agentName, status: ["running"] })

      const runs = accepted._tag === "Success" ? [good.runId, odd.meta.runId] : [good.runId]
      assert.deepStrictEqual(Fixtures.idsOf(items).toSorted(), runs.toSorted())
    })
  ),
  check(
    "gives pages of 50 unless told",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const agentName = yield* Fixtures.freshAgent
      yield* Effect.forEach(
        Array.from({ length: 51 }),
        () => Fixtures.handedOver({ exclusive: false, meta: { agentName } })
      )
      const { items, next } = yield* store.listInterrupted({ agentName })

      assert.lengthOf(items, 50)
      assert.isString(next)
      assert.lengthOf((yield* store.listInterrupted({ agentName }, { limit: 60 })).items, 51)
    })
  ),
  check(
    "goes on after a run that was claimed between two pages",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { elapse } = yield* StoreTime
      const agentName = yield* Fixtures.freshAgent
      const runs: Array<Fixtures.Started> = []
      for (let index = 0; index < 4; index++) {
        runs.push(yield* Fixtures.handedOver({ exclusive: false, meta: { agentName } }))
        yield* elapse(Duration.millis(5))
      }
      const ids = runs.map(({ runId }) => runId)
      const first = yield* store.listInterrupted({ agentName }, { limit: 2 })
      for (const runId of ids.slice(1, 2)) yield* Fixtures.takeOver(runId)
      const second = yield* store.listInterrupted({ agentName }, { limit: 2, cursor: first.next })

      assert.deepStrictEqual(Fixtures.idsOf(first.items), ids.slice(0, 2))
      assert.deepStrictEqual(Fixtures.idsOf(second.items), ids.slice(2))
    })
  ),
  ...["", "garbage", "!", "-1", "zzzz", "%00", "[]", "null", "0000000000000000"].map((cursor) =>
    check(
      `treats the unreadable cursor '${cursor}' as the start`,
      Effect.gen(function*() {
        const store = yield* CheckpointStore
        const { meta, runId } = yield* Fixtures.handedOver()
        const { items } = yield* store.listInterrupted({ agentName: meta.agentName }, { cursor })

        assert.deepStrictEqual(Fixtures.idsOf(items), [runId])
      })
    )
  )
]
