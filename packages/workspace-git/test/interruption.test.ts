import { assert, describe, it } from "@effect/vitest"
import type { WorkspaceSnapshot } from "@everbeat/core"
import { Effect, Fiber } from "effect"
import { execFileSync, spawn } from "node:child_process"
import { chmodSync, existsSync, readdirSync, rmSync, utimesSync } from "node:fs"
import { join } from "node:path"
import { git, newRun, refsIn, repository, snapshotOf, sorted, take, treeOf, workspace, write } from "./support.ts"

/** A git that never ends one command. It notes its process id, and ignores SIGTERM when told to. */
const stuckGit = (root: string, command: string, stubborn = false): string => {
  const path = `${root}-stuck-${command}`
  write(
    path,
    "git",
    `#!/bin/sh
for arg in "$@"; do
  if [ "$arg" = ${command} ]; then
    ${stubborn ? "trap '' TERM" : ""}
    echo $$ >> '${path}/pids'
    [ -n "$GIT_INDEX_FILE" ] && : > "$GIT_INDEX_FILE.lock"
    while :; do sleep 0.05; done
  fi
done
exec git "$@"
`
  )
  chmodSync(join(path, "git"), 0o755)
  return join(path, "git")
}

const processesOf = (binary: string): ReadonlyArray<string> =>
  execFileSync("ps", ["-eo", "args"], { encoding: "utf8" }).split("\n").filter((line) => line.includes(binary))

const sideFiles = (root: string): ReadonlyArray<string> => readdirSync(join(root, ".git/everbeat"))

/** Waits for something that another process does, with a bound. */
const until = (condition: () => boolean) =>
  Effect.gen(function*() {
    for (let tries = 0; tries < 1000 && !condition(); tries++) yield* Effect.sleep("10 millis")
    assert.isTrue(condition(), "it did not happen in time")
  })

describe("a snapshot that is cut short", () => {
  for (const stubborn of [false, true]) {
    it.live(`32, 33: leaves no lock and no process${stubborn ? ", also when git has to be killed" : ""}`, () =>
      Effect.gen(function*() {
        const root = yield* repository()
        write(root, "new", "x")
        const runId = newRun()
        const binary = stuckGit(root, "update-index", stubborn)
        const error = yield* Effect.flip(
          take(yield* workspace({ cwd: root, binary }), { cwd: root, runId, deadline: "3 seconds" })
        )
        assert.strictEqual(error._tag, "SnapshotTimeout")
        assert.deepStrictEqual(processesOf(binary), [])
        assert.deepStrictEqual(sideFiles(root), [`${runId}.index`])
        assert.deepStrictEqual(refsIn(root), [])
        const next = yield* snapshotOf(yield* workspace({ cwd: root }), { cwd: root, runId })
        assert.deepStrictEqual(sorted(next), ["A new"])
      }))
  }

  it.live("33: takes over the lock that a killed process has left, and not one that is in use", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      write(root, "new", "x")
      const runId = newRun()
      const ws = yield* workspace({ cwd: root })
      const first = yield* snapshotOf(ws, { cwd: root, runId })
      const lock = join(root, `.git/everbeat/${runId}.index.lock`)
      write(root, `.git/everbeat/${runId}.index.lock`, "")
      write(root, "new", "y")
      const error = yield* Effect.flip(take(ws, { cwd: root, runId, previous: first }))
      assert.strictEqual(error._tag, "IndexLocked")
      utimesSync(lock, 1, 1)
      const next = yield* snapshotOf(ws, { cwd: root, runId, previous: first })
      assert.strictEqual(git(root, "show", `${next.commit}:new`), "y")
      assert.isFalse(existsSync(lock))
    }))

  it.live("34: is counted on from when its process died before the record, and swept when the run is over", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      write(root, "new", "x")
      const runId = newRun()
      const recorded = yield* snapshotOf(yield* workspace({ cwd: root }), { cwd: root, runId })
      write(root, "new", "y")
      // Published, and never recorded: the process died in between.
      yield* snapshotOf(yield* workspace({ cwd: root }), { cwd: root, runId, previous: recorded })
      write(root, "new", "z")
      const resumed = yield* workspace({ cwd: root })
      const next = yield* snapshotOf(resumed, { cwd: root, runId, previous: recorded })
      assert.strictEqual(next.seq, 3)
      assert.strictEqual(git(root, "rev-parse", `checkpoint/${runId}`), next.commit)

      const neverRecorded = newRun()
      yield* snapshotOf(yield* workspace({ cwd: root }), { cwd: root, runId: neverRecorded })
      write(root, "new", "zz")
      const afresh = yield* snapshotOf(yield* workspace({ cwd: root }), { cwd: root, runId: neverRecorded })
      assert.strictEqual(afresh.seq, 2)

      // Recorded as done, and never pruned: the process died in between.
      assert.strictEqual((yield* resumed.sweep({ keep: [] })).pruned.length, 0, "younger than the TTL")
      const swept = yield* resumed.sweep({ keep: [runId], ttl: 0 })
      assert.strictEqual(swept.pruned.length, 3)
      assert.isTrue(refsIn(root).every((ref) => ref.includes(runId)))
      for (const name of sideFiles(root)) utimesSync(join(root, ".git/everbeat", name), 1, 1)
      yield* resumed.prune(runId)
      assert.deepStrictEqual((yield* resumed.sweep({ keep: [runId], ttl: 0 })).missing, [runId])
      assert.deepStrictEqual([refsIn(root), sideFiles(root)], [[], []])
      const again = yield* resumed.sweep({ keep: [], ttl: 0 })
      assert.deepStrictEqual(again, { pruned: [], healed: [], indexes: 0, missing: [] })
    }))

  it.live("34: is counted on from without a branch too, when the first ones have fallen out and none was recorded", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      const runId = newRun()
      const lost = yield* workspace({ cwd: root, branch: false })
      let previous: WorkspaceSnapshot.WorkspaceSnapshot | undefined
      for (let index = 1; index <= 4; index++) {
        write(root, "new", `${index}`)
        previous = yield* snapshotOf(lost, { cwd: root, runId, previous })
      }
      const next = yield* workspace({ cwd: root, branch: false })
      write(root, "new", "by the next attempt")
      const first = yield* snapshotOf(next, { cwd: root, runId })
      write(root, "new", "and more")
      const second = yield* snapshotOf(next, { cwd: root, runId, previous: first })
      assert.deepStrictEqual([first.seq, second.seq], [5, 6])
    }))

  it.live("34: goes on in a process that had the run before another one did", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      const runId = newRun()
      const [a, b] = [yield* workspace({ cwd: root }), yield* workspace({ cwd: root })]
      let previous: WorkspaceSnapshot.WorkspaceSnapshot | undefined
      for (const [index, ws] of [a, a, b, b, a, b, a, a].entries()) {
        write(root, "new", `${index}`)
        previous = yield* snapshotOf(ws, { cwd: root, runId, previous })
        assert.strictEqual(previous.seq, index + 1)
      }
      write(root, "new", "taken over")
      yield* snapshotOf(b, { cwd: root, runId, previous })
      write(root, "new", "a zombie goes on from what it has published itself")
      const refs = git(root, "for-each-ref")
      const error = yield* Effect.flip(take(a, { cwd: root, runId, previous }))
      assert.strictEqual(error._tag, "RefConflict")
      assert.strictEqual(git(root, "for-each-ref"), refs)
    }))

  it.live(
    "34: loses nothing that was published when the process is killed at any moment",
    () =>
      Effect.gen(function*() {
        const root = yield* repository()
        const runId = newRun()
        const program = join(import.meta.dirname, "fixtures/snapshots.ts")
        for (const patience of [0, 30, 90]) {
          const child = spawn(process.execPath, ["--conditions=@everbeat/source", program, root, runId], {
            stdio: "ignore",
            detached: true
          })
          const before = refsIn(root).join()
          yield* until(() => child.exitCode !== null || refsIn(root).join() !== before)
          yield* Effect.sleep(patience)
          // Its commands too, as when the machine goes down.
          if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, "SIGKILL")
          yield* until(() => child.exitCode !== null || child.signalCode !== null)
          assert.isNull(child.exitCode, "the program was killed, it did not fail")
          const ws = yield* workspace({ cwd: root })
          const [newest] = yield* ws.list({ runId })
          assert(newest !== undefined)
          assert.match(git(root, "show", `${newest.commit}:counter`), /^\d+ (\d+) \1$/)
          // A lock that is younger than its commands may live would be in use.
          for (const name of sideFiles(root)) utimesSync(join(root, ".git/everbeat", name), 1, 1)
          const next = yield* snapshotOf(ws, { cwd: root, runId })
          assert.isAbove(next.seq, newest.seq)
          const restored = yield* ws.restore({ snapshot: next, target: `${root}-after-${patience}` })
          assert.deepStrictEqual(treeOf(restored.path), treeOf(root))
        }
        assert.strictEqual(git(root, "fsck", "--no-dangling"), "")
      }),
    60_000
  )

  it.live("35: makes periodic ones wait, and never the final one; nothing is read from scratch", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      write(root, "new", "x")
      const runId = newRun()
      const binary = stuckGit(root, "status")
      const ws = yield* workspace({ cwd: root, binary })
      const snapshot = (reason: "interval" | "timeout") =>
        Effect.result(ws.snapshot({ cwd: root, runId, reason, deadline: "2 seconds" }))
      const tags: Array<string> = []
      for (const reason of ["interval", "interval", "timeout"] as const) {
        const result = yield* snapshot(reason)
        tags.push(result._tag === "Failure" ? result.failure._tag : JSON.stringify(result.success))
      }
      assert.deepStrictEqual(tags, [
        "SnapshotTimeout",
        "{\"_tag\":\"Skipped\",\"why\":\"back-off\"}",
        "SnapshotTimeout"
      ])
      assert.notInclude(ws.commands, "read-tree")
      assert.strictEqual(ws.commands.filter((name) => name === "status").length, 2)
    }))

  it.live("36: falls back to the paths that the agent named when there is no time to look at everything", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      write(root, "named", "1")
      const runId = newRun()
      let slow = false
      const binary = stuckGit(root, "status")
      // Only a scan of everything is slow.
      const ws = yield* workspace({ cwd: root }, {
        binaryFor: (name, args) => slow && name === "status" && !args.includes("--") ? binary : undefined
      })
      const first = yield* snapshotOf(ws, { cwd: root, runId })
      write(root, "named", "2")
      slow = true
      const final = yield* snapshotOf(ws, {
        cwd: root,
        runId,
        previous: first,
        paths: ["named"],
        deadline: "3 seconds"
      })
      assert.strictEqual(git(root, "show", `${final.commit}:named`), "2")
    }))

  it.live("skips a periodic one while another one is under way, and makes a final one wait", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      write(root, "new", "x")
      const gate = `${root}-gate`
      write(
        gate,
        "git",
        `#!/bin/sh\n: > '${gate}/reached'\nwhile [ ! -e '${gate}/open' ]; do sleep 0.02; done\nexec git "$@"\n`
      )
      chmodSync(join(gate, "git"), 0o755)
      const ws = yield* workspace({ cwd: root }, {
        binaryFor: (name) => name === "write-tree" ? join(gate, "git") : undefined
      })
      const fork = (reason: "timeout" | "shutdown") =>
        Effect.forkChild(ws.snapshot({ cwd: root, runId: newRun(), reason, deadline: "20 seconds" }))
      const first = yield* fork("timeout")
      yield* until(() => existsSync(join(gate, "reached")))
      const periodic = yield* ws.snapshot({ cwd: root, runId: newRun(), reason: "interval" })
      assert.deepStrictEqual(periodic, { _tag: "Skipped", why: "busy" })
      const final = yield* fork("shutdown")
      write(gate, "open", "")
      assert.deepStrictEqual([(yield* Fiber.join(first))._tag, (yield* Fiber.join(final))._tag], ["Taken", "Taken"])
    }))

  it.live("can be interrupted", () =>
    Effect.gen(function*() {
      const root = yield* repository()
      write(root, "new", "x")
      const binary = stuckGit(root, "write-tree")
      const ws = yield* workspace({ cwd: root, binary })
      const runId = newRun()
      const fiber = yield* Effect.forkChild(ws.snapshot({ cwd: root, runId, reason: "manual" }))
      yield* until(() => existsSync(`${binary.slice(0, -3)}pids`))
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(processesOf(binary), [])
      assert.deepStrictEqual(sideFiles(root), [`${runId}.index`])
      rmSync(binary)
      const next = yield* snapshotOf(yield* workspace({ cwd: root }), { cwd: root, runId })
      assert.deepStrictEqual(sorted(next), ["A new"])
    }))
})
