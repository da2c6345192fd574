import { assert, describe, it } from "@effect/vitest"
import { Agent, AgentName, AgentRun, AgentSupervisor, RunStore, Transcript } from "@everbeat/core"
import { MemoryStore } from "@everbeat/store-memory"
import { Cause, Context, Deferred, Effect, Exit, Layer, Schema } from "effect"
import { adjust, newProcess, passing, recordOf, stored, user } from "./agentSupport.ts"
import { Bad, Low } from "./support.ts"

const layer = Layer.provideMerge(AgentSupervisor.layer, MemoryStore.layer)

describe("Agent.make", () => {
  it("refuses what cannot work, with the name of the agent and of the option", () => {
    const make = (name: string, options: object = {}) => () =>
      Agent.make(name, { message: Schema.String, run: () => Effect.void, ...options })
    assert.throws(make("a b"), /^Agent 'a b': use 1 to 128 letters/)
    assert.throws(make("a", { timeout: 0 }), /^Agent 'a': timeout must be at least 1 ms$/)
    assert.throws(make("a", { maxAttempts: 0 }), /maxAttempts must be a whole number of at least 1/)
    assert.throws(make("a", { checkpoint: { every: 1.5 } }), /checkpoint.every must be a whole number/)
    assert.throws(make("a", { workspace: { every: 0 } }), /workspace.every must be a whole number/)
    assert.isTrue(Agent.isAgent(make("a")()))
    assert.isFalse(Agent.isAgent({}))
  })
})

it.layer(layer)("an agent", (it) => {
  it.effect("that succeeds is recorded and leaves nothing behind", () =>
    Effect.gen(function*() {
      const runs = yield* RunStore.RunStore
      const coder = Agent.make("coder", {
        message: Transcript.Message,
        result: Schema.Int,
        run: (ctx) =>
          Effect.gen(function*() {
            yield* ctx.checkpoint.save({ messages: [user("hello")], iteration: 1 })
            yield* ctx.warn({ _tag: "Odd", message: "It is odd" })
            yield* ctx.touch("https://example.com/1")
            yield* ctx.touch("https://example.com/1")
            return 42
          })
      })
      const handle = yield* Agent.start(coder, { prompt: "Fix it", callerId: "ada", agent: "first" })
      assert.strictEqual(handle.origin, "started")
      assert.strictEqual(yield* handle.result, 42)
      const record = yield* handle.record
      assert.deepInclude(record, {
        status: "warning",
        kind: "agent",
        agentName: AgentName.make("first"),
        callerId: "ada",
        prompt: "Fix it",
        summary: "1 iteration in 1 attempt",
        result: 42,
        touchedIssueUrls: ["https://example.com/1"]
      })
      assert.deepStrictEqual(record.definition, { name: "coder", hash: "" })
      assert.deepStrictEqual(record.attempts.map(({ end, number }) => [number, end]), [[1, "settled"]])
      assert.deepStrictEqual(record.warnings.map(({ code, message }) => [code, message]), [["Odd", "It is odd"]])
      assert.deepStrictEqual(yield* runs.get(handle.runId), record)
    }))

  it.effect("records of what it touched http(s) URLs alone, each once: readers make links of them", () =>
    Effect.gen(function*() {
      const urls = [
        "javascript:alert(1)",
        "HTTPS://example.com",
        "https://example.com/",
        "http://x/\u0000",
        "/issues/7",
        ""
      ]
      const coder = Agent.make("coder", {
        message: Schema.String,
        run: (ctx) => Effect.forEach([...urls, `https://example.com/${"x".repeat(2048)}`], ctx.touch, { discard: true })
      })
      const { record } = yield* Agent.start(coder)
      assert.deepStrictEqual((yield* record).touchedIssueUrls, ["https://example.com/", "http://x/"])
    }))

  it.effect("that fails, dies, or is refused its result ends as an error, with what it failed with", () =>
    Effect.gen(function*() {
      const cases = {
        typed: Agent.make("t", { message: Schema.String, run: () => Effect.fail(new Bad({ why: "x" })) }),
        defect: Agent.make("t", { message: Schema.String, run: () => Effect.die(new Error("boom")) }),
        // Before there is an effect at all.
        thrown: Agent.make("t", {
          message: Schema.String,
          run: (): Effect.Effect<void> => {
            throw new Error("boom")
          }
        }),
        refused: Agent.make("t", { message: Schema.String, result: Schema.Int, run: () => Effect.succeed(1.5) }),
        tooLong: Agent.make("t", {
          message: Schema.String,
          result: Schema.String,
          run: () => Effect.succeed("x".repeat(1024 * 1024))
        }),
        // Counted in bytes, as stores do: half as many characters.
        tooWide: Agent.make("t", {
          message: Schema.String,
          result: Schema.String,
          run: () => Effect.succeed("\u00e9".repeat(512 * 1024))
        })
      }
      const found: Record<string, unknown> = {}
      for (const [name, agent] of Object.entries(cases)) {
        const handle = yield* Agent.start<unknown, Bad, never>(agent)
        const record = yield* handle.record
        assert.strictEqual(record.status, "error", name)
        assert.strictEqual((yield* stored(handle.runId)).status, "error")
        found[name] = record.errors.map(({ code }) => code)
        const exit = yield* Effect.exit(handle.result)
        assert(Exit.isFailure(exit))
        if (found[name]?.toString() === "ResultRefused") {
          assert.propertyVal(Cause.squash(exit.cause), "_tag", "ResultRefused")
        }
        if (name === "typed") assert.deepStrictEqual(Cause.findErrorOption(exit.cause), Exit.findErrorOption(exit))
      }
      assert.deepStrictEqual(found, {
        typed: ["Bad"],
        defect: ["Defect"],
        thrown: ["Defect"],
        refused: ["ResultRefused"],
        tooLong: ["ResultRefused"],
        tooWide: ["ResultRefused"]
      })
    }))

  it.effect("that never saves and one that answers nothing are recorded all the same", () =>
    Effect.gen(function*() {
      const quiet = Agent.make("quiet", { message: Schema.String, run: () => Effect.sleep("1 minute") })
      const record = yield* recordOf(quiet)
      assert.deepInclude(record, { status: "ok", summary: "0 iterations in 1 attempt" })
      assert.notProperty(record, "result")
    }))

  it.effect("runs with the services of whoever starts it", () =>
    Effect.gen(function*() {
      class Greeting extends Context.Service<Greeting, { readonly text: string }>()("test/Greeting") {}
      const greeter = Agent.make("greeter", {
        message: Schema.String,
        result: Schema.String,
        run: () => Effect.map(Greeting, ({ text }) => text)
      })
      const handle = yield* Agent.start(greeter).pipe(Effect.provideService(Greeting, { text: "hello" }))
      assert.strictEqual(yield* handle.result, "hello")
    }))

  it.effect("is told who asked, and belongs to the supervisor when the caller leaves", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const seen: Array<unknown> = []
      const coder = Agent.make("coder", {
        message: Schema.String,
        version: "7",
        run: (ctx) =>
          Effect.andThen(
            Effect.sync(() => seen.push(ctx.meta.payload, ctx.meta.definition.hash, ctx.attempt, typeof ctx.fence)),
            Deferred.await(gate)
          )
      })
      const handle = yield* Agent.start(coder, { payload: { issue: 7 } })
      yield* Effect.timeoutOption(handle.result, 0)
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual((yield* handle.record).status, "ok")
      assert.deepStrictEqual(seen, [{ issue: 7 }, "7", 1, "number"])
    }))

  it.effect("whose names or keys are refused is not begun", () =>
    Effect.gen(function*() {
      const coder = Agent.make("coder", { message: Schema.String, run: () => Effect.void })
      assert.strictEqual((yield* Effect.flip(Agent.start(coder, { agent: "a b" })))._tag, "InvalidInput")
      assert.strictEqual((yield* Effect.flip(Agent.start(coder, { key: "" })))._tag, "InvalidInput")
      assert.strictEqual((yield* Effect.flip(Agent.start(coder, { payload: NaN })))._tag, "InvalidInput")
    }))
})

describe("an idempotency key", () => {
  const slow = (gate: Deferred.Deferred<void>) =>
    Agent.make("slow", {
      message: Schema.String,
      result: Schema.String,
      run: (ctx) => Effect.as(Deferred.await(gate), `attempt ${ctx.attempt}`)
    })

  it.effect("joins the run here, is busy elsewhere, and replays the result when it has ended", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const agent = slow(gate)
      const [a, b] = [yield* newProcess(), yield* newProcess()]
      const first = yield* a.run(Agent.start(agent, { key: "k", prompt: "p" }))
      const second = yield* a.run(Agent.start(agent, { key: "k", prompt: "p" }))
      assert.deepStrictEqual([second.origin, second.runId], ["joined", first.runId])
      const busy = yield* Effect.flip(b.run(Agent.start(agent, { key: "k", prompt: "p" })))
      assert.deepInclude(busy, { _tag: "AgentBusy", runId: first.runId })
      const other = yield* Effect.flip(a.run(Agent.start(agent, { key: "k", prompt: "q" })))
      assert.strictEqual(other._tag, "KeyMismatch")
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(yield* second.result, "attempt 1")
      for (const process of [a, b]) {
        const replay = yield* process.run(Agent.start(agent, { key: "k", prompt: "p" }))
        assert.deepStrictEqual([replay.origin, yield* replay.result], ["replayed", "attempt 1"])
        assert.deepStrictEqual(yield* replay.record, yield* first.record)
      }
    }).pipe(Effect.provide(MemoryStore.layer)))

  it.effect("continues the run of a process that was lost, under the same id", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const agent = slow(gate)
      const [a, b] = [yield* newProcess(), yield* newProcess()]
      const first = yield* a.run(Agent.start(agent, { key: "k" }))
      a.wire.before = () => Effect.never
      yield* adjust("40 seconds")
      const second = yield* b.run(Agent.start(agent, { key: "k" }))
      assert.deepStrictEqual([second.origin, second.runId], ["resumed", first.runId])
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(yield* second.result, "attempt 2")
      assert.strictEqual((yield* Effect.flip(first.record))._tag, "LeaseLost")
      const run = yield* stored(first.runId)
      assert(AgentRun.isSettled(run))
      assert.deepStrictEqual(run.attempts.map(({ end }) => end), ["expired", "settled"])
    }).pipe(Effect.provide(MemoryStore.layer)))

  it.effect("replays a failure, a cancellation and a result that its schema refuses by now", () =>
    Effect.gen(function*() {
      const failing = Agent.make("a", { message: Schema.String, run: () => Effect.fail(new Low({ n: 1 })) })
      yield* Effect.flip((yield* Agent.start(failing, { key: "f" })).result)
      const failed = yield* Effect.flip((yield* Agent.start(failing, { key: "f" })).result)
      assert(failed._tag === "RecordedFailure")
      assert.strictEqual(failed.diagnostic.code, "Low")

      const endless = Agent.make("a", { message: Schema.String, run: () => Effect.never })
      const { record, runId } = yield* Agent.start(endless, { key: "c" })
      yield* Agent.cancel(runId)
      assert.strictEqual((yield* record).status, "cancelled")
      const cancelled = yield* Effect.flip((yield* Agent.start(endless, { key: "c" })).result)
      assert.strictEqual(cancelled._tag, "PassCancelled")

      const before = Agent.make("a", { message: Schema.String, result: Schema.Int, run: () => Effect.succeed(1) })
      const after = Agent.make("a", { message: Schema.String, result: Schema.String, run: () => Effect.succeed("1") })
      yield* (yield* Agent.start(before, { key: "r" })).result
      const refused = yield* Effect.flip((yield* Agent.start(after, { key: "r" })).result)
      assert(refused._tag === "RecordedFailure")
      assert.strictEqual(refused.diagnostic.code, "ResultRefused")
    }).pipe(Effect.provide(layer)))

  it.effect("of an exhausted run says so, and burns no attempt of it", () =>
    Effect.gen(function*() {
      const agent = Agent.make("a", {
        message: Schema.String,
        maxAttempts: 1,
        timeout: "1 second",
        run: () => Effect.never
      })
      const { record, runId } = yield* Agent.start(agent, { key: "k" })
      yield* passing(Effect.flip(record))
      const again = yield* Agent.start(agent, { key: "k" })
      assert.deepInclude(yield* Effect.flip(again.result), { _tag: "RunExhausted", runId, attempts: 1 })
      const run = yield* stored(runId)
      assert.strictEqual(run.status, "exhausted")
      assert.lengthOf(run.attempts, 1)
    }).pipe(Effect.provide(layer)))
})
