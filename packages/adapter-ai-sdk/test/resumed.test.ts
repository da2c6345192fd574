import { assert, describe, it } from "@effect/vitest"
import { AiSdk } from "@everbeat/adapter-ai-sdk"
import { agent, createEverbeat, json } from "@everbeat/core/promise"
import { memoryStore } from "@everbeat/store-memory/promise"
import { generateText, pruneMessages, streamText, tool } from "ai"
import { z } from "zod"
import { type Answer, answer, type Asked, modelOf, type Part, shownOutput, text, toolCall } from "./support.ts"

const inputSchema = z.object({})

type Run = (ctx: AiSdk.Context) => PromiseLike<string>

/** Runs an agent whose attempts end after a moment, until it has ended. */
const ended = async (run: Run, timeout = 700) => {
  const resumed = agent("resumed", {
    ...AiSdk.options,
    result: json<string>(),
    timeout,
    maxAttempts: 4,
    backoff: () => 0,
    run: async (ctx) => run(ctx)
  })
  await using everbeat = createEverbeat({ store: memoryStore(), agents: [resumed] })
  return (await everbeat.agent.start(resumed, { prompt: "Do it." })).record()
}

/** Resolves when the attempt is told to stop. */
const aborted = (signal: AbortSignal | undefined): Promise<void> =>
  new Promise((resolve) => signal?.addEventListener("abort", () => resolve(), { once: true }))

/** The results that the model is told, by their calls. */
const told = ({ prompt }: Asked): ReadonlyArray<string> =>
  prompt.flatMap((message) => {
    const parts = message.role === "tool" || message.role === "assistant" ? [...message.content] : []
    return parts.flatMap((part) =>
      part.type === "tool-result" ? [`${part.toolCallId}: ${shownOutput(part.output)}`] : []
    )
  })

/** Ends the first attempt in the save of an answer with calls: it is stored, and none of them has started. */
const stoppedBeforeTools = (ctx: AiSdk.Context): AiSdk.Context => ({
  ...ctx,
  checkpoint: {
    ...ctx.checkpoint,
    save: async (update) => {
      await ctx.checkpoint.save(update)
      if (ctx.attempt > 1 || update.messages?.at(-1)?.role !== "assistant") return
      await ctx.checkpoint.flush()
      await aborted(ctx.signal)
      ctx.signal.throwIfAborted()
    }
  }
})

describe("an agent of Promises that runs into its timeout", () => {
  it("in the middle of a tool that ends well all the same is told its result, and does not repeat it", async () => {
    const ran: Array<string> = []
    let last: ReadonlyArray<string> = []
    const model = modelOf((asked) => {
      last = told(asked)
      return last.length === 0 ? answer([toolCall("a", "write"), toolCall("b", "close")]) : answer([text("done")])
    })
    const act = (name: string, end: () => string) =>
      tool({
        inputSchema,
        execute: async (_, { abortSignal }) => {
          ran.push(name)
          await aborted(abortSignal)
          return end()
        }
      })
    const run = await ended(async (ctx) => {
      const tools = {
        write: act("write", () => "written"),
        close: act("close", () => {
          throw new Error("aborted")
        })
      }
      return (await generateText(AiSdk.loop(ctx, { model, tools }))).text
    })
    assert.deepStrictEqual([run.status, run.result, run.attempts.length], ["ok", "done", 2])
    assert.deepStrictEqual(ran, ["write", "close"])
    assert.strictEqual(last[0], "a: written")
    assert.match(last[1] ?? "", /^b: INTERRUPTED: outcome unknown/)
  })

  it("in the middle of a stream asks for the answer again", async () => {
    let asked = 0
    const seen: Array<string> = []
    const half: ReadonlyArray<Part> = [
      { type: "stream-start", warnings: [] },
      { type: "text-start", id: "t" },
      { type: "text-delta", id: "t", delta: "Hal" }
    ]
    const whole = modelOf(() => answer([text("Whole.")]))
    const hanging = modelOf(() => answer([]))
    hanging.doStream = async ({ abortSignal }) => {
      asked++
      return {
        stream: new ReadableStream<Part>({
          start: (controller) => {
            for (const part of half) controller.enqueue(part)
            abortSignal?.addEventListener("abort", () => controller.error(abortSignal.reason), { once: true })
          }
        })
      }
    }
    const run = await ended(async (ctx) => {
      const result = streamText({
        ...AiSdk.loop(ctx, { model: ctx.attempt === 1 ? hanging : whole }),
        onError: () => {}
      })
      for await (const part of result.textStream) seen.push(part)
      return await result.text
    })
    assert.deepStrictEqual([run.status, run.result, run.attempts.length, asked], ["ok", "Whole.", 2, 1])
    assert.deepStrictEqual(seen.join(""), "HalWhole.")
  })
})

describe("an answer that is given again", () => {
  const again = async (content: Answer["content"], execute: (input: unknown) => string) => {
    const asked: Array<Asked> = []
    const model = modelOf((question) => asked.push(question) === 1 ? answer(content) : answer([text("done")]))
    const tools = { act: tool({ inputSchema, execute }) }
    const run = await ended(async (ctx) =>
      (await generateText(AiSdk.loop(stoppedBeforeTools(ctx), { model, tools }))).text
    )
    assert.deepStrictEqual([run.status, run.result, run.attempts.length], ["ok", "done", 2], JSON.stringify(run.errors))
    assert.lengthOf(asked, 2)
    const [, second] = asked
    return second === undefined ? [] : told(second)
  }

  it("keeps what its provider executed, also with a tool that the loop does not know", async () => {
    const results = await again([
      { type: "tool-call", toolCallId: "p", toolName: "mcp", input: "{}", providerExecuted: true, dynamic: true },
      { type: "tool-result", toolCallId: "p", toolName: "mcp", result: { hits: 1 }, dynamic: true },
      toolCall("c", "act")
    ], () => "acted")
    assert.deepStrictEqual(results, ["p: {\"hits\":1}", "c: acted"])
  })

  it("does not execute a call whose input was no JSON", async () => {
    const ran: Array<unknown> = []
    const results = await again([
      { type: "tool-call", toolCallId: "bad", toolName: "act", input: "{\"force\": tr" },
      toolCall("good", "act")
    ], (input) => {
      ran.push(input)
      return "acted"
    })
    assert.lengthOf(ran, 1)
    assert.match(results[0] ?? "", /^bad: .*Invalid input/)
    assert.strictEqual(results[1], "good: acted")
  })

  it("tells the model again of a tool that there is not", async () => {
    const results = await again([toolCall("none", "nothing"), toolCall("c", "act")], () => "acted")
    assert.match(results[0] ?? "", /^none: .*unavailable tool/)
    assert.strictEqual(results[1], "c: acted")
  })

  it("asks for an approval again", async () => {
    const ran: Array<string> = []
    const model = modelOf(() => answer([toolCall("c", "act")]))
    const tools = {
      act: tool({ inputSchema, execute: () => String(ran.push("act")) })
    }
    const run = await ended(async (ctx) => {
      const { content } = await generateText({
        ...AiSdk.loop(stoppedBeforeTools(ctx), { model, tools }),
        toolApproval: { act: "user-approval" }
      })
      return content.map(({ type }) => type).join()
    })
    assert.deepStrictEqual([run.result, ran], ["tool-call,tool-approval-request", []], JSON.stringify(run.errors))
  })
})

describe("a conversation", () => {
  it("that was pruned by a prepareStep goes on after a resume, and repeats nothing", async () => {
    const ran: Array<number> = []
    const model = modelOf(({ prompt }) => {
      const count = ran.length
      assert.isBelow(prompt.length, 8)
      return count < 6 ? answer([text(`step ${count}`), toolCall(`c${count}`, "act")]) : answer([text("done")])
    })
    const run = await ended(async (ctx) => {
      const tools = {
        act: tool({
          inputSchema,
          execute: async (_, { abortSignal }) => {
            ran.push(ran.length)
            if (ran.length === 4) await aborted(abortSignal)
            return "acted"
          }
        })
      }
      const prepareStep = ({ messages }: { readonly messages: Parameters<typeof pruneMessages>[0]["messages"] }) => ({
        messages: pruneMessages({ messages, toolCalls: "before-last-2-messages" }).slice(-4)
      })
      return (await generateText(AiSdk.loop(ctx, { model, tools, prepareStep }))).text
    })
    assert.deepStrictEqual([run.status, run.result, run.attempts.length], ["ok", "done", 2], JSON.stringify(run.errors))
    assert.lengthOf(ran, 6)
  })

  it("with an answer that says nothing ends, and an answer that failed is asked for again", async () => {
    let asked = 0
    const model = modelOf(() => {
      if (++asked === 1) throw Object.assign(new Error("overloaded"), { isRetryable: true })
      return answer([])
    })
    const run = await ended(async (ctx) => {
      try {
        return (await generateText({ ...AiSdk.loop(ctx, { model }), maxRetries: 0 })).text
      } catch (error) {
        throw Object.assign(new Error("again", { cause: error }), { retryable: true })
      }
    })
    assert.deepStrictEqual([run.status, run.result, run.attempts.length, asked], ["ok", "", 2, 2])
  })

  it("keeps bytes and URLs of files over a resume", async () => {
    const bytes = new Uint8Array([1, 2, 3])
    let seen: unknown
    const model = modelOf(({ prompt }) => {
      seen = prompt.flatMap((message) => message.role === "user" ? message.content : [])
      return answer([text("seen")])
    })
    const run = await ended(async (ctx) => {
      const loop = AiSdk.loop(ctx, {
        model,
        messages: [{
          role: "user",
          content: [{ type: "text", text: "Look." }, { type: "file", mediaType: "image/png", data: bytes }]
        }]
      })
      if (ctx.attempt === 1) {
        await ctx.checkpoint.save({ messages: loop.messages, iteration: 0 })
        throw Object.assign(new Error("again"), { retryable: true })
      }
      return (await generateText(loop)).text
    })
    assert.deepStrictEqual([run.result, run.attempts.length], ["seen", 2])
    assert.include(JSON.stringify(seen), "image/png")
  })
})
