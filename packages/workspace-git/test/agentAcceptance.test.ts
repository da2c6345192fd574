import { assert, describe, it } from "@effect/vitest"
import { Agent, type AgentContext, RunStore, type Transcript } from "@everbeat/core"
import { Effect, Schema } from "effect"
import { TestClock } from "effect/testing"
import { existsSync, rmSync } from "node:fs"
import { join } from "node:path"
import { Fate } from "./agentFate.ts"
import { coder, edit, gate, scene, stored, user } from "./agentSupport.ts"
import { git, refsIn, repository, treeOf, write } from "./support.ts"

class Broken extends Schema.TaggedError<Broken>()("Broken", {}) {}

/** Changes a file, tells so, and goes on for ever. */
const endless = (working: () => void) =>
  coder((context, cwd) =>
    Effect.gen(function*() {
      yield* edit(context, "call", () => write(cwd, "new.txt", "x"))
      working()
      return yield* Effect.never
    })
  )

describe("an agent that runs out of time", () => {
  it.effect("45, 46, 47, 48, 49: is continued with its uncommitted files and what it knew, and finishes", () =>
    Effect.gen(function*() {
      const { passing, root, start } = yield* scene
      const main = git(root, "rev-parse", "main")
      const done: Array<string> = []
      const seen: Array<AgentContext.Resumption<Transcript.Message> | undefined> = []
      const kept: Array<ReadonlyArray<string>> = []
      const files: Array<unknown> = []
      const agent = coder((context, cwd) =>
        Effect.gen(function*() {
          const { checkpoint, resume } = context
          seen.push(resume)
          kept.push(refsIn(root))
          files.push(treeOf(cwd))
          for (let step = (resume?.iteration ?? 0) + 1; step <= 4; step++) {
            yield* edit(context, `call-${step}`, () => {
              done.push(`step ${step}`)
              write(cwd, `made/${step}.txt`, `step ${step}\n`)
              if (step === 1) write(cwd, "src/file1.txt", "one 1\nTWO\nthree\n")
              if (step === 2) rmSync(join(cwd, "src/file2.txt"))
            })
            yield* checkpoint.note(`step ${step}: decided on plan ${step}`)
            yield* checkpoint.save({ messages: [user("Do it")], iteration: step })
            if (step === 2 && resume === undefined) {
              files.push(treeOf(cwd))
              return yield* Effect.never
            }
          }
        })
      )
      const process = yield* start()
      const { record, runId } = yield* process.run(Agent.start(agent, { prompt: "Write four files", cwd: root }))
      const run = yield* passing(record)
      assert.deepInclude(run, { status: "ok", summary: "4 iterations in 2 attempts", warnings: [] })
      assert.deepStrictEqual(done, ["step 1", "step 2", "step 3", "step 4"], "no step twice")
      assert.include(kept[1] ?? [], `refs/heads/checkpoint/${runId}`)
      assert.deepStrictEqual(files[2], files[1], "the second attempt finds what the first one left")
      const [, resume] = seen
      assert(resume !== undefined)
      assert.deepInclude(resume, { reason: "timeout", iteration: 2 })
      assert.deepInclude(resume.workspace, { inPlace: true, cwd: root, branch: "main", base: main, complete: true })
      const { original, prompt } = resume.continuation
      assert.strictEqual(original, "Write four files")
      for (
        const told of [
          "decided on plan 1",
          "decided on plan 2",
          "A made/1.txt +1 -0",
          "M src/file1.txt +1 -1",
          "D src/file2.txt +0 -3",
          "| +TWO"
        ]
      ) assert.include(prompt, told)
      assert.isTrue(existsSync(join(root, "made/4.txt")), "uncommitted, as the agent left it")
      assert.deepStrictEqual([refsIn(root), git(root, "rev-parse", "HEAD")], [[], main])
      assert.strictEqual(git(root, "rev-list", "--count", "main"), "1")
      assert.strictEqual(git(root, "symbolic-ref", "HEAD"), "refs/heads/main")
    }).pipe(stored))

  it.effect("48, 49: and then fails leaves its files on the checkpoint branch, and the record says so", () =>
    Effect.gen(function*() {
      const { passing, root, start } = yield* scene
      const main = git(root, "rev-parse", "main")
      const agent = coder((context, cwd) =>
        Effect.gen(function*() {
          yield* edit(context, `call-${context.attempt}`, () => write(cwd, `${context.attempt}.txt`, "x"))
          return yield* context.attempt === 1 ? Effect.never : Effect.fail(new Broken())
        })
      )
      const process = yield* start()
      const { record, runId } = yield* process.run(Agent.start(agent, { cwd: root }))
      const run = yield* passing(record)
      const branch = `checkpoint/${runId}`
      assert.deepStrictEqual(run.errors.map(({ code }) => code), ["Broken"])
      assert.deepStrictEqual(run.warnings.map(({ code, message }) => [code, message]), [
        ["WorkspaceKept", `2 changed files are kept in ${branch}.`]
      ])
      assert.strictEqual(git(root, "diff", "--name-only", "main", branch), "1.txt\n2.txt")
      assert.strictEqual(git(root, "rev-parse", "main"), main)
      yield* process.workspace.sweep({ keep: [] })
      assert.notDeepEqual(refsIn(root), [], "younger than a week")
    }).pipe(stored))

  it.effect("and is cancelled while nobody runs it keeps its files for a week, then the sweep removes them", () =>
    Effect.gen(function*() {
      const { passing, root, start } = yield* scene
      const [first, second] = [yield* start(), yield* start()]
      const working = gate()
      const { runId } = yield* first.run(Agent.start(endless(working.open), { cwd: root }))
      yield* working.opened
      yield* passing(first.stop)
      const run = yield* second.run(Agent.cancel(runId))
      assert.strictEqual(run?.status, "cancelled")
      yield* second.workspace.sweep({ keep: [] })
      assert.include(refsIn(root), `refs/heads/checkpoint/${runId}`)
      yield* TestClock.adjust("8 days")
      yield* second.workspace.sweep({ keep: [] })
      assert.deepStrictEqual(refsIn(root), [])
      assert.isTrue(existsSync(join(root, "new.txt")), "the folder is the user's")
    }).pipe(stored))

  it.effect("and is discarded leaves nothing but its folder, and other runs as they were", () =>
    Effect.gen(function*() {
      const { passing, root, start } = yield* scene
      const [first, second] = [yield* start(), yield* start({ cwd: yield* repository() })]
      const [one, two] = [gate(), gate()]
      const { runId } = yield* first.run(Agent.start(endless(one.open), { cwd: root }))
      const other = yield* first.run(Agent.start(endless(two.open), { cwd: root }))
      yield* Effect.all([one.opened, two.opened])
      yield* passing(first.stop)
      assert.include(refsIn(root), `refs/heads/checkpoint/${runId}`)
      // Its own workspace is another repository: the checkpoint tells where the files are.
      yield* second.run(Agent.discard(runId))
      assert.deepStrictEqual(refsIn(root).filter((ref) => ref.includes(runId)), [])
      assert.include(refsIn(root), `refs/heads/checkpoint/${other.runId}`)
      assert.isTrue(existsSync(join(root, "new.txt")))
      const gone = yield* Effect.flip(second.run(Agent.discard(runId)))
      assert.strictEqual(gone._tag, "RunNotFound")
    }).pipe(stored))

  it.effect("50: and is resumed twice is one run, and nobody else gets it meanwhile", () =>
    Effect.gen(function*() {
      const { passing, root, start } = yield* scene
      const [first, second, third] = [yield* start(), yield* start(), yield* start()]
      const [working, finish] = [gate(), gate()]
      let attempts = 0
      const agent = coder((context, cwd) =>
        Effect.gen(function*() {
          attempts++
          if (context.resume !== undefined) return yield* finish.opened
          yield* edit(context, "call", () => write(cwd, "new.txt", "x"))
          working.open()
          return yield* Effect.never
        })
      )
      const { runId } = yield* first.run(Agent.start(agent, { cwd: root }))
      yield* working.opened
      yield* passing(first.stop)
      const one = yield* second.run(Agent.resume(agent, runId))
      const two = yield* second.run(Agent.resume(agent, runId))
      assert.deepStrictEqual([one.runId, two.runId, one.origin, two.origin], [runId, runId, "resumed", "joined"])
      const held = yield* Effect.flip(third.run(Agent.resume(agent, runId)))
      assert.strictEqual(held._tag, "LeaseHeld")
      finish.open()
      const run = yield* passing(two.record)
      assert.deepStrictEqual(run, yield* one.record)
      const settled = yield* Effect.flip(third.run(Agent.resume(agent, runId)))
      assert.deepStrictEqual([settled._tag, attempts, refsIn(root)], ["RunAlreadySettled", 2, []])
    }).pipe(stored))

  it.effect("51: as often as it may is kept for people with its files, and goes on when one of them says so", () =>
    Effect.gen(function*() {
      const { passing, root, start } = yield* scene
      const agent = coder((context, cwd) =>
        Effect.gen(function*() {
          if (context.attempt === 3) return
          yield* edit(context, `call-${context.attempt}`, () => write(cwd, `${context.attempt}.txt`, "x"))
          yield* context.checkpoint.save({ messages: [user("x")], iteration: context.attempt })
          return yield* Effect.never
        }), { maxAttempts: 2 })
      const process = yield* start()
      const { record, runId } = yield* process.run(Agent.start(agent, { cwd: root }))
      const error = yield* passing(Effect.flip(record))
      assert.deepInclude(error, { _tag: "RunExhausted", attempts: 2 })
      assert.strictEqual((yield* (yield* RunStore.RunStore).get(runId)).status, "exhausted")
      assert.strictEqual(git(root, "diff", "--name-only", "main", `checkpoint/${runId}`), "1.txt\n2.txt")
      const again = yield* process.run(Agent.resume(agent, runId))
      assert.deepInclude(yield* passing(again.record), { status: "ok" })
      assert.deepStrictEqual(refsIn(root), [])
    }).pipe(stored))

  it.effect("52: again after it was resumed makes a chain, which is pruned as a whole", () =>
    Effect.gen(function*() {
      const { passing, root, start } = yield* scene
      const found: Array<ReadonlyArray<string>> = []
      const files: Array<ReadonlyArray<string>> = []
      const agent = coder((context, cwd) =>
        Effect.gen(function*() {
          files.push(Object.keys(treeOf(cwd)).filter((path) => path.endsWith(".new")))
          found.push(refsIn(root).map((ref) => ref.split("/").at(-1) ?? ""))
          if (context.attempt === 3) return
          write(cwd, `${context.attempt}.new`, "x")
          yield* context.checkpoint.save({ messages: [user("x")], iteration: context.attempt })
          return yield* Effect.never
        })
      )
      const process = yield* start()
      const { record, runId } = yield* process.run(Agent.start(agent, { cwd: root }))
      const run = yield* passing(record)
      assert.deepInclude(run, { status: "ok", summary: "2 iterations in 3 attempts" })
      assert.deepStrictEqual(found, [[], ["000001", runId], ["000001", "000002", runId]])
      assert.deepStrictEqual(files, [[], ["1.new"], ["1.new", "2.new"]])
      assert.deepStrictEqual(refsIn(root), [])
    }).pipe(stored))

  it.effect("53: while git fails keeps its notes and its conversation, and the record says what happened", () =>
    Effect.gen(function*() {
      const { passing, root, start, world } = yield* scene
      const fate = new Fate(world)
      const seen: Array<AgentContext.Resumption<Transcript.Message> | undefined> = []
      const agent = coder((context, cwd) =>
        Effect.gen(function*() {
          seen.push(context.resume)
          if (context.attempt === 2) {
            fate.binaryFor = () => undefined
            return
          }
          yield* context.checkpoint.save({ messages: [user("Do it")], iteration: 1, notes: "half of it is done" })
          write(cwd, "new.txt", "x")
          fate.binaryFor = (command) => command === "write-tree" ? "false" : undefined
          return yield* Effect.never
        })
      )
      const process = yield* start({}, fate)
      const { record } = yield* process.run(Agent.start(agent, { cwd: root }))
      const run = yield* passing(record)
      assert.deepInclude(seen[1], { notes: "half of it is done", messages: [user("Do it")], iteration: 1 })
      assert.isTrue(existsSync(join(root, "new.txt")))
      assert.strictEqual(run.status, "warning")
      assert.deepStrictEqual(run.warnings.map(({ code }) => code), ["GitFailed"])
    }).pipe(stored))
})
