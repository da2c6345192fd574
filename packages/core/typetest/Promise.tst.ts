import { type Fault, Step } from "@everbeat/core"
import {
  agent,
  type AgentContext,
  type AgentHandle,
  createEverbeat,
  type Diagnostic,
  type FaultCode,
  heartbeat,
  type Json,
  json,
  type Report
} from "@everbeat/core/promise"
import { memoryStore } from "@everbeat/store-memory/promise"
import { Context, Effect, Layer, Schema } from "effect"
import { describe, expect, test } from "tstyche"
import { Forge, MissingOwner, type RateLimited as TaggedRateLimited } from "./fixtures.ts"

class RateLimited extends Error {
  readonly retryAfter = 30
}
class TokenRevoked extends Error {
  readonly token = "t"
}
interface Issue {
  readonly url: string
  readonly owner: string | null
}
type Codes<D extends ReadonlyArray<{ readonly code: string }>> = Exclude<
  D[number]["code"],
  FaultCode | "DiagnosticsTruncated"
>

const issues: ReadonlyArray<Issue> = []

describe("a chain", () => {
  test("reads the results of earlier steps, in its order", () => {
    heartbeat()
      .step("sync", async () => ({ issues }))
      .step("count", (ctx) => {
        expect(ctx.results).type.toBe<{ readonly sync: { issues: ReadonlyArray<Issue> } }>()
        return ctx.results.sync.issues.length
      })
      .step("effect", (ctx) => Effect.succeed(`${ctx.results.count}`))
      .step("nothing", async () => {})
      .step("last", (ctx) => {
        expect(ctx.results.count).type.toBe<number>()
        expect(ctx.results.effect).type.toBe<string>()
        expect(ctx.results.nothing).type.toBe<undefined>()
        expect(ctx.signal).type.toBe<AbortSignal>()
        expect(ctx.payload).type.toBe<Json | undefined>()
        expect(ctx.results).type.not.toHaveProperty("last")
      })
  })

  test("may lack the result of a step whose failures are warnings", () => {
    heartbeat()
      .step("soft", () => 1, { onError: "warn" })
      .step("some", () => 2, { failsWith: { RateLimited }, warnOn: ["RateLimited"] })
      .step("default", () => issues, { onError: "warn", default: [] })
      .step("hard", () => 4, { onError: "stop" })
      .step("last", ({ results }) => {
        expect(results.soft).type.toBe<number | undefined>()
        expect(results.some).type.toBe<number | undefined>()
        expect(results.default).type.toBe<ReadonlyArray<Issue>>()
        expect(results.hard).type.toBe<number>()
      })
  })

  test("reads only what `after` names", () => {
    heartbeat()
      .step("a", () => 1)
      .step("b", () => "b")
      .step("c", ({ results }) => {
        expect(results).type.toBe<{ readonly b: string }>()
        expect(results).type.not.toHaveProperty("a")
      }, { after: ["b"] })
  })

  test("says what is wrong with a step", () => {
    const chain = heartbeat("triage", { warnings: ["late"] }).step("a", () => 1)
    // @ts-expect-error "'a' is listed twice"
    chain.step("a", () => 1)
    // @ts-expect-error Type '"z"' is not assignable to type '"a"'
    chain.step("b", () => 1, { after: ["z"] })
    // @ts-expect-error Type '"ignore"' is not assignable to type
    chain.step("b", () => 1, { onError: "ignore" })
    // @ts-expect-error not assignable to type
    chain.step("b", () => 1, { warnOn: ["RateLimited"] })
    // @ts-expect-error 'onErorr' does not exist in type
    chain.step("b", () => 1, { onErorr: "warn" })
    // @ts-expect-error "the default is no result of this step"
    chain.step("b", () => 1, { onError: "warn", default: "one" })
    // @ts-expect-error Type '"10 secs"' is not assignable to type
    chain.step("b", () => 1, { timeout: "10 secs" })
    // @ts-expect-error No overload matches this call
    heartbeat({ concurrency: "all" })
  })
})

describe("codes of warnings", () => {
  test("are those that are declared", () => {
    heartbeat({ warnings: ["late"] }).step("a", (ctx) => {
      expect(ctx.warn).type.toBeCallableWith("late", "message")
      expect(ctx.warn).type.toBeCallableWith("late", "message", { hint: "h", url: "https://x" })
      expect(ctx.warn).type.not.toBeCallableWith("early", "message")
    }).step("b", (ctx) => {
      expect(ctx.warn).type.toBeCallableWith("late", "message")
      expect(ctx.warn).type.toBeCallableWith("early", "message")
      expect(ctx.warn).type.not.toBeCallableWith("never", "message")
    }, { warnings: ["early"] })
    heartbeat().step("c", (ctx) => expect(ctx.warn).type.toBeCallableWith("anything", "message"))
  })
})

describe("a report", () => {
  const typed = heartbeat("typed", { warnings: ["late"] })
    .step("a", () => 1, { failsWith: { RateLimited, TokenRevoked }, warnings: ["early"] })
    .step("b", () => 1, { failsWith: { RateLimited, TokenRevoked }, warnOn: ["RateLimited"] })
  const soft = heartbeat({ warnings: [] }).step("a", () => 1, { failsWith: { RateLimited }, onError: "warn" })
  const shared = heartbeat({ warnings: [], failsWith: { RateLimited } })
    .step("a", () => 1)
    .step("b", () => 1, { failsWith: { TokenRevoked }, warnOn: ["RateLimited"] })
  const loose = heartbeat().step("a", () => 1)
  const effects = heartbeat({ warnings: [] }).step("a", () =>
    Effect.gen(function*() {
      yield* Step.warn(new MissingOwner({ count: 1 }))
      const forge = yield* Forge
      yield* Effect.asVoid(Effect.catchTag(forge.openIssues, "TokenRevoked", () => Effect.void))
    }))
  const everbeat = createEverbeat({
    store: memoryStore(),
    heartbeats: { typed, soft, shared, loose, effects },
    layer: Layer.succeed(Forge, { openIssues: Effect.succeed([]) })
  })

  test("has the declared codes, warnings apart from failures", async () => {
    const report = await everbeat.run("typed")
    expect<Codes<typeof report.warnings>>().type.toBe<"late" | "early" | "RateLimited">()
    expect<Codes<typeof report.errors>>().type.toBe<"RateLimited" | "TokenRevoked">()
    for (const error of report.errors) {
      if (error.code === "TokenRevoked") expect(error.value).type.toBe<TokenRevoked | undefined>()
      if (error.code === "StepTimeout") expect(error.value).type.toBe<unknown>()
    }
    const other = await everbeat.run("soft")
    expect<Codes<typeof other.warnings>>().type.toBe<"RateLimited">()
    expect<Codes<typeof other.errors>>().type.toBe<never>()
  })

  test("has the codes that its heartbeat declares for all steps", async () => {
    const report = await everbeat.run("shared")
    expect<Codes<typeof report.errors>>().type.toBe<"RateLimited" | "TokenRevoked">()
    expect<Codes<typeof report.warnings>>().type.toBe<"RateLimited">()
  })

  test("has any code where nothing is declared", async () => {
    const report = await everbeat.run("loose")
    expect<(typeof report.errors)[number]["code"]>().type.toBe<string>()
    expect<(typeof report.warnings)[number]["code"]>().type.toBe<string>()
  })

  test("has the tags of an Effect, inferred", async () => {
    const report = await everbeat.run("effects")
    expect<Codes<typeof report.warnings>>().type.toBe<"MissingOwner">()
    expect<Codes<typeof report.errors>>().type.toBe<"RateLimited">()
    for (const error of report.errors) {
      if (error.code === "RateLimited") expect(error.value).type.toBe<TaggedRateLimited | undefined>()
    }
  })

  test("knows every code of the engine", () => {
    expect<Exclude<FaultCode, "Unexpected">>().type.toBe<Fault.Fault["_tag"]>()
    expect<Report>().type.toBeAssignableFrom<Report<Diagnostic<"a">, never>>()
  })

  test("is that of a heartbeat which is there", () => {
    expect(everbeat.run).type.not.toBeCallableWith("nobody")
    expect(everbeat.run).type.toBeCallableWith("typed", { key: "k", payload: [1, { a: null }] })
    expect(everbeat.run).type.not.toBeCallableWith("typed", { payload: new Date() })
  })
})

describe("the layer", () => {
  test("is demanded for services that steps need", () => {
    const needs = heartbeat().step("a", () => Forge.use((forge) => Effect.ignore(forge.openIssues)))
    // @ts-expect-error Property 'layer' is missing
    createEverbeat({ store: memoryStore(), heartbeats: { needs } })
    class Other extends Context.Service<Other, {}>()("test/Other") {}
    const layer = Layer.succeed(Other, {})
    // @ts-expect-error is not assignable to type
    createEverbeat({ store: memoryStore(), heartbeats: { needs }, layer })
    createEverbeat({ store: memoryStore(), heartbeats: { plain: heartbeat().step("a", () => 1) } })
  })
})

describe("an agent", () => {
  test("has the messages that it says, and any JSON otherwise", () => {
    agent("a", {
      run: async (ctx) => {
        expect(ctx).type.toBe<AgentContext<Json>>()
      }
    })
    agent("b", {
      message: json<Issue>(),
      run: async (ctx) => {
        expect(ctx).type.toBe<AgentContext<Issue>>()
        expect(ctx.checkpoint.save).type.toBeCallableWith({ messages: issues })
        expect(ctx.checkpoint.save).type.not.toBeCallableWith({ messages: ["text"] })
        expect(await ctx.checkpoint.tool({ id: "1", name: "t" }, () => 1)).type.toBe<number>()
        expect(await ctx.checkpoint.phase("p", async () => "x")).type.toBe<string | undefined>()
      }
    })
    agent("c", {
      message: Schema.Struct({ at: Schema.Date }),
      run: async (ctx) => {
        expect(ctx.resume?.messages[0]?.at).type.toBe<Date | undefined>()
      }
    })
  })

  test("answers what its function does, by name and by definition", () => {
    const coder = agent("coder", { run: async () => ({ commits: 3 }) })
    const quiet = agent("quiet", { run: () => "done" })
    const everbeat = createEverbeat({ store: memoryStore(), agents: [coder, quiet] })
    expect(everbeat.agent.start(coder)).type.toBe<Promise<AgentHandle<{ commits: number }>>>()
    expect(everbeat.agent.start("coder")).type.toBe<Promise<AgentHandle<{ commits: number }>>>()
    expect(everbeat.agent.resume("quiet", "id")).type.toBe<Promise<AgentHandle<string>>>()
    expect(everbeat.agent.start).type.not.toBeCallableWith("nobody")
    const other = agent("other", { run: () => 1 })
    expect(everbeat.agent.start).type.not.toBeCallableWith(other)
  })
})
