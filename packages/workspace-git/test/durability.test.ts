import { assert, describe, it } from "@effect/vitest"
import { WorkspaceSnapshot } from "@everbeat/core"
import { Effect } from "effect"
import { chmodSync, rmSync } from "node:fs"
import { join } from "node:path"
import {
  commit,
  git,
  gitCode,
  newRun,
  refsIn,
  repository,
  snapshotOf,
  take,
  treeOf,
  workspace,
  write
} from "./support.ts"

/** A bare repository that others clone, and one clone of it in which an agent works. */
const clones = Effect.gen(function*() {
  const seed = yield* repository()
  const remote = `${seed}-remote.git`
  git(seed, "clone", "-q", "--bare", seed, remote)
  const clone = (name: string): string => {
    git(seed, "clone", "-q", remote, `${seed}-${name}`)
    return `${seed}-${name}`
  }
  return { remote, clone, original: clone("original") }
})

const work = (root: string): Record<string, string> => {
  write(root, "src/file1.txt", "changed\n")
  write(root, "by-agent", "committed by the agent\n")
  commit(root, "by the agent")
  rmSync(join(root, "src/file2.txt"))
  write(root, "uncommitted", new Uint8Array([0, 255, 10, 13, 10]))
  return treeOf(root)
}

const noise = (bytes: number): Uint8Array => Uint8Array.from({ length: bytes }, () => Math.floor(Math.random() * 256))

describe("durability local", () => {
  it.live("keeps files in the repository, and another clone says that they are not there", () =>
    Effect.gen(function*() {
      const { clone, original } = yield* clones
      work(original)
      const taken = yield* take(yield* workspace({ cwd: original }), { cwd: original })
      assert.deepStrictEqual([taken.snapshot.durability, taken.bundle], ["local", undefined])
      rmSync(original, { recursive: true })
      const elsewhere = yield* workspace({ cwd: clone("other") })
      const error = yield* Effect.flip(elsewhere.restore({ snapshot: taken.snapshot }))
      assert(error._tag === "SnapshotGone")
      assert.include(error.message, "durability \"local\"")
    }))
})

describe("durability inline", () => {
  it.live("continues in another clone after the original was deleted, from the text of the checkpoint alone", () =>
    Effect.gen(function*() {
      const { clone, original } = yield* clones
      const ws = yield* workspace({ cwd: original, durability: "inline" })
      const runId = newRun()
      write(original, "early", "x")
      const first = yield* take(ws, { cwd: original, runId })
      const files = work(original)
      const head = git(original, "rev-parse", "HEAD")
      const taken = yield* take(ws, { cwd: original, runId, previous: first.snapshot })
      assert.strictEqual(taken.snapshot.durability, "inline")
      assert.strictEqual(taken.snapshot.bundle?.bytes, taken.bundle?.length)
      const text = WorkspaceSnapshot.encode(taken)
      rmSync(original, { recursive: true })

      const other = clone("other")
      const elsewhere = yield* workspace({ cwd: other, durability: "inline" })
      const kept = yield* WorkspaceSnapshot.decode(text)
      assert(kept !== undefined)
      const without = yield* Effect.flip(elsewhere.restore({ snapshot: kept.snapshot }))
      assert.strictEqual(without._tag, "SnapshotGone")
      const restored = yield* elsewhere.restore(kept)
      assert.deepStrictEqual(treeOf(restored.path), files)
      // The agent's own commit, which was on no remote, came along.
      assert.strictEqual(git(restored.path, "rev-parse", "HEAD"), head)
      assert.strictEqual(git(restored.path, "log", "-1", "--format=%s"), "by the agent")

      // And it goes on there: what it keeps next can be restored in a third place.
      const unchanged = yield* elsewhere.snapshot({
        cwd: restored.path,
        runId,
        reason: "interval",
        previous: kept.snapshot
      })
      assert.strictEqual(unchanged._tag, "Unchanged")
      write(restored.path, "uncommitted", "more")
      const next = yield* take(elsewhere, { cwd: restored.path, runId, previous: kept.snapshot })
      assert.strictEqual(next.snapshot.seq, 3)
      const after = treeOf(restored.path)
      const third = clone("third")
      rmSync(other, { recursive: true })
      rmSync(restored.path, { recursive: true })
      const again = yield* (yield* workspace({ cwd: third })).restore(next)
      assert.deepStrictEqual(treeOf(again.path), after)
    }))

  it.live("takes only what is not on a remote, or was made since the run began", () =>
    Effect.gen(function*() {
      const { original } = yield* clones
      write(original, "large", noise(300_000))
      const pushed = commit(original)
      git(original, "push", "-q")
      write(original, "small", "x")
      const options = { cwd: original, durability: "inline" as const }
      const first = yield* take(yield* workspace(options), { cwd: original })
      assert.isBelow(first.bundle?.length ?? Infinity, 5_000)
      assert.strictEqual(first.snapshot.base, pushed)
      git(original, "remote", "remove", "origin")
      const second = yield* take(yield* workspace(options), { cwd: original })
      assert.isBelow(second.bundle?.length ?? Infinity, 5_000)
    }))

  it.live("falls back to local when the bundle is too large, and says so with a typed error", () =>
    Effect.gen(function*() {
      const { original } = yield* clones
      write(original, "large", noise(50_000))
      const ws = yield* workspace({ cwd: original, durability: "inline", maxBundleBytes: 40_000 })
      const runId = newRun()
      const taken = yield* take(ws, { cwd: original, runId })
      assert(taken.degraded?._tag === "BundleTooLarge")
      assert.strictEqual(taken.degraded.maxBytes, 40_000)
      assert.deepStrictEqual([taken.snapshot.durability, taken.bundle], ["local", undefined])
      assert.strictEqual(taken.snapshot.degraded, taken.degraded.message)
      assert.isTrue((yield* ws.restore({ snapshot: taken.snapshot })).inPlace)
      // A final snapshot tries again, also when the files are the same.
      rmSync(join(original, "large"))
      const next = yield* take(ws, { cwd: original, runId, previous: taken.snapshot })
      assert.deepStrictEqual([next.snapshot.durability, next.degraded], ["inline", undefined])
    }))

  it.live("fits 8 MiB into the text that a checkpoint may store", () =>
    Effect.gen(function*() {
      const { original } = yield* clones
      write(original, "large", noise(8 * 1024 * 1024 - 10_000))
      const taken = yield* take(yield* workspace({ cwd: original, durability: "inline" }), { cwd: original })
      assert.strictEqual(taken.snapshot.durability, "inline")
      assert.isBelow(WorkspaceSnapshot.encode(taken).length, 16 * 1024 * 1024)
      assert.isBelow(WorkspaceSnapshot.encode({ snapshot: taken.snapshot }).length, 4096)
    }))

  it.live("refuses a damaged bundle, another one, and one that builds on commits which are not here", () =>
    Effect.gen(function*() {
      const { clone, original } = yield* clones
      const ws = yield* workspace({ cwd: original, durability: "inline" })
      work(original)
      const taken = yield* take(ws, { cwd: original })
      assert(taken.bundle !== undefined)
      const other = clone("other")
      rmSync(original, { recursive: true }) // whose objects would do, and the bundle would not be looked at
      const elsewhere = yield* workspace({ cwd: other })
      const damaged = Uint8Array.from(taken.bundle)
      damaged[damaged.length - 30] = (damaged[damaged.length - 30] ?? 0) ^ 1
      for (const bundle of [damaged, taken.bundle.subarray(1), new Uint8Array()]) {
        const error = yield* Effect.flip(elsewhere.restore({ snapshot: taken.snapshot, bundle }))
        assert(error._tag === "BundleUnusable")
        assert.deepStrictEqual(error.missing, [])
      }
      const stranger = `${original}-stranger`
      git(other, "init", "-q", "-b", "main", stranger)
      write(stranger, "unrelated", "x")
      commit(stranger)
      const error = yield* Effect.flip((yield* workspace({ cwd: stranger })).restore(taken))
      assert(error._tag === "BundleUnusable")
      assert.deepStrictEqual(error.missing, [git(other, "rev-parse", "origin/main")])
      assert.deepStrictEqual(refsIn(stranger), [])
    }))

  it.live("carries a repository before its first commit", () =>
    Effect.gen(function*() {
      const { original } = yield* clones
      const [from, to] = [`${original}-from`, `${original}-to`]
      for (const path of [from, to]) git(original, "init", "-q", "-b", "main", path)
      write(from, "a", "a\n")
      const taken = yield* take(yield* workspace({ cwd: from, durability: "inline" }), { cwd: from })
      rmSync(from, { recursive: true })
      const restored = yield* (yield* workspace({ cwd: to })).restore(taken)
      assert.strictEqual(git(restored.path, "status", "--porcelain"), "?? a")
    }))
})

describe("durability push", () => {
  it.live("continues in another clone after the original was deleted, and prunes the remote when the run succeeds", () =>
    Effect.gen(function*() {
      const { clone, original, remote } = yield* clones
      const ws = yield* workspace({ cwd: original, durability: "push" })
      const runId = newRun()
      let previous: WorkspaceSnapshot.WorkspaceSnapshot | undefined
      for (let index = 1; index <= 5; index++) {
        write(original, "counter", `${index}`)
        previous = yield* snapshotOf(ws, { cwd: original, runId, previous })
      }
      const files = work(original)
      const last = yield* snapshotOf(ws, { cwd: original, runId, previous })
      assert.strictEqual(last.durability, "push")
      assert.deepStrictEqual(
        refsIn(remote),
        [4, 5, 6].map((seq) => `refs/everbeat/checkpoints/${runId}/00000${seq}`)
      )
      assert.strictEqual(git(remote, "for-each-ref", "refs/heads", "--format=%(refname)"), "refs/heads/main")
      rmSync(original, { recursive: true })

      const elsewhere = yield* workspace({ cwd: clone("other"), durability: "push" })
      const restored = yield* elsewhere.restore({ snapshot: last })
      assert.deepStrictEqual(treeOf(restored.path), files)
      yield* elsewhere.prune(runId)
      assert.deepStrictEqual(refsIn(remote), [])
    }))

  it.live("falls back to local when the remote is away, and pushes with the next final snapshot", () =>
    Effect.gen(function*() {
      const { original, remote } = yield* clones
      write(original, "new", "x")
      const runId = newRun()
      const ws = yield* workspace({ cwd: original, durability: "push" })
      git(original, "remote", "set-url", "origin", `${remote}-away`)
      const taken = yield* take(ws, { cwd: original, runId })
      assert(taken.degraded?._tag === "RemoteFailed")
      assert.deepStrictEqual([taken.degraded.operation, taken.degraded.remote], ["push", "origin"])
      assert.strictEqual(taken.snapshot.durability, "local")
      git(original, "remote", "set-url", "origin", remote)
      const same = yield* ws.snapshot({ cwd: original, runId, reason: "interval", previous: taken.snapshot })
      assert.strictEqual(same._tag, "Unchanged")
      const next = yield* take(ws, { cwd: original, runId, previous: taken.snapshot })
      assert.strictEqual(next.snapshot.durability, "push")
      assert.strictEqual(refsIn(remote).length, 1)
    }))

  it.live("does not wait for a remote that does not answer, and asks nobody for a password", () =>
    Effect.gen(function*() {
      const { original } = yield* clones
      write(original, "new", "x")
      write(`${original}-ssh`, "ssh", "#!/bin/sh\nwhile :; do sleep 0.05; done\n")
      chmodSync(`${original}-ssh/ssh`, 0o755)
      git(original, "config", "core.sshCommand", `${original}-ssh/ssh`)
      git(original, "remote", "set-url", "origin", "ssh://nobody@localhost/x")
      const ws = yield* workspace({ cwd: original, durability: "push", remoteTimeout: "300 millis" })
      const taken = yield* take(ws, { cwd: original })
      assert(taken.degraded?._tag === "RemoteFailed")
      assert.include(taken.degraded.message, "did not answer in time")
    }))

  it.live("leaves a remote alone that is an option, and the hooks of the user", () =>
    Effect.gen(function*() {
      const { original } = yield* clones
      write(original, "new", "x")
      write(original, ".git/hooks/pre-push", "#!/bin/sh\nexit 1\n")
      chmodSync(join(original, ".git/hooks/pre-push"), 0o755)
      const ws = yield* workspace({
        cwd: original,
        durability: "push",
        remote: `--receive-pack=touch ${original}/evil;`
      })
      const taken = yield* take(ws, { cwd: original })
      assert.strictEqual(taken.degraded?._tag, "RemoteFailed")
      assert.strictEqual(gitCode(original, "cat-file", "-e", "HEAD:evil"), 128)
      assert.isUndefined(treeOf(original)["evil"])
      const fine = yield* take(yield* workspace({ cwd: original, durability: "push" }), { cwd: original })
      assert.strictEqual(fine.snapshot.durability, "push")
    }))
})
