import { assert, describe, it } from "@effect/vitest"
import { Agent, type AgentRun, AgentSupervisor, MessageCodec, type Transcript } from "@everbeat/core"
import { MemoryStore } from "@everbeat/store-memory"
import { Effect, Layer, Schema } from "effect"
import { newProcess, passing, record, recordOf, stored, turn } from "./agentSupport.ts"

const layer = Layer.provideMerge(AgentSupervisor.layer, MemoryStore.layer)

const reasons = (run: AgentRun.AgentRun | AgentRun.RunInFlight) => run.attempts.map(({ end, reason }) => [end, reason])

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
      const refused = yield* Effect.flip(one.run(Agent.resume(other, runId)))
      assert.strictEqual(refused._tag, "OtherDefinition")
      assert.include(refused.message, "was begun by another heartbeat or agent")
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
