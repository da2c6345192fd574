import {
  Agent,
  type AgentContext,
  type AgentError,
  type AgentHandle,
  type AgentSupervisor,
  type CheckpointStore,
  type Fault,
  Heartbeat,
  type HeartbeatEngine,
  MessageCodec,
  Recovery,
  type RunStore,
  Transcript
} from "@everbeat/core"
import { Effect, type Layer, Schema } from "effect"
import { describe, expect, test } from "tstyche"
import { Db, Forge, RateLimited, syncIssues, TokenRevoked } from "./fixtures.ts"

const Turn = Schema.Struct({ role: Schema.String, at: Schema.Date })
type Turn = typeof Turn.Type

const plain = Agent.make("plain", { message: Turn, run: () => Effect.void })
const full = Agent.make("full", {
  message: Transcript.Message,
  result: Schema.DateTimeUtcFromString,
  transcript: Transcript.chat,
  run: (ctx) =>
    Effect.gen(function*() {
      const forge = yield* Forge
      yield* Effect.orDie(forge.openIssues)
      if (ctx.attempt > 1) return yield* new RateLimited({ repo: "a" })
      if (ctx.attempt > 2) return yield* new TokenRevoked()
      return new Date() as never
    }),
  // Behind `run`, from which the type of the error is inferred.
  resumeOn: (error) => error._tag === "RateLimited"
})

describe("Agent.make", () => {
  test("infers the messages, answers nothing by default, and keeps its name", () => {
    expect(plain).type.toBe<Agent.Agent<"plain", Turn, void, never, never>>()
    Agent.make("a", {
      message: Turn,
      run: (ctx) => {
        expect(ctx).type.toBe<AgentContext.AgentContext<Turn>>()
        expect(ctx.resume?.messages).type.toBe<ReadonlyArray<Turn> | undefined>()
        expect(ctx.checkpoint.save).type.not.toBeCallableWith({ messages: [1] })
        return Effect.void
      }
    })
    expect(Agent.make("a", { message: MessageCodec.make(Turn), run: () => Effect.void })).type.toBe<
      Agent.Agent<"a", Turn, void, never, never>
    >()
  })

  test("takes an answer only with a schema for it", () => {
    // Without one nothing is answered, whatever the loop ends with.
    expect(Agent.make("a", { message: Turn, run: () => Effect.succeed(1) })).type.toBe<
      Agent.Agent<"a", Turn, void, never, never>
    >()
    expect(Agent.make).type.not.toBeCallableWith("a", {
      message: Turn,
      result: Schema.Int,
      run: () => Effect.succeed("one")
    })
    expect(Agent.make("a", { message: Turn, result: Schema.Int, run: () => Effect.succeed(1) })).type.toBe<
      Agent.Agent<"a", Turn, number, never, never>
    >()
  })

  test("collects failures and services", () => {
    expect<Agent.Services<typeof full>>().type.toBe<Forge>()
    expect<typeof full extends Agent.Agent<"full", Transcript.Message, infer _A, infer E, infer _R> ? E : never>()
      .type.toBe<RateLimited | TokenRevoked>()
    expect<Agent.Services<typeof plain>>().type.toBe<never>()
    expect(plain).type.toBeAssignableTo<Agent.Any>()
    expect(full).type.toBeAssignableTo<Agent.Any<Forge>>()
    expect(full).type.not.toBeAssignableTo<Agent.Any<never>>()
    expect<Agent.Services<Agent.Any<Db>>>().type.toBe<Db>()
    expect<Agent.Services<typeof plain | typeof full>>().type.toBe<Forge>()
    expect<Agent.Services<"no agent">>().type.toBe<never>()
    // The messages are not part of it, and nothing in it is `any`.
    expect<Agent.Any["name"]>().type.toBe<string>()
    expect<keyof Agent.Any[typeof Agent.TypeId]>().type.toBe<"_A" | "_E" | "_R">()
    expect<Agent.Any>().type.not.toBeAssignableTo<typeof plain>()
    const some: Agent.Any<never> = plain
    // It can be started all the same: what it answers is unknown.
    expect(Agent.start(some)).type.toBe<
      Effect.Effect<
        AgentHandle.AgentHandle<unknown, unknown>,
        AgentError.AgentStartError,
        AgentSupervisor.AgentSupervisor
      >
    >()
  })
})

describe("Agent.start", () => {
  test("has the result and the failures of the agent, and needs its services", () => {
    const started = Agent.start(full)
    expect<Effect.Services<typeof started>>().type.toBe<AgentSupervisor.AgentSupervisor | Forge>()
    expect<Effect.Error<typeof started>>().type.toBe<AgentError.AgentStartError>()
    type Handle = Effect.Success<typeof started>
    expect<Effect.Error<Handle["result"]>>().type.toBe<
      RateLimited | TokenRevoked | AgentError.AgentEndError | Fault.RecordedFailure | Fault.ResultRefused
    >()
    expect<Effect.Success<typeof started>["runId"]>().type.toBe<AgentHandle.AgentHandle<unknown, unknown>["runId"]>()
  })
})

describe("the context of an agent", () => {
  test("keeps what a tool returns, fails with and needs", () => {
    Agent.make("a", {
      message: Turn,
      run: (ctx) => {
        const call = ctx.checkpoint.tool({ id: "1", name: "x" }, Effect.flatMap(Db, (db) => Effect.as(db.put(1), 7)))
        expect<Effect.Success<typeof call>>().type.toBe<number>()
        expect<Effect.Services<typeof call>>().type.toBe<Db>()
        const remembered = ctx.checkpoint.tool({ id: "1", name: "x", result: Schema.Int }, Effect.succeed(1))
        expect<Effect.Success<typeof remembered>>().type.toBe<number>()
        const phase = ctx.checkpoint.phase("p", Effect.succeed("x"))
        expect<Effect.Success<typeof phase>>().type.toBe<string | undefined>()
        return Effect.void
      }
    })
  })

  test("starts another agent with its own channels, under a key", () => {
    Agent.make("a", {
      message: Turn,
      run: (ctx) => {
        const child = ctx.start(full, { key: "c" })
        expect<Effect.Services<typeof child>>().type.toBe<Forge>()
        expect<RateLimited>().type.toBeAssignableTo<Effect.Error<Effect.Success<typeof child>["result"]>>()
        expect(ctx.start).type.not.toBeCallableWith(full, {})
        return Effect.void
      }
    })
  })
})

describe("Recovery.layer", () => {
  type Base = AgentSupervisor.AgentSupervisor | CheckpointStore.CheckpointStore | RunStore.RunStore
  const beat = Heartbeat.make("beat", [syncIssues])

  test("needs the services of the agents, and an engine only for heartbeats", () => {
    expect(Recovery.layer({ agents: [plain] })).type.toBe<Layer.Layer<Recovery.Recovery, never, Base>>()
    expect(Recovery.layer({ agents: [plain, full] })).type.toBe<Layer.Layer<Recovery.Recovery, never, Base | Forge>>()
    expect(Recovery.layer({ heartbeats: [beat] })).type.toBe<
      Layer.Layer<Recovery.Recovery, never, Base | HeartbeatEngine.HeartbeatEngine | Forge>
    >()
    expect(Recovery.layer({})).type.toBe<Layer.Layer<Recovery.Recovery, never, Base>>()
  })
})
