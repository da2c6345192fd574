import { assert, describe, it } from "@effect/vitest"
import { Agent, type AgentRun, AgentSupervisor, CheckpointStore, MessageCodec, Transcript } from "@everbeat/core"
import { MemoryStore } from "@everbeat/store-memory"
import { Deferred, Effect, Layer, Schema } from "effect"
import { adjust, newProcess, passing, record, recordOf, stored, turn, user } from "./agentSupport.ts"
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

describe("a run", () => {
  it.effect("without progress in two attempts is exhausted, whatever the supervisor had to say", () =>
    Effect.gen(function*() {
      const coder = Agent.make("coder", {
        message: Schema.String,
        maxAttempts: 5,
        grace: "1 second",
        run: (ctx) => Effect.uninterruptible(ctx.checkpoint.tool({ id: "c1", name: "x", mutates: false }, Effect.never))
      })
      const once = Agent.make("once", {
        message: Schema.String,
        maxAttempts: 5,
        run: (ctx) => ctx.checkpoint.tool({ id: "c1", name: "x" }, Effect.never)
      })
      const events = yield* record(yield* AgentSupervisor.AgentSupervisor)
      const handle = yield* Agent.start(coder)
      assert.deepInclude(yield* passing(Effect.flip(handle.result)), { _tag: "RunExhausted", attempts: 3 })
      const again = yield* Agent.start(once)
      // The first attempt recorded the call, which is progress; the same call again is none.
      assert.deepInclude(yield* passing(Effect.flip(again.result)), { _tag: "RunExhausted", attempts: 3 })
      assert.strictEqual((yield* stored(handle.runId)).status, "exhausted")
      assert.strictEqual(events.filter(({ _tag }) => _tag === "RunExhausted").length, 2)
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.effect("that completes a phase in each attempt makes progress, and no phase runs twice", () =>
    Effect.gen(function*() {
      const done: Array<string> = []
      const phased = Agent.make("phased", {
        message: Schema.String,
        maxAttempts: 5,
        timeout: "10 seconds",
        run: (ctx) =>
          Effect.gen(function*() {
            for (const name of ["a", "b", "c", "d"]) {
              const fresh = yield* ctx.checkpoint.phase(name, Effect.as(Effect.sync(() => done.push(name)), true))
              if (fresh === true && name !== "d") yield* Effect.never
            }
          })
      })
      const run = yield* recordOf(phased)
      assert.deepStrictEqual([run.status, run.attempts.length, done], ["ok", 4, ["a", "b", "c", "d"]])
    }).pipe(Effect.provide(layer)))

  it.effect("is resumed by its id when it is exhausted, with a word from whoever does", () =>
    Effect.gen(function*() {
      let prompt = ""
      const coder = Agent.make("coder", {
        message: Schema.String,
        maxAttempts: 1,
        result: Schema.String,
        run: (ctx) =>
          Effect.gen(function*() {
            if (ctx.resume === undefined) return yield* Effect.never
            prompt = ctx.resume.continuation.prompt
            return "done"
          })
      })
      const first = yield* Agent.start(coder)
      yield* passing(Effect.flip(first.result))
      const second = yield* Agent.resume(coder, first.runId, { followUp: "Skip the tests." })
      assert.strictEqual(yield* second.result, "done")
      assert.include(prompt, "Skip the tests.")
      const settled = yield* Effect.flip(Agent.resume(coder, first.runId))
      assert.deepInclude(settled, { _tag: "RunAlreadySettled", status: "ok" })
    }).pipe(Effect.provide(layer)))

  it.effect("is continued by exactly one of two processes that ask for it at once", () =>
    Effect.gen(function*() {
      const coder = Agent.make("coder", { message: Schema.String, run: () => Effect.never })
      const first = yield* newProcess()
      const { runId } = yield* first.run(Agent.start(coder))
      yield* first.stop
      const one = yield* newProcess()
      const others = [one, yield* newProcess(), yield* newProcess()]
      const all = yield* Effect.forEach(others, ({ run }) => Effect.result(run(Agent.resume(coder, runId))), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(all.map((result) => result._tag === "Success" ? "ok" : result.failure._tag).sort(), [
        "LeaseHeld",
        "LeaseHeld",
        "ok"
      ])
      assert.lengthOf((yield* stored(runId)).attempts, 2)
      const winner = others[all.findIndex(({ _tag }) => _tag === "Success")]
      const again = yield* (winner ?? first).run(Agent.resume(coder, runId))
      assert.strictEqual(again.origin, "joined", "asked twice, it is the same run")
      const other = Agent.make("other", { message: Schema.String, run: () => Effect.never })
      assert.strictEqual((yield* Effect.flip(one.run(Agent.resume(other, runId))))._tag, "OtherDefinition")
    }).pipe(Effect.provide(MemoryStore.layer)))

  it.effect("that another part of this process claims between two attempts goes on where it is waited for", () =>
    Effect.gen(function*() {
      const process = yield* newProcess()
      const { supervisor } = process
      const coder = Agent.make("coder", {
        message: Schema.String,
        result: Schema.Int,
        timeout: "10 seconds",
        run: (ctx) => (ctx.attempt === 1 ? Effect.never : Effect.succeed(ctx.attempt))
      })
      // As a poll that comes right behind the release, before the run can claim its next attempt.
      let stolen = false
      process.wire.after = (operation) => {
        if (operation !== "release" || stolen) return Effect.void
        stolen = true
        return supervisor.claimNext(1).pipe(
          Effect.flatMap(([granted]) =>
            granted === undefined
              ? Effect.die("it was faster")
              : Effect.forkDetach(Effect.andThen(turn, supervisor.adopt(coder, granted)))
          ),
          Effect.orDie
        )
      }
      const handle = yield* process.run(Agent.start(coder))
      assert.strictEqual(yield* passing(handle.result), 2)
      assert.isTrue(stolen)
      assert.lengthOf((yield* handle.record).attempts, 2)
    }).pipe(Effect.provide(MemoryStore.layer)))

  it.effect("that its version cannot read burns no attempt and is left as it is", () =>
    Effect.gen(function*() {
      const process = yield* newProcess()
      const make = (version: number) =>
        Agent.make("coder", {
          message: MessageCodec.make(Schema.String, { version }),
          run: (ctx) =>
            ctx.resume === undefined
              ? Effect.andThen(ctx.checkpoint.save({ messages: ["a"] }), Effect.never)
              : Effect.void
        })
      const { interrupt, runId } = yield* process.run(Agent.start(make(3)))
      yield* turn
      yield* interrupt
      const seen = yield* record(process.supervisor)
      for (let i = 0; i < 5; i++) {
        const error = yield* Effect.flip(process.run(Agent.resume(make(2), runId)))
        assert.deepInclude(error, { _tag: "MessageUnreadable", reason: "newer-version" })
      }
      const run = yield* stored(runId)
      assert.deepStrictEqual([run.status, run.attempts.length, seen], ["interrupted", 1, []])
      const resumed = yield* process.run(Agent.resume(make(3), runId))
      assert.deepStrictEqual(reasons(yield* resumed.record), [["released", "interrupted"], ["settled", undefined]])
    }).pipe(Effect.scoped, Effect.provide(MemoryStore.layer)))

  it.effect("whose codec or adapter throws holds up nobody who asks for it", () =>
    Effect.gen(function*() {
      const broken: Transcript.Adapter<string> = {
        role: () => "user",
        text: (text) => text,
        calls: () => {
          throw new Error("boom")
        },
        results: () => [],
        answer: () => []
      }
      const coder = Agent.make("coder", {
        message: Schema.String,
        transcript: broken,
        timeout: "10 seconds",
        run: (ctx) => Effect.andThen(ctx.checkpoint.save({ messages: ["a"], iteration: 1 }), Effect.never)
      })
      const handle = yield* Agent.start(coder)
      const error = yield* passing(Effect.flip(handle.result))
      assert(error._tag === "RunExhausted")
      assert.include(error.reason, "resume: ")
      assert.strictEqual((yield* stored(handle.runId)).status, "exhausted", "its checkpoint is kept for people")
    }).pipe(Effect.provide(layer)))
})

describe("a process", () => {
  it.effect("that is asked to stop stores what it has and hands its runs over", () =>
    Effect.gen(function*() {
      const process = yield* newProcess()
      const saved = yield* Deferred.make<void>()
      const coder = Agent.make("coder", {
        message: Schema.Int,
        checkpoint: { every: 100 },
        run: (ctx) =>
          Effect.forEach([1, 2, 3], (n) => ctx.checkpoint.save({ messages: [n], iteration: n }), { discard: true })
            .pipe(
              Effect.andThen(Deferred.succeed(saved, undefined)),
              Effect.andThen(Effect.never)
            )
      })
      const { result, runId } = yield* process.run(Agent.start(coder))
      yield* Deferred.await(saved)
      yield* process.stop
      assert.deepInclude(yield* Effect.flip(result), { _tag: "RunInterrupted", reason: "shutdown" })
      const state = yield* Effect.flatMap(CheckpointStore.CheckpointStore, (store) => store.load(runId))
      assert.deepStrictEqual([state.status, state.iteration, state.position], ["interrupted", 3, 1])
      assert.strictEqual((yield* Effect.flip(process.run(Agent.start(coder))))._tag, "EngineStopped")
    }).pipe(Effect.provide(MemoryStore.layer)))

  it.effect("lets what ends in time end, and interrupts the rest", () =>
    Effect.gen(function*() {
      const process = yield* newProcess()
      const quick = Agent.make("quick", { message: Schema.Int, run: () => Effect.sleep("5 seconds") })
      const slow = Agent.make("slow", { message: Schema.Int, run: () => Effect.sleep("60 seconds") })
      const a = yield* process.run(Agent.start(quick))
      const b = yield* process.run(Agent.start(slow))
      yield* passing(process.supervisor.drain("10 seconds"))
      assert.strictEqual((yield* stored(a.runId)).status, "ok")
      assert.strictEqual((yield* stored(b.runId)).status, "interrupted")
      assert.strictEqual((yield* Effect.flip(process.run(Agent.resume(slow, b.runId))))._tag, "EngineStopped")
      const granted = yield* process.supervisor.claim(b.runId)
      assert.strictEqual((yield* Effect.flip(process.supervisor.adopt(slow, granted)))._tag, "EngineStopped")
      assert.lengthOf((yield* stored(b.runId)).attempts, 1)
    }).pipe(Effect.provide(MemoryStore.layer)))

  it.effect("that stops while a run is begun leaves no run behind", () =>
    Effect.gen(function*() {
      const process = yield* newProcess()
      process.wire.after = (operation) => (operation === "begin" ? Effect.sleep("2 seconds") : Effect.void)
      let ran = false
      const coder = Agent.make("coder", { message: Schema.Int, run: () => Effect.sync(() => void (ran = true)) })
      const started = yield* Effect.forkChild(Effect.flip(process.run(Agent.start(coder))))
      yield* Effect.yieldNow
      yield* passing(process.stop)
      assert.strictEqual(started.pollUnsafe()?._tag, "Success")
      const store = yield* CheckpointStore.CheckpointStore
      const { items } = yield* store.listInterrupted({ status: ["running", "interrupted", "exhausted"] })
      assert.deepStrictEqual([items, ran], [[], false])
    }).pipe(Effect.provide(MemoryStore.layer)))

  it.effect("that stops in the middle of a save and of a settlement loses neither", () =>
    Effect.gen(function*() {
      const process = yield* newProcess()
      process.wire.before = (operation) =>
        operation === "save" || operation === "settle" ? Effect.sleep("1 second") : Effect.void
      const saving = Agent.make("saving", {
        message: Schema.Int,
        run: (ctx) => Effect.andThen(ctx.checkpoint.save({ messages: [1], iteration: 1 }), Effect.never)
      })
      const ending = Agent.make("ending", { message: Schema.Int, run: () => Effect.void })
      const a = yield* process.run(Agent.start(saving))
      const b = yield* process.run(Agent.start(ending))
      yield* adjust("500 millis")
      yield* passing(process.stop)
      assert.deepInclude(yield* stored(a.runId), { status: "interrupted", iteration: 1 })
      assert.strictEqual((yield* stored(b.runId)).status, "ok")
    }).pipe(Effect.provide(MemoryStore.layer)))

  it.effect("that was frozen for longer than its lease stops, and writes nothing after", () =>
    Effect.gen(function*() {
      const frozen = yield* newProcess()
      const other = yield* newProcess()
      let stopped = false
      const coder = Agent.make("coder", {
        message: Schema.Int,
        timeout: "10 minutes",
        run: (ctx) =>
          Effect.andThen(
            ctx.checkpoint.save({ messages: [ctx.attempt], iteration: ctx.attempt }),
            ctx.attempt > 1 ? Effect.sleep("20 seconds") : Effect.onInterrupt(Effect.never, () =>
              Effect.sync(() => {
                stopped = true
              }))
          )
      })
      const { record, runId } = yield* frozen.run(Agent.start(coder))
      yield* turn
      frozen.wire.before = (operation) => (operation === "renew" ? Effect.never : Effect.void)
      yield* passing(Effect.flip(record))
      assert.isTrue(stopped)
      const writes = frozen.wire.log.filter((operation) => operation !== "renew").length
      yield* adjust("10 seconds")
      const next = yield* other.run(Agent.resume(coder, runId))
      assert.strictEqual((yield* passing(next.record)).status, "ok")
      assert.strictEqual(frozen.wire.log.filter((operation) => operation !== "renew").length, writes)
    }).pipe(Effect.provide(MemoryStore.layer)))
})
