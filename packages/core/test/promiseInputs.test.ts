import {
  agent,
  type AgentContext,
  createEverbeat,
  EverbeatError,
  type Json,
  storeFromLayer
} from "@everbeat/core/promise"
import { memoryStore } from "@everbeat/store-memory/promise"
import { Context, Effect, Layer } from "effect"
import { assert, describe, it } from "vitest"

type Context_ = AgentContext<Json>

/** A call with arguments that its types refuse. */
const untyped = (method: unknown, ...args: ReadonlyArray<unknown>): Promise<unknown> =>
  (method as (...args: ReadonlyArray<unknown>) => Promise<unknown>)(...args)

const messageOf = (
  error: unknown
): string => (error instanceof Error ? `${error.name}: ${error.message}` : String(error))

const wrong: ReadonlyArray<readonly [string, (ctx: Context_) => Promise<unknown>, RegExp]> = [
  [
    "save of nothing",
    ({ checkpoint }) => untyped(checkpoint.save),
    /ctx.checkpoint.save: .*\n- the options is undefined/
  ],
  [
    "save with a misspelt field",
    ({ checkpoint }) => untyped(checkpoint.save, { mesages: [] }),
    /perhaps messages is meant/
  ],
  [
    "save of a text as messages",
    ({ checkpoint }) => untyped(checkpoint.save, { messages: "abc" }),
    /expected an array/
  ],
  ["save of an odd iteration", ({ checkpoint }) => untyped(checkpoint.save, { iteration: 1.5 }), /iteration is 1.5/],
  ["save of notes that are no text", ({ checkpoint }) => untyped(checkpoint.save, { notes: {} }), /notes is an object/],
  ["note of nothing", ({ checkpoint }) => untyped(checkpoint.note), /text is undefined: expected a string/],
  ["tool without a call", ({ checkpoint }) => untyped(checkpoint.tool, undefined, () => 1), /ctx.checkpoint.tool/],
  ["tool without an id", ({ checkpoint }) => untyped(checkpoint.tool, { name: "x" }, () => 1), /id is undefined/],
  [
    "tool without a function",
    ({ checkpoint }) => untyped(checkpoint.tool, { id: "a", name: "x" }),
    /expected a function/
  ],
  ["phase without a name", ({ checkpoint }) => untyped(checkpoint.phase, undefined, () => 1), /name is undefined/],
  ["start of what is no agent", ({ start }) => untyped(start, { name: "x" }, { key: "k" }), /the agent is an object/],
  ["start without a key", ({ start }) => untyped(start, child, {}), /key is undefined/]
]

const child = agent("child", { run: () => 1 })

describe("a call of an agent on its context", () => {
  it.for(wrong)("rejects a %s, says what is expected, and leaves the run as it was", async ([, call, expected]) => {
    let told: unknown
    const parent = agent("parent", {
      backoff: () => 0,
      run: async (ctx) => {
        if (ctx.attempt === 2) return ctx.resume?.notes
        await ctx.checkpoint.note("first")
        told = await call(ctx).then(() => "nothing", (error: unknown) => error)
        await ctx.checkpoint.note("second")
        throw Object.assign(new Error("again"), { retryable: true })
      }
    })
    await using everbeat = createEverbeat({ store: memoryStore(), agents: [parent, child] })
    const notes = await (await everbeat.agent.start(parent)).result()
    assert.match(messageOf(told), /^InvalidOptions: /)
    assert.match(messageOf(told), expected)
    assert.strictEqual(notes, "first\nsecond")
  })
})

describe("a layer that fails with what is no error", () => {
  it.for([["no database", /no database/], [{ code: 7 }, /an object/]] as const)(
    "rejects with an error that says so: %s",
    async ([failure, expected]) => {
      await using broken = createEverbeat({
        store: storeFromLayer(Layer.effectContext(Effect.as(Effect.fail(failure), Context.empty() as never)))
      })
      const error: unknown = await broken.ready().catch((error: unknown) => error)
      assert.instanceOf(error, Error)
      assert.match(messageOf(error), expected)
      assert.strictEqual(error.cause, failure)
    }
  )
})

describe("resuming with an agent", () => {
  it("whose run it is not says whose it is", async () => {
    const stuck = agent("stuck", {
      timeout: 5,
      maxAttempts: 1,
      run: (ctx) => new Promise((_, reject) => ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason)))
    })
    await using everbeat = createEverbeat({ store: memoryStore(), agents: [stuck, child] })
    const { result, runId } = await everbeat.agent.start(stuck)
    await result().catch(() => {})
    const error = await everbeat.agent.resume(child, runId).catch((error: unknown) => error)
    assert.match(
      messageOf(error),
      /^DefinitionChangedError: Run \S+ was begun by another heartbeat or agent, or by another version of it: 'stuck'\.$/
    )
  })
})

describe("an error", () => {
  it("says what to do about it", async () => {
    const stuck = agent("stuck", {
      run: (ctx) => new Promise((_, reject) => ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason)))
    })
    await using everbeat = createEverbeat({ store: memoryStore(), agents: [stuck] })
    const { result, runId } = await everbeat.agent.start(stuck)
    await everbeat.agent.cancel(runId)
    const calls: ReadonlyArray<() => Promise<unknown>> = [
      () => everbeat.runs.get("nonsense"),
      () => everbeat.runs.list({ agentName: "no name" }),
      () => everbeat.agent.start(stuck, { key: "not visible: \u0000" }),
      () => untyped(everbeat.agent.start, stuck, { payload: { size: 1n } }),
      () => result()
    ]
    const hints: Array<unknown> = []
    for (const call of calls) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      const error = await call().catch((error: unknown) => error)
      hints.push(error instanceof EverbeatError ? error.hint : error)
    }
    assert.deepStrictEqual(hints, [
      "Take it as it is from runId of a report, a record or a handle.",
      "Correct agentName.",
      "Correct key.",
      "Convert it to JSON, or leave it out.",
      "Start it again if it is still wanted."
    ])
  })
})
