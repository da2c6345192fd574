import { assert, describe, it } from "@effect/vitest"
import { Agent, type AgentRun, AgentSupervisor, CheckpointStore, Transcript, Workspace } from "@everbeat/core"
import { Crash } from "@everbeat/core/testing"
import { MemoryStore } from "@everbeat/store-memory"
import { Effect, Layer, Schema, Scope } from "effect"
import { adjust, answer, calls, newProcess, passing, user } from "./agentSupport.ts"

const steps = ["one", "two", "three"]

const Result = Schema.Struct({
  iteration: Schema.Int,
  notes: Schema.String,
  files: Schema.Record(Schema.String, Schema.String)
})

/** What is outside of all processes: what the tools of the agent changed, and how often. */
interface World {
  readonly applied: Array<string>
  readonly phases: Array<string>
  readonly told: Array<string>
}

const idOf = (step: string, attempt: number) => `${step}-${attempt}`

/** An agent that believes what it is told, and checks only what it is told to check. */
const makeCoder = (world: World, files: Workspace.MemoryFiles["Service"], alive: Effect.Effect<void>) =>
  Agent.make("coder", {
    message: Transcript.Message,
    transcript: Transcript.chat,
    result: Result,
    maxAttempts: 10,
    checkpoint: { every: 2 },
    workspace: { every: 1, afterMutation: 0 },
    run: (ctx) =>
      Effect.gen(function*() {
        const cwd = ctx.workspace?.cwd ?? "/work"
        const { attempt, checkpoint, resume } = ctx
        const messages = [...(resume?.messages ?? [user("Do it")])]
        let notes = resume?.notes ?? ""
        let iteration = resume?.iteration ?? 0
        const outcome = new Map<string, string>()
        for (const call of messages.flatMap((message) => message.calls ?? [])) {
          const repaired = resume?.repaired.find(({ id }) => id === call.id)
          outcome.set(call.id.split("-")[0] ?? "", repaired?.how ?? "answered")
        }
        const apply = (step: string) =>
          Effect.gen(function*() {
            yield* alive
            world.applied.push(step)
            yield* files.write(cwd, step, "done")
          })
        yield* checkpoint.phase(
          "plan",
          Effect.gen(function*() {
            yield* alive
            world.phases.push("plan")
            if (notes.includes("planned")) return
            notes = "planned"
            yield* checkpoint.note(notes)
          })
        )
        yield* checkpoint.phase(
          "edit",
          Effect.gen(function*() {
            yield* alive
            world.phases.push("edit")
            for (const [index, step] of steps.entries()) {
              const how = outcome.get(step)
              if (how !== undefined) world.told.push(how)
              const isDone = how === "answered" || how === "outcome-known" ||
                (how === "outcome-unknown" && world.applied.includes(step))
              if (!isDone) {
                const id = idOf(step, attempt)
                messages.push(calls(id))
                yield* checkpoint.save({ messages: [...messages] })
                yield* checkpoint.tool({ id, name: "edit" }, apply(step))
                messages.push(answer(id))
                yield* checkpoint.save({ messages: [...messages], iteration: index + 1 })
              } else if ((yield* files.read(cwd))?.[step] === undefined) {
                yield* files.write(cwd, step, "done") // the snapshot was older than the conversation
              }
              iteration = index + 1
            }
            yield* checkpoint.save({ messages: [...messages], iteration })
          })
        )
        yield* checkpoint.phase("check", Effect.sync(() => world.phases.push("check")))
        yield* alive
        return { iteration, notes, files: (yield* files.read(cwd)) ?? {} }
      })
  })

interface Outcome {
  readonly crashed: boolean
  readonly world: World
  readonly run: AgentRun.AgentRun
  readonly left: number
}

const everyState = { status: ["running", "interrupted", "exhausted"] } as const

/** Runs the agent in a process that is killed at its n-th write, and goes on with another one. */
const attempt = (n: number, point: Crash.CrashPoint): Effect.Effect<Outcome> =>
  Effect.gen(function*() {
    const world: World = { applied: [], phases: [], told: [] }
    const files = yield* Workspace.MemoryFiles
    const workspace = yield* Workspace.Workspace
    const crash = yield* Crash.crashAfterWrite(n, point)
    const scope = yield* Scope.make() // never closed: a process that is killed tidies nothing up
    const doomed = yield* Layer.buildWithScope(Layer.fresh(AgentSupervisor.layer), scope).pipe(
      Effect.provideContext(crash.context)
    )
    const options = { key: "k", prompt: "Do it", cwd: "/work" }
    const first = Effect.flatMap(
      Agent.start(makeCoder(world, files, crash.alive), options),
      ({ record }) => record
    ).pipe(
      Effect.provideContext(doomed),
      Effect.provideService(Workspace.Workspace, crash.workspace(workspace))
    )
    const crashed = yield* passing(
      Effect.raceFirst(Effect.as(Effect.exit(first), false), Effect.as(crash.crashed, true))
    )
    yield* adjust("40 seconds")
    const second = yield* newProcess()
    const coder = makeCoder(world, files, Effect.void)
    const handle = yield* second.run(Agent.start(coder, options))
    const run = yield* passing(handle.record)
    const store = yield* CheckpointStore.CheckpointStore
    assert.deepStrictEqual((yield* store.listInterrupted(everyState)).items, [], "nothing is left in flight")
    const left = (yield* workspace.list()).length
    yield* workspace.sweep({ keep: [], ttl: 0 })
    return { crashed, world, run, left }
  }).pipe(
    Effect.provide(Layer.mergeAll(Layer.fresh(MemoryStore.layer), Layer.fresh(Workspace.layerMemory()))),
    Effect.orDie
  )

describe("a process that is killed", () => {
  for (const point of ["unsent", "unanswered", "answered"] as const) {
    it.effect(`at any of its writes (${point}) is continued by another one, with the result of an undisturbed run`, () =>
      Effect.gen(function*() {
        const undisturbed = yield* attempt(Infinity, point)
        assert.deepInclude(undisturbed.run, {
          status: "ok",
          summary: "3 iterations in 1 attempt",
          result: { iteration: 3, notes: "planned", files: { one: "done", two: "done", three: "done" } }
        })
        assert.deepStrictEqual(undisturbed.left, 0)
        const told = new Set<string>()
        let n = 1
        for (; n < 100; n++) {
          const { crashed, left, run, world } = yield* attempt(n, point)
          if (!crashed) break
          const at = `${point} ${n}`
          assert.deepStrictEqual(world.applied, steps, `each mutation once and in order, ${at}`)
          assert.deepStrictEqual(run.result, undisturbed.run.result, at)
          assert.deepStrictEqual([run.status, run.warnings, run.errors], ["ok", [], []], at)
          assert.isAtMost(run.attempts.length, 2, at)
          assert.deepStrictEqual([...new Set(world.phases)], ["plan", "edit", "check"], at)
          // Only a process that died between its settlement and the prune leaves snapshots: the sweep finds them.
          assert.isTrue(left === 0 || run.attempts.length === 1, at)
          for (const how of world.told) told.add(how)
        }
        assert.isAtLeast(n, 10, "the run makes that many writes")
        assert.includeMembers([...told], ["answered", "outcome-known", "outcome-unknown"])
      }))
  }
})
