import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"
import { IssueSync } from "../src/IssueSync.ts"
import { LocalForge } from "../src/LocalForge.ts"
import { Mirror } from "../src/Mirror.ts"
import { Reconciler } from "../src/Reconciler.ts"
import { Tracker, TrackerControl } from "../src/Tracker.ts"

const helloWorld = "Codertocat/Hello-World"
const paginated = "octokit-fixture-org/paginate-issues"
const search = "octokit-fixture-org/search-issues"

const withDispatch = Effect.provide(
  Layer.mergeAll(IssueSync.layer, Reconciler.layer).pipe(
    Layer.provideMerge(Layer.mergeAll(LocalForge.layerForge({ retryDelay: 0 }), Mirror.layer, Tracker.layer)),
    Layer.provideMerge(LocalForge.layer)
  )
)

const pass = Effect.fnUntraced(function*(...repositories: ReadonlyArray<string>) {
  const sync = yield* IssueSync
  const synced = yield* Effect.forEach(repositories, sync.syncRepository)
  const changes = yield* (yield* Reconciler).reconcile(repositories)
  return { synced, changes: changes.map(({ kinds, number }) => `#${number} ${kinds.join(", ")}`) }
})

describe("Reconciler", () => {
  it.live("opens a ticket for every issue, by repository and number", () =>
    Effect.gen(function*() {
      const sync = yield* IssueSync
      yield* Effect.forEach([paginated, search], sync.syncRepository)
      const changes = yield* (yield* Reconciler).reconcile([search, paginated])
      assert.deepStrictEqual(changes.map(({ number, repository }) => `${repository}#${number}`), [
        `${search}#1`,
        `${search}#2`,
        ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13].map((number) => `${paginated}#${number}`)
      ])
      assert.isTrue(changes.every(({ kinds }) => kinds.join() === "opened"))
      assert.deepStrictEqual((yield* pass(paginated)).changes, [])
    }).pipe(withDispatch))

  it.live("follows the recorded webhook events", () =>
    Effect.gen(function*() {
      const local = yield* LocalForge
      const observed: Array<string> = []
      for (let count = 0; count < 14; count++) {
        const { action } = yield* local.nextEvent
        for (const change of (yield* pass(helloWorld)).changes) {
          observed.push(`${action}: ${change}`)
        }
      }
      assert.deepStrictEqual(observed, [
        "opened: #1 opened",
        "unassigned: #1 reassigned",
        "deleted: #1 closed",
        "reopened: #1 reopened, reassigned"
      ])
    }).pipe(withDispatch))

  it.live("reports closed, reopened, retitled and reassigned issues", () =>
    Effect.gen(function*() {
      const local = yield* LocalForge
      yield* pass(paginated)
      yield* local.edit(paginated, 2, { state: "closed" })
      yield* local.edit(paginated, 3, { title: "A better title", assignee: "ada" })
      assert.deepStrictEqual((yield* pass(paginated)).changes, ["#2 closed", "#3 retitled, reassigned"])
      yield* local.edit(paginated, 2, { state: "open" })
      yield* local.edit(paginated, 3, { assignee: null })
      const last = yield* pass(paginated)
      assert.deepStrictEqual(last.changes, ["#2 reopened", "#3 reassigned"])
      assert.strictEqual(last.synced[0]?.changed, 2)
    }).pipe(withDispatch))

  it.live("remembers the forge's time of a change that it does not report", () =>
    Effect.gen(function*() {
      const local = yield* LocalForge
      const tracker = yield* Tracker
      yield* pass(paginated)
      const [before] = yield* tracker.list(paginated)
      yield* local.edit(paginated, 1, {})
      assert.deepStrictEqual((yield* pass(paginated)).changes, [])
      const [after] = yield* tracker.list(paginated)
      assert.notDeepEqual(after?.forgeUpdatedAt, before?.forgeUpdatedAt)
      assert.deepStrictEqual(after?.createdAt, before?.createdAt)
    }).pipe(withDispatch))

  it.live("leaves repositories alone that did not sync", () =>
    Effect.gen(function*() {
      const local = yield* LocalForge
      yield* pass(paginated, search)
      yield* local.edit(paginated, 1, { state: "closed" })
      yield* local.edit(search, 1, { state: "closed" })
      yield* local.fail(search, 500)
      assert.strictEqual((yield* Effect.flip((yield* IssueSync).syncRepository(search)))._tag, "ForgeUnavailable")
      assert.deepStrictEqual((yield* pass(paginated)).changes, ["#1 closed"])
      assert.strictEqual((yield* (yield* Tracker).list(search))[0]?.state, "open")
    }).pipe(withDispatch))

  it.live("changes nothing if one of the repositories was never synced", () =>
    Effect.gen(function*() {
      yield* (yield* IssueSync).syncRepository(paginated)
      const error = yield* Effect.flip((yield* Reconciler).reconcile([paginated, search]))
      assert.strictEqual(error._tag, "SnapshotMissing")
      assert.deepStrictEqual(yield* (yield* Tracker).list(paginated), [])
    }).pipe(withDispatch))

  it.live("catches up after the tracker was down", () =>
    Effect.gen(function*() {
      const control = yield* TrackerControl
      yield* control.setAvailable(false)
      const error = yield* Effect.flip(pass(search))
      assert(error._tag === "TrackerUnavailable")
      assert.include(error.message, "is down")
      assert.include(error.hint, "again")
      yield* control.setAvailable(true)
      assert.deepStrictEqual((yield* pass(search)).changes, ["#1 opened", "#2 opened"])
    }).pipe(withDispatch))

  it.live("reports each change once, even if two passes overlap", () =>
    Effect.gen(function*() {
      yield* (yield* IssueSync).syncRepository(search)
      const reconciler = yield* Reconciler
      const results = yield* Effect.all([reconciler.reconcile([search]), reconciler.reconcile([search])], {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(results.map((changes) => changes.length), [2, 0])
    }).pipe(withDispatch))
})

describe("Mirror", () => {
  it.live("keeps the newer of two overlapping syncs", () =>
    Effect.gen(function*() {
      const mirror = yield* Mirror
      yield* (yield* IssueSync).syncRepository(paginated)
      const current = Option.getOrThrow(yield* mirror.get(paginated))
      yield* (yield* LocalForge).edit(paginated, 1, { state: "closed" })
      yield* (yield* IssueSync).syncRepository(paginated)
      yield* mirror.put(current)
      const kept = Option.getOrThrow(yield* mirror.get(paginated))
      assert.strictEqual(kept.issues[0]?.state, "closed")
    }).pipe(withDispatch))
})
