import { assert, describe, it } from "@effect/vitest"
import type { WorkspaceSnapshot } from "@everbeat/core"
import { Effect } from "effect"
import { chmodSync, existsSync, lstatSync, mkdirSync, renameSync, rmSync, symlinkSync } from "node:fs"
import { dirname, join } from "node:path"
import { git, newRun, repository, treeOf, userState, workspace, write } from "./support.ts"

/** Mulberry32: the seed in the title of a failing test repeats it. */
const randomOf = (seed: number) => {
  let state = seed
  return (below: number): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

const names = [
  "a",
  "b",
  "dir/c",
  "dir/d",
  "dir/sub/e",
  "-dash",
  "sp ace",
  "nl\nx",
  "ünï",
  "src/file1.txt",
  "src/file2.txt"
]

const removeAt = (root: string, path: string): void => rmSync(join(root, path), { recursive: true, force: true })

/** Makes room for a file: no part of its path may be a file, and it may be no folder. */
const clear = (root: string, path: string): void => {
  const parts = path.split("/")
  for (let depth = 1; depth < parts.length; depth++) {
    const parent = join(root, ...parts.slice(0, depth))
    if (lstatSync(parent, { throwIfNoEntry: false })?.isDirectory() === false) rmSync(parent)
  }
  removeAt(root, path)
  mkdirSync(dirname(join(root, path)), { recursive: true })
}

/** One step of an agent. The same numbers do the same in every copy of the repository. */
const step = (root: string, random: (below: number) => number): void => {
  const path = names[random(names.length)] ?? "a"
  const kind = random(10)
  const other = names[random(names.length)] ?? "b"
  const size = random(5)
  const full = join(root, path)
  switch (kind) {
    case 0:
    case 1:
    case 2:
    case 3:
      clear(root, path)
      return write(root, path, `${"x".repeat(size)}${random(3)}\n`)
    case 4:
      return removeAt(root, path)
    case 5:
      clear(root, path)
      return symlinkSync(other, full)
    case 6:
      if (lstatSync(full, { throwIfNoEntry: false })?.isFile() === true) chmodSync(full, size > 2 ? 0o755 : 0o644)
      return
    case 7:
      if (!existsSync(full) || `${other}/`.startsWith(`${path}/`) || `${path}/`.startsWith(`${other}/`)) return
      clear(root, other)
      return renameSync(full, join(root, other))
    case 8:
      git(root, "add", "-A")
      return
    default:
      git(root, "commit", "-q", "--allow-empty", "-m", "by the agent")
  }
}

/** Where a process dies: before this command of a snapshot, or never. */
const crashes = [undefined, "status", "update-index", "write-tree", "commit-tree", "update-ref", "diff-tree"]

const scale = Number(process.env["EVERBEAT_TEST_SCALE"] ?? 1)

/** What a user sees of a repository, without times, and without what is ours. */
const visible = (root: string) => ({
  files: treeOf(root),
  status: git(root, "status", "--porcelain=v2", "-z"),
  index: git(root, "ls-files", "-s", "-z"),
  head: git(root, "log", "--format=%T %s"),
  branch: git(root, "branch", "--show-current"),
  stash: git(root, "stash", "list")
})

describe("random work, with crashes at random moments", () => {
  const first = 20_261_121
  for (let round = 0; round < 6 * scale; round++) {
    const seed = first + round
    it.live(
      `is restored as it was published, and a control repository looks the same (seed ${seed})`,
      () =>
        Effect.gen(function*() {
          const [root, control] = [yield* repository(), yield* repository()]
          const [random, same, choose] = [randomOf(seed), randomOf(seed), randomOf(seed ^ 0x5eed)]
          const runId = newRun()
          let recorded: WorkspaceSnapshot.WorkspaceSnapshot | undefined
          let published: WorkspaceSnapshot.WorkspaceSnapshot | undefined
          let files: Record<string, string> = {}
          let crash: string | undefined
          const start = () =>
            workspace({ cwd: root }, { binaryFor: (command) => command === crash ? "false" : undefined })
          let ws = yield* start()
          for (let turn = 0; turn < 8; turn++) {
            for (let count = 1 + choose(6); count > 0; count--) {
              step(root, random)
              step(control, same)
            }
            const before = userState(root)
            crash = crashes[choose(crashes.length)]
            const reason = choose(2) === 0 ? "interval" as const : "timeout" as const
            const result = yield* Effect.result(ws.snapshot({ cwd: root, runId, reason, previous: recorded }))
            assert.deepStrictEqual(userState(root), before)
            if (result._tag === "Success") {
              assert(result.success._tag !== "Skipped")
              published = result.success.snapshot
              files = treeOf(root)
              // Now and then the process dies before the record.
              if (choose(4) > 0) recorded = result.success.snapshot
            } else {
              // The process died: another one goes on, with what is recorded.
              ws = yield* start()
            }
          }
          crash = undefined
          assert.deepStrictEqual(visible(root), visible(control))
          if (published === undefined) return
          const restored = yield* ws.restore({ snapshot: published, target: `${root}-restored` })
          assert.deepStrictEqual(treeOf(restored.path), files)
          assert.deepStrictEqual(visible(root), visible(control))
        }),
      60_000
    )
  }
})
