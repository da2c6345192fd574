import { assert, describe, it } from "@effect/vitest"
import { Agent, AgentSupervisor, type RunId, RunStore, Transcript, Workspace, WorkspaceError } from "@everbeat/core"
import { MemoryStore } from "@everbeat/store-memory"
import { Context, Deferred, Effect, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import { newProcess, passing, record, recordOf, stored, turn, user } from "./agentSupport.ts"
import { Bad } from "./support.ts"

const stores = Layer.merge(MemoryStore.layer, Workspace.layerMemory())
const layer = Layer.provideMerge(AgentSupervisor.layer, stores)

const snapshots = (runId: RunId.RunId) =>
  Effect.flatMap(Workspace.Workspace, (workspace) => Effect.orDie(workspace.list({ runId })))

/** Writes a file, saves, and goes on for ever. */
const kept = (files: Workspace.MemoryFiles["Service"]) =>
  Agent.make("coder", {
    message: Schema.String,
    run: (ctx) =>
      files.write(ctx.workspace?.cwd ?? "?", "a.ts", "half").pipe(
        Effect.andThen(ctx.checkpoint.save({ messages: ["x"], iteration: 1 })),
        Effect.andThen(Effect.never)
      )
  })

describe("the files of an agent", () => {
  it.effect("are kept at a timeout, restored for the next attempt, and forgotten when it succeeds", () =>
    Effect.gen(function*() {
      const files = yield* Workspace.MemoryFiles
      const seen: Array<unknown> = []
      const coder = Agent.make("coder", {
        message: Transcript.Message,
        transcript: Transcript.chat,
        run: (ctx) =>
          Effect.gen(function*() {
            const cwd = ctx.workspace?.cwd ?? "?"
            if (ctx.attempt === 1) {
              yield* files.write(cwd, "a.ts", "half")
              yield* ctx.checkpoint.save({ messages: [user("x")], iteration: 1 })
              return yield* Effect.never
            }
            seen.push(cwd, yield* files.read(cwd), ctx.resume?.workspace?.inPlace)
            seen.push(ctx.resume?.continuation.prompt.includes("a.ts"))
            if (ctx.attempt === 2) {
              yield* files.write(cwd, "b.ts", "more")
              yield* ctx.checkpoint.note("went on")
              return yield* Effect.never
            }
          })
      })
      const handle = yield* Agent.start(coder, { cwd: "/repo" })
      const run = yield* passing(handle.record)
      assert.strictEqual(run.attempts.length, 3)
      assert.deepStrictEqual(seen, [
        "/repo",
        { "a.ts": "half" },
        true,
        true,
        "/repo",
        {
          "a.ts": "half",
          "b.ts": "more"
        },
        true,
        true
      ])
      assert.deepStrictEqual(yield* snapshots(handle.runId), [])
    }).pipe(Effect.provide(layer)))

  it.effect("are restored elsewhere when somebody changed them, again and again, and never overwritten", () =>
    Effect.gen(function*() {
      const files = yield* Workspace.MemoryFiles
      const seen: Array<unknown> = []
      const folders: Array<string> = []
      const coder = Agent.make("coder", {
        message: Schema.String,
        maxAttempts: 5,
        timeout: "10 seconds",
        backoff: () => "5 seconds",
        run: (ctx) =>
          Effect.gen(function*() {
            const cwd = ctx.workspace?.cwd ?? "?"
            if (ctx.attempt === 1) yield* files.write(cwd, "a.ts", "half")
            seen.push(yield* files.read(cwd))
            yield* ctx.checkpoint.save({ messages: [`${ctx.attempt}`], iteration: ctx.attempt })
            folders.push(cwd)
            if (ctx.attempt < 4) yield* Effect.never
          })
      })
      const handle = yield* Agent.start(coder, { cwd: "/repo" })
      yield* passing(Effect.sleep("12 seconds"))
      yield* files.write("/repo", "a.ts", "mine")
      const run = yield* passing(handle.record)
      assert.strictEqual(run.status, "ok", JSON.stringify(run.errors))
      assert.deepStrictEqual(yield* files.read("/repo"), { "a.ts": "mine" })
      assert.deepStrictEqual(seen, Array.from({ length: 4 }, () => ({ "a.ts": "half" })))
      assert.strictEqual(new Set(folders).size, 2, "and found again there")
    }).pipe(Effect.provide(layer)))

  it.effect("stay where the run fails or is cancelled, and the record says so", () =>
    Effect.gen(function*() {
      const files = yield* Workspace.MemoryFiles
      const make = (end: Effect.Effect<never, Bad>) =>
        Agent.make("coder", {
          message: Schema.String,
          run: (ctx) => Effect.andThen(files.write(ctx.workspace?.cwd ?? "?", "a.ts", "half"), end)
        })
      const failed = yield* recordOf(make(Effect.fail(new Bad({ why: "x" }))), { cwd: "/failed" })
      assert.deepStrictEqual(failed.warnings.map(({ code }) => code), ["WorkspaceKept"])
      assert.lengthOf(yield* snapshots(failed.runId), 1)
      const { record, runId } = yield* Agent.start(make(Effect.never), { cwd: "/cancelled" })
      yield* turn
      yield* Agent.cancel(runId)
      assert.strictEqual((yield* record).status, "cancelled")
      assert.lengthOf(yield* snapshots(runId), 1)
    }).pipe(Effect.provide(layer)))

  it.effect("of a run that was cancelled stay for a week, then the sweep removes them", () =>
    Effect.gen(function*() {
      const files = yield* Workspace.MemoryFiles
      const workspace = yield* Workspace.Workspace
      const process = yield* newProcess()
      const other = yield* newProcess()
      const { interrupt, runId } = yield* process.run(Agent.start(kept(files), { cwd: "/repo" }))
      yield* turn
      yield* interrupt
      assert.strictEqual((yield* other.run(Agent.cancel(runId)))?.status, "cancelled")
      yield* workspace.sweep({ keep: [] })
      assert.lengthOf(yield* snapshots(runId), 1)
      yield* TestClock.adjust("8 days")
      yield* workspace.sweep({ keep: [] })
      assert.deepStrictEqual(yield* snapshots(runId), [])
    }).pipe(Effect.provide(stores)))

  it.effect("of a run that is discarded go with its checkpoint, those of others stay, and so does the folder", () =>
    Effect.gen(function*() {
      const files = yield* Workspace.MemoryFiles
      const [process, other] = [yield* newProcess(), yield* newProcess()]
      const agent = kept(files)
      const [one, two] = [
        yield* process.run(Agent.start(agent, { cwd: "/repo" })),
        yield* process.run(Agent.start(agent, { cwd: "/two" }))
      ]
      yield* turn
      const held = yield* Effect.flip(other.run(Agent.discard(one.runId)))
      assert.strictEqual(held._tag, "LeaseHeld")
      yield* one.interrupt
      yield* two.interrupt
      assert.lengthOf(yield* snapshots(one.runId), 1)
      yield* other.run(Agent.discard(one.runId))
      assert.deepStrictEqual(yield* snapshots(one.runId), [])
      assert.lengthOf(yield* snapshots(two.runId), 1)
      assert.deepStrictEqual(yield* files.read("/repo"), { "a.ts": "half" })
      const gone = yield* Effect.flip(other.run(Agent.discard(one.runId)))
      assert.strictEqual(gone._tag, "RunNotFound")
      yield* other.run(Agent.cancel(two.runId))
      const settled = yield* Effect.flip(other.run(Agent.discard(two.runId)))
      assert.deepInclude(settled, { _tag: "RunAlreadySettled", status: "cancelled" })
      assert.lengthOf(yield* snapshots(two.runId), 1)
    }).pipe(Effect.provide(stores)))

  it.effect("that cannot be forgotten do not keep a run from being discarded", () =>
    Effect.gen(function*() {
      const files = yield* Workspace.MemoryFiles
      const workspace = yield* Workspace.Workspace
      const [process, other] = [yield* newProcess(), yield* newProcess()]
      const { interrupt, runId } = yield* process.run(Agent.start(kept(files), { cwd: "/repo" }))
      yield* turn
      yield* interrupt
      const failing: Workspace.Workspace["Service"] = {
        ...workspace,
        prune: () => Effect.fail(new WorkspaceError.SnapshotGone({ commit: "x", detail: "it was pruned" }))
      }
      yield* Effect.provideService(other.run(Agent.discard(runId)), Workspace.Workspace, failing)
      assert.lengthOf(yield* snapshots(runId), 1)
      const { get } = yield* RunStore.RunStore
      assert.strictEqual((yield* Effect.flip(get(runId)))._tag, "RunNotFound")
      // Without a workspace nobody looks for files.
      const again = yield* process.run(Agent.start(kept(files), { cwd: "/again" }))
      yield* turn
      yield* again.interrupt
      const without = Context.omit(Workspace.Workspace)(yield* Effect.context<never>())
      const discarded = Effect.provideService(
        Agent.discard(again.runId),
        AgentSupervisor.AgentSupervisor,
        other.supervisor
      )
      yield* Effect.promise(() => Effect.runPromiseWith(without)(discarded))
      assert.lengthOf(yield* snapshots(again.runId), 1)
    }).pipe(Effect.provide(stores)))

  it.effect("that cannot be kept or restored cost no notes and no conversation", () =>
    Effect.gen(function*() {
      const workspace = yield* Workspace.Workspace
      let broken: "snapshot" | "restore" | undefined = "snapshot"
      const failing: Workspace.Workspace["Service"] = {
        ...workspace,
        snapshot: (input) =>
          broken === "snapshot"
            ? Effect.fail(new WorkspaceError.SnapshotGone({ commit: "x", detail: "it was pruned" }))
            : workspace.snapshot(input),
        restore: (input) =>
          broken === "restore"
            ? workspace.restore({ snapshot: { ...input.snapshot, commit: "x" } })
            : workspace.restore(input)
      }
      let notes: string | undefined
      const coder = Agent.make("coder", {
        message: Schema.String,
        maxAttempts: 9,
        timeout: "10 seconds",
        run: (ctx) =>
          Effect.gen(function*() {
            notes = ctx.resume?.notes
            if (ctx.attempt === 1) yield* ctx.checkpoint.note("survives")
            if (ctx.attempt === 2) broken = "restore"
            if (ctx.attempt < 3) yield* Effect.never
          })
      })
      const supervisor = yield* AgentSupervisor.AgentSupervisor
      const events = yield* record(supervisor)
      const handle = yield* Effect.provideService(Agent.start(coder), Workspace.Workspace, failing)
      const exit = yield* passing(Effect.exit(handle.record))
      assert.strictEqual(notes, "survives")
      const reasons = events.flatMap((event) => event._tag === "AttemptEnded" ? [event.reason.split(":")[0]] : [])
      assert.deepStrictEqual(reasons[0], "timeout")
      assert.include(reasons, "workspace")
      assert.strictEqual(exit._tag, "Failure", "exhausted: it is for people to mend the repository")
      broken = undefined
      const again = yield* Effect.provideService(Agent.resume(coder, handle.runId), Workspace.Workspace, failing)
      assert.strictEqual((yield* passing(again.record)).status, "ok")
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.effect("are waited for before a run is continued where there is no workspace", () =>
    Effect.gen(function*() {
      const coder = Agent.make("coder", {
        message: Schema.String,
        run: (ctx) => (ctx.attempt === 1 ? Effect.never : Effect.void)
      })
      const process = yield* newProcess()
      const workspaces = yield* Layer.build(Workspace.layerMemory())
      const withFiles = Effect.provideContext(workspaces)
      const write = Effect.flatMap(Workspace.MemoryFiles, (files) => files.write("/workspace", "a.ts", "half"))
      yield* withFiles(write)
      const { interrupt, runId } = yield* withFiles(process.run(Agent.start(coder)))
      yield* interrupt
      const error = yield* Effect.flip(process.run(Agent.resume(coder, runId)))
      assert.deepInclude(error, { _tag: "MessageUnreadable", place: "workspace" })
      assert.lengthOf((yield* stored(runId)).attempts, 1)
      const resumed = yield* withFiles(process.run(Agent.resume(coder, runId)))
      assert.strictEqual((yield* resumed.record).status, "ok")
    }).pipe(Effect.scoped, Effect.provide(MemoryStore.layer)))

  it.effect("of a process that was lost are restored as it left them, also what no checkpoint knows of", () =>
    Effect.gen(function*() {
      const files = yield* Workspace.MemoryFiles
      const gate = yield* Deferred.make<void>()
      const [a, b] = [yield* newProcess(), yield* newProcess()]
      const coder = Agent.make("coder", {
        message: Schema.String,
        result: Schema.String,
        timeout: "1 hour",
        run: (ctx) =>
          Effect.gen(function*() {
            const cwd = ctx.workspace?.cwd ?? "?"
            if (ctx.attempt > 1) return (yield* files.read(cwd))?.["a.ts"] ?? "gone"
            yield* Effect.sleep("1 second")
            yield* files.write(cwd, "a.ts", "1")
            yield* ctx.workspace?.snapshot ?? Effect.void
            yield* ctx.checkpoint.flush
            yield* files.write(cwd, "a.ts", "2")
            a.wire.before = () => Effect.never
            yield* ctx.workspace?.snapshot ?? Effect.void
            yield* Deferred.succeed(gate, undefined)
            return yield* Effect.never
          })
      })
      const { runId } = yield* a.run(Agent.start(coder, { cwd: "/workspace" }))
      yield* passing(Deferred.await(gate))
      assert.lengthOf(yield* snapshots(runId), 2)
      yield* passing(Effect.sleep("35 seconds"))
      const next = yield* b.run(Agent.resume(coder, runId))
      assert.strictEqual(yield* passing(next.result), "2")
      assert.deepStrictEqual(yield* snapshots(runId), [])
      assert.deepStrictEqual(yield* files.read("/workspace"), { "a.ts": "2" }, "nothing was written there")
    }).pipe(Effect.provide(stores)))

  it.effect("of a process that was lost with its folder are those of the last snapshot, and the agent is told so", () =>
    Effect.gen(function*() {
      const files = yield* Workspace.MemoryFiles
      const gate = yield* Deferred.make<void>()
      const [a, b] = [yield* newProcess(), yield* newProcess()]
      const told: Array<string> = []
      const coder = Agent.make("coder", {
        message: Schema.String,
        timeout: "1 hour",
        run: (ctx) =>
          Effect.gen(function*() {
            if (ctx.attempt > 1) return void told.push(ctx.resume?.continuation.prompt ?? "")
            yield* Effect.sleep("1 second")
            yield* files.write("/workspace", "a.ts", "1")
            yield* ctx.workspace?.snapshot ?? Effect.void
            yield* ctx.checkpoint.flush
            yield* Deferred.succeed(gate, undefined)
            return yield* Effect.never
          })
      })
      const { runId } = yield* a.run(Agent.start(coder, { cwd: "/workspace" }))
      yield* passing(Deferred.await(gate))
      a.wire.before = () => Effect.never
      yield* files.lose("/workspace")
      yield* passing(Effect.sleep("35 seconds"))
      const next = yield* b.run(Agent.resume(coder, runId))
      yield* passing(next.result)
      assert.include(told[0], "what it changed after this snapshot is missing")
    }).pipe(Effect.provide(stores)))

  it.effect("are not kept by what an attempt left behind", () =>
    Effect.gen(function*() {
      const files = yield* Workspace.MemoryFiles
      const gate = yield* Deferred.make<void>()
      let late: unknown = "?"
      const coder = Agent.make("coder", {
        message: Schema.String,
        timeout: "10 seconds",
        run: (ctx) =>
          Effect.gen(function*() {
            if (ctx.attempt === 2) {
              yield* Deferred.succeed(gate, undefined)
              return yield* Effect.sleep("1 second")
            }
            yield* Effect.uninterruptible(
              Deferred.await(gate).pipe(
                Effect.andThen(files.write("/workspace", "late.ts", "x")),
                Effect.andThen(ctx.workspace === undefined ? Effect.undefined : ctx.workspace.snapshot),
                Effect.tap((snapshot) =>
                  Effect.sync(() => {
                    late = snapshot
                  })
                )
              )
            )
          })
      })
      const run = yield* recordOf(coder)
      assert.strictEqual(late, undefined)
      assert.deepStrictEqual([run.status, yield* snapshots(run.runId)], ["warning", []])
    }).pipe(Effect.provide(layer)))
})
