import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, unlinkSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { commit, git, newRun, repository, snapshotOf, sorted, treeOf, userState, workspace, write } from "./support.ts"

/** A repository with a linked worktree on a branch of its own, in which an agent has worked. */
const linked = Effect.gen(function*() {
  const root = yield* repository()
  const tree = `${root}-agent`
  git(root, "worktree", "add", "-q", "-b", "task", tree)
  write(tree, "src/file1.txt", "changed\n")
  write(tree, "new", "new\n")
  return { root, tree }
})

describe("restoring", () => {
  it.live("37: makes a fresh worktree on the branch when the old one is gone", () =>
    Effect.gen(function*() {
      const { root, tree } = yield* linked
      const ws = yield* workspace({ cwd: root })
      const snapshot = yield* snapshotOf(ws, { cwd: tree })
      const files = treeOf(tree)
      rmSync(tree, { recursive: true })
      const before = userState(root)
      const restored = yield* ws.restore({ snapshot })
      assert.strictEqual(dirname(restored.path), join(dirname(root), `${basename(root)}.everbeat`))
      assert.deepStrictEqual(treeOf(restored.path), files)
      assert.deepStrictEqual([restored.inPlace, restored.branch, restored.base], [false, "task", snapshot.base])
      assert.strictEqual(git(restored.path, "status", "--porcelain"), " M src/file1.txt\n?? new")
      assert.strictEqual(git(restored.path, "branch", "--show-current"), "task")
      assert.deepStrictEqual(userState(root), before)
      // A second attempt that died before its first snapshot is continued where it worked, not in a third folder.
      const second = yield* ws.restore({ snapshot })
      assert.deepStrictEqual([second.path, second.inPlace], [restored.path, true])
      write(second.path, "new", "more work\n")
      const third = yield* ws.restore({ snapshot })
      assert.strictEqual(third.path, `${second.path}-2`)
      assert.deepStrictEqual(treeOf(third.path), files)
    }))

  it.live("38: uses the old worktree when it is as it was", () =>
    Effect.gen(function*() {
      const { root, tree } = yield* linked
      const ws = yield* workspace({ cwd: root })
      const snapshot = yield* snapshotOf(ws, { cwd: tree })
      const before = userState(tree)
      const restored = yield* ws.restore({ snapshot })
      assert.deepStrictEqual([restored.path, restored.inPlace, restored.branch], [tree, true, "task"])
      assert.deepStrictEqual(userState(tree), before)
      assert.strictEqual(git(root, "worktree", "list").split("\n").length, 2)
    }))

  it.live("39: never writes into the old worktree when it has changed, and keeps what it holds", () =>
    Effect.gen(function*() {
      const { root, tree } = yield* linked
      const ws = yield* workspace({ cwd: root })
      const snapshot = yield* snapshotOf(ws, { cwd: tree })
      const files = treeOf(tree)
      write(tree, "new", "the user went on\n")
      unlinkSync(join(tree, "README.md"))
      const before = userState(tree)
      const restored = yield* ws.restore({ snapshot })
      assert.notStrictEqual(restored.path, tree)
      assert.deepStrictEqual(treeOf(restored.path), files)
      assert.deepStrictEqual(userState(tree).files, before["files"])
      assert.deepStrictEqual(
        [git(tree, "rev-parse", "HEAD"), git(tree, "branch", "--show-current")],
        [snapshot.base, "task"]
      )
      const { preRestore } = restored
      assert(preRestore !== undefined)
      assert.strictEqual(git(root, "show", `${preRestore.commit}:new`), "the user went on")
      assert.strictEqual(git(root, "rev-parse", `checkpoint/${snapshot.runId}`), snapshot.commit)
    }))

  it.live("39: restores what is there now, elsewhere, for whoever asks for the newest files", () =>
    Effect.gen(function*() {
      const { root, tree } = yield* linked
      const ws = yield* workspace({ cwd: root })
      const snapshot = yield* snapshotOf(ws, { cwd: tree })
      write(tree, "new", "the agent went on, and was killed\n")
      const files = treeOf(tree)
      const before = userState(tree)
      const restored = yield* ws.restore({ snapshot, newest: true })
      assert.notStrictEqual(restored.path, tree)
      assert.deepStrictEqual(treeOf(restored.path), files)
      assert.deepStrictEqual(userState(tree).files, before["files"])
      assert.strictEqual(restored.snapshot.commit, restored.preRestore?.commit)
      assert.strictEqual(restored.base, snapshot.base)
      write(restored.path, "new", "and on\n")
      const again = yield* snapshotOf(ws, { cwd: restored.path, previous: restored.snapshot, runId: snapshot.runId })
      assert.isAbove(again.seq, snapshot.seq)
    }))

  it.live("40: makes a new branch when the old one is taken, or has moved", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      write(root, "new", "x")
      const ws = yield* workspace({ cwd: root })
      const snapshot = yield* snapshotOf(ws, { cwd: root })
      const head = git(root, "rev-parse", "HEAD")
      const first = yield* ws.restore({ snapshot, target: `${root}-1` })
      assert.strictEqual(first.branch, "main-resume-1")
      const moved = commit(root, "moved")
      const second = yield* ws.restore({ snapshot, target: `${root}-2` })
      assert.strictEqual(second.branch, "main-resume-2")
      assert.strictEqual(git(second.path, "rev-parse", "HEAD"), head)
      assert.strictEqual(git(root, "rev-parse", "main"), moved)
      const detached = yield* ws.restore({ snapshot, target: `${root}-3`, branch: "detached" })
      assert.isNull(detached.branch)
      assert.strictEqual(git(detached.path, "branch", "--show-current"), "")
    }))

  it.live("41: works when the user has rewritten the base and collected the garbage", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      write(root, "src/file2.txt", "second\n")
      const base = commit(root, "to be rewritten")
      write(root, "new", "x")
      const ws = yield* workspace({ cwd: root })
      const snapshot = yield* snapshotOf(ws, { cwd: root })
      const files = treeOf(root)
      unlinkSync(join(root, "new"))
      git(root, "reset", "-q", "--hard", "HEAD~1")
      git(root, "reflog", "expire", "--expire=now", "--all")
      git(root, "gc", "-q", "--prune=now")
      const restored = yield* ws.restore({ snapshot })
      assert.deepStrictEqual(treeOf(restored.path), files)
      assert.strictEqual(git(restored.path, "rev-parse", "HEAD"), base)
    }))

  it.live("42: leaves a folder alone that has files, or lies in a checkout", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      write(root, "new", "x")
      const ws = yield* workspace({ cwd: root })
      const snapshot = yield* snapshotOf(ws, { cwd: root })
      write(`${root}-full`, "precious", "x")
      write(dirname(root), "file", "x")
      const empty = `${root}-empty`
      mkdirSync(empty)
      for (
        const target of [`${root}-full`, join(root, "inside"), join(root, ".git/x"), join(dirname(root), "file"), root]
      ) {
        const error = yield* Effect.flip(ws.restore({ snapshot, target }))
        assert.strictEqual(error._tag, "TargetNotEmpty", target)
      }
      assert.deepStrictEqual(readdirSync(`${root}-full`), ["precious"])
      assert.strictEqual((yield* ws.restore({ snapshot, target: empty })).path, empty)
    }))

  it.live("43: puts files back that lie outside of a sparse checkout's patterns", () =>
    Effect.gen(function*() {
      for (const flags of [["--cone"], ["--cone", "--sparse-index"]]) {
        const root = yield* repository()
        write(root, "out/a", "a\n")
        write(root, "out/b", "b\n")
        write(root, "far/away", "x\n")
        commit(root)
        const tree = `${root}-sparse`
        git(root, "worktree", "add", "-q", "-b", "sparse", tree)
        git(tree, "sparse-checkout", "set", ...flags, "src")
        write(tree, "out/new", "outside\n")
        write(tree, "out/a", "changed outside\n")
        write(tree, "src/new", "inside\n")
        const files = treeOf(tree)
        const ws = yield* workspace({ cwd: tree })
        const snapshot = yield* snapshotOf(ws, { cwd: tree })
        const restored = yield* ws.restore({ snapshot, target: `${root}-restored` })
        assert.include(treeOf(restored.path), files)
        assert.strictEqual(readFileSync(join(restored.path, "out/new"), "utf8"), "outside\n")
        const next = yield* snapshotOf(yield* workspace({ cwd: root }), { cwd: restored.path, runId: newRun() })
        assert.strictEqual(next.tree, snapshot.tree)
      }
    }))

  it.live("44: keeps the commits that the agent made before it was stopped", () =>
    Effect.gen(function*() {
      const { root, tree } = yield* linked
      const ws = yield* workspace({ cwd: root })
      const runId = newRun()
      const first = yield* snapshotOf(ws, { cwd: tree, runId })
      const made = commit(tree, "by the agent")
      write(tree, "after", "uncommitted\n")
      const second = yield* snapshotOf(ws, { cwd: tree, runId, previous: first })
      assert.deepStrictEqual([second.base, second.start, sorted(second)], [made, first.base, ["A after"]])
      rmSync(tree, { recursive: true })
      const restored = yield* ws.restore({ snapshot: second })
      assert.strictEqual(git(restored.path, "rev-parse", "HEAD"), made)
      assert.strictEqual(git(restored.path, "rev-parse", "task"), made)
      assert.strictEqual(git(restored.path, "status", "--porcelain"), "?? after")
    }))

  it.live("continues before the first commit of a repository", () =>
    Effect.gen(function*() {
      const { root: other } = yield* linked
      const root = `${other}-unborn`
      mkdirSync(root)
      git(root, "init", "-q", "-b", "main")
      write(root, "a", "a\n")
      const ws = yield* workspace({ cwd: root })
      const snapshot = yield* snapshotOf(ws, { cwd: root })
      const restored = yield* ws.restore({ snapshot, target: `${root}-r` })
      assert.deepStrictEqual([restored.base, restored.branch], [null, "main-resume-1"])
      assert.strictEqual(git(restored.path, "status", "--porcelain"), "?? a")
      assert.isFalse(existsSync(join(root, ".git/refs/heads/main")))
    }))

  it.live("says when the snapshot is gone, and when what came out is not what went in", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      write(root, ".gitattributes", "*.up filter=up\n")
      commit(root)
      git(root, "config", "filter.up.clean", "cat")
      git(root, "config", "filter.up.smudge", "tr a-z A-Z")
      write(root, "x.up", "x\n")
      const ws = yield* workspace({ cwd: root })
      const snapshot = yield* snapshotOf(ws, { cwd: root })
      const inexact = yield* Effect.flip(ws.restore({ snapshot, target: `${root}-r` }))
      assert(inexact._tag === "RestoreNotExact")
      assert.deepStrictEqual([inexact.path, inexact.paths], [`${root}-r`, ["x.up"]])
      assert.isTrue(existsSync(join(`${root}-r`, "x.up")))
      yield* ws.prune(snapshot.runId)
      git(root, "worktree", "remove", "--force", `${root}-r`)
      git(root, "gc", "-q", "--prune=now")
      assert.strictEqual((yield* Effect.flip(ws.restore({ snapshot })))._tag, "SnapshotGone")
      assert.strictEqual((yield* Effect.flip(ws.diff(snapshot)))._tag, "SnapshotGone")
    }))

  it.live("tells what a snapshot changes, as a summary and as a patch of bounded size", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      write(root, "src/file1.txt", "one 1\nchanged\nthree\nfour\n")
      write(root, "binary", new Uint8Array([0, 1, 2]))
      const ws = yield* workspace({ cwd: root })
      const first = yield* ws.snapshot({ cwd: root, runId: newRun(), reason: "interval" })
      assert(first._tag === "Taken")
      assert.isNull(first.snapshot.summary.added)
      const { patch, summary } = yield* ws.diff(first.snapshot, { maxPatchBytes: 10_000 })
      assert.deepStrictEqual(summary.entries, [
        { path: "binary", status: "A", added: null, deleted: null },
        { path: "src/file1.txt", status: "M", added: 2, deleted: 1 }
      ])
      assert.include(patch?.text, "+changed\n three\n+four\n")
      const cut = yield* ws.diff(first.snapshot, { maxPatchBytes: 20 })
      assert.deepStrictEqual([cut.patch?.truncated, cut.patch?.text.length], [true, 20])
    }))
})
