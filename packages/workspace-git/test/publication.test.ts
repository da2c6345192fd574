import { assert, describe, it } from "@effect/vitest"
import type { WorkspaceSnapshot } from "@everbeat/core"
import { Effect } from "effect"
import { existsSync, readdirSync, statSync, unlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import {
  commit,
  git,
  gitCode,
  newRun,
  refsIn,
  repository,
  snapshotOf,
  sorted,
  take,
  workspace,
  write
} from "./support.ts"

const objectsIn = (root: string): number => {
  const folder = join(root, ".git/objects")
  return readdirSync(folder, { recursive: true }).filter((name) => statSync(join(folder, String(name))).isFile()).length
}

describe("publishing", () => {
  it.live("24: lets four runs of one worktree snapshot at once", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      write(root, "new", "x")
      const ws = yield* workspace({ cwd: root })
      const runs = [newRun(), newRun(), newRun(), newRun()]
      const taken = yield* Effect.forEach(runs, (runId) => snapshotOf(ws, { cwd: root, runId }), {
        concurrency: "unbounded"
      })
      assert.strictEqual(new Set(taken.map(({ tree }) => tree)).size, 1)
      assert.strictEqual((yield* ws.list()).length, 4)
    }))

  it.live("25: lets one of many win who publish the same snapshot of a run", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      write(root, "new", "x")
      const runId = newRun()
      yield* snapshotOf(yield* workspace({ cwd: root }), { cwd: root, runId, seq: 1 })
      const results = yield* Effect.forEach([1, 2, 3, 4], () =>
        Effect.gen(function*() {
          const ws = yield* workspace({ cwd: root })
          return yield* Effect.result(take(ws, { cwd: root, runId, seq: 2, deadline: "20 seconds" }))
        }), { concurrency: "unbounded" })
      const failures = results.flatMap((result) => result._tag === "Failure" ? [result.failure._tag] : [])
      // They share one private index too: who does not get its lock has lost already.
      assert.isTrue(failures.every((tag) => tag === "RefConflict" || tag === "IndexLocked"), failures.join())
      assert.isTrue(refsIn(root).filter((ref) => ref.endsWith("/000002")).length <= 1)
      const { length } = results.filter((result) => result._tag === "Success")
      assert.strictEqual(length, refsIn(root).filter((ref) => ref.endsWith("/000002")).length)
    }))

  it.live("26: changes nothing when somebody has moved the branch of the run", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      write(root, "new", "x")
      const runId = newRun()
      const ws = yield* workspace({ cwd: root })
      const first = yield* snapshotOf(ws, { cwd: root, runId })
      git(root, "update-ref", `refs/heads/checkpoint/${runId}`, "HEAD")
      const refs = git(root, "for-each-ref")
      write(root, "new", "y")
      for (const other of [ws, yield* workspace({ cwd: root })]) {
        const error = yield* Effect.flip(take(other, { cwd: root, runId, previous: first }))
        assert.strictEqual(error._tag, "RefConflict")
        assert.strictEqual(git(root, "for-each-ref"), refs)
      }
    }))

  it.live("27: keeps hidden refs alone when the user has a branch named checkpoint", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      git(root, "branch", "checkpoint")
      write(root, "new", "x")
      const ws = yield* workspace({ cwd: root })
      const runId = newRun()
      const first = yield* snapshotOf(ws, { cwd: root, runId })
      assert.deepStrictEqual(first.refs, [`refs/everbeat/checkpoints/${runId}/000001`])
      write(root, "new", "y")
      const next = yield* snapshotOf(ws, { cwd: root, runId, previous: first })
      assert.strictEqual(next.refs.length, 1)
      assert.strictEqual(git(root, "rev-parse", "checkpoint"), git(root, "rev-parse", "HEAD"))
      assert.strictEqual((yield* ws.prune(runId)).pruned.length, 2)
    }))

  it.live("28: keeps snapshots through a gc, and releases them when they are pruned", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      write(root, "new", "x")
      const ws = yield* workspace({ cwd: root })
      const runId = newRun()
      const snapshot = yield* snapshotOf(ws, { cwd: root, runId })
      git(root, "gc", "-q", "--prune=now")
      assert.strictEqual(gitCode(root, "cat-file", "-e", snapshot.commit), 0)
      const { pruned } = yield* ws.prune(runId)
      assert.deepStrictEqual(pruned.map(({ commit }) => commit), [snapshot.commit, snapshot.commit])
      assert.deepStrictEqual((yield* ws.prune(runId)).pruned, [])
      assert.deepStrictEqual(readdirSync(join(root, ".git/everbeat")), [])
      git(root, "gc", "-q", "--prune=now")
      assert.notStrictEqual(gitCode(root, "cat-file", "-e", snapshot.commit), 0)
    }))

  it.live("29: heals a ref that a power loss has left empty", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      write(root, "new", "x")
      const runId = newRun()
      const ws = yield* workspace({ cwd: root })
      const first = yield* snapshotOf(ws, { cwd: root, runId })
      const broken = [`refs/everbeat/checkpoints/${runId}/000002`, `refs/heads/checkpoint/${runId}`]
      for (const ref of broken) writeFileSync(join(root, ".git", ref), "")
      const swept = yield* ws.sweep({ keep: [runId] })
      assert.deepStrictEqual([...swept.healed].sort(), broken)
      for (const ref of broken) write(root, `.git/${ref}`, "")
      const restarted = yield* workspace({ cwd: root })
      write(root, "new", "y")
      assert.strictEqual((yield* snapshotOf(restarted, { cwd: root, runId, previous: first })).seq, 2)
      assert.strictEqual(gitCode(root, "gc", "-q"), 0)
    }))

  it.live("30: publishes nothing when a command fails, whichever it is", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      write(root, "new", "x")
      const runId = newRun()
      const first = yield* snapshotOf(yield* workspace({ cwd: root }), { cwd: root, runId })
      const refs = git(root, "for-each-ref")
      const steps = ["version", "rev-parse", "status", "update-index", "write-tree", "for-each-ref", "commit-tree"]
      for (const step of [...steps, "update-ref"]) {
        write(root, "new", `changed for ${step}`)
        const ws = yield* workspace({ cwd: root }, { binaryFor: (name) => name === step ? "false" : undefined })
        const error = yield* Effect.flip(take(ws, { cwd: root, runId, previous: first }))
        assert(
          error._tag === "GitFailed" || (step === "version" && error._tag === "GitTooOld"),
          `${step} ${error._tag}`
        )
        assert.strictEqual(git(root, "for-each-ref"), refs, step)
      }
      const ws = yield* workspace({ cwd: root })
      const next = yield* snapshotOf(ws, { cwd: root, runId, previous: first })
      assert.strictEqual(git(root, "show", `${next.commit}:new`), "changed for update-ref")
    }))

  it.live("31: writes nothing when nothing has changed: no object, no ref, one process", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      write(root, "new", "x")
      const ws = yield* workspace({ cwd: root })
      const runId = newRun()
      const first = yield* snapshotOf(ws, { cwd: root, runId })
      const before = [git(root, "for-each-ref"), objectsIn(root)]
      ws.commands.length = 0
      for (const reason of ["interval", "timeout"] as const) {
        const again = yield* ws.snapshot({ cwd: root, runId, reason, previous: first })
        assert.deepStrictEqual(again, { _tag: "Unchanged", snapshot: first })
      }
      assert.deepStrictEqual(ws.commands, ["status", "status"])
      const restarted = yield* workspace({ cwd: root })
      const again = yield* restarted.snapshot({ cwd: root, runId, reason: "timeout", previous: first })
      assert.strictEqual(again._tag, "Unchanged")
      assert.deepStrictEqual([git(root, "for-each-ref"), objectsIn(root)], before)
    }))

  it.live("spawns six processes for the first snapshot of a run, five for the next and one for no change", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      const ws = yield* workspace({ cwd: root })
      yield* ws.list()
      const runId = newRun()
      const counts: Array<number> = []
      let previous: WorkspaceSnapshot.WorkspaceSnapshot | undefined
      for (const text of ["1", "2", "2", "3"]) {
        write(root, "new", text)
        ws.commands.length = 0
        const result = yield* ws.snapshot({ cwd: root, runId, reason: "interval", previous })
        if (result._tag !== "Skipped") previous = result.snapshot
        counts.push(ws.commands.length)
        assert.notInclude(ws.commands, "read-tree")
      }
      assert.deepStrictEqual(counts, [6, 5, 1, 5])
    }))

  it.live("opens no tracked file that has not changed", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      for (let index = 0; index < 30; index++) write(root, `all/${index}`, `${index}\n`)
      write(root, ".gitattributes", "all/* filter=count\n")
      commit(root)
      git(root, "status")
      yield* Effect.sleep("1100 millis") // Past the tick of the index, within which git looks again.
      git(root, "update-index", "-q", "--really-refresh")
      const log = `${root}-opened`
      git(root, "config", "filter.count.clean", `sh -c 'echo %f >> ${log}; cat'`)
      write(root, "src/file1.txt", "changed\n")
      const ws = yield* workspace({ cwd: root })
      const runId = newRun()
      const first = yield* snapshotOf(ws, { cwd: root, runId })
      write(root, "src/file1.txt", "changed again\n")
      yield* snapshotOf(ws, { cwd: root, runId, previous: first })
      assert.isFalse(existsSync(log))
    }))

  it.live("keeps the newest three snapshots of a run, each with the base as its only parent", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      const ws = yield* workspace({ cwd: root })
      const runId = newRun()
      let previous
      for (let index = 1; index <= 5; index++) {
        write(root, "new", `${index}`)
        previous = yield* snapshotOf(ws, { cwd: root, runId, previous })
        assert.strictEqual(git(root, "log", "-1", "--format=%P", previous.commit), git(root, "rev-parse", "HEAD"))
      }
      assert.deepStrictEqual((yield* ws.list({ runId })).map(({ seq }) => seq), [5, 4, 3])
      assert.strictEqual(git(root, "rev-parse", `checkpoint/${runId}`), previous?.commit)
      const [newest] = yield* ws.list({ runId })
      assert.deepStrictEqual([newest?.runId, newest?.base, newest?.branch, newest?.reason], [
        runId,
        git(root, "rev-parse", "HEAD"),
        "main",
        "timeout"
      ])
      assert.strictEqual((yield* ws.prune(runId, { keepLast: 1 })).pruned.length, 2)
      assert.deepStrictEqual((yield* ws.list({ runId })).map(({ seq }) => seq), [5])
    }))

  it.live("looks only at the paths that the agent names, and at everything in a final snapshot", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      const ws = yield* workspace({ cwd: root })
      const runId = newRun()
      write(root, "named", "1")
      const first = yield* snapshotOf(ws, { cwd: root, runId })
      write(root, "named", "2")
      write(root, "other", "x")
      write(root, ":(top)*", "magic")
      const second = yield* snapshotOf(ws, {
        cwd: root,
        runId,
        previous: first,
        reason: "tool",
        paths: ["named", join(root, ":(top)*")]
      })
      assert.deepStrictEqual(sorted(second), ["A :(top)*", "A named"])
      unlinkSync(join(root, ":(top)*"))
      const third = yield* snapshotOf(ws, {
        cwd: root,
        runId,
        previous: second,
        reason: "tool",
        paths: [":(top)*"]
      })
      assert.deepStrictEqual(sorted(third), ["A named"])
      const fourth = yield* snapshotOf(ws, { cwd: root, runId, previous: third, reason: "timeout", paths: ["named"] })
      assert.deepStrictEqual(sorted(fourth), ["A named", "A other"])
      write(root, "elsewhere", "x")
      const placed = {
        cwd: root,
        runId,
        previous: fourth,
        reason: "tool",
        paths: ["named", "/a/link/elsewhere"]
      } as const
      assert.deepStrictEqual(sorted(yield* snapshotOf(ws, placed)), ["A elsewhere", "A named", "A other"])
    }))
})
