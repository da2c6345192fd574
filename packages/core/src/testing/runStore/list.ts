/**
 * Cases of listing runs.
 *
 * @since 0.1.0
 */
import { assert } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { type AgentRun, metaOf, type RunInFlight } from "../../AgentRun.ts"
import { CheckpointStore, type Page } from "../../CheckpointStore.ts"
import type { RunId } from "../../RunId.ts"
import { type RunFilter, RunStore } from "../../RunStore.ts"
import { type Case, check, StoreTime } from "../Conformance.ts"
import * as Fixtures from "../internal/fixtures.ts"

/** One run of every kind of end and of flight, from the oldest to the newest. */
const mixed = Effect.gen(function*() {
  const agentName = yield* Fixtures.freshAgent
  const given: Fixtures.Given = { exclusive: false, meta: { agentName } }
  const runs = [
    yield* Fixtures.settled(given),
    yield* Fixtures.settled(given, { status: "error" }),
    yield* Fixtures.started(given),
    yield* Fixtures.handedOver(given),
    yield* Fixtures.exhausted(given)
  ]
  return { agentName, ids: runs.map(({ runId }) => runId) }
})

const listed = <E>(page: Effect.Effect<Page<AgentRun | RunInFlight>, E>) =>
  Effect.map(page, ({ items }) => Fixtures.idsOf(items))

/**
 * What holds when runs are listed.
 *
 * @category testing
 * @since 0.1.0
 */
export const cases: ReadonlyArray<Case> = [
  check(
    "lists runs newest first, settled and in flight together",
    Effect.gen(function*() {
      const runs = yield* RunStore
      const { agentName, ids } = yield* mixed

      assert.deepStrictEqual(yield* listed(runs.list({ agentName })), ids.toReversed())
    })
  ),
  check(
    "lists a new run first without a filter",
    Effect.gen(function*() {
      const runs = yield* RunStore
      const { runId } = yield* Fixtures.started()
      const settled = yield* Fixtures.settled()
      const ids = yield* listed(runs.list())

      // Others may have begun runs since, but not a page of them.
      assert.includeMembers(ids, [runId, settled.runId])
      assert.isBelow(ids.indexOf(settled.runId), ids.indexOf(runId))
    })
  ),
  check(
    "lists each run as it reads it",
    Effect.gen(function*() {
      const runs = yield* RunStore
      const { agentName } = yield* mixed
      const { items } = yield* runs.list({ agentName })

      assert.deepStrictEqual(items.map(({ status }) => status), ["exhausted", "interrupted", "running", "error", "ok"])
      for (const item of items) {
        const run = yield* runs.get(item.runId)
        assert.deepStrictEqual(Object.keys(item).toSorted(), Object.keys(run).toSorted())
        Fixtures.assertSameMeta(item, metaOf(run))
      }
    })
  ),
  check(
    "filters by status, of settled runs and of runs in flight",
    Effect.gen(function*() {
      const runs = yield* RunStore
      const { agentName } = yield* mixed
      const statuses = (status: NonNullable<RunFilter["status"]>) =>
        Effect.map(runs.list({ agentName, status }), ({ items }) => items.map(({ status }) => status))

      for (const status of ["exhausted", "interrupted", "running", "error", "ok"] as const) {
        assert.deepStrictEqual(yield* statuses([status]), [status])
      }
      assert.deepStrictEqual(yield* statuses(["ok", "running", "cancelled"]), ["running", "ok"])
      assert.deepStrictEqual(yield* statuses(["warning", "cancelled"]), [])
      assert.deepStrictEqual(yield* statuses([]), [])
    })
  ),
  check(
    "filters by agent, kind and caller, and by all of them together",
    Effect.gen(function*() {
      const runs = yield* RunStore
      const agentName = yield* Fixtures.freshAgent
      const callerId = Fixtures.freshText("caller")
      const one = yield* Fixtures.settled({ meta: { agentName } })
      const two = yield* Fixtures.settled({ meta: { agentName, callerId, kind: "agent" } })
      const three = yield* Fixtures.started({ meta: { callerId } })
      const four = yield* Fixtures.started({ meta: { agentName, callerId } })

      assert.deepStrictEqual(yield* listed(runs.list({ agentName })), [four.runId, two.runId, one.runId])
      assert.deepStrictEqual(yield* listed(runs.list({ callerId })), [four.runId, three.runId, two.runId])
      assert.deepStrictEqual(yield* listed(runs.list({ agentName, kind: "agent" })), [two.runId])
      assert.deepStrictEqual(yield* listed(runs.list({ agentName, kind: "heartbeat" })), [four.runId, one.runId])
      assert.deepStrictEqual(
        yield* listed(runs.list({ agentName, callerId, kind: "heartbeat", status: ["running"] })),
        [
          four.runId
        ]
      )
      assert.deepStrictEqual(yield* listed(runs.list({ callerId: Fixtures.freshText("caller") })), [])
    })
  ),
  check(
    "filters by the start of a run: from an instant on, and before one",
    Effect.gen(function*() {
      const runs = yield* RunStore
      const { elapse } = yield* StoreTime
      const agentName = yield* Fixtures.freshAgent
      const first = yield* Fixtures.settled({ exclusive: false, meta: { agentName } })
      yield* elapse(Duration.millis(20))
      const second = yield* Fixtures.started({ exclusive: false, meta: { agentName } })
      yield* elapse(Duration.millis(20))
      const third = yield* Fixtures.settled({ exclusive: false, meta: { agentName } })
      const at = (runId: RunId) => Effect.map(runs.get(runId), ({ startedAt }) => startedAt)
      const from = yield* at(second.runId)
      const until = yield* at(third.runId)

      assert.deepStrictEqual(yield* listed(runs.list({ agentName, from })), [third.runId, second.runId])
      assert.deepStrictEqual(yield* listed(runs.list({ agentName, until })), [second.runId, first.runId])
      assert.deepStrictEqual(yield* listed(runs.list({ agentName, from, until })), [second.runId])
      assert.deepStrictEqual(yield* listed(runs.list({ agentName, from: until, until })), [])
    })
  ),
  check(
    "lists by a start at either end of time",
    Effect.gen(function*() {
      const runs = yield* RunStore
      const { meta: { agentName }, runId } = yield* Fixtures.settled()
      const first = DateTime.makeUnsafe(-8.64e15)
      const last = DateTime.makeUnsafe(8.64e15)

      assert.deepStrictEqual(yield* listed(runs.list({ agentName, from: first, until: last })), [runId])
      assert.deepStrictEqual(yield* listed(runs.list({ agentName, from: last })), [])
      assert.deepStrictEqual(yield* listed(runs.list({ agentName, until: first })), [])
    })
  ),
  check(
    "gives every run once on pages of any size",
    Effect.gen(function*() {
      const runs = yield* RunStore
      const { agentName, ids } = yield* mixed
      for (const [limit, sizes] of [[1, [1, 1, 1, 1, 1]], [2, [2, 2, 1]], [5, [5]], [50, [5]]] as const) {
        const pages = yield* Fixtures.allPages((page) => runs.list({ agentName }, page), limit)
        assert.deepStrictEqual(pages.map((page) => page.length), [...sizes])
        assert.deepStrictEqual(Fixtures.idsOf(pages.flat()), ids.toReversed())
      }
    })
  ),
  check(
    "gives whole pages when most runs do not match",
    Effect.gen(function*() {
      const runs = yield* RunStore
      const agentName = yield* Fixtures.freshAgent
      const wanted: Array<RunId> = []
      for (let index = 0; index < 30; index++) {
        const kind = index % 5 === 0 ? "agent" : "heartbeat"
        const { runId } = yield* Fixtures.settled({ meta: { agentName, kind } })
        if (kind === "agent") wanted.unshift(runId)
      }
      const pages = yield* Fixtures.allPages((page) => runs.list({ agentName, kind: "agent" }, page), 4)

      assert.deepStrictEqual(pages.map(Fixtures.idsOf), [wanted.slice(0, 4), wanted.slice(4)])
    })
  ),
  check(
    "gives pages of 50 unless told, and no next page after the last run",
    Effect.gen(function*() {
      const runs = yield* RunStore
      const agentName = yield* Fixtures.freshAgent
      assert.deepStrictEqual(yield* runs.list({ agentName }), { items: [] })
      yield* Effect.forEach(Array.from({ length: 51 }), () => Fixtures.settled({ meta: { agentName } }))
      const first = yield* runs.list({ agentName })
      assert.isString(first.next)
      const second = yield* runs.list({ agentName }, { cursor: first.next })

      assert.lengthOf(first.items, 50)
      assert.lengthOf(second.items, 1)
      assert.isFalse("next" in second)
      assert.isFalse("next" in (yield* runs.list({ agentName }, { limit: 51 })))
    })
  ),
  check(
    "keeps pages stable while runs are added, settled and deleted",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const runs = yield* RunStore
      const agentName = yield* Fixtures.freshAgent
      const given: Fixtures.Given = { exclusive: false, meta: { agentName } }
      const old = yield* Effect.forEach(Array.from({ length: 6 }), () => Fixtures.started(given))
      const ids = old.map(({ runId }) => runId).toReversed()
      const first = yield* runs.list({ agentName }, { limit: 2 })
      yield* Fixtures.settled(given)
      yield* Fixtures.started(given)
      for (const oldest of old.slice(0, 1)) yield* store.settle(oldest.lease, yield* Fixtures.recordOf(oldest))
      // The last run of the first page: a cursor may name it.
      for (const last of old.slice(4, 5)) yield* store.delete(last.lease)
      const second = yield* runs.list({ agentName }, { limit: 2, cursor: first.next })
      const third = yield* runs.list({ agentName }, { limit: 2, cursor: second.next })

      assert.deepStrictEqual(
        [first, second, third].map(({ items }) => Fixtures.idsOf(items)),
        [ids.slice(0, 2), ids.slice(2, 4), ids.slice(4)]
      )
      assert.isFalse("next" in third)
    })
  ),
  ...["", "garbage", "!", "-1", "zzzz", "%00", "[]", "null", "0000000000000000"].map((cursor) =>
    check(
      `treats the unreadable cursor '${cursor}' as the start`,
      Effect.gen(function*() {
        const runs = yield* RunStore
        const { meta, runId } = yield* Fixtures.settled()

        assert.deepStrictEqual(yield* listed(runs.list({ agentName: meta.agentName }, { cursor })), [runId])
      })
    )
  )
]
