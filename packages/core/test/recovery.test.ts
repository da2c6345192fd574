import { assert, describe, it } from "@effect/vitest"
import {
  Agent,
  AgentName,
  Heartbeat,
  HeartbeatEngine,
  MessageCodec,
  Recovery,
  RunId,
  RunStore,
  Step,
  StoreError,
  Workspace
} from "@everbeat/core"
import { MemoryStore } from "@everbeat/store-memory"
import { Deferred, Effect, Layer, Logger, Schema } from "effect"
import { adjust, newProcess, passing, type Process, processWith, stored, turn } from "./agentSupport.ts"
import { unavailable } from "./support.ts"

type Stringly = Agent.Agent<string, string, unknown, unknown, never>

const stubborn = Agent.make("coder", { message: Schema.String, run: () => Effect.never, timeout: "1 day" })
const willing = Agent.make("coder", {
  message: Schema.String,
  run: (ctx) => ctx.checkpoint.save({ messages: ["done"], iteration: 1 })
})
const damaged = new StoreError.StoreError({ operation: "claimNext", reason: "corrupt", detail: "rows are missing" })
const other = Agent.make("other", { message: Schema.String, run: () => Effect.never, timeout: "1 day" })

/** Runs whose process is gone: so many, with their leases released. */
const interrupted = Effect.fnUntraced(function*(count: number, agent: Stringly = stubborn) {
  const process = yield* newProcess()
  const handles = yield* Effect.forEach(
    Array.from({ length: count }, (_, i) => i),
    (i) => process.run(Agent.start(agent, { prompt: `${i}` }))
  )
  yield* turn
  yield* process.stop
  return handles.map(({ runId }) => runId)
})

const recovering = (
  options: Recovery.Options<ReadonlyArray<Stringly>, readonly []>
) => processWith(Recovery.layer(options))

const use = (process: Process<Recovery.Recovery>) =>
  process.run(Effect.flatMap(Recovery.Recovery, (recovery) => Effect.succeed(recovery)))

const statuses = (runIds: ReadonlyArray<RunId.RunId>) =>
  Effect.forEach(runIds, (runId) => Effect.map(stored(runId), ({ status }) => status))

const allOk = (runIds: ReadonlyArray<RunId.RunId>) =>
  passing(Effect.gen(function*() {
    while (!(yield* statuses(runIds)).every((status) => status === "ok")) yield* Effect.sleep("1 second")
  }))

describe("Recovery", () => {
  it.effect("continues a run of a process that shut down at once, and one that was lost after its lease", () =>
    Effect.gen(function*() {
      const [first, lost] = [yield* newProcess(), yield* newProcess()]
      const { runId } = yield* first.run(Agent.start(stubborn, { prompt: "x" }))
      const orphaned = yield* lost.run(Agent.start(stubborn, { prompt: "y" }))
      lost.wire.before = () => Effect.never
      const second = yield* recovering({ agents: [willing] })
      yield* adjust("20 seconds")
      assert.deepStrictEqual(yield* statuses([runId, orphaned.runId]), ["running", "running"])
      yield* first.stop
      yield* adjust("10 seconds")
      yield* turn
      assert.deepStrictEqual((yield* stored(runId)).attempts.map(({ end, reason }) => [end, reason]), [
        ["released", "shutdown"],
        ["settled", undefined]
      ])
      // Within the lease and one poll.
      yield* adjust("10 seconds")
      yield* turn
      assert.strictEqual((yield* stored(orphaned.runId)).status, "ok")
      yield* second.stop
    }).pipe(Effect.provide(MemoryStore.layer)))

  it.effect("shares the work between replicas, each run with exactly one of them, and so many at once", () =>
    Effect.gen(function*() {
      const runIds = yield* interrupted(12)
      const gate = yield* Deferred.make<void>()
      let running = 0
      let most = 0
      const attempts: Array<RunId.RunId> = []
      const slow = Agent.make("coder", {
        message: Schema.String,
        run: (ctx) =>
          Effect.gen(function*() {
            attempts.push(ctx.runId)
            most = Math.max(most, ++running)
            yield* Deferred.await(gate)
            running--
          })
      })
      const replicas = yield* Effect.forEach(
        [1, 2],
        () => recovering({ agents: [slow], concurrency: 3 }),
        { concurrency: "unbounded" }
      )
      const services = yield* Effect.forEach(replicas, use)
      yield* adjust("15 seconds")
      // Also when somebody asks for more at the same time.
      yield* Effect.forEach([...services, ...services], ({ sweep }) => sweep, { concurrency: "unbounded" })
      assert.strictEqual(running, 6)
      const owners = new Set<string | undefined>()
      for (const runId of attempts) owners.add((yield* stored(runId)).attempts.at(-1)?.owner)
      assert.deepStrictEqual(owners, new Set(replicas.map(({ supervisor }) => supervisor.owner)))
      yield* Deferred.succeed(gate, undefined)
      yield* allOk(runIds)
      assert.deepStrictEqual([attempts.length, new Set(attempts).size, most], [12, 12, 6])
      for (const { stop } of replicas) yield* stop
    }).pipe(Effect.provide(MemoryStore.layer)))

  it.effect("asks the store at most once in two seconds while nothing is interrupted", () =>
    Effect.gen(function*() {
      const engine = HeartbeatEngine.layer
      const process = yield* processWith(
        Layer.provideMerge(
          Recovery.layer({ agents: [willing], heartbeats: [Heartbeat.make("beat", [Step.make("a", Effect.void)])] }),
          engine
        )
      )
      yield* adjust("1 minute")
      process.wire.log.length = 0
      yield* adjust("1 hour")
      assert.isAtMost(process.wire.log.length, 0.5 * 3600)
      assert.deepStrictEqual(new Set(process.wire.log), new Set(["claimNext", "listInterrupted"]))
      yield* process.stop
    }).pipe(Effect.provide(MemoryStore.layer)))

  it.effect("goes on when the store was down or threw", () =>
    Effect.gen(function*() {
      const runIds = yield* interrupted(2)
      const process = yield* recovering({ agents: [willing], reportInterval: "20 seconds" })
      process.wire.before = (operation) =>
        operation === "listInterrupted" ? Effect.die(new Error("boom")) : Effect.fail(unavailable(operation))
      yield* adjust("1 minute")
      assert.deepStrictEqual(yield* statuses(runIds), ["interrupted", "interrupted"])
      process.wire.before = () => Effect.die(new Error("boom"))
      yield* adjust("1 minute")
      process.wire.before = () => Effect.void
      yield* allOk(runIds)
      yield* process.stop
    }).pipe(Effect.provide(MemoryStore.layer)))

  it.effect("is not held up by rows that it cannot read, and burns no attempt of them", () =>
    Effect.gen(function*() {
      const process = yield* newProcess()
      const newer = Agent.make("coder", {
        message: MessageCodec.make(Schema.String, { version: 9 }),
        timeout: "1 day",
        run: (ctx) => Effect.andThen(ctx.checkpoint.save({ messages: ["a"] }), Effect.never)
      })
      const bad = yield* Effect.forEach([1, 2, 3], () => process.run(Agent.start(newer)))
      yield* turn
      yield* turn
      yield* process.stop
      const good = yield* interrupted(3)
      const said: Array<string> = []
      const logger = Logger.layer([Logger.make(({ message }) => {
        said.push(String(Array.isArray(message) ? message[0] : message))
      })])
      const recovered = yield* Effect.provide(recovering({ agents: [willing], concurrency: 1 }), logger)
      yield* allOk(good)
      yield* adjust("10 minutes")
      assert.strictEqual(said.filter((line) => line === "An interrupted run could not be continued").length, 3)
      assert.notInclude(said, "A run could not be opened") // that would be at every poll
      for (const { runId } of bad) {
        const run = yield* stored(runId)
        assert.deepStrictEqual([run.status, run.attempts.length], ["interrupted", 1])
      }
      const { unreadable } = yield* recovered.run(Effect.flatMap(Recovery.Recovery, (_) => _.report))
      assert.sameMembers(unreadable.map(({ runId }) => runId), bad.map(({ runId }) => runId))
      yield* recovered.stop
    }).pipe(Effect.provide(MemoryStore.layer)))

  it.effect("removes the files of runs that ended long ago, and never those of a run in flight", () =>
    Effect.gen(function*() {
      const workspace = yield* Workspace.Workspace
      const files = yield* Workspace.MemoryFiles
      const keep = (runId: RunId.RunId) => workspace.snapshot({ runId, reason: "manual" })
      yield* files.write("/workspace", "a.ts", "1")
      const ended = RunId.make(AgentName.make("coder"))
      yield* keep(ended)
      const [waiting] = yield* interrupted(1, other)
      assert(waiting !== undefined)
      const process = yield* recovering({ agents: [willing] })
      yield* adjust("1 minute")
      assert.lengthOf(yield* workspace.list(), 2, "younger than seven days")
      yield* adjust("8 days")
      assert.deepStrictEqual((yield* workspace.list()).map(({ runId }) => runId), [waiting])
      yield* process.stop
    }).pipe(Effect.provide(Layer.merge(MemoryStore.layer, Workspace.layerMemory()))))

  it.effect("continues passes although there are none but damaged agents to claim", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const beat = Heartbeat.make("beat", [Step.make("a", Deferred.await(gate))])
      const first = yield* processWith(HeartbeatEngine.layer)
      const { runId } = yield* first.run(Heartbeat.start(beat, { agent: "triage" }))
      yield* first.stop
      yield* interrupted(1)
      yield* Deferred.succeed(gate, undefined)
      const second = yield* processWith(
        Layer.provideMerge(Recovery.layer({ agents: [willing], heartbeats: [beat] }), HeartbeatEngine.layer)
      )
      let claims = 0
      // As every store does with a run that it cannot read back.
      second.wire.after = (operation) =>
        operation === "claimNext" && claims++ === 0 ? Effect.fail(damaged) : Effect.void
      for (let turns = 0; turns < 10; turns++) yield* turn
      assert.deepStrictEqual(yield* statuses([runId]), ["ok"]) // in the same poll
      yield* second.stop
    }).pipe(Effect.provide(MemoryStore.layer)))

  it.effect("continues a run that gets on however often the process is deployed", () =>
    Effect.gen(function*() {
      const slow = Agent.make("coder", {
        message: Schema.String,
        maxAttempts: 2,
        timeout: "1 day",
        run: (ctx) => {
          const messages = [...(ctx.resume?.messages ?? []), `attempt ${ctx.attempt}`]
          const saved = ctx.checkpoint.save({ messages, iteration: messages.length })
          return ctx.attempt < 6 ? Effect.andThen(saved, Effect.never) : saved
        }
      })
      const [runId] = yield* interrupted(1, slow)
      assert(runId !== undefined)
      for (let deploy = 2; deploy < 6; deploy++) {
        const process = yield* recovering({ agents: [slow] })
        yield* adjust("1 second")
        assert.deepInclude(yield* stored(runId), { status: "running", iteration: deploy })
        yield* process.stop
        assert.strictEqual((yield* stored(runId)).status, "interrupted")
      }
      const last = yield* recovering({ agents: [slow] })
      yield* allOk([runId])
      assert.lengthOf((yield* stored(runId)).attempts, 6)
      yield* last.stop
    }).pipe(Effect.provide(MemoryStore.layer)))

  it.effect("continues the passes of heartbeats", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const beat = Heartbeat.make("beat", [Step.make("a", Deferred.await(gate))])
      const first = yield* processWith(HeartbeatEngine.layer)
      const { runId } = yield* first.run(Heartbeat.start(beat, { agent: "triage" }))
      yield* first.stop
      yield* Deferred.succeed(gate, undefined)
      const second = yield* processWith(
        Layer.provideMerge(Recovery.layer({ heartbeats: [beat] }), HeartbeatEngine.layer)
      )
      yield* allOk([runId])
      const again = yield* Effect.flip(second.run(Effect.flatMap(Recovery.Recovery, (_) => _.resume(runId))))
      assert.deepInclude(again, { _tag: "RunAlreadySettled", status: "ok" })
      yield* second.stop
    }).pipe(Effect.provide(MemoryStore.layer)))

  it.effect("leaves alone and reports what nobody here knows or asks for, and closes it when it is cancelled", () =>
    Effect.gen(function*() {
      const parent = Agent.make("coder", {
        message: Schema.String,
        run: (ctx) => ctx.start(other, { key: "c" })
      })
      const first = yield* newProcess()
      const orphanOf = yield* first.run(Agent.start(parent))
      yield* orphanOf.record // it succeeds before its child
      yield* first.stop
      const [unknown] = yield* interrupted(
        1,
        Agent.make("stranger", { message: Schema.String, run: () => Effect.never })
      )
      const process = yield* recovering({ agents: [willing, other], reportInterval: "1 minute" })
      const { report, resume } = yield* use(process)
      const exhaustedAgent = Agent.make("coder", {
        message: Schema.String,
        maxAttempts: 1,
        timeout: "1 second",
        run: () => Effect.never
      })
      const exhausted = yield* process.run(Agent.start(exhaustedAgent))
      yield* passing(Effect.flip(exhausted.record))
      yield* adjust("10 minutes")
      const found = yield* report
      const ids = (runs: ReadonlyArray<{ readonly runId: RunId.RunId }>) => runs.map(({ runId }) => runId)
      assert(unknown !== undefined)
      assert.deepStrictEqual(ids(found.unknown), [unknown])
      assert.deepStrictEqual(ids(found.exhausted), [exhausted.runId])
      assert.deepStrictEqual(found.orphans.map(({ parentRunId }) => parentRunId), [orphanOf.runId])
      assert.lengthOf((yield* stored(unknown)).attempts, 1)

      assert.strictEqual((yield* Effect.flip(resume(unknown)))._tag, "UnknownDefinition")
      const nowhere = yield* Effect.flip(resume(RunId.make(AgentName.make("x"))))
      assert.strictEqual(nowhere._tag, "RunNotFound")
      yield* resume(exhausted.runId)
      yield* allOk([exhausted.runId])
      assert.strictEqual((yield* Effect.flip(resume(exhausted.runId)))._tag, "RunAlreadySettled")
      const [orphan] = ids(found.orphans)
      assert(orphan !== undefined)
      yield* resume(orphan)
      yield* resume(orphan) // asked twice, it is the same attempt
      assert.deepInclude(yield* stored(orphan), { status: "running" })
      assert.lengthOf((yield* stored(orphan)).attempts, 2)

      // Somebody wants its end and cannot write it: the next report does.
      const asking = yield* newProcess()
      asking.wire.before = (operation) => operation === "claim" ? Effect.fail(unavailable("claim")) : Effect.void
      yield* Effect.flip(asking.run(Agent.cancel(unknown)))
      yield* adjust("1 minute")
      assert.strictEqual((yield* stored(unknown)).status, "cancelled")
      yield* process.stop
    }).pipe(Effect.provide(MemoryStore.layer)))

  it.effect("leaves the children of an interrupted run to it", () =>
    Effect.gen(function*() {
      const child = Agent.make("child", {
        message: Schema.String,
        timeout: "1 day",
        run: (ctx) => (ctx.attempt === 1 ? Effect.never : Effect.void)
      })
      const parent = Agent.make("coder", {
        message: Schema.String,
        timeout: "1 day",
        run: (ctx) => Effect.flatMap(ctx.start(child, { key: "c" }), ({ result }) => result)
      })
      const first = yield* newProcess()
      const { runId } = yield* first.run(Agent.start(parent))
      yield* turn
      yield* first.stop
      const childOnly = yield* recovering({ agents: [child] })
      yield* adjust("1 minute")
      const { orphans } = yield* (yield* use(childOnly)).report
      assert.deepStrictEqual(orphans, [], "its parent will ask for it")
      const both = yield* recovering({ agents: [child, parent] })
      yield* allOk([runId])
      const { items } = yield* Effect.flatMap(RunStore.RunStore, (runs) => runs.list())
      assert.deepStrictEqual(items.map(({ attempts, status }) => [status, attempts.length]), [["ok", 2], ["ok", 2]])
      yield* childOnly.stop
      yield* both.stop
    }).pipe(Effect.provide(MemoryStore.layer)))
})
