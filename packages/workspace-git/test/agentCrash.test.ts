import { assert, describe, it } from "@effect/vitest"
import { Agent, type AgentRun, CheckpointStore, Transcript } from "@everbeat/core"
import { MemoryStore } from "@everbeat/store-memory"
import { Deferred, Effect, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import { cpSync, existsSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { Fate, World } from "./agentFate.ts"
import { gate, newProcess, passing, today } from "./agentSupport.ts"
import { git, refsIn, repository, treeOf, write } from "./support.ts"

const Result = Schema.Struct({
  iteration: Schema.Int,
  notes: Schema.String,
  /** What the changes are made on. */
  head: Schema.String,
  branch: Schema.String,
  files: Schema.Record(Schema.String, Schema.String)
})

const steps: ReadonlyArray<readonly [phase: string, steps: ReadonlyArray<string>]> = [
  ["edit", ["one"]],
  ["finish", ["two", "three"]]
]

const logOf = (cwd: string): string => {
  const file = join(cwd, "log")
  return existsSync(file) ? readFileSync(file, "utf8") : ""
}

/** What a step does to the files is not idempotent: the log tells. */
const edit = (cwd: string, step: string): void => {
  write(cwd, `made/${step}`, `by ${step}\n`)
  if (step === "one") write(cwd, "src/file1.txt", "changed\n")
  if (step === "two") rmSync(join(cwd, "src/file2.txt"), { force: true })
  write(cwd, "log", `${logOf(cwd)}${step}\n`)
}

/** An agent that looks at its files before it does anything, as it is told to. */
const coderOf = (fate: Fate, afterOne: Effect.Effect<void> = Effect.void) =>
  Agent.make("coder", {
    message: Transcript.Message,
    transcript: Transcript.chat,
    result: Result,
    maxAttempts: 10,
    backoff: () => 0,
    workspace: { every: 1, afterMutation: 0 },
    continuation: { patchBytes: 0 },
    run: ({ attempt, checkpoint, resume, workspace }) =>
      Effect.gen(function*() {
        yield* fate.effect("begun", Effect.void)
        const cwd = workspace?.cwd ?? "?"
        const messages = [...(resume?.messages ?? [])]
        let iteration = resume?.iteration ?? 0
        let number = 0
        for (const [phase, all] of steps) {
          const first = number
          number += all.length
          const work = Effect.forEach(all, (step, index) =>
            Effect.gen(function*() {
              if (!logOf(cwd).includes(step)) {
                const id = `${step}-${attempt}`
                messages.push({ role: "assistant", content: "", calls: [{ id, name: "edit" }] })
                yield* checkpoint.save({ messages: [...messages] })
                yield* checkpoint.tool({ id, name: "edit" }, fate.effect("edit", Effect.sync(() => edit(cwd, step))))
                messages.push({ role: "tool", content: "ok", callId: id })
                if (step === "one") yield* workspace?.snapshot ?? Effect.void
              }
              iteration = Math.max(iteration, first + index + 1)
              yield* checkpoint.save({ messages: [...messages], iteration, notes: `did ${iteration}` })
              if (step === "one") yield* afterOne
            }))
          yield* checkpoint.phase(phase, work)
        }
        yield* fate.alive
        const [head = "", branch = ""] = git(cwd, "rev-parse", "HEAD", "--symbolic-full-name", "HEAD").split("\n")
        // The branch itself is checked out in the original folder.
        return {
          iteration,
          notes: `did ${iteration}`,
          head,
          branch: branch.replace(/-resume-\d$/, ""),
          files: treeOf(cwd)
        }
      })
  })

interface Outcome {
  readonly effects: ReadonlyArray<string>
  readonly run: AgentRun.AgentRun
  readonly refs: ReadonlyArray<string>
  readonly swept: ReadonlyArray<string>
  readonly user: unknown
  /** A worktree was added. */
  readonly elsewhere: boolean
  /** The files of the original folder. */
  readonly before: unknown
  readonly after: unknown
}

/** A record without what differs between any two runs. */
const recordOf = ({ attempts, errors, result, status, summary, warnings }: AgentRun.AgentRun) => ({
  attempts: attempts.length,
  errors,
  result,
  status,
  summary,
  warnings
})

/** What is the user's: HEAD, the index byte by byte, the configuration, and all refs but ours. */
const userOf = (root: string, refs: ReadonlyArray<string>) => [
  ...["HEAD", "index", "config"].map((file) => readFileSync(join(root, ".git", file), "latin1")),
  existsSync(join(root, ".git/refs/stash")),
  refs.filter((ref) => !/ refs\/(?:everbeat|heads\/checkpoint|heads\/main-resume-)/.test(ref))
]

const allRefs = (root: string): ReadonlyArray<string> =>
  git(root, "for-each-ref", "--format=%(objectname) %(refname)").split("\n")

/** A process that is stopped after the first step, and somebody who changes the folder then. */
const interrupted = Effect.fnUntraced(function*(root: string, world: World, options: Agent.StartOptions) {
  const process = yield* newProcess({ cwd: root }, new Fate(world))
  const reached = gate()
  const rest = Effect.andThen(Effect.sync(reached.open), Effect.never)
  yield* process.run(Agent.start(coderOf(new Fate(world), rest), options))
  yield* passing(world, reached.opened)
  yield* passing(world, process.stop)
  write(root, "mine", "somebody went on\n")
  write(root, "log", "somebody else\n")
})

/** Runs the agent in a process that is killed after so many effects, and goes on with another one. */
const attempt = (
  template: string,
  last: number,
  before?: typeof interrupted
): Effect.Effect<Outcome> =>
  Effect.gen(function*() {
    yield* today
    const root = `${template}-${last}`
    cpSync(template, root, { recursive: true, preserveTimestamps: true })
    const world = new World()
    const fate = new Fate(world, (_, count) => count === last)
    const options = { key: "k", prompt: "Do it", cwd: root }
    if (before !== undefined) yield* before(root, world, options)
    const files = treeOf(root)
    const doomed = yield* newProcess({ cwd: root }, fate)
    const first = doomed.run(Effect.flatMap(Agent.start(coderOf(fate), options), ({ record }) => record))
    const ended = Deferred.makeUnsafe<void>()
    yield* Effect.forkDetach(Effect.onExit(first, () => Deferred.succeed(ended, undefined)))
    yield* passing(world, Effect.raceFirst(Deferred.await(ended), Deferred.await(fate.killed)))
    const effects = [...fate.log]
    yield* TestClock.adjust("40 seconds")
    const healthy = new Fate(world)
    const second = yield* newProcess({ cwd: root }, healthy)
    const run = yield* passing(
      world,
      second.run(Effect.flatMap(Agent.start(coderOf(healthy), options), ({ record }) => record))
    )
    const store = yield* CheckpointStore.CheckpointStore
    const open = yield* store.listInterrupted({ status: ["running", "interrupted", "exhausted"] })
    assert.deepStrictEqual(open.items, [], "nothing is left in flight")
    const elsewhere = [...fate.started, ...healthy.started].includes("worktree")
    const all = allRefs(root)
    const user = userOf(root, all)
    const refs = all.filter((ref) => / refs\/(?:everbeat|heads\/checkpoint)\//.test(ref))
    let swept: ReadonlyArray<string> = refs
    if (refs.length > 0) {
      yield* TestClock.adjust("1 hour")
      yield* second.workspace.sweep({ keep: [], ttl: 0 })
      swept = refsIn(root)
    }
    yield* second.stop
    return { effects, run, refs, swept, user, elsewhere, before: files, after: treeOf(root) }
  }).pipe(
    Effect.provide(Layer.merge(Layer.fresh(MemoryStore.layer), TestClock.layer())),
    Effect.orDie
  )

describe("a process that is killed", () => {
  it.live(
    "after any of its commands, writes and edits is continued, with the files, notes and record of an undisturbed run",
    () =>
      Effect.gen(function*() {
        const template = yield* repository()
        const undisturbed = yield* attempt(template, Infinity)
        assert.deepInclude(undisturbed.run, {
          status: "ok",
          summary: "3 iterations in 1 attempt",
          warnings: [],
          errors: []
        })
        assert.deepStrictEqual([undisturbed.refs, undisturbed.swept], [[], []])
        const { effects } = undisturbed
        for (const command of ["status", "update-index", "write-tree", "commit-tree", "update-ref", "for-each-ref"]) {
          assert.include(effects, `git ${command}`)
        }
        const { summary: _, attempts: __, ...same } = recordOf(undisturbed.run)
        const where = new Set<boolean>()
        yield* Effect.forEach(effects, (name, index) =>
          Effect.gen(function*() {
            const last = index + 1
            const { elsewhere, refs, run, swept, user } = yield* attempt(template, last)
            const at = `killed after ${last}, ${name}`
            const { attempts, summary, ...rest } = recordOf(run)
            assert.deepStrictEqual(rest, same, at)
            assert.isAtMost(attempts, 2, at)
            assert.strictEqual(summary, `3 iterations in ${attempts} attempt${attempts === 1 ? "" : "s"}`, at)
            // Only a process that died between its record and the prune leaves refs: the sweep finds them.
            if (attempts > 1) assert.deepStrictEqual(refs, [], at)
            assert.deepStrictEqual([swept, user], [[], undisturbed.user], at)
            where.add(elsewhere)
          }), { concurrency: 4, discard: true })
        assert.strictEqual(where.size, 2, "in place, and in a worktree of its own")
      }),
    120_000
  )

  it.live(
    "while it restores the files of another one, after any effect, is continued all the same, and touches nobody's files",
    () =>
      Effect.gen(function*() {
        const template = yield* repository()
        const undisturbed = yield* attempt(template, Infinity, interrupted)
        assert.isTrue(undisturbed.elsewhere)
        const { effects } = undisturbed
        const restoring = effects.slice(0, effects.indexOf("begun"))
        for (const name of ["git worktree", "git reset", "git switch", "git update-ref", "store.save"]) {
          assert.include(restoring, name)
        }
        const { attempts, summary: _, ...same } = recordOf(undisturbed.run)
        assert.strictEqual(attempts, 2)
        yield* Effect.forEach(restoring, (name, index) =>
          Effect.gen(function*() {
            const last = index + 1
            const { after, before, refs, run, swept, user } = yield* attempt(template, last, interrupted)
            const at = `killed after ${last}, ${name}`
            const { attempts, summary: _, ...rest } = recordOf(run)
            assert.deepStrictEqual(rest, same, at)
            assert.strictEqual(attempts, 3, at)
            assert.deepStrictEqual([refs, swept, user], [[], [], undisturbed.user], at)
            assert.deepStrictEqual(after, before, at)
          }), { concurrency: 4, discard: true })
      }),
    120_000
  )
})
