import { assert, describe, it } from "@effect/vitest"
import { AiSdk } from "@everbeat/adapter-ai-sdk"
import { Agent, AgentSupervisor, CheckpointStore, type RunStore, StoreError } from "@everbeat/core"
import { agent, createEverbeat, json, storeFromLayer } from "@everbeat/core/promise"
import { MemoryStore } from "@everbeat/store-memory"
import { generateText, tool } from "ai"
import { Context, Effect, Exit, Layer, Schema } from "effect"
import { z } from "zod"
import { answer, drivers, modelOf, shownOutput, text, toolCall } from "./support.ts"

const inputSchema = z.object({})

/** The store of the context, until it is cut off. */
const breakable = Effect.gen(function*() {
  const services = yield* Effect.context<CheckpointStore.CheckpointStore | RunStore.RunStore>()
  const store = Context.get(services, CheckpointStore.CheckpointStore)
  let isCut = false
  const down = new StoreError.StoreError({ operation: "save", reason: "unavailable", detail: "cut off" })
  const save: typeof store.save = (...input) => (isCut ? Effect.fail(down) : store.save(...input))
  return {
    services: Context.add(services, CheckpointStore.CheckpointStore, { ...store, save }),
    cut: (cut: boolean) => (isCut = cut)
  }
})

const closerOf = (told: Array<string>, applied: Array<string>, onAsked: () => void) => ({
  model: modelOf(({ prompt }) => {
    const results = prompt.flatMap((message) => (message.role === "tool" ? message.content : []))
    for (const part of results) {
      if (part.type === "tool-result") told.push(shownOutput(part.output))
    }
    if (results.length > 0) return answer([text("done")])
    onAsked()
    return answer([toolCall("c1", "close")])
  }),
  tools: {
    close: tool({
      inputSchema,
      execute: () => {
        applied.push("close")
        return "closed"
      }
    })
  }
})

describe.each(Object.keys(drivers))("%s while the store fails", (driver) => {
  // The drivers do not look at the tools.
  const drive = drivers[driver] as unknown as (loop: object) => Promise<string>

  it.live("stops before the mutation with onStoreFailure: stop, tells the model nothing, and goes on later", () =>
    Effect.gen(function*() {
      const { cut, services } = yield* breakable
      const told: Array<string> = []
      const applied: Array<string> = []
      let isFirst = true
      const { model, tools } = closerOf(told, applied, () => {
        cut(isFirst)
        isFirst = false
      })
      const closer = Agent.make("closer", {
        ...AiSdk.options,
        result: Schema.String,
        checkpoint: { onStoreFailure: "stop" },
        run: (ctx) => AiSdk.run(ctx, (ctx) => drive(AiSdk.loop(ctx, { model, tools })))
      })
      const layer = Layer.provideMerge(Layer.fresh(AgentSupervisor.layer), Layer.succeedContext(services))
      yield* Effect.gen(function*() {
        const first = yield* Agent.start(closer, { prompt: "Close it." })
        const ended = yield* Effect.flip(first.result)
        assert.deepInclude(ended, { _tag: "RunInterrupted", reason: "store: unavailable" })
        assert.deepStrictEqual([applied, told], [[], []])
        cut(false)
        const second = yield* Agent.resume(closer, first.runId)
        assert.strictEqual(yield* second.result, "done")
        assert.deepStrictEqual([applied, told], [["close"], ["closed"]])
      }).pipe(Effect.provide(layer))
    }).pipe(Effect.provide(Layer.fresh(MemoryStore.layer))))

  it.live("goes on with onStoreFailure: continue, and stores everything when the store is back", () =>
    Effect.gen(function*() {
      const { cut, services } = yield* breakable
      const applied: Array<string> = []
      const { model, tools } = closerOf([], applied, () => cut(true))
      const closer = agent("closer", {
        ...AiSdk.options,
        result: json<string>(),
        run: async (ctx) => {
          const done = await drive(AiSdk.loop(ctx, { model, tools }))
          cut(false)
          return done
        }
      })
      const everbeat = createEverbeat({
        store: storeFromLayer(Layer.succeedContext(services)),
        agents: [closer],
        recovery: false
      })
      const run = yield* Effect.promise(async () => {
        const handle = await everbeat.agent.start(closer, { prompt: "Close it." })
        return await handle.record()
      })
      assert.deepInclude(run, { status: "ok", result: "done" })
      assert.deepStrictEqual(applied, ["close"])
      yield* Effect.promise(() => everbeat.dispose())
    }).pipe(Effect.provide(Layer.fresh(MemoryStore.layer))))
})

it.live("a call that ends while the store fails has an unknown outcome for whoever goes on", () =>
  Effect.gen(function*() {
    const { cut, services } = yield* breakable
    const told: Array<string> = []
    const applied: Array<string> = []
    const { model, tools } = closerOf(told, applied, () => {})
    const close = tool({
      inputSchema,
      execute: () => {
        applied.push("close")
        cut(true)
        return "closed"
      }
    })
    const layer = Layer.provideMerge(Layer.fresh(AgentSupervisor.layer), Layer.succeedContext(services))
    const closer = Agent.make("closer", {
      ...AiSdk.options,
      result: Schema.String,
      checkpoint: { onStoreFailure: "stop" },
      run: (ctx) =>
        AiSdk.run(ctx, async (ctx) => {
          const loop = AiSdk.loop(ctx, { model, tools: ctx.attempt === 1 ? { close } : tools })
          return (await generateText(loop)).text
        })
    })
    yield* Effect.gen(function*() {
      const first = yield* Agent.start(closer, { prompt: "Close it." })
      const exit = yield* Effect.exit(first.result)
      assert.isTrue(Exit.isFailure(exit))
      cut(false)
      const second = yield* Agent.resume(closer, first.runId)
      assert.strictEqual(yield* second.result, "done")
      assert.deepStrictEqual(applied, ["close"])
      // What had happened when the store went away could not be stored: whoever goes on has to look.
      assert.deepStrictEqual(told, [
        "INTERRUPTED: outcome unknown. Check the current state before calling this again."
      ])
    }).pipe(Effect.provide(layer))
  }).pipe(Effect.provide(Layer.fresh(MemoryStore.layer))))
