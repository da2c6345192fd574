/** What an agent can do that writes anything into its repository, `.git` included, before the host takes a snapshot. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync } from "node:fs"
import { dirname, join } from "node:path"
import { commit, git, newRun, refsIn, repository, snapshotOf, sorted, workspace, write } from "./support.ts"

/** A program that leaves a mark, with the name under which it was called. */
const trap = (root: string) => {
  const log = `${root}-trap.log`
  const program = join(root, ".git", "trap.sh")
  write(root, ".git/trap.sh", `#!/bin/sh\necho "$0 $*" >> '${log}'\nexit 1\n`)
  chmodSync(program, 0o755)
  return { program, fired: () => existsSync(log) ? readFileSync(log, "utf8") : "" }
}

/** Every setting that names a program, but for filters and what a push needs. */
const programs = [
  "core.fsmonitor",
  "core.pager",
  "core.editor",
  "core.askPass",
  "core.sshCommand",
  "core.gitProxy",
  "core.alternateRefsCommand",
  "credential.helper",
  "diff.external",
  "diff.evil.command",
  "diff.evil.textconv",
  "merge.evil.driver",
  "gpg.program",
  "gpg.ssh.program",
  "sequence.editor",
  "interactive.diffFilter",
  "pager.status",
  "pager.diff",
  "uploadpack.packObjectsHook",
  "trailer.evil.command",
  "alias.status",
  "alias.rev-parse"
]

/** Everything that a workspace does with a repository. */
const exercise = Effect.fnUntraced(function*(root: string) {
  const ws = yield* workspace({ cwd: root, durability: "inline" })
  const runId = newRun()
  const first = yield* snapshotOf(ws, { cwd: root, runId })
  write(root, "new", "again")
  const second = yield* snapshotOf(ws, { cwd: root, runId, previous: first })
  yield* ws.diff(second, { cwd: root, maxPatchBytes: 10_000 })
  yield* ws.list({ cwd: root })
  yield* ws.restore({ snapshot: first, target: `${root}-restored` })
  yield* ws.prune(runId, { cwd: root })
  yield* ws.sweep({ cwd: root, keep: [] })
  return second
})

describe("security: a repository that the agent has written", () => {
  it.live("runs none of the programs that its configuration names", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      const { fired, program } = trap(root)
      write(root, ".gitattributes", "* diff=evil merge=evil\n")
      commit(root, "attributes")
      write(root, "src/file1.txt", "changed\n")
      write(root, "new", "x")
      for (const name of programs) git(root, "config", name, name.startsWith("alias.") ? `!${program}` : program)
      git(root, "config", "commit.gpgSign", "true")
      git(root, "config", "core.hooksPath", dirname(program))
      yield* exercise(root)
      assert.strictEqual(fired(), "")
    }).pipe(Effect.scoped))

  it.live("runs none of those of a submodule, nor of a configuration that is included", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      const inner = yield* repository()
      git(root, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", inner, "inner")
      commit(root, "submodule")
      const { fired, program } = trap(root)
      for (const name of programs.filter((name) => !name.startsWith("alias."))) {
        git(join(root, "inner"), "config", name, program)
        git(root, "config", "--file", join(root, ".git", "more"), name, program)
      }
      git(root, "config", "include.path", "more")
      write(root, "inner/src/file1.txt", "changed\n")
      write(root, "new", "x")
      yield* exercise(root)
      assert.strictEqual(fired(), "")
    }).pipe(Effect.scoped))

  it.live("cannot name another folder as its top", () =>
    Effect.gen(function*() {
      // The folder around is a repository of the host: there, git would find what to work on.
      const host = yield* repository()
      const root = join(host, "agents")
      git(host, "init", "-q", "-b", "main", root)
      write(root, "new", "x")
      write(host, "of-the-host.txt", "nobody's business")
      for (const worktree of ["../..", dirname(root), "/"]) {
        git(root, "config", "core.worktree", worktree)
        const ws = yield* workspace({ cwd: root })
        const error = yield* Effect.flip(ws.snapshot({ cwd: root, runId: newRun(), reason: "timeout" }))
        assert.include(["NotARepository", "RefusedRoot"], error._tag)
      }
      assert.deepStrictEqual(refsIn(host), [])
    }).pipe(Effect.scoped))

  it.live("may lie anywhere as a worktree, a submodule or with its git folder elsewhere", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      const inner = yield* repository()
      git(root, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", inner, "inner")
      git(root, "worktree", "add", "-q", `${root}-tree`, "-b", "other")
      const apart = yield* repository(`--separate-git-dir=${root}-git`)
      for (const cwd of [join(root, "inner"), `${root}-tree`, apart]) {
        write(cwd, "new", "x")
        const ws = yield* workspace({ cwd })
        assert.include(sorted(yield* snapshotOf(ws, { cwd })), "A new")
      }
    }).pipe(Effect.scoped))

  it.live("keeps links as links: nothing behind one is read, and nothing is written through one", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      const outside = join(dirname(root), "outside")
      mkdirSync(outside)
      write(outside, "secret.txt", "TOP SECRET")
      symlinkSync(join(outside, "secret.txt"), join(root, "link"))
      symlinkSync(outside, join(root, "folder"))
      const ws = yield* workspace({ cwd: root })
      const paths = ["link", "folder/secret.txt", "../outside/secret.txt", join(outside, "secret.txt")]
      for (const named of [undefined, paths]) {
        const snapshot = yield* snapshotOf(ws, { cwd: root, ...(named === undefined ? undefined : { paths: named }) })
        const files = git(root, "ls-tree", "-r", "--name-only", snapshot.commit).split("\n")
        assert.isFalse(files.some((file) => file.includes("secret")), files.join())
        assert.notInclude(git(root, "show", `${snapshot.commit}:link`), "TOP SECRET")
      }
      // A folder of the snapshot that is now a link out of the repository.
      write(root, "deep/file", "from the snapshot")
      const snapshot = yield* snapshotOf(ws, { cwd: root })
      const target = join(dirname(root), "target")
      yield* ws.restore({ snapshot, target })
      assert.strictEqual(readFileSync(join(target, "deep/file"), "utf8"), "from the snapshot")
      assert.strictEqual(readFileSync(join(outside, "secret.txt"), "utf8"), "TOP SECRET")
      assert.isFalse(existsSync(join(outside, "deep")))
    }).pipe(Effect.scoped))
})
