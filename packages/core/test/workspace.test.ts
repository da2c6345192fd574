import { assert, describe, it } from "@effect/vitest"
import { AgentName, RunId, Workspace, WorkspaceSnapshot } from "@everbeat/core"
import { Effect } from "effect"
import { TestClock } from "effect/testing"

const agent = AgentName.make("coder")

const taken = Effect.fnUntraced(function*(input: Partial<Workspace.SnapshotInput> & { readonly runId: RunId.RunId }) {
  const workspace = yield* Workspace.Workspace
  const result = yield* workspace.snapshot({ reason: "timeout", ...input })
  assert(result._tag === "Taken")
  return result
})

describe("Workspace.layerNone", () => {
  it.layer(Workspace.layerNone)((it) => {
    it.effect("skips every snapshot, holds nothing, and says so when a snapshot of another host comes", () =>
      Effect.gen(function*() {
        const workspace = yield* Workspace.Workspace
        const runId = RunId.make(agent)
        assert.deepStrictEqual(yield* workspace.snapshot({ runId, reason: "manual" }), { _tag: "Skipped", why: "none" })
        assert.deepStrictEqual(yield* workspace.list(), [])
        assert.deepStrictEqual(yield* workspace.prune(runId), { pruned: [] })
        assert.deepStrictEqual((yield* workspace.sweep({ keep: [runId] })).missing, [runId])

        const { snapshot } = yield* taken({ runId }).pipe(Effect.provide(Workspace.layerMemory()))
        assert.strictEqual((yield* Effect.flip(workspace.restore({ snapshot })))._tag, "SnapshotGone")
      }))
  })
})

describe("Workspace.layerMemory", () => {
  it.effect("restores in place when nothing changed, and elsewhere when something did", () =>
    Effect.gen(function*() {
      const files = yield* Workspace.MemoryFiles
      const workspace = yield* Workspace.Workspace
      yield* files.write("/a", "x", "1")
      const { snapshot } = yield* taken({ runId: RunId.make(agent), cwd: "/a" })
      assert.isTrue((yield* workspace.restore({ snapshot })).inPlace)

      yield* files.write("/a", "x", "2")
      const restored = yield* workspace.restore({ snapshot })
      assert.isFalse(restored.inPlace)
      assert.deepStrictEqual(yield* files.read(restored.path), { x: "1" })
      assert.deepStrictEqual(yield* files.read("/a"), { x: "2" })
      assert.strictEqual((yield* Effect.flip(workspace.restore({ snapshot, target: "/a" })))._tag, "TargetNotEmpty")
    }).pipe(Effect.provide(Workspace.layerMemory())))

  it.effect("writes nothing when nothing changed, and refuses a number that is taken", () =>
    Effect.gen(function*() {
      const workspace = yield* Workspace.Workspace
      const runId = RunId.make(agent)
      const { snapshot } = yield* taken({ runId })
      const again = yield* workspace.snapshot({ runId, reason: "tool", previous: snapshot })
      assert.deepStrictEqual(again, { _tag: "Unchanged", snapshot })
      assert.strictEqual((yield* workspace.list({ runId })).length, 1)
      const conflict = yield* Effect.flip(workspace.snapshot({ runId, reason: "tool", seq: snapshot.seq }))
      assert.strictEqual(conflict._tag, "RefConflict")
    }).pipe(Effect.provide(Workspace.layerMemory())))

  it.effect("carries the files in the text of the checkpoint when they are inline", () =>
    Effect.gen(function*() {
      const files = yield* Workspace.MemoryFiles
      const workspace = yield* Workspace.Workspace
      yield* files.write("/a", "naïve.md", "\u0000ünï")
      const text = WorkspaceSnapshot.encode(yield* taken({ runId: RunId.make(agent), cwd: "/a" }))
      yield* files.lose("/a", { snapshots: true })
      const kept = yield* WorkspaceSnapshot.decode(text)
      assert(kept !== undefined)
      assert.strictEqual(
        (yield* Effect.flip(workspace.restore({ snapshot: kept.snapshot })))._tag,
        "SnapshotGone"
      )
      yield* workspace.restore(kept)
      assert.deepStrictEqual(yield* files.read("/a"), { "naïve.md": "\u0000ünï" })
    }).pipe(Effect.provide(Workspace.layerMemory({ durability: "inline" }))))

  it.effect("prunes a run, and sweeps old runs that are not kept", () =>
    Effect.gen(function*() {
      const workspace = yield* Workspace.Workspace
      const [done, old, live] = [RunId.make(agent), RunId.make(agent), RunId.make(agent)]
      for (const runId of [done, old, live]) yield* taken({ runId })
      assert.strictEqual((yield* workspace.prune(done)).pruned.length, 1)
      assert.strictEqual((yield* workspace.prune(done)).pruned.length, 0)
      yield* TestClock.adjust("8 days")
      const swept = yield* workspace.sweep({ keep: [live, done] })
      assert.strictEqual(swept.pruned.length, 1)
      assert.deepStrictEqual(swept.missing, [done])
      assert.deepStrictEqual((yield* workspace.list()).map((ref) => ref.runId), [live])
    }).pipe(Effect.provide(Workspace.layerMemory())))
})

describe("the text of a snapshot", () => {
  it.effect("is read back, holds none when empty, and is refused when it is something else", () =>
    Effect.gen(function*() {
      const { snapshot } = yield* taken({ runId: RunId.make(agent) }).pipe(Effect.provide(Workspace.layerMemory()))
      assert.deepStrictEqual(yield* WorkspaceSnapshot.decode(WorkspaceSnapshot.encode({ snapshot })), { snapshot })
      assert.isUndefined(yield* WorkspaceSnapshot.decode(""))
      const newer = WorkspaceSnapshot.encode({ snapshot }).replace("\"version\":1", "\"version\":2")
      for (const text of ["{}", "nonsense", newer]) {
        assert.strictEqual((yield* Effect.flip(WorkspaceSnapshot.decode(text)))._tag, "SnapshotUnreadable")
      }
    }))
})
