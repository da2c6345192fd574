import { assert, describe, it } from "@effect/vitest"
import { AiSdk } from "@everbeat/adapter-ai-sdk"
import { Agent, AgentSupervisor, CheckpointStore } from "@everbeat/core"
import { MemoryStore } from "@everbeat/store-memory"
import { type ModelMessage, tool, type ToolSet } from "ai"
import { MockLanguageModelV4 } from "ai/test"
import { Deferred, Effect, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import { z } from "zod"
import { answer, type Asked, drivers, modelOf, type Part, partsOf, shownOutput, text, toolCall } from "./support.ts"

const layer = Layer.fresh(Layer.provideMerge(AgentSupervisor.layer, MemoryStore.layer))

type Drive = (loop: AiSdk.Loop<never>) => Promise<string>

/** The drivers do not look at the tools. */
const driverOf = (name: string): Drive => drivers[name] as unknown as Drive

interface Given {
  readonly model: AiSdk.LoopOptions<never>["model"]
  readonly tools: ToolSet
  readonly more?: Partial<Agent.Options<ModelMessage, string, unknown, never>>
}

const agentOf = (drive: Drive, given: (attempt: number) => Given, more: Given["more"] = {}) =>
  Agent.make("closer", {
    ...AiSdk.options,
    ...more,
    result: Schema.String,
    backoff: () => 0,
    run: (ctx) =>
      AiSdk.run(ctx, (ctx) => {
        const { model, tools } = given(ctx.attempt)
        return drive(AiSdk.loop(ctx, { model, tools }) as unknown as AiSdk.Loop<never>)
      })
  })

/** Results that the model is shown. */
const resultsOf = ({ prompt }: Asked) =>
  prompt.flatMap((message) => (message.role === "tool" ? message.content : []))
    .flatMap((part) => (part.type === "tool-result" ? [part] : []))

const shown = (asked: Asked) => resultsOf(asked).map(({ output, toolName }) => `${toolName}: ${shownOutput(output)}`)

const inputSchema = z.object({})

describe.each(Object.keys(drivers))("%s that is interrupted", (driver) => {
  const drive = driverOf(driver)

  it.live("in the middle of one of two parallel mutations repeats neither", () =>
    Effect.gen(function*() {
      const applied: Array<string> = []
      const hangs = yield* Deferred.make<void>()
      const told: Array<string> = []
      const model = modelOf((asked) => {
        if (resultsOf(asked).length === 0) return answer([toolCall("c1", "comment"), toolCall("c2", "close")])
        told.push(...shown(asked))
        return answer([text("checked")])
      })
      const closer = agentOf(drive, () => ({
        model,
        tools: {
          comment: tool({
            inputSchema,
            execute: () => {
              applied.push("comment")
              return "commented"
            }
          }),
          close: tool({
            inputSchema,
            execute: async (_, { abortSignal }) => {
              applied.push("close")
              Effect.runSync(Deferred.succeed(hangs, undefined))
              await new Promise((_, reject) => abortSignal?.addEventListener("abort", () => reject(abortSignal.reason)))
            }
          })
        }
      }))
      const first = yield* Agent.start(closer, { prompt: "Close it." })
      yield* Deferred.await(hangs)
      const store = yield* CheckpointStore.CheckpointStore
      const isRecorded = Effect.map(store.load(first.runId), ({ notes = "" }) => notes.includes("done"))
      while (!(yield* isRecorded)) yield* Effect.yieldNow
      yield* first.interrupt
      const second = yield* Agent.resume(closer, first.runId)
      assert.strictEqual(yield* second.result, "checked")
      assert.deepStrictEqual(applied.toSorted(), ["close", "comment"])
      assert.deepStrictEqual(told, [
        "comment: commented",
        "close: INTERRUPTED: outcome unknown. Check the current state before calling this again."
      ])
    }).pipe(Effect.provide(layer)))

  it.effect("by its timeout goes on with the next attempt, and waits for a tool that does not listen", () =>
    Effect.gen(function*() {
      const begun = yield* Deferred.make<void>()
      const told = yield* Deferred.make<void>()
      const release = yield* Deferred.make<void>()
      const applied: Array<string> = []
      const model = modelOf((asked) =>
        resultsOf(asked).length === 0 ? answer([toolCall("c1", "close")]) : answer([text(shown(asked).join())])
      )
      let overlapping = 0
      const closer = agentOf(drive, (attempt) => ({
        model,
        tools: {
          close: tool({
            inputSchema,
            execute: async (_, { abortSignal }) => {
              overlapping++
              applied.push(`close ${attempt}`)
              abortSignal?.addEventListener("abort", () => Effect.runSync(Deferred.succeed(told, undefined)))
              await Effect.runPromise(Effect.andThen(Deferred.succeed(begun, undefined), Deferred.await(release)))
              overlapping--
              return "closed"
            }
          })
        }
      }), { timeout: "2 seconds" })
      const run = yield* Agent.start(closer, { prompt: "Close it." })
      yield* Deferred.await(begun)
      yield* TestClock.adjust("2 seconds")
      yield* Deferred.await(told)
      yield* Deferred.succeed(release, undefined)
      const result = yield* run.result
      assert.strictEqual(result, "close: closed", "it ended while the attempt was about to end")
      assert.deepStrictEqual([applied, overlapping], [["close 1"], 0])
      const { attempts } = yield* run.record
      assert.deepStrictEqual(attempts.map(({ reason }) => reason), ["timeout", undefined])
    }).pipe(Effect.provide(layer)))

  it.live("in the middle of a sequence executes what had not started, from the stored answer", () =>
    Effect.gen(function*() {
      const applied: Array<string> = []
      const hangs = yield* Deferred.make<void>()
      let questions = 0
      const model = modelOf((asked) => {
        if (resultsOf(asked).length > 0) return answer([text(shown(asked).join("; "))])
        questions++
        return answer([
          { type: "reasoning", text: "Two.", providerMetadata: { mock: { signature: "s" } } },
          toolCall("c1", "look"),
          toolCall("c2", "close", {})
        ])
      })
      const closer = agentOf(drive, (attempt) => ({
        model,
        tools: {
          look: tool({
            inputSchema,
            execute: () => "open",
            toModelOutput: ({ output }) => ({ type: "text", value: `seen: ${output}` })
          }),
          close: tool({
            inputSchema,
            execute: () => {
              applied.push("close")
              return { closed: true }
            },
            onInputAvailable: async () => {
              if (attempt > 1) return
              Effect.runSync(Deferred.succeed(hangs, undefined))
              await new Promise(() => {})
            }
          })
        }
      }), { grace: 0 })
      const first = yield* Agent.start(closer, { prompt: "Close it." })
      yield* Deferred.await(hangs)
      yield* first.interrupt
      const second = yield* Agent.resume(closer, first.runId)
      assert.include(yield* second.result, "look: seen: open")
      // A stream shows the input of a call before the answer is complete.
      assert.deepStrictEqual([applied, questions], [["close"], driver === "streamText" ? 2 : 1])
    }).pipe(Effect.provide(layer)))
})

it.live("a stream that is interrupted leaves nothing of its answer, and is asked for again", () =>
  Effect.gen(function*() {
    const hangs = yield* Deferred.make<void>()
    const asked: Array<number> = []
    const model = new MockLanguageModelV4({
      doStream: async ({ abortSignal, prompt }) => {
        asked.push(prompt.length)
        const parts = partsOf(answer([text("The answer."), toolCall("c1", "close")]))
        const isFirst = asked.length === 1
        const shownParts = resultsOf({ prompt }).length > 0 ? partsOf(answer([text("closed")])) : parts
        return {
          stream: new ReadableStream<Part>({
            start: (controller) => {
              for (const part of isFirst ? parts.slice(0, 3) : shownParts) controller.enqueue(part)
              if (!isFirst) return controller.close()
              Effect.runSync(Deferred.succeed(hangs, undefined))
              abortSignal?.addEventListener("abort", () => controller.error(abortSignal.reason))
            }
          })
        }
      }
    })
    const applied: Array<string> = []
    const closer = agentOf(driverOf("streamText"), () => ({
      model,
      tools: { close: tool({ inputSchema, execute: () => void applied.push("close") }) }
    }))
    const first = yield* Agent.start(closer, { prompt: "Close it." })
    yield* Deferred.await(hangs)
    yield* first.interrupt
    const second = yield* Agent.resume(closer, first.runId)
    assert.strictEqual(yield* second.result, "The answer.closed")
    assert.deepStrictEqual([applied, asked], [["close"], [2, 2, 4]])
  }).pipe(Effect.provide(layer)))
