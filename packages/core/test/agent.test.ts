import { assert, it } from "@effect/vitest"
import { Agent, AgentSupervisor, RunStore, type RunStore as RunStores, Transcript } from "@everbeat/core"
import { MemoryStore } from "@everbeat/store-memory"
import { Effect, Fiber, Layer, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"

const layer = Layer.provideMerge(AgentSupervisor.layer, MemoryStore.layer)

/** Lets time pass until the effect has ended: between two steps of a run there is real work, such as hashing. */
const eventually = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect)
    while (fiber.pollUnsafe() === undefined) {
      yield* TestClock.adjust("1 second")
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
    }
    return yield* Fiber.join(fiber)
  })

const user = (content: string): Transcript.Message => ({ role: "user", content })

it.effect("an agent that succeeds is recorded and leaves nothing behind", () =>
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
          return 42
        })
    })
    const handle = yield* Agent.start(coder, { prompt: "Fix it", callerId: "ada" })
    assert.strictEqual(yield* handle.result, 42)
    const record = yield* handle.record
    assert.containSubset(record, {
      status: "warning",
      kind: "agent",
      agentName: "coder",
      callerId: "ada",
      prompt: "Fix it",
      summary: "1 iteration in 1 attempt",
      result: 42,
      touchedIssueUrls: ["https://example.com/1"],
      attempts: [{ number: 1, end: "settled" }],
      warnings: [{ code: "Odd", message: "It is odd" }]
    })
    assert.deepStrictEqual((yield* runs.list()).items, [record])
  }).pipe(Effect.provide(layer)))

it.effect("a timeout keeps the newest state and continues as the next attempt", () =>
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
            seen.push(ctx.resume?.continuation.prompt.includes("| half done"))
            return
          }
          yield* ctx.checkpoint.note("half done")
          yield* ctx.checkpoint.save({ messages: [user("hello")], iteration: 3, phase: "fix" })
          yield* ctx.checkpoint.save({ messages: [user("hello"), user("again")], iteration: 4 })
          yield* Effect.never
        })
    })
    const handle = yield* Agent.start(coder, { prompt: "Fix it" })
    const supervisor = yield* AgentSupervisor.AgentSupervisor
    const events = yield* Effect.forkChild(
      Stream.runCollect(Stream.takeUntil(supervisor.events, (event) => event._tag === "RunSettled"))
    )
    yield* TestClock.adjust("119 seconds")
    assert.deepStrictEqual(seen, [undefined])
    const record = yield* eventually(handle.record)
    assert.containSubset(record.attempts, [{ end: "released", reason: "timeout" }, { end: "settled" }])
    assert.containSubset(seen[1], {
      reason: "timeout",
      messages: [user("hello"), user("again")],
      iteration: 4,
      phase: "fix",
      notes: "half done"
    })
    assert.strictEqual(seen[2], true)
    const tags = (yield* Fiber.join(events)).map((event) => event._tag)
    assert.deepStrictEqual(tags, ["AttemptEnded", "AttemptStarted", "RunSettled"])
  }).pipe(Effect.provide(layer)))

it.effect("a run without progress is exhausted after two attempts and kept", () =>
  Effect.gen(function*() {
    const runs: RunStores.RunStore["Service"] = yield* RunStore.RunStore
    const coder = Agent.make("coder", {
      message: Schema.String,
      maxAttempts: 5,
      backoff: () => 0,
      run: () => Effect.never
    })
    const handle = yield* Agent.start(coder)
    assert.containSubset(yield* eventually(Effect.flip(handle.result)), {
      _tag: "RunExhausted",
      attempts: 2,
      reason: "timeout"
    })
    assert.containSubset((yield* runs.list()).items, [{ status: "exhausted" }])
  }).pipe(Effect.provide(layer)))
