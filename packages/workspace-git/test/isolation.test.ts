import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { chmodSync, existsSync, readFileSync, unlinkSync } from "node:fs"
import { join } from "node:path"
import {
  commit,
  git,
  newRun,
  refsIn,
  repository,
  snapshotOf,
  sorted,
  take,
  userState,
  workspace,
  write
} from "./support.ts"

/** Everything that a workspace can do to a repository. */
const exercise = Effect.fnUntraced(function*(root: string) {
  const ws = yield* workspace({ cwd: root })
  const runId = newRun()
  const first = yield* snapshotOf(ws, { cwd: root, runId })
  yield* ws.snapshot({ cwd: root, runId, reason: "interval", previous: first })
  yield* ws.diff(first, { cwd: root, maxPatchBytes: 1000 })
  yield* ws.list({ cwd: root })
  const restored = yield* ws.restore({ snapshot: first, target: `${root}-${runId}`, branch: "detached" })
  git(root, "worktree", "remove", "--force", restored.path)
  yield* ws.prune(runId, { cwd: root })
  yield* ws.sweep({ cwd: root, keep: [] })
  return first
})

describe("the user's repository", () => {
  it.live("19: keeps its HEAD, index, stash, configuration, branches, files and their times", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      write(root, "stashed", "x")
      git(root, "add", "stashed")
      git(root, "stash", "-q")
      write(root, "staged", "x")
      git(root, "add", "staged")
      write(root, "src/file1.txt", "changed\n")
      write(root, "untracked", "x")
      git(root, "status")
      const status = git(root, "status", "--porcelain=v2", "--branch")
      const before = userState(root)
      yield* exercise(root)
      assert.deepStrictEqual(userState(root), before)
      assert.strictEqual(git(root, "status", "--porcelain=v2", "--branch"), status)
      assert.deepStrictEqual(refsIn(root), [])
    }))

  it.live("20: may be locked by a command of the user", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      write(root, "new", "x")
      write(root, ".git/index.lock", "")
      write(root, ".git/HEAD.lock", "")
      const ws = yield* workspace({ cwd: root })
      assert.deepStrictEqual(sorted(yield* snapshotOf(ws, { cwd: root })), ["A new"])
      assert.isTrue(existsSync(join(root, ".git/index.lock")))
    }))

  it.live("21: has no hook run", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      const log = `${root}-hooks.log`
      const hooks = "applypatch-msg pre-commit commit-msg post-commit post-checkout post-merge pre-push pre-rebase "
        + "reference-transaction post-index-change pre-auto-gc post-rewrite fsmonitor-watchman prepare-commit-msg"
      for (const hook of hooks.split(" ")) {
        write(root, `.git/hooks/${hook}`, `#!/bin/sh\necho ${hook} >> '${log}'\nexit 1\n`)
        chmodSync(join(root, ".git/hooks", hook), 0o755)
      }
      git(root, "config", "core.fsmonitor", join(root, ".git/hooks/fsmonitor-watchman"))
      write(root, "new", "x")
      const ws = yield* workspace({ cwd: root })
      const runId = newRun()
      const first = yield* snapshotOf(ws, { cwd: root, runId })
      write(root, "new", "y")
      yield* snapshotOf(ws, { cwd: root, runId, previous: first })
      yield* ws.restore({ snapshot: first, target: `${root}-r` })
      yield* ws.prune(runId)
      assert.isFalse(existsSync(log), existsSync(log) ? readFileSync(log, "utf8") : "")
    }))

  it.live("22: may demand signatures that cannot be made, and an identity that is not there", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      git(root, "config", "commit.gpgSign", "true")
      git(root, "config", "tag.gpgSign", "true")
      git(root, "config", "gpg.program", "/bin/false")
      git(root, "config", "user.useConfigOnly", "true")
      write(root, "new", "x")
      const snapshot = yield* exercise(root)
      assert.deepStrictEqual(sorted(snapshot), ["A new"])
      assert.include(git(root, "log", "-1", "--format=%an %ae", snapshot.commit), "checkpoint@everbeat.invalid")
    }))

  it.live("23: is the one that is worked in, whatever the environment says", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      const other = yield* repository()
      write(root, "new", "x")
      const before = userState(other)
      const hostile: Record<string, string> = {
        GIT_DIR: join(other, ".git"),
        GIT_WORK_TREE: other,
        GIT_INDEX_FILE: join(other, ".git/index"),
        GIT_OBJECT_DIRECTORY: join(other, ".git/objects"),
        GIT_COMMON_DIR: join(other, ".git"),
        GIT_NAMESPACE: "elsewhere",
        GIT_PREFIX: "src/",
        GIT_CONFIG_COUNT: "1",
        GIT_CONFIG_KEY_0: "core.bare",
        GIT_CONFIG_VALUE_0: "true",
        GIT_CONFIG_PARAMETERS: "'core.bare=true'",
        GIT_GLOB_PATHSPECS: "1",
        GIT_ICASE_PATHSPECS: "1",
        GIT_EXTERNAL_DIFF: "/bin/false",
        GIT_TRACE: "1",
        GIT_AUTHOR_NAME: "somebody",
        LC_ALL: "de_DE.UTF-8",
        LANGUAGE: "de"
      }
      const saved = { ...process.env }
      Object.assign(process.env, hostile)
      const ws = yield* workspace({ cwd: root })
      const result = yield* Effect.result(Effect.gen(function*() {
        const snapshot = yield* snapshotOf(ws, { cwd: root })
        const diff = yield* ws.diff(snapshot, { maxPatchBytes: 1000 })
        assert.include(diff.patch?.text, "+x")
        return snapshot
      }))
      for (const name of Object.keys(hostile)) delete process.env[name]
      Object.assign(process.env, saved)
      assert(result._tag === "Success")
      assert.deepStrictEqual(sorted(result.success), ["A new"])
      assert.strictEqual(git(root, "log", "-1", "--format=%an", result.success.commit), "everbeat")
      assert.deepStrictEqual(userState(other), before)
      assert.deepStrictEqual(refsIn(other), [])
    }))

  it.live("gets no name that a run id smuggles in", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      write(root, "new", "x")
      const ws = yield* workspace({ cwd: root })
      const before = userState(root)
      const evil: ReadonlyArray<string> = ["../../heads/main", "a\nb", "x\0delete refs/heads/main\0\0", "..", "-d", ""]
      for (const runId of evil) {
        // What a caller without the type checker can send.
        yield* take(ws, { cwd: root, runId: JSON.parse(JSON.stringify(runId)) })
      }
      assert.deepStrictEqual(userState(root), before)
      for (const ref of refsIn(root)) {
        assert.match(ref, /^refs\/(?:everbeat\/checkpoints\/x[0-9a-f]{64}\/000001|heads\/checkpoint\/x[0-9a-f]{64})$/)
      }
      assert.deepStrictEqual(yield* ws.list(), [])
    }))

  it.live("keeps a tampered checkpoint from reaching other refs and options", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      write(root, "new", "x")
      const ws = yield* workspace({ cwd: root })
      const snapshot = yield* snapshotOf(ws, { cwd: root })
      const head = commit(root, "on top")
      unlinkSync(join(root, "new"))
      for (const commit of ["--upload-pack=touch x", "HEAD", "main", ""]) {
        const tampered = { ...snapshot, commit }
        assert.strictEqual((yield* Effect.flip(ws.restore({ snapshot: tampered })))._tag, "SnapshotGone")
        assert.strictEqual((yield* Effect.flip(ws.diff(tampered)))._tag, "SnapshotGone")
      }
      for (const branch of ["-f", "--orphan=x", "a..b", "@{-1}"]) {
        const restored = yield* ws.restore({ snapshot: { ...snapshot, branch } })
        assert.isNull(restored.branch, branch)
      }
      for (const subfolder of ["../..", "/etc", "src/../../x"]) {
        const tampered = { ...snapshot, worktree: { ...snapshot.worktree, subfolder } }
        const { cwd, path } = yield* ws.restore({ snapshot: tampered })
        assert.isTrue(`${cwd}/`.startsWith(`${path}/`), cwd)
      }
      assert.strictEqual(git(root, "rev-parse", "main"), head)
    }))
})
