import { assert, describe, it } from "@effect/vitest"
import { Agent } from "@everbeat/core"
import { type LoopContext, runLoop } from "@everbeat/core/promise/LoopContext"
import { TestEverbeat } from "@everbeat/store-memory/testing"
import { Deferred, Effect, Fiber, Schema } from "effect"

const define = (body: (ctx: LoopContext<string>) => Promise<string>) =>
  Agent.make("closer", {
    message: Schema.String,
    result: Schema.String,
    backoff: () => 0,
    run: (ctx) => runLoop(ctx, body)
  })

/** Starts a run, interrupts it when it hangs, and answers what the next attempt does. */
const interruptedOnce = (body: (ctx: LoopContext<string>, hangs: () => void) => Promise<string>) =>
  Effect.gen(function*() {
    const hanging = yield* Deferred.make<void>()
    const agent = define((ctx) => body(ctx, () => Effect.runSync(Deferred.succeed(hanging, undefined))))
    const first = yield* Agent.start(agent)
    yield* Deferred.await(hanging)
    yield* Fiber.join(yield* Effect.forkChild(first.interrupt, { startImmediately: true }))
    return yield* Effect.flatMap(Agent.resume(agent, first.runId), ({ result }) => result)
  }).pipe(Effect.provide(TestEverbeat.layer))

const aborted = (signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener("abort", () => resolve(), { once: true })
  })

describe("a loop with Promises in an agent with Effect", () => {
  it.effect("is told of a tool that ended well after the interruption, and not of one that threw", () =>
    Effect.gen(function*() {
      const result = yield* interruptedOnce(async ({ checkpoint, resume }, hangs) => {
        if (resume !== undefined) return resume.calls.map(({ id, status }) => `${id} ${status}`).toSorted().join(", ")
        const well = checkpoint.tool({ id: "well", name: "close" }, async (signal) => {
          await aborted(signal)
          return "closed"
        })
        const badly = checkpoint.tool({ id: "badly", name: "label" }, async (signal) => {
          hangs()
          await aborted(signal)
          throw new Error("The connection was closed.")
        })
        return (await Promise.all([well, badly])).join()
      })
      assert.strictEqual(result, "badly started, well done")
    }))

  it.effect("is answered from the record where a call is to be remembered", () =>
    Effect.gen(function*() {
      let times = 0
      const result = yield* interruptedOnce(async ({ attempt, checkpoint, signal }, hangs) => {
        const call = { id: "c1", name: "look", remember: true }
        const seen = await checkpoint.tool(call, async () => ({ times: ++times }))
        if (attempt === 1) {
          hangs()
          await aborted(signal)
        }
        return JSON.stringify(seen)
      })
      assert.deepStrictEqual([result, times], [`{"times":1}`, 1])
    }))
})
