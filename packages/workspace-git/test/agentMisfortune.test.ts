import { assert, describe, it } from "@effect/vitest"
import { Agent, type AgentContext, Recovery, RunStore, type Transcript } from "@everbeat/core"
import { Deferred, Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { execFileSync, spawnSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync } from "node:fs"
import { join } from "node:path"
import { Fate } from "./agentFate.ts"
import { coder, edit, gate, newProcess, scene, stored, user } from "./agentSupport.ts"
import { commit, git, refsIn, treeOf, write } from "./support.ts"

type Resumption = AgentContext.Resumption<Transcript.Message>

/** A program that is started instead of git. */
const instead = (root: string, name: string, script: string): string => {
  const path = `${root}-${name}`
  write(path, "git", `#!/bin/sh\n${script}\n`)
  chmodSync(join(path, "git"), 0o755)
  return join(path, "git")
}

const sideFiles = (root: string): ReadonlyArray<string> => readdirSync(join(root, ".git/everbeat"))

/** Runs an agent whose files cannot be kept when its time is up, and which goes on when they can be. */
const unlucky = Effect.fnUntraced(function*(
  root: string,
  passing: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>,
  process: Effect.Success<ReturnType<typeof newProcess>>,
  disturb: (runId: string) => void,
  mend: () => void
) {
  const seen: Array<Resumption | undefined> = []
  const files: Array<unknown> = []
  const agent = coder((context, cwd) =>
    Effect.gen(function*() {
      seen.push(context.resume)
      files.push(treeOf(cwd))
      if (context.attempt === 2) {
        mend()
        write(cwd, "second.txt", "x")
        if (context.workspace !== undefined) yield* Effect.orDie(context.workspace.snapshot)
        return
      }
      yield* context.checkpoint.save({ messages: [user("Do it")], iteration: 7, notes: "half of it is done" })
      write(cwd, "first.txt", "x")
      disturb(context.runId)
      files.push(treeOf(cwd))
      return yield* Effect.never
    })
  )
  const { record } = yield* process.run(Agent.start(agent, { cwd: root }))
  const run = yield* passing(record)
  assert.deepInclude(seen[1], { notes: "half of it is done", messages: [user("Do it")], iteration: 7 })
  assert.deepStrictEqual(files[2], files[1], "nobody touched the files")
  assert.strictEqual(run.status, "warning")
  assert.deepStrictEqual(refsIn(root), [])
  return run.warnings.map(({ code }) => code)
})

describe("when git is", () => {
  const broken: ReadonlyArray<readonly [what: string, code: string, binary: (root: string) => string]> = [
    ["missing", "GitMissing", (root) => `${root}-no-git`],
    ["too old", "GitTooOld", (root) => instead(root, "old", "echo git version 2.25.1")],
    ["failing", "GitFailed", (root) => instead(root, "failing", "echo it broke >&2\nexit 3")]
  ]
  for (const [what, code, binary] of broken) {
    it.effect(`${what} as the time is up, what the agent knew is kept and the record says why its files were not`, () =>
      Effect.gen(function*() {
        const { passing, root, start, world } = yield* scene
        const fate = new Fate(world)
        const process = yield* start({}, fate)
        const path = binary(root)
        const codes = yield* unlucky(
          root,
          passing,
          process,
          () => {
            fate.binaryFor = () => path
          },
          () => {
            fate.binaryFor = () => undefined
          }
        )
        assert.deepStrictEqual(codes, [code])
      }).pipe(stored))
  }
})

/** A small file system of its own, where whoever runs the tests may mount one. */
const smallDisk = (path: string): boolean => {
  mkdirSync(path)
  return spawnSync("sh", ["-c", `mount -t tmpfs -o size=1m none '${path}'`], { stdio: "ignore" }).status === 0
}

describe("when the disk is full", () => {
  it.effect("as the time is up, what the agent knew is kept, and its files are where they were", () =>
    Effect.gen(function*() {
      const { passing, root, start, world } = yield* scene
      const fate = new Fate(world)
      // A limit of the size of files does to a command what a full disk does, and needs no rights.
      const limited = instead(root, "limited", "ulimit -f 8\nexec git \"$@\"")
      const codes = yield* unlucky(
        root,
        passing,
        yield* start({}, fate),
        () => {
          write(root, "large", randomBytes(100_000))
          fate.binaryFor = () => limited
        },
        () => {
          fate.binaryFor = () => undefined
          rmSync(join(root, "large"))
        }
      )
      assert.deepStrictEqual(codes, ["GitFailed"])
    }).pipe(stored))

  it.effect("for everybody, what the agent knew is kept", (test) =>
    Effect.gen(function*() {
      const { passing, root, world } = yield* scene
      const disk = `${root}-disk`
      if (!smallDisk(disk)) return test.skip("no file system can be mounted here")
      yield* Effect.addFinalizer(() => Effect.sync(() => execFileSync("sh", ["-c", `umount -l '${disk}'`])))
      const small = join(disk, "repo")
      git(root, "clone", "-q", root, small)
      write(small, ".gitignore", "filler\n")
      commit(small)
      const codes = yield* unlucky(
        small,
        passing,
        yield* newProcess({ cwd: small }, new Fate(world)),
        () => {
          try {
            for (;;) execFileSync("sh", ["-c", "head -c 65536 /dev/zero >> filler"], { cwd: small, stdio: "ignore" })
          } catch {
            // No byte is left.
          }
        },
        () => rmSync(join(small, "filler"))
      )
      assert.deepStrictEqual(codes, ["GitFailed"])
    }).pipe(stored))
})

describe("when an index is locked by another process", () => {
  it.effect("the user's own one is none of the agent's business", () =>
    Effect.gen(function*() {
      const { passing, root, start } = yield* scene
      write(root, ".git/index.lock", "")
      const seen: Array<unknown> = []
      const agent = coder((context, cwd) =>
        Effect.gen(function*() {
          seen.push(context.resume?.workspace?.inPlace)
          yield* edit(context, `call-${context.attempt}`, () => write(cwd, `${context.attempt}.txt`, "x"))
          if (context.attempt === 1) return yield* Effect.never
        })
      )
      const process = yield* start()
      const { record } = yield* process.run(Agent.start(agent, { cwd: root }))
      assert.deepInclude(yield* passing(record), { status: "ok", warnings: [] })
      assert.deepStrictEqual([seen, refsIn(root)], [[undefined, true], []])
      assert.isTrue(existsSync(join(root, ".git/index.lock")))
    }).pipe(stored))

  it.effect("the private one costs a snapshot, and a word in the record", () =>
    Effect.gen(function*() {
      const { passing, root, start } = yield* scene
      let lock = ""
      const codes = yield* unlucky(
        root,
        passing,
        yield* start(),
        (runId) => {
          const index = `.git/everbeat/${runId}.index`
          write(root, index, readFileSync(join(root, ".git/index")))
          lock = join(root, `${index}.lock`)
          write(root, `${index}.lock`, "")
          utimesSync(lock, Date.now() / 1000 + 3600, Date.now() / 1000 + 3600) // taken just now, whenever it is looked at
        },
        () => rmSync(lock)
      )
      assert.deepStrictEqual(codes, ["IndexLocked"])
    }).pipe(stored))
})

describe("a process that is killed", () => {
  /** Starts the agent in a process with this fate, and has another one recover the run. */
  const recovered = Effect.fnUntraced(function*(isLast: (name: string) => boolean) {
    const { passing, root, start, world } = yield* scene
    const fate = new Fate(world, isLast)
    const files: Array<unknown> = []
    const agent = coder((context, cwd) =>
      Effect.gen(function*() {
        files.push(treeOf(cwd))
        if (context.attempt > 1) return
        write(cwd, "new.txt", "x")
        if (context.workspace !== undefined) yield* Effect.orDie(context.workspace.snapshot)
        yield* fate.alive
      })
    )
    const doomed = yield* start({}, fate)
    const { runId } = yield* doomed.run(Agent.start(agent, { cwd: root }))
    yield* passing(Deferred.await(fate.killed))
    const left = refsIn(root)
    const process = yield* start()
    yield* process.run(Layer.build(Recovery.layer({ agents: [agent] })))
    yield* passing(Effect.sleep("60 seconds"))
    const runs = yield* RunStore.RunStore
    return { run: yield* runs.get(runId), files, left, process, root }
  })

  it.effect("between a snapshot and its record leaves refs that the next attempt counts on from and prunes", () =>
    Effect.gen(function*() {
      const { files, left, root, run } = yield* recovered((name) => name === "git update-ref")
      assert.lengthOf(left, 2, "published")
      assert.deepInclude(run, { status: "ok", summary: "0 iterations in 2 attempts", warnings: [] })
      assert.lengthOf(files, 2)
      assert.deepStrictEqual([refsIn(root), sideFiles(root)], [[], []])
    }).pipe(stored))

  it.effect("between the record and the prune leaves refs that the sweep finds, and nobody runs the agent again", () =>
    Effect.gen(function*() {
      const { files, left, process, root, run } = yield* recovered((name) => name === "store.settle")
      assert.lengthOf(left, 2)
      assert.deepInclude(run, { status: "ok", summary: "0 iterations in 1 attempt", warnings: [] })
      assert.lengthOf(files, 1)
      yield* process.workspace.sweep({ keep: [] })
      assert.deepStrictEqual(refsIn(root), left, "younger than a week")
      yield* TestClock.adjust("2 hours")
      yield* process.workspace.sweep({ keep: [], ttl: "1 hour" })
      assert.deepStrictEqual([refsIn(root), sideFiles(root)], [[], []])
    }).pipe(stored))
})

describe("a process that is asked to stop", () => {
  it.effect("in the middle of a snapshot takes the final one, and leaves no lock and no command behind", () =>
    Effect.gen(function*() {
      const { passing, root, start, world } = yield* scene
      const stuck = instead(root, "stuck", "exec sleep 1000.17")
      const [fate, reached] = [new Fate(world), gate()]
      let first = true
      fate.binaryFor = (command) => {
        if (command !== "write-tree" || !first) return undefined
        first = false
        reached.open()
        return stuck
      }
      const seen: Array<Resumption | undefined> = []
      const agent = coder((context, cwd) =>
        Effect.gen(function*() {
          seen.push(context.resume)
          if (context.attempt === 2) return
          yield* edit(context, "call", () => write(cwd, "new.txt", "x"))
          yield* context.checkpoint.note("half of it is done")
          return yield* Effect.never
        })
      )
      const process = yield* start({}, fate)
      const { runId } = yield* process.run(Agent.start(agent, { cwd: root }))
      yield* reached.opened
      yield* passing(process.stop)
      assert.notInclude(execFileSync("ps", ["-eo", "args"], { encoding: "utf8" }), "sleep 1000.17")
      assert.deepStrictEqual(sideFiles(root), [`${runId}.index`])
      assert.strictEqual(git(root, "diff", "--name-only", "main", `checkpoint/${runId}`), "new.txt")
      const next = yield* start()
      const { record } = yield* next.run(Agent.resume(agent, runId))
      assert.deepInclude(yield* passing(record), { status: "ok", warnings: [] })
      assert.deepInclude(seen[1], { reason: "shutdown", notes: "half of it is done" })
      assert.deepInclude(seen[1]?.workspace, { inPlace: true })
    }).pipe(stored))
})
