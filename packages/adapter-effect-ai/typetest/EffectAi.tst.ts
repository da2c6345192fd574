import { EffectAi } from "@everbeat/adapter-effect-ai"
import { Agent, type AgentContext } from "@everbeat/core"
import { Context, Effect, Schema } from "effect"
import { type LanguageModel, type Prompt, Tool, Toolkit } from "effect/ai"
import { describe, expect, it } from "tstyche"

class Full extends Schema.TaggedError<Full>()("Full", {}) {}
class Tracker extends Context.Service<Tracker, { readonly url: string }>()("Tracker") {}

const Add = Tool.make("add", { parameters: Schema.Struct({ to: Schema.Int }), failure: Full, dependencies: [Tracker] })
const Told = Tool.make("told", { failure: Full, failureMode: "return" })

declare const ctx: AgentContext.AgentContext<Prompt.Message>

type ErrorOf<T> = T extends Effect.Effect<unknown, infer E, unknown> ? E : never
type ServicesOf<T> = T extends Effect.Effect<unknown, unknown, infer R> ? R : never

describe("a loop of effect/ai", () => {
  it("fails with what its tools fail with, where they do not tell the model", () => {
    const strict = EffectAi.loop(ctx, { toolkit: Toolkit.make(Add) })
    const told = EffectAi.loop(ctx, { toolkit: Toolkit.make(Told) })
    expect<Extract<ErrorOf<typeof strict>, Full>>().type.toBe<Full>()
    expect<Extract<ErrorOf<typeof told>, Full>>().type.toBe<never>()
    expect<Extract<ErrorOf<typeof told>, EffectAi.IterationsExhausted>>().type.toBe<EffectAi.IterationsExhausted>()
  })

  it("needs the model, the handlers, and what the tools need", () => {
    const loop = EffectAi.loop(ctx, { toolkit: Toolkit.make(Add) })
    expect<ServicesOf<typeof loop>>().type.toBe<LanguageModel.LanguageModel | Tool.Handler<"add"> | Tracker>()
  })

  it("infers what a person and an onlooker may fail with", () => {
    const loop = EffectAi.loop(ctx, { toolkit: Toolkit.empty, onPart: () => Effect.fail("no" as const) })
    expect<Extract<ErrorOf<typeof loop>, "no">>().type.toBe<"no">()
  })

  it("knows the names of the tools", () => {
    expect(EffectAi.loop<{ add: typeof Add }>).type.not.toBeCallableWith(ctx, {
      toolkit: Toolkit.make(Add),
      toolChoice: { tool: "subtract" }
    })
  })

  it("is the run of an agent with its options", () => {
    const agent = Agent.make("x", {
      ...EffectAi.options,
      run: (ctx) => Effect.asVoid(EffectAi.loop(ctx, { toolkit: Toolkit.empty }))
    })
    expect<
      typeof agent extends Agent.Agent<"x", Prompt.Message, void, infer _E, LanguageModel.LanguageModel> ? true : false
    >().type.toBe<true>()
  })
})
