import { assert, describe, it } from "@effect/vitest"
import { EffectAi } from "@everbeat/adapter-effect-ai"
import { Agent, AgentSupervisor, Transcript } from "@everbeat/core"
import { MemoryStore } from "@everbeat/store-memory"
import { Effect, Layer, Schema, Stream } from "effect"
import { AiError, LanguageModel, Prompt, type Response, Tool, Toolkit } from "effect/ai"

/** A model that says one thing after the other, and what it was asked. */
const scripted = (...turns: ReadonlyArray<Array<Response.PartEncoded>>) => {
  const asked: Array<Prompt.Prompt> = []
  const layer = Layer.effect(
    LanguageModel.LanguageModel,
    LanguageModel.make({
      generateText: ({ prompt }) => Effect.sync(() => turns[asked.push(prompt) - 1] ?? []),
      streamText: () => Stream.empty
    })
  )
  return { asked, layer }
}

const call = (name: string, params: Schema.Json = {}, id = `call ${name}`): Response.PartEncoded => ({
  type: "tool-call",
  id,
  name,
  params
})

const done: Array<Response.PartEncoded> = [{ type: "text", text: "Done." }]

const run = <E, R>(loop: Parameters<typeof Agent.make<"loop", Prompt.Message, E, R, string>>[1]["run"]) => {
  const agent = Agent.make("loop", { ...EffectAi.options, result: Schema.String, run: loop })
  return Effect.flatMap(Agent.start(agent, { prompt: "Go" }), (handle) => Effect.exit(handle.result)).pipe(
    Effect.provide(Layer.provideMerge(AgentSupervisor.layer, MemoryStore.layer))
  )
}

/** The results that a conversation holds: what the model is told. */
const resultsIn = (prompt: Prompt.Prompt | undefined) =>
  (prompt?.content ?? []).flatMap((message) => message.role === "tool" ? message.content : []).flatMap((part) =>
    part.type === "tool-result" ? [{ name: part.name, isFailure: part.isFailure, result: part.result }] : []
  )

describe("a loop of effect/ai", () => {
  const Add = Tool.make("add", {
    parameters: Schema.Struct({ to: Schema.Int }),
    success: Schema.Int,
    failure: Schema.Struct({ why: Schema.String }),
    failureMode: "return"
  })
  const Strict = Tool.make("strict", { success: Schema.Void, failure: Schema.Struct({ why: Schema.String }) })

  it.live("tells the model of its own mistakes, and runs nothing", () =>
    Effect.gen(function*() {
      const ran: Array<number> = []
      const tools = Toolkit.make(Add)
      const handlers = tools.toLayer({ add: ({ to }) => Effect.sync(() => ran.push(to)) })
      const { asked, layer } = scripted([call("subtract"), call("add", { to: "one" })], done)
      const exit = yield* run((ctx) =>
        Effect.map(EffectAi.loop(ctx, { toolkit: tools }), ({ text }) => text).pipe(
          Effect.provide([layer, handlers])
        )
      )
      assert.isTrue(exit._tag === "Success")
      assert.deepStrictEqual(ran, [])
      const results = resultsIn(asked[1])
      assert.deepStrictEqual(results.map(({ isFailure, name }) => [name, isFailure]), [["subtract", true], [
        "add",
        true
      ]])
      assert.include(JSON.stringify(results[0]?.result), "There is no tool subtract. The tools are: add")
    }))

  it.live("gives a failure to the model where the tool says so, and fails with it where not", () =>
    Effect.gen(function*() {
      const tools = Toolkit.make(Add, Strict)
      const handlers = tools.toLayer({
        add: () => Effect.fail({ why: "full" }),
        strict: () => Effect.fail({ why: "closed" })
      })
      const { asked, layer } = scripted([call("add", { to: 1 })], [call("strict")], done)
      const exit = yield* run((ctx) =>
        EffectAi.loop(ctx, { toolkit: tools }).pipe(
          Effect.map(({ text }) => text),
          // Typed: what a tool fails with is in the type of the loop.
          Effect.catchIf(
            (error): error is { readonly why: string } => "why" in error,
            ({ why }) => Effect.succeed(why)
          ),
          Effect.provide([layer, handlers])
        )
      )
      assert.deepStrictEqual(exit, yield* Effect.exit(Effect.succeed("closed")))
      assert.deepStrictEqual(resultsIn(asked[1]), [{ name: "add", isFailure: true, result: { why: "full" } }])
      assert.lengthOf(asked, 2)
    }))

  it.live("asks a person where the tool needs it, and runs nothing without", () =>
    Effect.gen(function*() {
      const ran: Array<number> = []
      const tools = Toolkit.make(Add.setNeedsApproval(({ to }) => to > 1))
      const handlers = tools.toLayer({ add: ({ to }) => Effect.sync(() => ran.push(to)) })
      const calls = [call("add", { to: 1 }, "a"), call("add", { to: 2 }, "b"), call("add", { to: 3 }, "c")]
      const unattended = scripted(calls, done)
      const loop = (
        model: ReturnType<typeof scripted>,
        approve?: (call: Prompt.ToolCallPart) => Effect.Effect<boolean>
      ) =>
        run((ctx) =>
          Effect.map(EffectAi.loop(ctx, { toolkit: tools, concurrency: 1, approve }), ({ text }) => text).pipe(
            Effect.provide([model.layer, handlers])
          )
        )
      yield* loop(unattended)
      assert.deepStrictEqual(ran, [1])
      assert.deepStrictEqual(resultsIn(unattended.asked[1]).map(({ isFailure }) => isFailure), [false, true, true])
      const attended = scripted(calls, done)
      yield* loop(attended, ({ id }) => Effect.succeed(id === "c"))
      assert.deepStrictEqual(ran, [1, 1, 3])
    }))

  it.live("answers no text of an earlier answer when the last one says nothing", () =>
    Effect.gen(function*() {
      const tools = Toolkit.make(Add)
      const handlers = tools.toLayer({ add: ({ to }) => Effect.succeed(to) })
      const { asked, layer } = scripted([{ type: "text", text: "Let me see." }, call("add", { to: 1 })], [])
      const exit = yield* run((ctx) =>
        Effect.map(EffectAi.loop(ctx, { toolkit: tools }), ({ text }) => text).pipe(Effect.provide([layer, handlers]))
      )
      assert.deepStrictEqual(exit, yield* Effect.exit(Effect.succeed("")))
      assert.lengthOf(asked, 2)
    }))

  it.live("does not run calls of an answer that was cut off", () =>
    Effect.gen(function*() {
      const ran: Array<number> = []
      const tools = Toolkit.make(Add)
      const handlers = tools.toLayer({ add: ({ to }) => Effect.sync(() => ran.push(to)) })
      const usage = { inputTokens: {}, outputTokens: {} }
      const cut: Response.PartEncoded = { type: "finish", reason: "length", usage }
      const { asked, layer } = scripted([call("add", { to: 1 }), cut], done)
      yield* run((ctx) =>
        Effect.map(EffectAi.loop(ctx, { toolkit: tools }), ({ text }) => text).pipe(Effect.provide([layer, handlers]))
      )
      assert.deepStrictEqual(ran, [])
      assert.include(JSON.stringify(resultsIn(asked[1])), "The answer ended early (length)")
    }))

  it.live("runs no more calls at a time than it may, and answers them in their order", () =>
    Effect.gen(function*() {
      let running = 0
      let most = 0
      const tools = Toolkit.make(Add)
      const handlers = tools.toLayer({
        add: ({ to }) =>
          Effect.gen(function*() {
            most = Math.max(most, ++running)
            yield* Effect.repeat(Effect.yieldNow, { times: to % 2 === 0 ? 1 : 5 })
            running--
            return to
          })
      })
      const calls = Array.from({ length: 9 }, (_, to) => call("add", { to }, `c${to}`))
      const { asked, layer } = scripted(calls, done)
      yield* run((ctx) =>
        Effect.map(EffectAi.loop(ctx, { toolkit: tools, concurrency: 3 }), ({ text }) => text).pipe(
          Effect.provide([layer, handlers])
        )
      )
      assert.strictEqual(most, 3)
      assert.deepStrictEqual(resultsIn(asked[1]).map(({ result }) => result), [0, 1, 2, 3, 4, 5, 6, 7, 8])
    }))

  it.live("tells the model what the system says, and does not save it", () =>
    Effect.gen(function*() {
      const { asked, layer } = scripted([{ type: "text", text: "Hi." }])
      let saved: ReadonlyArray<string> = []
      yield* run((ctx) =>
        EffectAi.loop(ctx, { toolkit: Toolkit.empty, system: "Be brief.", prompt: "Hello" }).pipe(
          Effect.map(({ messages, text }) => {
            saved = messages.map(({ role }) => role)
            return text
          }),
          Effect.provide(layer)
        )
      )
      assert.deepStrictEqual(asked[0]?.content.map(({ role }) => role), ["system", "user"])
      assert.deepStrictEqual(saved, ["user", "assistant"])
    }))

  it.live("fails with what the provider fails with", () =>
    Effect.gen(function*() {
      const error = AiError.make({
        module: "m",
        method: "m",
        reason: new AiError.RateLimitError({})
      })
      const layer = Layer.effect(
        LanguageModel.LanguageModel,
        LanguageModel.make({ generateText: () => Effect.fail(error), streamText: () => Stream.empty })
      )
      const exit = yield* run((ctx) =>
        EffectAi.loop(ctx, { toolkit: Toolkit.empty }).pipe(
          Effect.map(({ text }) => text),
          Effect.catchTag("AiError", ({ reason }) => Effect.succeed(reason._tag)),
          Effect.provide(layer)
        )
      )
      assert.deepStrictEqual(exit, yield* Effect.exit(Effect.succeed("RateLimitError")))
    }))
})

describe("the transcript of effect/ai", () => {
  const assistant = Prompt.assistantMessage({
    content: [
      Prompt.textPart({ text: "Two." }),
      Prompt.toolCallPart({ id: "a", name: "add", params: { to: 1 }, providerExecuted: false }),
      Prompt.toolCallPart({ id: "b", name: "add", params: { to: 2 }, providerExecuted: false }),
      Prompt.toolCallPart({ id: "s", name: "search", params: {}, providerExecuted: true })
    ]
  })
  const result = (id: string) =>
    Prompt.toolResultPart({ id, name: "add", result: 1, isFailure: false, providerExecuted: false })
  const started: Transcript.CallRecord = { id: "b", name: "add", mutates: true, status: "started", startedAt: 0 }

  it("closes open calls beside those that are answered, and leaves those of the provider alone", () => {
    const messages = [assistant, Prompt.toolMessage({ content: [result("a")] })]
    const fit = Transcript.repair(EffectAi.transcript, messages, [started])
    assert.deepStrictEqual(fit.repaired.map(({ how, id }) => [id, how]), [["b", "outcome-unknown"]])
    assert.strictEqual(fit.messages[0], assistant)
    const [, tool] = fit.messages
    assert.deepStrictEqual(tool === undefined ? [] : EffectAi.transcript.results(tool), ["a", "b"])
    assert.strictEqual(Transcript.repair(EffectAi.transcript, fit.messages, [started]).messages, fit.messages)
  })

  it("drops results of no call, and moves up those that came late", () => {
    const user = Prompt.userMessage({ content: [Prompt.textPart({ text: "?" })] })
    const messages = [assistant, user, Prompt.toolMessage({ content: [result("x"), result("a"), result("b")] })]
    const fit = Transcript.repair(EffectAi.transcript, messages, [])
    assert.deepStrictEqual(fit.messages.map(({ role }) => role), ["assistant", "tool", "user"])
    assert.deepStrictEqual(fit.dropped, ["x"])
  })

  it("keeps bytes, URLs and options of a provider", () => {
    const { schema } = EffectAi.message()
    const message = Prompt.userMessage({
      content: [
        Prompt.filePart({ mediaType: "image/png", data: new Uint8Array([1, 2, 3]) }),
        Prompt.filePart({ mediaType: "image/png", data: new URL("https://example.com/x.png") })
      ],
      options: { anthropic: { cache: true } }
    })
    const json: unknown = JSON.parse(JSON.stringify(Schema.encodeSync(schema)(message)))
    assert.deepStrictEqual(Schema.decodeUnknownSync(schema)(json), message)
  })
})
