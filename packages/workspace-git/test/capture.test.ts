import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { chmodSync, mkdirSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import {
  commit,
  git,
  newRun,
  reasons,
  repository,
  snapshotOf,
  sorted,
  take,
  treeOf,
  workspace,
  write
} from "./support.ts"

const lines = (count: number, tag: string): string =>
  Array.from({ length: count }, (_, index) => `${tag} ${index}\n`).join("")

/** Takes a snapshot, loses the repository's worktree, and compares what is restored. */
const roundTrip = Effect.fnUntraced(function*(root: string) {
  const files = treeOf(root)
  const ws = yield* workspace({ cwd: root })
  const snapshot = yield* snapshotOf(ws, { cwd: root })
  const restored = yield* ws.restore({ snapshot, target: `${root}-restored` })
  assert.deepStrictEqual(treeOf(restored.path), files)
  return { snapshot, restored, ws }
})

const script = (folder: string, name: string, body: string): string => {
  write(folder, name, `#!/bin/sh\n${body}\n`)
  chmodSync(join(folder, name), 0o755)
  return join(folder, name)
}

/** git as it is in a repository of another user. */
const foreignGit = (folder: string): string =>
  script(folder, "foreign-git", "GIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec git \"$@\"")

const oldGit = (folder: string): string => script(folder, "old-git", "echo git version 2.30.9")

describe("a snapshot captures", () => {
  it.live("1: the work of a run that timed out: 693 lines in 20 files, exactly", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      for (let index = 0; index < 17; index++) write(root, `lib/m${index}.ts`, lines(100, "old"))
      commit(root)
      for (let index = 0; index < 16; index++) write(root, `lib/m${index}.ts`, lines(100, "old") + lines(31, "new"))
      for (let index = 0; index < 3; index++) write(root, `lib/n${index}.ts`, lines(index === 0 ? 57 : 20, "new"))
      unlinkSync(join(root, "lib/m16.ts"))
      const { snapshot, restored } = yield* roundTrip(root)
      const { added, created, deleted, files } = snapshot.summary
      assert.deepStrictEqual({ added, created, deleted, files }, { added: 593, created: 3, deleted: 100, files: 20 })
      assert.strictEqual(snapshot.skippedCount, 0)
      assert.isTrue(restored.complete)
      assert.strictEqual(git(restored.path, "rev-parse", "HEAD"), snapshot.base)
      assert.strictEqual(git(restored.path, "diff", "--shortstat", "HEAD").trim().split(" ")[0], "17")
    }))

  it.live("2: new, modified, deleted, renamed files, modes, links, and a file that became a folder or back", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      write(root, "was-file", "f\n")
      write(root, "was-folder/inner", "i\n")
      write(root, "script", "#!/bin/sh\n")
      symlinkSync("README.md", join(root, "link"))
      commit(root)
      write(root, "new.txt", "new\n")
      write(root, "src/file1.txt", "changed\n")
      unlinkSync(join(root, "src/file2.txt"))
      renameSync(join(root, "src/file3.txt"), join(root, "src/renamed.txt"))
      chmodSync(join(root, "script"), 0o755)
      unlinkSync(join(root, "link"))
      symlinkSync("src", join(root, "link"))
      symlinkSync("nowhere", join(root, "dangling"))
      unlinkSync(join(root, "was-file"))
      write(root, "was-file/inner", "now a folder\n")
      rmSync(join(root, "was-folder"), { recursive: true })
      write(root, "was-folder", "now a file\n")
      const { snapshot } = yield* roundTrip(root)
      assert.deepStrictEqual(sorted(snapshot), [
        "A dangling",
        "M link",
        "A new.txt",
        "M script",
        "M src/file1.txt",
        "D src/file2.txt",
        "D src/file3.txt",
        "A src/renamed.txt",
        "D was-file",
        "A was-file/inner",
        "A was-folder",
        "D was-folder/inner"
      ])
    }))

  it.live("3: odd names: line breaks, quotes, leading dashes, pathspec magic, and bytes that are no text", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      const names = [
        "a\nb",
        "tab\there",
        "quo\"te'",
        "-rf",
        ":(glob)*",
        "back\\slash",
        " lead and trail ",
        "ünï ☂",
        "*",
        "?"
      ]
      for (const name of names) write(root, name, name)
      const raw = Buffer.concat([Buffer.from(`${root}/raw-`), Buffer.from([0xff, 0xfe, 0x80])])
      writeFileSync(raw, "raw")
      const { snapshot } = yield* roundTrip(root)
      assert.strictEqual(snapshot.summary.files, names.length + 1)
      assert.include(sorted(snapshot), "A \"raw-\\377\\376\\200\"")
      assert.include(sorted(snapshot), "A a\nb")
    }))

  it.live("4: no ignored file, but one that was added by force", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      write(root, ".gitignore", "*.log\n")
      commit(root)
      write(root, "noise.log", "noise")
      write(root, "kept.log", "kept")
      git(root, "add", "-f", "kept.log")
      const ws = yield* workspace({ cwd: root })
      const snapshot = yield* snapshotOf(ws, { cwd: root })
      assert.deepStrictEqual(sorted(snapshot), ["A kept.log"])
      const restored = yield* ws.restore({ snapshot, target: `${root}-restored` })
      assert.isUndefined(treeOf(restored.path)["noise.log"])
      write(restored.path, "kept.log", "kept again")
      const next = yield* snapshotOf(ws, { cwd: restored.path, runId: snapshot.runId, previous: snapshot })
      assert.deepStrictEqual(sorted(next), ["A kept.log"])
      assert.notStrictEqual(next.tree, snapshot.tree)
    }))

  it.live("4: ignored files that were added by force, or committed, after the first snapshot", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      write(root, ".gitignore", "*.log\n")
      commit(root)
      const ws = yield* workspace({ cwd: root })
      const runId = newRun()
      write(root, "new", "x")
      const first = yield* snapshotOf(ws, { cwd: root, runId })
      for (const name of ["forced.log", "committed.log", "noise.log"]) write(root, name, name)
      git(root, "add", "-f", "committed.log")
      git(root, "commit", "-q", "-m", "by the agent")
      git(root, "add", "-f", "forced.log")
      const second = yield* snapshotOf(ws, { cwd: root, runId, previous: first })
      assert.deepStrictEqual(sorted(second), ["A forced.log", "A new"])
      assert.include(git(root, "ls-tree", "--name-only", second.commit), "committed.log")
      write(root, "committed.log", "changed")
      const third = yield* snapshotOf(yield* workspace({ cwd: root }), { cwd: root, runId, previous: second })
      assert.deepStrictEqual(sorted(third), ["M committed.log", "A forced.log", "A new"])
      rmSync(join(root, "noise.log"))
      const restored = yield* ws.restore({ snapshot: third, target: `${root}-restored` })
      assert.deepStrictEqual(treeOf(restored.path), treeOf(root))
    }))

  it.live("5: the files, whatever is staged of them", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      write(root, "src/file1.txt", "staged\n")
      git(root, "add", "src/file1.txt")
      write(root, "src/file1.txt", "staged, and edited after\n")
      write(root, "staged-new", "new\n")
      write(root, "staged-gone", "gone\n")
      git(root, "add", "staged-new", "staged-gone")
      unlinkSync(join(root, "staged-gone"))
      git(root, "rm", "-q", "--cached", "src/file2.txt")
      const { snapshot } = yield* roundTrip(root)
      assert.deepStrictEqual(sorted(snapshot), ["M src/file1.txt", "A staged-new"])
    }))

  it.live("6: files in the middle of a merge and of a rebase, with their conflict markers", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      git(root, "switch", "-q", "-c", "other")
      write(root, "src/file1.txt", "theirs\n")
      commit(root)
      git(root, "switch", "-q", "main")
      write(root, "src/file1.txt", "ours\n")
      commit(root)
      assert.throws(() => git(root, "merge", "-q", "other"))
      const merge = yield* roundTrip(root)
      assert.strictEqual(merge.snapshot.operation, "merge")
      assert.include(git(root, "ls-files", "-u"), "src/file1.txt")
      git(root, "merge", "--abort")
      assert.throws(() => git(root, "rebase", "-q", "other"))
      const ws = yield* workspace({ cwd: root })
      const snapshot = yield* snapshotOf(ws, { cwd: root })
      assert.strictEqual(snapshot.operation, "rebase")
      assert.isNull(snapshot.branch)
    }))

  it.live("7: an edit of the same size within the same tick of the clock", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      const ws = yield* workspace({ cwd: root })
      for (let round = 0; round < 10; round++) {
        write(root, "racy", `aaaa${round}`)
        git(root, "add", "racy")
        write(root, "racy", `bbbb${round}`)
        const snapshot = yield* snapshotOf(ws, { cwd: root })
        assert.strictEqual(git(root, "show", `${snapshot.commit}:racy`), `bbbb${round}`)
      }
    }))

  it.live("8: everything but nested repositories, with and without commits", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      for (const name of ["empty", "full"]) {
        mkdirSync(join(root, name))
        git(join(root, name), "init", "-q")
        write(root, `${name}/inside`, name)
      }
      commit(join(root, "full"))
      write(root, "src/file1.txt", "changed\n")
      const ws = yield* workspace({ cwd: root })
      const snapshot = yield* snapshotOf(ws, { cwd: root })
      assert.deepStrictEqual(sorted(snapshot), ["M src/file1.txt"])
      assert.deepStrictEqual(reasons(snapshot), { "empty/": "nested-repository", "full/": "nested-repository" })
      assert.isFalse((yield* ws.restore({ snapshot, target: `${root}-r` })).complete)
    }))

  it.live("9: dirty and moved submodules as what they are: reported", () =>
    Effect.gen(function*() {
      const inner = yield* repository()
      const root = yield* repository()
      git(root, "-c", "protocol.file.allow=always", "submodule", "add", "-q", inner, "sub")
      git(root, "-c", "protocol.file.allow=always", "submodule", "add", "-q", inner, "moved")
      commit(root)
      write(root, "sub/src/file1.txt", "dirty\n")
      commit(join(root, "moved"))
      const ws = yield* workspace({ cwd: root })
      const snapshot = yield* snapshotOf(ws, { cwd: root })
      assert.deepStrictEqual(reasons(snapshot), { sub: "submodule-dirty", moved: "submodule-dirty" })
      assert.strictEqual(
        git(root, "rev-parse", `${snapshot.commit}:moved`),
        git(join(root, "moved"), "rev-parse", "HEAD")
      )
      const restored = yield* ws.restore({ snapshot, target: `${root}-r` })
      assert.deepStrictEqual([...restored.submodules].sort(), ["moved", "sub"])
    }))

  it.live("10: what the caps allow, and no secrets; all else is named", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      write(root, "tracked.pem", "public in HEAD\n")
      git(root, "add", "-f", "tracked.pem")
      commit(root)
      const ws = yield* workspace({
        cwd: root,
        limits: { maxNewFileBytes: 100, maxFileBytes: 1000, maxNewFilesPerFolder: 5, maxNewFiles: 6 },
        secrets: { patterns: [/^private\//], allow: [/fixtures\/.*\.pem$/] }
      })
      const runId = newRun()
      write(root, "grows", "x".repeat(90))
      write(root, "big", "x".repeat(101))
      write(root, "README.md", "x".repeat(1001))
      write(root, "tracked.pem", "changed\n")
      for (
        const secret of [
          ".env",
          "prod.env",
          "kubeconfig",
          "deploy/.env.production",
          "keys/id_rsa",
          "server.key",
          "private/x",
          ".npmrc"
        ]
      ) {
        write(root, secret, "secret")
      }
      git(root, "add", "-f", "server.key")
      for (const fine of [".env.example", "test/fixtures/a.pem"]) write(root, fine, "fine")
      for (let index = 0; index < 6; index++) write(root, `many/${index}`, "x")
      for (let index = 0; index < 5; index++) write(root, `some/${index}`, "x")
      const first = yield* snapshotOf(ws, { cwd: root, runId })
      assert.deepStrictEqual(reasons(first), {
        ".env": "secret",
        ".npmrc": "secret",
        "README.md": "too-large",
        big: "too-large",
        "deploy/.env.production": "secret",
        "keys/id_rsa": "secret",
        kubeconfig: "secret",
        "many/": "too-many",
        "private/x": "secret",
        "prod.env": "secret",
        "server.key": "secret",
        "some/3": "too-many",
        "some/4": "too-many"
      })
      assert.strictEqual(first.skippedCount, 18)
      assert.deepStrictEqual(sorted(first), [
        "A .env.example",
        "A grows",
        "A some/0",
        "A some/1",
        "A some/2",
        "A test/fixtures/a.pem",
        "M tracked.pem"
      ])
      assert.throws(() => git(root, "cat-file", "-e", `${first.commit}:server.key`))
      write(root, "grows", "y".repeat(101))
      write(root, "src/file1.txt", "changed")
      const next = yield* snapshotOf(ws, { cwd: root, runId, previous: first })
      assert.strictEqual(reasons(next)["grows"], "too-large")
      assert.strictEqual(git(root, "show", `${next.commit}:grows`), "x".repeat(90), "the version that was small enough")
    }))

  it.live("11: the other files when one is unreadable, became a folder, or vanished meanwhile", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      for (const name of ["a", "folder", "vanishes", "z"]) write(root, name, name)
      const meanwhile = () => {
        rmSync(join(root, "vanishes"), { force: true })
        rmSync(join(root, "folder"), { recursive: true, force: true })
        write(root, "folder/inside", "x")
      }
      const ws = yield* workspace({ cwd: root }, {
        before: (name) => name === "update-index" ? meanwhile() : undefined
      })
      const snapshot = yield* snapshotOf(ws, { cwd: root })
      assert.deepStrictEqual(sorted(snapshot), ["A a", "A z"])
      assert.deepStrictEqual(reasons(snapshot), { folder: "unreadable" })
      if (process.getuid?.() === 0) return // The super-user reads everything.
      write(root, "locked", "x")
      chmodSync(join(root, "locked"), 0)
      const other = yield* snapshotOf(yield* workspace({ cwd: root }), { cwd: root })
      assert.strictEqual(reasons(other)["locked"], "unreadable")
    }))

  it.live("12: what the agent wrote in a sparse checkout, inside and outside of its patterns", () =>
    Effect.gen(function*() {
      for (const flags of [["--cone"], ["--cone", "--sparse-index"], ["--no-cone"]]) {
        const root = yield* repository()
        write(root, "out/a", "a\n")
        write(root, "out/b", "b\n")
        commit(root)
        git(root, "sparse-checkout", "set", ...flags, ...(flags[0] === "--cone" ? ["src"] : ["/src/", "/README.md"]))
        write(root, "src/new", "inside\n")
        write(root, "out/new", "outside\n")
        write(root, "out/a", "changed outside\n")
        const ws = yield* workspace({ cwd: root })
        const snapshot = yield* snapshotOf(ws, { cwd: root })
        assert.deepStrictEqual(sorted(snapshot), ["M out/a", "A out/new", "A src/new"], flags.join(" "))
        assert.strictEqual(git(root, "show", `${snapshot.commit}:out/b`), "b")
      }
    }))

  it.live("13: edits that assume-unchanged and skip-worktree hide", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      git(root, "update-index", "--assume-unchanged", "src/file1.txt")
      git(root, "update-index", "--skip-worktree", "src/file2.txt", "src/file3.txt")
      write(root, "src/file1.txt", "hidden 1\n")
      write(root, "src/file2.txt", "hidden 2\n")
      unlinkSync(join(root, "src/file3.txt"))
      const ws = yield* workspace({ cwd: root })
      const snapshot = yield* snapshotOf(ws, { cwd: root })
      assert.deepStrictEqual(sorted(snapshot), ["M src/file1.txt", "M src/file2.txt"])
      assert.include(git(root, "ls-files", "-v"), "h src/file1.txt")
    }))

  it.live("14: files under any kind of index: split, version 4, corrupt, missing", () =>
    Effect.gen(function*() {
      for (const kind of ["split", "v4", "missing", "side-corrupt", "corrupt"]) {
        const root = yield* repository()
        const ws = yield* workspace({ cwd: root })
        const runId = newRun()
        write(root, "src/file1.txt", `${kind}\n`)
        if (kind === "split") git(root, "update-index", "--split-index")
        if (kind === "v4") git(root, "update-index", "--index-version", "4")
        if (kind === "missing") unlinkSync(join(root, ".git/index"))
        if (kind === "corrupt") write(root, ".git/index", "DIRCgarbage")
        if (kind === "side-corrupt") write(root, `.git/everbeat/${runId}.index`, "garbage that is no index")
        const result = yield* Effect.result(take(ws, { cwd: root, runId }))
        if (kind === "corrupt") {
          assert(result._tag === "Failure", "a user's index that cannot be read is said")
          assert.strictEqual(result.failure._tag, "GitFailed")
        } else {
          assert(result._tag === "Success", kind)
          assert.deepStrictEqual(sorted(result.success.snapshot), ["M src/file1.txt"], kind)
        }
      }
    }))

  it.live("15: line endings, under every setting of autocrlf and safecrlf", () =>
    Effect.gen(function*() {
      for (const autocrlf of ["true", "input", "false"]) {
        for (const safecrlf of ["true", "false", "warn"]) {
          const root = yield* repository()
          git(root, "config", "core.autocrlf", autocrlf)
          git(root, "config", "core.safecrlf", safecrlf)
          write(root, "crlf", "a\r\nb\r\n")
          write(root, "lf", "a\nb\n")
          write(root, "mixed", "a\r\nb\n")
          const ws = yield* workspace({ cwd: root })
          const snapshot = yield* snapshotOf(ws, { cwd: root })
          assert.deepStrictEqual(sorted(snapshot), ["A crlf", "A lf", "A mixed"])
          const restored = yield* ws.restore({ snapshot, target: `${root}-r` })
          if (autocrlf === "false") assert.deepStrictEqual(treeOf(restored.path), treeOf(root))
        }
      }
    }))

  it.live("16: files behind a filter, or says which filter is missing", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      write(root, ".gitattributes", "*.big filter=upper\n")
      commit(root)
      git(root, "config", "filter.upper.clean", "tr a-z A-Z")
      git(root, "config", "filter.upper.smudge", "tr A-Z a-z")
      git(root, "config", "filter.upper.required", "true")
      write(root, "x.big", "content\n")
      const { snapshot } = yield* roundTrip(root)
      assert.strictEqual(git(root, "show", `${snapshot.commit}:x.big`), "CONTENT")
      git(root, "config", "filter.upper.clean", "everbeat-no-such-filter")
      write(root, "y.big", "content\n")
      const error = yield* Effect.flip(take(yield* workspace({ cwd: root }), { cwd: root }))
      assert(error._tag === "FilterMissing")
      assert.strictEqual(error.filter, "upper")
    }))

  it.live("17: files of a repository with SHA-256 ids", () =>
    Effect.gen(function*() {
      const root = yield* repository("--object-format=sha256")
      write(root, "new", "new\n")
      const { snapshot } = yield* roundTrip(root)
      assert.strictEqual(snapshot.commit.length, 64)
    }))

  it.live("18: any kind of worktree, and refuses what is none", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      const ws = yield* workspace({ cwd: root })
      git(root, "worktree", "add", "-q", "-b", "side", `${root}-linked`)
      write(`${root}-linked`, "linked", "x")
      const linked = yield* snapshotOf(ws, { cwd: `${root}-linked` })
      assert.deepStrictEqual([linked.worktree.linked, linked.branch, sorted(linked)[0]], [true, "side", "A linked"])

      write(root, "README.md", "changed above\n")
      const below = yield* snapshotOf(ws, { cwd: join(root, "src") })
      assert.deepStrictEqual([below.worktree.subfolder, sorted(below)[0]], ["src", "M README.md"])
      assert.strictEqual((yield* ws.restore({ snapshot: below })).cwd, join(root, "src"))

      git(root, "switch", "-q", "--detach")
      const detached = yield* snapshotOf(ws, { cwd: root })
      assert.isNull(detached.branch)

      const unborn = `${root}-unborn`
      mkdirSync(unborn)
      git(unborn, "init", "-q", "-b", "main")
      write(unborn, "first", "x")
      const { snapshot } = yield* roundTrip(unborn)
      assert.deepStrictEqual([snapshot.base, snapshot.branch, sorted(snapshot)], [null, "main", ["A first"]])

      const none = `${root}-none`
      mkdirSync(none)
      git(none, "init", "-q", "--bare", "bare")
      const tags = yield* Effect.forEach(
        [none, join(none, "bare"), join(none, "nowhere")],
        (cwd) => Effect.map(Effect.flip(take(ws, { cwd })), ({ _tag }) => _tag)
      )
      assert.deepStrictEqual(tags, ["NotARepository", "BareRepository", "NotARepository"])

      const home = process.env["HOME"]
      process.env["HOME"] = root
      const refused = yield* Effect.flip(take(yield* workspace(), { cwd: root }))
      process.env["HOME"] = home
      assert.strictEqual(refused._tag, "RefusedRoot")

      const foreign = yield* Effect.flip(take(yield* workspace({ binary: foreignGit(none) }), { cwd: root }))
      assert.strictEqual(foreign._tag, "NotTrusted")
      const missing = yield* Effect.flip(take(yield* workspace({ binary: join(none, "no-git") }), { cwd: root }))
      assert.strictEqual(missing._tag, "GitMissing")
      const old = yield* Effect.flip(take(yield* workspace({ binary: oldGit(none) }), { cwd: root }))
      assert.strictEqual(old._tag, "GitTooOld")
    }))
})
