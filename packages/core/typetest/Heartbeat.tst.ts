import {
  type Fault,
  Heartbeat,
  type HeartbeatEngine,
  type PassError,
  type Report,
  Step,
  type StoreError
} from "@everbeat/core"
import { Effect, type Stream } from "effect"
import { describe, expect, test } from "tstyche"
import {
  type Db,
  type Forge,
  type MissingOwner,
  plain,
  type RateLimited,
  reconcile,
  report,
  Stale,
  syncIssues,
  type TokenRevoked,
  type WriteFailed
} from "./fixtures.ts"

type Engine = HeartbeatEngine.HeartbeatEngine

const dispatch = Heartbeat.make("dispatch", [syncIssues, plain, reconcile, report])
const harmless = Heartbeat.make("harmless", [syncIssues.pipe(Step.bestEffort), plain])

describe("make", () => {
  test("unites the channels and services of its steps", () => {
    expect(dispatch).type.toBe<
      Heartbeat.Heartbeat<
        "dispatch",
        MissingOwner | Stale,
        RateLimited | TokenRevoked | WriteFailed,
        Forge | Db
      >
    >()
  })

  test("has nothing critical when every step is a best effort", () => {
    expect(harmless).type.toBe<
      Heartbeat.Heartbeat<"harmless", MissingOwner | Stale | RateLimited | TokenRevoked, never, Forge>
    >()
  })

  test("has empty channels when its steps do", () => {
    expect(Heartbeat.make("idle", [plain])).type.toBe<Heartbeat.Heartbeat<"idle", never, never, never>>()
  })

  test("infers steps that are written in place", () => {
    expect(
      Heartbeat.make("inline", [
        Step.make("one", Effect.fail("e" as const)),
        Step.make("two", Step.warn(new Stale()))
      ])
    ).type.toBe<Heartbeat.Heartbeat<"inline", Stale, "e", never>>()
  })

  test("takes a step named at run time beside others", () => {
    const named = (name: string) => Step.make(name, Effect.void)
    expect(Heartbeat.make("t", [named("x"), plain, syncIssues, reconcile])).type.toBe<
      Heartbeat.Heartbeat<"t", MissingOwner | Stale, RateLimited | TokenRevoked | WriteFailed, Forge | Db>
    >()
  })

  test("takes lists that are spread from others", () => {
    const base = [syncIssues, plain] as const
    expect(Heartbeat.make("dispatch", [...base, reconcile, report])).type.toBe<typeof dispatch>()
    expect(Heartbeat.make("base", base)).type.toBe<
      Heartbeat.Heartbeat<"base", MissingOwner | Stale, RateLimited | TokenRevoked, Forge>
    >()
  })

  test("takes lists that are built at run time, which are checked at run time", () => {
    const steps: ReadonlyArray<Step.Step<string, void, Stale, WriteFailed, Db>> = []
    expect(Heartbeat.make("dynamic", steps)).type.toBe<Heartbeat.Heartbeat<"dynamic", Stale, WriteFailed, Db>>()
    expect(Heartbeat.make("dynamic", [...steps, plain])).type.toBe<
      Heartbeat.Heartbeat<"dynamic", Stale, WriteFailed, Db>
    >()
  })

  test("takes a step with a certain result where an uncertain one is enough", () => {
    const tolerant = Step.make(
      "tolerant",
      { after: { issues: syncIssues.pipe(Step.bestEffort) } },
      ({ issues }) => Effect.log(issues?.urls.length ?? 0)
    )
    Heartbeat.make("certain", [syncIssues, tolerant])
    Heartbeat.make("uncertain", [syncIssues.pipe(Step.bestEffort), tolerant])
  })

  test("takes its options and no others", () => {
    Heartbeat.make("dispatch", [plain], {
      concurrency: "unbounded",
      onCritical: "continue",
      stepTimeout: "5 seconds",
      deadline: "1 minute",
      grace: 100,
      durability: "sync",
      onDefinitionChange: "restart",
      onStoreFailure: "stop",
      maxAttempts: 5
    })
    // @ts-expect-error Type '"ignore"' is not assignable to type
    Heartbeat.make("dispatch", [plain], { onCritical: "ignore" })
    // @ts-expect-error 'retries' does not exist in type 'Options'
    Heartbeat.make("dispatch", [plain], { retries: 3 })
  })
})

describe("the order of steps", () => {
  test("a step that is listed before one it runs after is told so", () => {
    // @ts-expect-error "list 'sync-issues' before 'reconcile', which runs after it"
    Heartbeat.make("x", [reconcile, syncIssues])
    const base = [syncIssues, plain] as const
    // @ts-expect-error "list 'sync-issues' before 'reconcile', which runs after it"
    Heartbeat.make("x", [reconcile, ...base])
  })

  test("a step that runs after one that is not listed is told so", () => {
    // @ts-expect-error "'reconcile' runs after 'sync-issues', which is not listed"
    Heartbeat.make("x", [reconcile])
    // @ts-expect-error "'report' runs after 'reconcile', which is not listed"
    Heartbeat.make("x", [syncIssues, report])
  })

  test("a step that is listed twice is told so", () => {
    // @ts-expect-error "'sync-issues' is listed twice"
    Heartbeat.make("x", [syncIssues, reconcile, syncIssues])
    // @ts-expect-error "'plain' is listed twice"
    Heartbeat.make("x", [plain, Step.make("plain", Effect.void)])
  })

  test("a step that reads a result which may be absent is told so", () => {
    // @ts-expect-error "'reconcile' reads the result of 'sync-issues', which as listed here may have no result or another one"
    Heartbeat.make("x", [syncIssues.pipe(Step.bestEffort), reconcile])
  })

  test("only the step that is out of place is marked", () => {
    expect<
      Heartbeat.Ordered<
        readonly [typeof plain, typeof reconcile, typeof syncIssues],
        typeof plain | typeof reconcile | typeof syncIssues
      >
    >().type.toBe<readonly [unknown, "list 'sync-issues' before 'reconcile', which runs after it", unknown]>()
    expect<Heartbeat.Ordered<readonly [typeof syncIssues, typeof reconcile], typeof syncIssues | typeof reconcile>>()
      .type.toBe<readonly [unknown, unknown]>()
  })

  test("every problem of a step is told", () => {
    const needy = Step.make("needy", { after: { syncIssues, reconcile } }, () => Effect.void)
    expect<Heartbeat.Ordered<readonly [typeof needy, typeof syncIssues], typeof needy | typeof syncIssues>>()
      .type.toBe<
      readonly [
        | "list 'sync-issues' before 'needy', which runs after it"
        | "'needy' runs after 'reconcile', which is not listed",
        unknown
      ]
    >()
  })
})

describe("running", () => {
  test("run answers a report and fails only when there is none", () => {
    expect(Heartbeat.run(dispatch, { agent: "triage" })).type.toBe<
      Effect.Effect<
        Report.Report<MissingOwner | Stale, RateLimited | TokenRevoked | WriteFailed>,
        PassError.RunError,
        Forge | Db | Engine
      >
    >()
  })

  test("runOrFail moves critical failures to the error channel and out of the report", () => {
    const failing = Heartbeat.runOrFail(dispatch, { agent: "triage" })
    expect<Effect.Success<typeof failing>>().type.toBe<Report.Report<MissingOwner | Stale, never>>()
    expect<Effect.Error<typeof failing>>().type.toBe<
      | RateLimited
      | TokenRevoked
      | WriteFailed
      | Exclude<Fault.Fault, Fault.Defect>
      | Fault.RecordedFailure
      | PassError.RunError
    >()
    expect<Effect.Services<typeof failing>>().type.toBe<Forge | Db | Engine>()
  })

  test("runOrFail of a harmless heartbeat fails with no failure of a step", () => {
    const failing = Heartbeat.runOrFail(harmless, { agent: "triage" })
    expect<Extract<Effect.Error<typeof failing>, { readonly _tag: "RateLimited" | "TokenRevoked" }>>().type.toBe<
      never
    >()
  })

  test("start answers a pass with the same channels", () => {
    expect(Heartbeat.start(dispatch, { agent: "triage" })).type.toBe<
      Effect.Effect<
        Heartbeat.Pass<MissingOwner | Stale, RateLimited | TokenRevoked | WriteFailed>,
        PassError.StartError,
        Forge | Db | Engine
      >
    >()
    type Pass = Heartbeat.Pass<Stale, WriteFailed>
    expect<Pass["report"]>().type.toBe<
      Effect.Effect<Report.Report<Stale, WriteFailed>, PassError.EndError>
    >()
    expect<Pass["interrupt"]>().type.toBe<Effect.Effect<void>>()
  })

  test("stream gives events with the same channels", () => {
    expect(Heartbeat.stream(dispatch, { agent: "triage" })).type.toBe<
      Stream.Stream<
        Report.PassEvent<MissingOwner | Stale, RateLimited | TokenRevoked | WriteFailed>,
        PassError.RunError,
        Forge | Db | Engine
      >
    >()
  })

  test("every reason without a report is an error of its own", () => {
    expect<PassError.RunError["_tag"]>().type.toBe<
      | "AgentBusy"
      | "CheckpointUnreadable"
      | "DefinitionChanged"
      | "EngineStopped"
      | "InvalidInput"
      | "KeyMismatch"
      | "LeaseLost"
      | "PassCancelled"
      | "PassInterrupted"
      | "StoreError"
    >()
    expect<StoreError.StoreError>().type.toBeAssignableTo<PassError.StartError>()
  })

  test("asks for the agent, and for a payload that is JSON", () => {
    expect(Heartbeat.run).type.not.toBeCallableWith(dispatch, {})
    expect(Heartbeat.run).type.not.toBeCallableWith(dispatch, { agent: "a", payload: new Map() })
    expect(Heartbeat.run).type.not.toBeCallableWith(dispatch, { agent: "a", onBusy: "wait" })
    expect(Heartbeat.run).type.toBeCallableWith(dispatch, { agent: "a", payload: { a: [1, null] }, onBusy: "join" })
  })

  test("does not run without its services", () => {
    expect(Effect.runPromise).type.not.toBeCallableWith(Heartbeat.run(dispatch, { agent: "a" }))
  })
})

describe("variance", () => {
  test("is covariant in every channel", () => {
    expect(dispatch).type.toBeAssignableTo<Heartbeat.Heartbeat<string, unknown, unknown, Forge | Db>>()
    expect(dispatch).type.toBeAssignableTo<Heartbeat.Any>()
    expect(dispatch).type.toBeAssignableTo<Heartbeat.Any<Forge | Db>>()
    expect(harmless).type.toBeAssignableTo<Heartbeat.Any<Forge | Db>>()
    expect(harmless).type.toBeAssignableTo<Heartbeat.Heartbeat<string, unknown, never, Forge>>()
  })

  test("loses no warning, failure or service on the way", () => {
    expect(dispatch).type.not.toBeAssignableTo<Heartbeat.Any<Forge>>()
    expect(dispatch).type.not.toBeAssignableTo<Heartbeat.Heartbeat<string, unknown, never, Forge | Db>>()
    expect(dispatch).type.not.toBeAssignableTo<Heartbeat.Heartbeat<string, Stale, unknown, Forge | Db>>()
  })

  test("no channel is any", () => {
    type IsAny<T> = 0 extends 1 & T ? true : false
    type Channels<H> = H extends Heartbeat.Heartbeat<infer N, infer W, infer E, infer R>
      ? [IsAny<N>, IsAny<W>, IsAny<E>, IsAny<R>]
      : never
    expect<Channels<typeof dispatch>>().type.toBe<[false, false, false, false]>()
    expect<Channels<typeof harmless>>().type.toBe<[false, false, false, false]>()
  })
})
