import { assert, describe, it } from "@effect/vitest"
import {
  AgentName,
  Checkpointer,
  CheckpointStore,
  type RunId,
  RunStore,
  Workspace,
  WorkspaceSnapshot
} from "@everbeat/core"
import { MemoryStore } from "@everbeat/store-memory"
import { GitWorkspace } from "@everbeat/workspace-git"
import { Cause, Duration, Effect, Layer, type Schema } from "effect"
import { existsSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { commit, git, refsIn, repository, treeOf, write } from "./support.ts"

const agentName = AgentName.make("coder")

/** What an agent of these tests works with. */
interface Context {
  readonly cwd: string
  readonly attempt: number
  readonly notes: string
  readonly save: (notes: string) => Effect.Effect<void>
}

type Work = (context: Context) => Effect.Effect<void>

/**
 * A host in its smallest form: it runs an attempt under a timeout, keeps the
 * files and the notes when it is over, and prunes the files after success.
 */
const attempt = Effect.fnUntraced(
  function*(checkpointer: Checkpointer.Checkpointer<Schema.Json>, root: string, work: Work) {
    const workspace = yield* Workspace.Workspace
    const kept = yield* WorkspaceSnapshot.decode(checkpointer.resumed?.workspace ?? "")
    const restored = kept === undefined ? undefined : yield* workspace.restore(kept)
    const cwd = restored?.cwd ?? root
    const runId = checkpointer.runId
    const context: Context = {
      cwd,
      attempt: (checkpointer.resumed?.iteration ?? 0) + 1,
      notes: checkpointer.resumed?.notes ?? "",
      save: (notes) => Effect.orDie(checkpointer.save({ notes }))
    }
    const exit = yield* Effect.exit(Effect.timeout(work(context), "1 seconds"))
    if (exit._tag === "Success") {
      // The work is the host's now: it commits it, or leaves it in the worktree.
      yield* checkpointer.complete({ summary: "done" })
      return { cwd, pruned: yield* workspace.prune(runId, { cwd }), status: "ok" as const }
    }
    const timedOut = Cause.squash(exit.cause) instanceof Cause.TimeoutError
    const reason = timedOut ? "timeout" : "manual"
    const previous = kept?.snapshot
    const result = yield* Effect.result(workspace.snapshot({ runId, cwd, reason, previous }))
    if (result._tag === "Success" && result.success._tag === "Taken") {
      yield* checkpointer.save({ workspace: WorkspaceSnapshot.encode(result.success), iteration: context.attempt })
    } else yield* checkpointer.save({ iteration: context.attempt })
    yield* checkpointer.flush
    if (!timedOut) yield* checkpointer.fail(exit.cause)
    return { cwd, pruned: undefined, status: timedOut ? "timeout" as const : "error" as const }
  }
)

const begin = (root: string, work: Work) =>
  Effect.scoped(
    Effect.flatMap(Checkpointer.make({ meta: { agentName }, maxAttempts: 3 }), (checkpointer) =>
      Effect.map(attempt(checkpointer, root, work), (ended) => ({ ...ended, runId: checkpointer.runId })))
  )

const resume = (runId: RunId.RunId, root: string, work: Work) =>
  Effect.scoped(Effect.flatMap(Checkpointer.claim({ runId }), (checkpointer) => attempt(checkpointer, root, work)))

const hang = Effect.never

const run = <A, E>(
  body: (root: string) => Effect.Effect<
    A,
    E,
    Workspace.Workspace | CheckpointStore.CheckpointStore | RunStore.RunStore
  >
) =>
  Effect.gen(function*() {
    const root = yield* repository()
    return yield* Effect.provide(body(root), Layer.merge(GitWorkspace.layerWith({ cwd: root }), MemoryStore.layer))
  })

const snapshotIn = Effect.fnUntraced(function*(runId: RunId.RunId) {
  const store = yield* CheckpointStore.CheckpointStore
  // The text is behind the codec of the run: read it as the run does.
  yield* store.load(runId)
  const [newest] = yield* Effect.flatMap(Workspace.Workspace, (workspace) => workspace.list({ runId }))
  return newest
})

describe("an agent that changes files", () => {
  it.live("45, 46, 47: times out, and goes on from its files and notes without doing finished steps again", () =>
    run(Effect.fnUntraced(function*(root) {
      const steps: Array<string> = []
      const work: Work = ({ attempt, cwd, notes, save }) =>
        Effect.gen(function*() {
          for (const step of ["one", "two", "three"]) {
            if (notes.includes(step) && existsSync(join(cwd, step))) continue
            steps.push(step)
            write(cwd, step, `${step}\n`)
            yield* save(["one", "two", "three"].filter((name) => existsSync(join(cwd, name))).join())
            if (step === "two" && attempt === 1) yield* hang
          }
        })
      const first = yield* begin(root, work)
      assert.strictEqual(first.status, "timeout")
      assert.strictEqual((yield* snapshotIn(first.runId))?.reason, "timeout")
      // The machine lost the files, not the repository.
      for (const name of ["one", "two"]) rmSync(join(root, name))
      const second = yield* resume(first.runId, root, work)
      assert.strictEqual(second.status, "ok")
      assert.deepStrictEqual(steps, ["one", "two", "three"])
      assert.strictEqual(readFileSync(join(second.cwd, "two"), "utf8"), "two\n")
      assert.strictEqual(readFileSync(join(second.cwd, "three"), "utf8"), "three\n")
    })))

  it.live("48, 49: has a checkpoint branch until it succeeds, and main never moves", () =>
    run(Effect.fnUntraced(function*(root) {
      const main = git(root, "rev-parse", "main")
      const stuck = yield* begin(root, ({ cwd }) => Effect.andThen(Effect.sync(() => write(cwd, "a", "a")), hang))
      assert.strictEqual(git(root, "show", `checkpoint/${stuck.runId}:a`), "a")
      const done = yield* resume(stuck.runId, root, () => Effect.void)
      assert.strictEqual(done.pruned?.pruned.length, 2)
      assert.deepStrictEqual(refsIn(root), [])

      const failed = yield* begin(
        root,
        ({ cwd }) => Effect.andThen(Effect.sync(() => write(cwd, "b", "b")), Effect.die("x"))
      )
      assert.strictEqual(failed.status, "error")
      assert.strictEqual(git(root, "show", `checkpoint/${failed.runId}:b`), "b")
      const record = yield* Effect.flatMap(RunStore.RunStore, (store) => store.get(failed.runId))
      assert.strictEqual(record.status, "error")
      assert.strictEqual(git(root, "rev-parse", "main"), main)
      assert.strictEqual(git(root, "branch", "--show-current"), "main")
    })))

  it.live("50: is continued by one process, however many ask for it", () =>
    run(Effect.fnUntraced(function*(root) {
      const stuck = yield* begin(root, ({ cwd }) => Effect.andThen(Effect.sync(() => write(cwd, "a", "a")), hang))
      const work: Work = ({ cwd }) => Effect.sync(() => write(cwd, "b", "b"))
      const results = yield* Effect.forEach([1, 2, 3], () => Effect.result(resume(stuck.runId, root, work)), {
        concurrency: "unbounded"
      })
      const tags = results.map((result) => result._tag === "Success" ? result.success.status : result.failure._tag)
      assert.deepStrictEqual(tags.filter((tag) => tag === "ok").length, 1, tags.join())
      assert.isTrue(tags.every((tag) => tag === "ok" || tag === "LeaseHeld" || tag === "RunNotFound"), tags.join())
    })))

  it.live("51, 52: is given up after its attempts; each has gone on from the one before, and all is pruned at once", () =>
    run(Effect.fnUntraced(function*(root) {
      const store = yield* CheckpointStore.CheckpointStore
      const work: Work = ({ attempt, cwd }) =>
        Effect.andThen(Effect.sync(() => write(cwd, `attempt-${attempt}`, "x")), hang)
      const { runId } = yield* begin(root, work)
      for (const _ of [2, 3]) yield* resume(runId, root, work)
      const workspace = yield* Workspace.Workspace
      assert.deepStrictEqual((yield* workspace.list({ runId })).map(({ seq }) => seq), [3, 2, 1])
      const [newest] = yield* workspace.list({ runId })
      const files = git(root, "ls-tree", "--name-only", newest?.commit ?? "").split("\n")
      for (const attempt of [1, 2, 3]) assert.include(files, `attempt-${attempt}`)
      const claimed = yield* store.claimNext("somebody", Duration.seconds(1), 10)
      assert.deepStrictEqual(claimed, [], "exhausted: kept for people")
      yield* workspace.prune(runId)
      assert.deepStrictEqual(refsIn(root), [])
    })))

  it.live("53: keeps its notes when git fails", () =>
    run(Effect.fnUntraced(function*(root) {
      const { runId } = yield* begin(root, ({ cwd, save }) =>
        Effect.gen(function*() {
          write(cwd, "a", "a")
          yield* save("half done")
          rmSync(join(root, ".git/HEAD"))
          yield* hang
        }))
      write(root, ".git/HEAD", "ref: refs/heads/main\n")
      assert.deepStrictEqual(refsIn(root), [])
      let seen = ""
      yield* resume(runId, root, ({ notes }) =>
        Effect.sync(() => {
          seen = notes
        }))
      assert.strictEqual(seen, "half done")
    })))

  it.live("keeps the last copy of its work when it succeeded in a worktree that is gone", () =>
    run(Effect.fnUntraced(function*(root) {
      const workspace = yield* Workspace.Workspace
      const tree = `${root}-agent`
      git(root, "worktree", "add", "-q", "-b", "task", tree)
      write(tree, "only", "here")
      const { runId } = yield* begin(tree, () => hang)
      const taken = yield* workspace.snapshot({ runId, cwd: tree, reason: "manual" })
      assert(taken._tag === "Taken")
      const { snapshot } = taken
      const files = treeOf(tree)
      rmSync(tree, { recursive: true })
      yield* workspace.prune(runId, { snapshot })
      assert.deepStrictEqual((yield* workspace.list({ runId })).map(({ commit }) => commit), [snapshot.commit])
      const restored = yield* workspace.restore({ snapshot })
      assert.deepStrictEqual(treeOf(restored.path), files)
      commit(restored.path, "the result")
      assert.isNotEmpty((yield* workspace.prune(runId, { snapshot })).pruned)
      assert.deepStrictEqual(refsIn(root), [])
    })))
})
