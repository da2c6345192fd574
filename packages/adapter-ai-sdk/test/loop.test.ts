import { assert, describe, it } from "@effect/vitest"
import { AiSdk } from "@everbeat/adapter-ai-sdk"
import { agent, createEverbeat, json, type Update } from "@everbeat/core/promise"
import { memoryStore } from "@everbeat/store-memory/promise"
import { generateText, isStepCount, type ModelMessage, streamText, tool, ToolLoopAgent } from "ai"
import { z } from "zod"
import { answer, type Asked, modelOf, text, toolCall } from "./support.ts"

const inputSchema = z.object({})

type Resume = NonNullable<AiSdk.Context["resume"]>

const resumeOf = (messages: ReadonlyArray<ModelMessage>, more: Partial<Resume> = {}): Resume => ({
  reason: "expired",
  endedAt: undefined,
  messages,
  repaired: [],
  calls: [],
  iteration: 1,
  phase: "",
  completedPhases: [],
  notes: "",
  continuation: { messages, original: undefined, prompt: "" },
  ...more
})

/** A context that remembers what it was told. */
const contextOf = (more: Partial<AiSdk.Context> = {}) => {
  const updates: Array<Update<ModelMessage>> = []
  const calls: Array<string> = []
  const warnings: Array<string> = []
  const context: AiSdk.Context = {
    runId: "run",
    attempt: 1,
    fence: 1,
    meta: { prompt: "Do it." },
    signal: new AbortController().signal,
    resume: undefined,
    checkpoint: {
      save: async (update) => void updates.push(update),
      note: async () => {},
      flush: async () => {},
      tool: async ({ id, mutates = true }, execute) => {
        calls.push(`${id}${mutates ? "!" : ""}`)
        return await execute(new AbortController().signal)
      },
      phase: async (_, body) => body(new AbortController().signal)
    },
    warn: (code) => void warnings.push(code),
    ...more
  }
  return { context, updates, calls, warnings, messages: () => updates.at(-1)?.messages ?? [] }
}

const resultsOf = ({ prompt }: Asked) =>
  prompt.flatMap((message) => (message.role === "tool" ? message.content : []))
    .flatMap((part) => (part.type === "tool-result" ? [part.output] : []))

/** Calls `name` until there are so many results. */
const caller = (name: string, times = 1) =>
  modelOf((asked) => {
    const count = resultsOf(asked).length
    return count < times ? answer([toolCall(`c${count + 1}`, name)]) : answer([text("done")])
  })

const rejected = (promise: PromiseLike<unknown>): Promise<unknown> =>
  Promise.resolve(promise).then(
    (value) => assert.fail(`resolved to ${JSON.stringify(value)}`),
    (error: unknown) => error
  )

describe("a loop", () => {
  it("takes the mutation flag from the option, then from the tool, then for granted", async () => {
    const { calls, context } = contextOf()
    const flagged = (mutates: boolean) => tool({ inputSchema, metadata: { everbeat: { mutates } }, execute: () => 1 })
    const names = ["plain", "reads", "changes", "told"]
    const model = modelOf((asked) =>
      resultsOf(asked).length === 0 ? answer(names.map((name) => toolCall(name, name))) : answer([text("done")])
    )
    const tools = {
      plain: tool({ inputSchema, execute: () => 1 }),
      reads: flagged(false),
      changes: flagged(true),
      told: flagged(true)
    }
    const mutates = (name: string) => (name === "told" ? false : undefined)
    await generateText(AiSdk.loop(context, { model, tools, mutates }))
    assert.deepStrictEqual(calls, ["plain!", "reads", "changes!", "told"])
  })

  it("saves what the SDK sends, with the ids of calls and signatures", async () => {
    const { context, updates } = contextOf()
    const model = modelOf((asked) =>
      resultsOf(asked).length === 0
        ? answer([
          { type: "reasoning", text: "Look first.", providerMetadata: { anthropic: { signature: "sig" } } },
          { type: "source", sourceType: "url", id: "s", url: "https://example.com" },
          { type: "tool-call", toolCallId: "p1", toolName: "web", input: "{}", providerExecuted: true },
          { type: "tool-result", toolCallId: "p1", toolName: "web", result: { hits: 1 } },
          { type: "file", mediaType: "image/png", data: { type: "data", data: new Uint8Array([1, 2, 3]) } },
          toolCall("c1", "look", { at: 7 })
        ])
        : answer([text("done")])
    )
    const look = tool({ inputSchema: z.object({ at: z.number() }), execute: ({ at }) => ({ at }) })
    for (const streamed of [false, true]) {
      updates.length = 0
      const loop = AiSdk.loop(context, { model, tools: { look } })
      // oxlint-disable-next-line eslint/no-await-in-loop -- they share what is saved
      await (streamed ? streamText(loop).text : generateText(loop))
      // The answer as we saved it, and as the SDK sent it with its next question.
      const [, ours, sent] = updates.map(({ messages }) => JSON.stringify(messages?.[1]))
      assert.strictEqual(ours, sent)
      assert.include(ours, `"signature":"sig"`)
      assert.include(ours, `"toolCallId":"c1"`)
      assert.notInclude(ours, "example.com")
      assert.deepStrictEqual(updates.map(({ iteration }) => iteration), [undefined, 1, undefined, 2])
      assert.deepStrictEqual(updates.map(({ messages }) => messages?.map(({ role }) => role).join()), [
        "user",
        "user,assistant",
        "user,assistant,tool",
        "user,assistant,tool,assistant"
      ])
    }
  })

  it("hands on what a tool emits while it runs, and records the last", async () => {
    const { calls, context } = contextOf()
    const count = tool({
      inputSchema,
      execute: async function*() {
        yield "one"
        yield "two"
      }
    })
    const result = streamText(AiSdk.loop(context, { model: caller("count"), tools: { count } }))
    const seen: Array<unknown> = []
    for await (const part of result.stream) {
      if (part.type === "tool-result") seen.push([part.output, part.preliminary ?? false])
    }
    assert.deepStrictEqual(seen, [["one", true], ["two", true], ["two", false]])
    assert.deepStrictEqual(calls, ["c1!"])
  })

  it("shows the error of a tool to the model, as the SDK does", async () => {
    const { context } = contextOf()
    const model = modelOf((asked) => {
      const [output] = resultsOf(asked)
      return output === undefined ? answer([toolCall("c1", "fail")]) : answer([text(JSON.stringify(output))])
    })
    const fail = tool({
      inputSchema,
      execute: (): string => {
        throw new Error("locked")
      }
    })
    const { text: said } = await generateText(AiSdk.loop(context, { model, tools: { fail } }))
    assert.deepStrictEqual(JSON.parse(said), { type: "error-text", value: "Error: locked" })
  })

  it.each([new Error("locked"), "locked", undefined])(
    "goes on after a tool that threw %s, in a Promise agent",
    async (thrown) => {
      const fail = tool({
        inputSchema,
        execute: (): string => {
          throw thrown
        }
      })
      const failing = agent("failing", {
        ...AiSdk.options,
        result: json<string>(),
        run: async (ctx) => (await generateText(AiSdk.loop(ctx, { model: caller("fail", 2), tools: { fail } }))).text
      })
      await using everbeat = createEverbeat({ store: memoryStore(), agents: [failing], recovery: false })
      const handle = await everbeat.agent.start(failing)
      assert.strictEqual(await handle.result(), "done")
    }
  )

  it("counts answers over all attempts, warns at the limit, and asks nothing when it was reached before", async () => {
    const first = contextOf()
    const look = tool({ inputSchema, metadata: { everbeat: { mutates: false } }, execute: () => "seen" })
    const loop = AiSdk.loop(first.context, { model: caller("look", 9), tools: { look }, maxIterations: 3 })
    const ended = await generateText(loop)
    assert.deepStrictEqual([ended.finishReason, ended.steps.length, first.warnings], ["tool-calls", 3, [
      "IterationLimit"
    ]])

    const messages = first.messages()
    const repaired = [
      ...messages,
      ...AiSdk.transcript.answer([
        { id: "c3", name: "look", how: "outcome-known", isError: false, text: "seen", result: "seen" }
      ])
    ]
    const resume = resumeOf(repaired, {
      iteration: 3,
      repaired: [{ id: "c3", name: "look", how: "outcome-known", isError: false, text: "seen" }]
    })
    const second = contextOf({ resume })
    const model = modelOf(() => assert.fail("the model is asked"))
    const again = await generateText(AiSdk.loop(second.context, { model, tools: { look }, maxIterations: 3 }))
    assert.deepStrictEqual([again.finishReason, again.toolResults.map(({ output }) => output)], ["tool-calls", [
      "seen"
    ]])
    assert.deepStrictEqual([second.calls, second.warnings], [[], ["IterationLimit"]])
    assert.throws(() => AiSdk.loop(first.context, { model, maxIterations: 0 }), /at least 1, not 0/)
  })

  it("asks further conditions to stop", async () => {
    const { context } = contextOf()
    const look = tool({ inputSchema, execute: () => 1 })
    const loop = AiSdk.loop(context, { model: caller("look", 9), tools: { look }, stopWhen: isStepCount(2) })
    assert.lengthOf((await generateText(loop)).steps, 2)
  })

  it("saves what a prepareStep makes of the messages, and wraps its model", async () => {
    const { context, messages, updates } = contextOf()
    const look = tool({ inputSchema, execute: () => 1 })
    const loop = AiSdk.loop(context, {
      model: caller("look"),
      tools: { look },
      prepareStep: ({ messages, stepNumber }) =>
        stepNumber === 0 ? {} : { messages: messages.slice(1), model: modelOf(() => answer([text("from another")])) }
    })
    assert.strictEqual((await generateText(loop)).text, "from another")
    assert.deepStrictEqual(messages().map(({ role }) => role), ["assistant", "tool", "assistant"])
    assert.strictEqual(updates.at(-1)?.iteration, 2)
  })

  it("begins with messages that it is given, also when nothing was saved", () => {
    const messages: ReadonlyArray<ModelMessage> = [{ role: "user", content: [{ type: "text", text: "Look." }] }]
    const model = caller("x")
    assert.deepStrictEqual(AiSdk.loop(contextOf().context, { model, messages }).messages, messages)
    const continuation = { messages: [], original: "Do it.", prompt: "You continue." }
    const resumed = contextOf({ resume: resumeOf([], { continuation }) })
    assert.deepStrictEqual(AiSdk.loop(resumed.context, { model, messages }).messages, [
      ...messages,
      { role: "user", content: "You continue." }
    ])
  })

  it.each(["generate", "stream"] as const)(
    "%s: gives a last answer again that was saved, and asks when more is wanted",
    async (how) => {
      const messages: ReadonlyArray<ModelMessage> = [
        { role: "user", content: "Do it." },
        {
          role: "assistant",
          content: [{ type: "text", text: "Half" }],
          providerOptions: { everbeat: { finishReason: "length" } }
        }
      ]
      const run = async (context: AiSdk.Context) => {
        const { abortSignal, messages, ...settings } = AiSdk.loop(context, {
          model: modelOf(() => answer([text("more")]))
        })
        const given = { messages, abortSignal }
        const agent = new ToolLoopAgent(settings)
        const result = how === "stream" ? await agent.stream(given) : await agent.generate(given)
        return [await result.text, await result.finishReason]
      }
      const goOn = { messages, original: undefined, prompt: "Go on from here." }
      const told = contextOf({ resume: resumeOf(messages, { continuation: goOn }) })
      assert.deepStrictEqual(await run(told.context), ["Half", "length"])
      assert.deepStrictEqual(told.updates, [], "nothing is saved: what is stored is ahead")
      const asked = contextOf({ resume: resumeOf(messages, { continuation: { ...goOn, prompt: "And the rest?" } }) })
      assert.deepStrictEqual(await run(asked.context), ["more", "stop"])
    }
  )

  it("refuses to be used without its prepareStep, and for other questions", async () => {
    const { context } = contextOf()
    const { prepareStep: _, ...rest } = AiSdk.loop(context, { model: caller("look") })
    assert.match(String(await rejected(generateText(rest))), /called without its prepareStep/)
  })

  it("does not begin when the attempt is over already", async () => {
    const reason = new Error("shutdown")
    const { context, updates } = contextOf({ signal: AbortSignal.abort(reason) })
    const loop = AiSdk.loop(context, { model: caller("look") })
    assert.strictEqual(await rejected(generateText(loop)), reason)
    assert.deepStrictEqual(updates, [])
  })
})

describe("a loop that cannot record", () => {
  const lost = new Error("the lease is lost")

  it("rejects with the error also when it would have ended with this call, and tells the model nothing", async () => {
    const { context } = contextOf()
    let asked = 0
    const model = modelOf(() => {
      asked++
      return answer([toolCall("c1", "close")])
    })
    const checkpoint = { ...context.checkpoint, tool: () => Promise.reject(lost) }
    const close = tool({ inputSchema, execute: (): string => assert.fail("it is executed") })
    for (const options of [{ maxIterations: 1 }, { stopWhen: isStepCount(1) }, {}]) {
      const loop = () => AiSdk.loop({ ...context, checkpoint }, { model, tools: { close }, ...options })
      asked = 0
      // oxlint-disable-next-line eslint/no-await-in-loop -- they share the count
      assert.strictEqual(await rejected(generateText(loop())), lost)
      // oxlint-disable-next-line eslint/no-await-in-loop
      assert.strictEqual(await rejected(streamText({ ...loop(), onError: () => {} }).text), lost)
      assert.strictEqual(asked, 2)
    }
  })

  it("rejects with the error of a save, before and after an answer", async () => {
    for (const at of [0, 1]) {
      let count = 0
      const { context } = contextOf()
      const checkpoint = {
        ...context.checkpoint,
        save: () => (count++ === at ? Promise.reject(lost) : Promise.resolve())
      }
      const close = tool({ inputSchema, execute: (): string => assert.fail("it is executed") })
      const loop = () => {
        count = 0
        return AiSdk.loop({ ...context, checkpoint }, { model: caller("close"), tools: { close } })
      }
      // oxlint-disable-next-line eslint/no-await-in-loop -- they share the count
      assert.strictEqual(await rejected(generateText(loop())), lost)
      // oxlint-disable-next-line eslint/no-await-in-loop
      assert.strictEqual(await rejected(streamText({ ...loop(), onError: () => {} }).text), lost)
    }
  })

  it("names the path to a result that JSON cannot hold, after the tool had its effect", async () => {
    const { context } = contextOf()
    let applied = 0
    const close = tool({
      inputSchema,
      execute: () => {
        applied++
        return { closed: [7n] }
      }
    })
    const error = await rejected(generateText(AiSdk.loop(context, { model: caller("close"), tools: { close } })))
    assert.deepInclude(error, { _tag: "Unencodable", path: "the result of close (c1).closed.0" })
    assert.strictEqual(applied, 1)
  })

  it("stops when toModelOutput throws, and records that the tool ended", async () => {
    const recorded: Array<unknown> = []
    const { context } = contextOf()
    const checkpoint: AiSdk.Context["checkpoint"] = {
      ...context.checkpoint,
      tool: async (_, execute) => {
        const result = await execute(context.signal)
        recorded.push(result)
        return result
      }
    }
    const close = tool({
      inputSchema,
      execute: () => "closed",
      toModelOutput: () => {
        throw new Error("no output")
      }
    })
    const loop = AiSdk.loop({ ...context, checkpoint }, { model: caller("close"), tools: { close } })
    assert.include(await rejected(generateText(loop)), { detail: "its toModelOutput threw Error: no output" })
    assert.deepStrictEqual(recorded, ["closed"])
  })

  it("stops the calls beside it, and records that nobody knows what they did", async () => {
    const { context } = contextOf()
    const recorded: Array<string> = []
    const checkpoint: AiSdk.Context["checkpoint"] = {
      ...context.checkpoint,
      tool: async ({ name }, execute) => {
        if (name === "comment") throw lost
        try {
          return await execute(context.signal)
        } catch (error) {
          recorded.push(String(error))
          throw error
        }
      }
    }
    const model = modelOf(() => answer([toolCall("c1", "close"), toolCall("c2", "comment")]))
    const comment = tool({ inputSchema, execute: (): string => assert.fail("it is executed") })
    const close = tool({
      inputSchema,
      execute: (_, { abortSignal }) =>
        new Promise<string>((_, reject) => {
          abortSignal?.addEventListener("abort", () => reject(abortSignal.reason))
        })
    })
    const loop = AiSdk.loop({ ...context, checkpoint }, { model, tools: { close, comment } })
    assert.strictEqual(await rejected(generateText(loop)), lost)
    assert.match(recorded.join(), /INTERRUPTED: outcome unknown/)
  })
})
