import { assert, describe, it } from "@effect/vitest"
import { Agent, type AgentRun, AgentSupervisor, Transcript } from "@everbeat/core"
import { MemoryStore } from "@everbeat/store-memory"
import { Deferred, Effect, Layer, Schema } from "effect"
import { adjust, newProcess, passing, record, recordOf, turn, user } from "./agentSupport.ts"
import { Bad, unavailable } from "./support.ts"

const layer = Layer.provideMerge(AgentSupervisor.layer, MemoryStore.layer)

const reasons = (run: AgentRun.AgentRun | AgentRun.RunInFlight) => run.attempts.map(({ end, reason }) => [end, reason])

describe("a timeout", () => {
  it.effect("keeps the newest state and continues as the next attempt, with all of it", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      const coder = Agent.make("coder", {
        message: Transcript.Message,
        transcript: Transcript.chat,
        timeout: "120 seconds",
        checkpoint: { every: 5 },
        run: (ctx) =>
          Effect.gen(function*() {
            seen.push(ctx.resume === undefined ? undefined : { ...ctx.resume, continuation: undefined })
            if (ctx.attempt === 2) {
              seen.push(ctx.resume?.continuation.prompt.includes("| half done"), ctx.resume?.continuation.original)
              return
            }
            yield* ctx.warn({ _tag: "Odd", message: "It is odd" })
            yield* ctx.touch("https://example.com/1")
            yield* ctx.checkpoint.note("half done")
            yield* ctx.checkpoint.save({ messages: [user("hello")], iteration: 3, phase: "fix" })
            yield* ctx.checkpoint.save({ messages: [user("hello"), user("again")], iteration: 4 })
            yield* Effect.never
          })
      })
      const supervisor = yield* AgentSupervisor.AgentSupervisor
      const events = yield* record(supervisor)
      const handle = yield* Agent.start(coder, { prompt: "Fix it" })
      yield* adjust("119 seconds")
      assert.lengthOf(seen, 1)
      yield* adjust("1 second")
      assert.lengthOf(seen, 1, "it backs off")
      yield* adjust("1 second")
      const run = yield* handle.record
      assert.deepStrictEqual(reasons(run), [["released", "timeout"], ["settled", undefined]])
      assert.deepStrictEqual(
        run.attempts.map(({ endedAt, startedAt }) => [startedAt.epochMilliseconds, endedAt?.epochMilliseconds]),
        [[0, 121_000], [121_000, 121_000]]
      )
      assert.deepInclude(seen[1], {
        reason: "timeout",
        messages: [user("hello"), user("again")],
        iteration: 4,
        phase: "fix",
        completedPhases: [],
        notes: "half done",
        workspace: undefined
      })
      assert.deepStrictEqual(seen.slice(2), [true, "Fix it"])
      assert.deepInclude(run, { summary: "4 iterations in 2 attempts", touchedIssueUrls: ["https://example.com/1"] })
      assert.deepStrictEqual(run.warnings.map(({ code }) => code), ["Odd"], "what was said survives the attempt")
      assert.deepStrictEqual(
        events.map((event) => "attempt" in event ? [event._tag, event.attempt] : [event._tag]),
        [["AttemptStarted", 1], ["AttemptEnded", 1], ["AttemptStarted", 2], ["RunSettled"]]
      )
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.effect("of a resumed attempt makes a chain of two, and the third goes on where the second was", () =>
    Effect.gen(function*() {
      const coder = Agent.make("coder", {
        message: Schema.Int,
        result: Schema.Array(Schema.Int),
        run: (ctx) =>
          Effect.gen(function*() {
            const messages = [...(ctx.resume?.messages ?? []), ctx.attempt]
            yield* ctx.checkpoint.save({ messages, iteration: messages.length })
            if (ctx.attempt < 3) yield* Effect.never
            return messages
          })
      })
      const run = yield* recordOf(coder)
      assert.deepStrictEqual(run.result, [1, 2, 3])
      assert.deepStrictEqual(reasons(run), [["released", "timeout"], ["released", "timeout"], ["settled", undefined]])
    }).pipe(Effect.provide(layer)))

  it.effect("while a save is in flight loses nothing of it", () =>
    Effect.gen(function*() {
      const process = yield* newProcess()
      let slow = true
      process.wire.after = (operation) => (slow && operation === "save" ? Effect.sleep("3 seconds") : Effect.void)
      const coder = Agent.make("coder", {
        message: Schema.Int,
        result: Schema.Array(Schema.Int),
        timeout: "10 seconds",
        run: (ctx) =>
          Effect.gen(function*() {
            if (ctx.resume !== undefined) return ctx.resume.messages
            yield* Effect.sleep("9 seconds")
            yield* ctx.checkpoint.save({ messages: [1], iteration: 1 })
            yield* ctx.checkpoint.save({ messages: [1, 2], iteration: 2 })
            return yield* Effect.never
          })
      })
      const { result } = yield* process.run(Agent.start(coder))
      assert.deepStrictEqual(yield* passing(result), [1, 2])
      slow = false
    }).pipe(Effect.provide(MemoryStore.layer)))

  it.effect("does not wait for a tool that ignores its interruption, and what that does later changes nothing", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const late: Array<unknown> = []
      const child = Agent.make("child", { message: Schema.Int, run: () => Effect.void })
      const coder = Agent.make("coder", {
        message: Schema.Int,
        result: Schema.Int,
        timeout: "10 seconds",
        run: (ctx) =>
          Effect.gen(function*() {
            if (ctx.attempt === 2) {
              yield* ctx.checkpoint.save({ messages: [1, 2], iteration: 2 })
              yield* Deferred.succeed(gate, undefined)
              yield* turn
              return ctx.resume?.calls.length ?? 0
            }
            yield* ctx.checkpoint.save({ messages: [1], iteration: 1 })
            return yield* Effect.uninterruptible(Effect.gen(function*() {
              yield* ctx.checkpoint.tool({ id: "c1", name: "deploy" }, Deferred.await(gate))
              late.push((yield* Effect.flip(ctx.checkpoint.save({ messages: [9] })))._tag)
              late.push((yield* Effect.flip(ctx.checkpoint.note("late")))._tag)
              late.push((yield* Effect.flip(ctx.checkpoint.flush))._tag)
              late.push((yield* Effect.flip(ctx.checkpoint.tool({ id: "c2", name: "x" }, Effect.void)))._tag)
              late.push((yield* Effect.flip(ctx.checkpoint.phase("p", Effect.void)))._tag)
              late.push((yield* Effect.flip(ctx.start(child, { key: "late" })))._tag)
              yield* ctx.warn("late")
              return 9
            }))
          })
      })
      const run = yield* recordOf(coder)
      assert.deepStrictEqual(run.result, 1, "the call is told of")
      assert.deepStrictEqual(run.warnings.map(({ code }) => code), ["StillRunning"])
      assert.deepStrictEqual(reasons(run), [["released", "timeout"], ["settled", undefined]])
      const lost = Array.from({ length: 5 }, () => "LeaseLost")
      assert.deepStrictEqual(late, [...lost, "EngineStopped"])
    }).pipe(Effect.provide(layer)))

  it.effect("with a store that is down is over when the store is back, with everything", () =>
    Effect.gen(function*() {
      const process = yield* newProcess()
      let down = false
      process.wire.before = () => (down ? Effect.fail(unavailable("any")) : Effect.void)
      const coder = Agent.make("coder", {
        message: Schema.Int,
        result: Schema.Array(Schema.Int),
        timeout: "10 seconds",
        run: (ctx) =>
          Effect.gen(function*() {
            if (ctx.resume !== undefined) return ctx.resume.messages
            down = true
            yield* ctx.checkpoint.save({ messages: [1], iteration: 1 })
            yield* ctx.checkpoint.tool({ id: "c1", name: "edit" }, Effect.void) // goes on without
            return yield* Effect.never
          })
      })
      const { record, result } = yield* process.run(Agent.start(coder))
      yield* turn
      yield* adjust("20 seconds")
      down = false
      assert.deepStrictEqual(yield* passing(result), [1])
      assert.deepStrictEqual(reasons(yield* record)[0], ["released", "timeout"])
    }).pipe(Effect.provide(MemoryStore.layer)))

  it.effect("whose release is not heard is continued when the lease has ended", () =>
    Effect.gen(function*() {
      const process = yield* newProcess()
      process.wire.before = (operation) => operation === "release" ? Effect.fail(unavailable("release")) : Effect.void
      const coder = Agent.make("coder", {
        message: Schema.Int,
        timeout: "10 seconds",
        run: (ctx) => (ctx.attempt === 1 ? Effect.never : Effect.void)
      })
      const { record } = yield* process.run(Agent.start(coder))
      assert.deepStrictEqual(reasons(yield* passing(record)), [["expired", undefined], ["settled", undefined]])
    }).pipe(Effect.provide(MemoryStore.layer)))
})

describe("the end of an attempt", () => {
  it.effect("by an error that another attempt may mend goes on, by any other one it is the end", () =>
    Effect.gen(function*() {
      class Limited extends Schema.TaggedError<Limited>()("Limited", {}) {
        get isRetryable() {
          return true
        }
      }
      const make = (error: Limited | Bad, resumeOn?: () => boolean) =>
        Agent.make("coder", {
          message: Schema.Int,
          resumeOn,
          run: (ctx) =>
            Effect.andThen(
              ctx.checkpoint.save({ messages: [ctx.attempt] }),
              ctx.attempt === 1 ? Effect.fail(error) : Effect.void
            )
        })
      const mended = yield* recordOf(make(new Limited()))
      assert.deepStrictEqual(reasons(mended), [["released", "Limited"], ["settled", undefined]])
      assert.strictEqual((yield* recordOf(make(new Bad({ why: "x" })))).status, "error")
      assert.strictEqual((yield* recordOf(make(new Bad({ why: "x" }), () => true))).attempts.length, 2)
      const broken = make(new Limited(), () => {
        throw new Error("boom")
      })
      assert.deepStrictEqual((yield* recordOf(broken)).errors.map(({ code }) => code), ["Limited"])
    }).pipe(Effect.provide(layer)))

  it.effect("by an interruption of its own goes on, and is exhausted without progress", () =>
    Effect.gen(function*() {
      const self = Agent.make("self", {
        message: Schema.Int,
        maxAttempts: 5,
        run: () => Effect.interrupt
      })
      const handle = yield* Agent.start(self)
      const error = yield* passing(Effect.flip(handle.result))
      assert.deepInclude(error, { _tag: "RunExhausted", attempts: 2, reason: "interrupted" })
    }).pipe(Effect.provide(layer)))

  it.effect("is told before the pause, not when the next attempt starts", () =>
    Effect.gen(function*() {
      const events = yield* record(yield* AgentSupervisor.AgentSupervisor)
      const coder = Agent.make("coder", {
        message: Schema.Int,
        timeout: "1 second",
        backoff: () => "1 hour",
        run: () => Effect.never
      })
      yield* Agent.start(coder)
      yield* passing(Effect.sleep("1 minute"))
      assert.deepStrictEqual(events.map((event) => event._tag), ["AttemptStarted", "AttemptEnded"])
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.effect("waits as long as the back-off says, and a back-off that throws is the usual one", () =>
    Effect.gen(function*() {
      const starts: Array<number> = []
      const make = (backoff: (attempt: number) => number) =>
        Agent.make("coder", {
          message: Schema.Int,
          maxAttempts: 4,
          timeout: "1 second",
          backoff,
          run: (ctx) =>
            Effect.gen(function*() {
              starts.push(yield* Effect.clockWith((clock) => clock.currentTimeMillis))
              yield* ctx.checkpoint.save({ messages: [ctx.attempt] })
              if (ctx.attempt < 3) yield* Effect.never
            })
        })
      yield* recordOf(make((attempt) => attempt * 10_000))
      assert.deepStrictEqual(starts, [0, 11_000, 32_000])
      starts.length = 0
      const broken = make(() => {
        throw new Error("boom")
      })
      const begun = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
      yield* recordOf(broken)
      assert.deepStrictEqual(starts.map((at) => at - begun), [0, 2000, 5000])
    }).pipe(Effect.provide(layer)))
})
