import { assert, it } from "@effect/vitest"
import { Agent, AgentRun, AgentSupervisor, Recovery, type RunId, RunStore, Workspace } from "@everbeat/core"
import { MemoryStore } from "@everbeat/store-memory"
import { type Duration, Effect, Exit, Layer, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as Coder from "../src/Coder.ts"
import { Journal, type Line } from "../src/Journal.ts"
import * as Measure from "../src/Measure.ts"
import { Model } from "../src/Model.ts"
import * as Script from "../src/Script.ts"
import { ToolFailed, Tools } from "../src/Tools.ts"

const cwd = "/work"
const coder = Coder.make()

/** The tools on files in memory. Tests of those files cannot be run: they end as `tests` does. */
const tools = (tests: Effect.Effect<string, ToolFailed> = Effect.succeed("all tests passed")) =>
  Layer.effect(
    Tools,
    Effect.map(Workspace.MemoryFiles, (files) => ({
      in: (cwd: string) => ({
        read: (path: string) => Effect.map(files.read(cwd), (folder) => folder?.[path]),
        write: (path: string, text: string) => files.write(cwd, path, text),
        test: tests,
        commit: () => Effect.succeed({ branch: "coder", commit: "c0ffee" })
      })
    }))
  )

const world = (lines: Array<Line>, tests?: Effect.Effect<string, ToolFailed>) =>
  Layer.mergeAll(MemoryStore.layer, Journal.layerArray(lines), tools(tests)).pipe(
    Layer.provideMerge(Workspace.layerMemory())
  )

/** A process: its supervisor, its recovery, and its model, which may stall. */
const process = Effect.fnUntraced(function*(stallAt?: number) {
  const scope = yield* Scope.make()
  const layer = Recovery.layer({ agents: [coder] }).pipe(
    Layer.provideMerge(Layer.merge(AgentSupervisor.layer, Model.layerScripted({ stallAt })))
  )
  const context = yield* Layer.buildWithScope(Layer.fresh(layer), scope)
  return { context, stop: Scope.close(scope, Exit.void) }
})

const start = Agent.start(coder, { prompt: Script.task, cwd })

/**
 * Waits until it holds, a little later by the clock of the test at each look. Snapshots hash on other threads, which that
 * clock does not know.
 */
const until = Effect.fnUntraced(function*<E, R>(holds: Effect.Effect<boolean, E, R>, step: Duration.Input = 0) {
  for (let looks = 0; looks < 5000; looks++) {
    if (yield* holds) return
    yield* TestClock.adjust(step)
    yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 1)))
  }
  assert.fail("it never holds")
})

const hasSaved = (lines: ReadonlyArray<Line>, iteration: number) =>
  until(Effect.sync(() => saved(lines).includes(iteration)))

const hasEnded = (runId: RunId.RunId) =>
  Effect.flatMap(RunStore.RunStore, (runs) => until(Effect.map(runs.get(runId), AgentRun.isSettled), "50 millis"))

const saved = (lines: ReadonlyArray<Line>) => lines.flatMap((line) => line.event === "saved" ? [line.iteration] : [])

const all = Script.steps.map((_, index) => index + 1)

it.effect("the agent carries out each step once and answers where its work is", () => {
  const lines: Array<Line> = []
  return Effect.gen(function*() {
    const files = yield* Workspace.MemoryFiles
    const { context } = yield* process()
    const handle = yield* Effect.provideContext(start, context)
    assert.deepStrictEqual(yield* handle.result, { branch: "coder", commit: "c0ffee" })
    const record = yield* handle.record
    assert.deepStrictEqual([record.status, record.summary], ["ok", "13 iterations in 1 attempt"])
    assert.deepStrictEqual(saved(lines), all)
    assert.deepStrictEqual(yield* files.read(cwd), Script.outcome({}))
  }).pipe(Effect.provide(world(lines)))
})

it.effect("after a timeout it goes on from the checkpoint, told what it has done", () => {
  const lines: Array<Line> = []
  return Effect.gen(function*() {
    const files = yield* Workspace.MemoryFiles
    const { context } = yield* process(7)
    const handle = yield* Effect.provideContext(start, context)
    yield* hasSaved(lines, 6)
    yield* TestClock.adjust("2 minutes")
    yield* hasEnded(handle.runId)
    const record = yield* handle.record
    assert.deepStrictEqual(record.attempts.map(({ end, reason }) => reason ?? end), ["timeout", "settled"])
    const [, second] = Measure.attempts(lines)
    assert(second !== undefined)
    assert.strictEqual(second.iteration, 6)
    assert.include(second.input, `${Script.task}\n`)
    assert.include(second.input, `| done: ${Script.steps[5]?.title}\n`)
    assert.notInclude(second.input, `done: ${Script.steps[6]?.title}`)
    assert.deepStrictEqual(saved(lines), all)
    assert.deepStrictEqual(yield* files.read(cwd), Script.outcome({}))
  }).pipe(Effect.provide(world(lines)))
})

it.effect("another process goes on with its files, also where its folder is lost", () => {
  const lines: Array<Line> = []
  return Effect.gen(function*() {
    const files = yield* Workspace.MemoryFiles
    const runs = yield* RunStore.RunStore
    const first = yield* process(5)
    const { runId } = yield* Effect.provideContext(start, first.context)
    yield* hasSaved(lines, 4)
    yield* first.stop
    yield* files.lose(cwd)
    yield* process()
    yield* hasEnded(runId)
    const { attempts, status } = yield* runs.get(runId)
    assert.deepStrictEqual([status, attempts.length], ["ok", 2])
    assert.deepStrictEqual(saved(lines), all)
    assert.strictEqual(Measure.repeated(lines), 0)
    assert.deepStrictEqual(yield* files.read(cwd), Script.outcome({}))
  }).pipe(Effect.provide(world(lines)))
})

it.effect("a step that was cut off is carried out again and leaves nothing twice", () => {
  const lines: Array<Line> = []
  return Effect.gen(function*() {
    const files = yield* Workspace.MemoryFiles
    const text = Script.steps[3]?.calls[0]?.input["text"]
    const { context } = yield* process(4)
    const handle = yield* Effect.provideContext(start, context)
    yield* hasSaved(lines, 3)
    const before = yield* files.read(cwd)
    // As a tool leaves it whose process is killed right behind the write.
    yield* files.write(cwd, "src/units.js", `${before?.["src/units.js"]}${text}`)
    yield* TestClock.adjust("2 minutes")
    yield* hasEnded(handle.runId)
    assert.strictEqual((yield* handle.record).status, "ok")
    assert.deepStrictEqual(yield* files.read(cwd), Script.outcome({}))
  }).pipe(Effect.provide(world(lines)))
})

it.effect("a tool that fails is an answer to the model, not the end of the run", () => {
  const lines: Array<Line> = []
  const failing = Effect.fail(new ToolFailed({ reason: "1 test failed" }))
  return Effect.gen(function*() {
    const { context } = yield* process()
    const handle = yield* Effect.provideContext(start, context)
    assert.strictEqual((yield* handle.record).status, "ok")
    assert.deepStrictEqual(saved(lines), all)
  }).pipe(Effect.provide(world(lines, failing)))
})
