import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { mkdirSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { commit, git, repository, snapshotOf, workspace, write } from "./support.ts"

/** Keeps the files, goes on in the same folder, and restores them: they cannot go in place any more. */
const restoredElsewhere = Effect.fnUntraced(function*(cwd: string) {
  write(cwd, "draft.md", "half done")
  const ws = yield* workspace({ cwd })
  const snapshot = yield* snapshotOf(ws, { cwd })
  write(cwd, "draft.md", "somebody went on")
  const restored = yield* ws.restore({ snapshot })
  assert.isFalse(restored.inPlace)
  assert.strictEqual(readFileSync(join(restored.path, "draft.md"), "utf8"), "half done")
  return { restored, ws, snapshot }
})

describe("a repository inside another one", () => {
  it.live("gets its restored worktree beside it, where the one around does not see it", () =>
    Effect.gen(function*() {
      const outer = yield* repository()
      const inner = join(outer, "vendor/inner")
      mkdirSync(inner, { recursive: true })
      git(inner, "init", "-q", "-b", "main")
      write(inner, "a", "a\n")
      commit(inner)
      const { restored, snapshot, ws } = yield* restoredElsewhere(inner)
      assert.strictEqual(dirname(restored.path), `${inner}.everbeat`)
      assert.strictEqual(git(outer, "status", "--porcelain", "-uall"), "?? vendor/inner/")
      // A second one finds the first, and a folder that somebody names is refused as ever.
      write(inner, "draft.md", "somebody went on again")
      assert.strictEqual((yield* ws.restore({ snapshot })).path, restored.path)
      const named = yield* Effect.flip(ws.restore({ snapshot, target: join(outer, "named") }))
      assert.strictEqual(named._tag, "TargetNotEmpty")
    }))

  it.live("gets its restored worktree beside it also as a submodule, and never inside a git folder", () =>
    Effect.gen(function*() {
      const source = yield* repository()
      const outer = yield* repository()
      git(outer, "-c", "protocol.file.allow=always", "submodule", "add", "-q", source, "vendor/sub")
      commit(outer)
      const sub = join(outer, "vendor/sub")
      const { restored } = yield* restoredElsewhere(sub)
      assert.strictEqual(dirname(restored.path), `${sub}.everbeat`)
      assert.strictEqual(git(outer, "status", "--porcelain", "-uall", "--ignore-submodules"), "")
      // Its git folder is no place for a worktree, wherever the path to it leads.
      const ws = yield* workspace({ cwd: sub, worktrees: join(outer, ".git/modules/vendor/here") })
      const snapshot = yield* snapshotOf(ws, { cwd: sub })
      write(sub, "draft.md", "and on")
      assert.strictEqual((yield* Effect.flip(ws.restore({ snapshot })))._tag, "TargetNotEmpty")
    }))
})

describe("a restored worktree", () => {
  it.live("has its files and no branch where git cannot make one of that name", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      git(root, "update-ref", "refs/heads/HEAD", "HEAD")
      git(root, "symbolic-ref", "HEAD", "refs/heads/HEAD")
      const { restored } = yield* restoredElsewhere(root)
      assert.isNull(restored.branch)
    }))
})
