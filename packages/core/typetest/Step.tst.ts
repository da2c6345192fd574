import { type Fault, Step } from "@everbeat/core"
import { Effect, Fiber, Schedule, Schema, Stream } from "effect"
import { describe, expect, test } from "tstyche"
import {
  Db,
  Forge,
  Issues,
  MissingOwner,
  plain,
  type RateLimited,
  reconcile,
  Stale,
  syncIssues,
  type TokenRevoked,
  Untagged,
  type WriteFailed
} from "./fixtures.ts"

const mixed = Step.make(
  "mixed",
  Effect.gen(function*() {
    yield* Effect.fail(new Untagged())
    yield* (yield* Forge).openIssues
  })
)

type IsAny<T> = 0 extends 1 & T ? true : false

describe("make", () => {
  test("infers the name, the result, both channels and the services", () => {
    expect(syncIssues).type.toBe<
      Step.Step<"sync-issues", Issues, MissingOwner | Stale, RateLimited | TokenRevoked, Forge>
    >()
  })

  test("has no result without a schema, whatever the body returns", () => {
    expect(plain).type.toBe<Step.Step<"plain", void, never, never, never>>()
    expect(Step.make("options", {}, () => Effect.void)).type.toBe<Step.Step<"options", void, never, never, never>>()
  })

  test("takes an effect or a function that makes one", () => {
    const made = Step.make("made", () => Step.warn(new Stale({})))
    expect(made).type.toBe<Step.Step<"made", void, Stale, never, never>>()
  })

  test("gives the decoded type of the schema as the result", () => {
    const step = Step.make("date", { result: Schema.DateTimeUtcFromString }, () => Effect.never)
    expect<Step.Success<typeof step>>().type.toBe<typeof Schema.DateTimeUtcFromString.Type>()
  })

  test("refuses a body whose result does not fit the schema", () => {
    expect(Step.make).type.not.toBeCallableWith("bad", { result: Issues }, () => Effect.succeed({ urls: 1 }))
    expect(Step.make).type.not.toBeCallableWith("bad", { result: Issues }, () => Effect.void)
    expect(Step.make).type.toBeCallableWith("good", { result: Issues }, () => Effect.succeed({ urls: ["1"] }))
  })

  test("gives the body its typed results under the aliases of `after`", () => {
    Step.make("notify", { after: { changed: reconcile, plain, syncIssues } }, (results) => {
      expect(results).type.toBe<{ readonly changed: number; readonly plain: void; readonly syncIssues: Issues }>()
      return Effect.void
    })
    Step.make("first", { result: Schema.Int }, (results) => {
      expect(results).type.toBe<{}>()
      return Effect.succeed(1)
    })
  })

  test("needs the steps it runs after, by their own names", () => {
    expect(reconcile).type.toBe<
      Step.Step<"reconcile", number, never, WriteFailed, Db | Step.Needs<"sync-issues", Issues>>
    >()
    expect(Step.make("both", { after: { a: syncIssues, b: plain } }, () => Effect.void)).type.toBe<
      Step.Step<"both", void, never, never, Step.Needs<"sync-issues", Issues> | Step.Needs<"plain", void>>
    >()
  })

  test("sees that a step it runs after may have no result", () => {
    Step.make("tolerant", { after: { issues: syncIssues.pipe(Step.bestEffort) } }, ({ issues }) => {
      expect(issues).type.toBe<Issues | undefined>()
      return Effect.void
    })
  })

  test("takes out what the engine provides: the step itself and its scope", () => {
    const step = Step.make("scoped", Effect.andThen(Step.Current, Effect.addFinalizer(() => Effect.void)))
    expect(step).type.toBe<Step.Step<"scoped", void, never, never, never>>()
  })

  test("keeps an untagged failure beside tagged ones", () => {
    expect(mixed).type.toBe<Step.Step<"mixed", void, never, Untagged | RateLimited | TokenRevoked, Forge>>()
  })

  test("takes only the two durabilities", () => {
    expect(Step.make).type.toBeCallableWith("a", { durability: "sync" }, () => Effect.void)
    expect(Step.make).type.not.toBeCallableWith("a", { durability: "later" }, () => Effect.void)
  })
})

describe("warn", () => {
  test("requires a step around it", () => {
    expect(Step.warn(new Stale())).type.toBe<Effect.Effect<void, never, Step.Warns<Stale>>>()
    expect(Effect.runPromise).type.toBeCallableWith(Effect.void)
    expect(Effect.runPromise).type.not.toBeCallableWith(Step.warn(new Stale()))
  })

  test("takes a plain object with a tag and keeps its tag", () => {
    const step = Step.make("object", Step.warn({ _tag: "Low", message: "m" }))
    expect<Step.Warning<typeof step>["_tag"]>().type.toBe<"Low">()
  })

  test("refuses what has no tag", () => {
    expect(Step.warn).type.not.toBeCallableWith("text")
    expect(Step.warn).type.not.toBeCallableWith(new Error("text"))
  })

  test("is collected from helpers", () => {
    const helper = (count: number): Effect.Effect<void, never, Step.Warns<MissingOwner>> =>
      count > 0 ? Step.warn(new MissingOwner({ count })) : Effect.void
    const deeper = (count: number) => Effect.andThen(helper(count), Step.warn(new Stale()))

    expect(Step.make("helper", deeper(1))).type.toBe<Step.Step<"helper", void, MissingOwner | Stale, never, never>>()
  })

  test("is collected from concurrent code, fibers and streams", () => {
    const step = Step.make(
      "concurrent",
      Effect.gen(function*() {
        yield* Effect.forEach([1, 2], (count) => Step.warn(new MissingOwner({ count })), { concurrency: 2 })
        const fiber = yield* Effect.forkChild(Step.warn(new Stale()))
        yield* Fiber.join(fiber)
        yield* Stream.runDrain(Stream.mapEffect(Stream.make(1), () => Step.warn({ _tag: "InStream" })))
      })
    )
    expect<Step.Warning<typeof step>>().type.toBe<MissingOwner | Stale | { readonly _tag: "InStream" }>()
    expect<Step.Services<typeof step>>().type.toBe<never>()
    expect<Step.Failure<typeof step>>().type.toBe<never>()
  })

  test("leaves the services of the host beside it", () => {
    const step = Step.make(
      "services",
      Effect.andThen(Step.warn(new Stale()), Effect.flatMap(Db, (db) => db.put(1)))
    )
    expect(step).type.toBe<Step.Step<"services", void, Stale, WriteFailed, Db>>()
  })
})

describe("combinators", () => {
  test("warnOn moves the named tags to the warnings and may lose the result", () => {
    expect(syncIssues.pipe(Step.warnOn("RateLimited"))).type.toBe<
      Step.Step<"sync-issues", Issues | undefined, MissingOwner | Stale | RateLimited, TokenRevoked, Forge>
    >()
    expect(syncIssues.pipe(Step.warnOn("RateLimited", "TokenRevoked"))).type.toBe<
      Step.Step<"sync-issues", Issues | undefined, MissingOwner | Stale | RateLimited | TokenRevoked, never, Forge>
    >()
  })

  test("warnOn leaves untagged failures critical", () => {
    expect(mixed.pipe(Step.warnOn("RateLimited"))).type.toBe<
      Step.Step<"mixed", void, RateLimited, Untagged | TokenRevoked, Forge>
    >()
  })

  test("warnOn refuses a tag that the step does not fail with", () => {
    // @ts-expect-error is not assignable to parameter of type
    syncIssues.pipe(Step.warnOn("Nope"))
  })

  test("bestEffort leaves nothing critical", () => {
    expect(syncIssues.pipe(Step.bestEffort)).type.toBe<
      Step.Step<"sync-issues", Issues | undefined, MissingOwner | Stale | RateLimited | TokenRevoked, never, Forge>
    >()
    expect(Step.make("fails", Effect.fail("text")).pipe(Step.bestEffort)).type.toBe<
      Step.Step<"fails", void, string, never, never>
    >()
  })

  test("withDefault gives the result back", () => {
    expect(syncIssues.pipe(Step.bestEffort, Step.withDefault(() => ({ urls: [] })))).type.toBe<
      Step.Step<"sync-issues", Issues, MissingOwner | Stale | RateLimited | TokenRevoked, never, Forge>
    >()
    // @ts-expect-error Type 'number' is not assignable to type 'string'
    syncIssues.pipe(Step.bestEffort, Step.withDefault(() => ({ urls: [1] })))
  })

  test("timeout adds a critical failure that can be turned into a warning", () => {
    expect(syncIssues.pipe(Step.timeout("10 seconds"))).type.toBe<
      Step.Step<
        "sync-issues",
        Issues,
        MissingOwner | Stale,
        RateLimited | TokenRevoked | Fault.StepTimeout,
        Forge
      >
    >()
    expect(syncIssues.pipe(Step.timeout("10 seconds"), Step.warnOn("StepTimeout"))).type.toBe<
      Step.Step<
        "sync-issues",
        Issues | undefined,
        MissingOwner | Stale | Fault.StepTimeout,
        RateLimited | TokenRevoked,
        Forge
      >
    >()
  })

  test("retry keeps every channel and adds those of the schedule", () => {
    expect(syncIssues.pipe(Step.retry(Schedule.recurs(3)))).type.toBe<typeof syncIssues>()

    const asking = Schedule.recurs(3).pipe(
      Schedule.tap(() => Effect.flatMap(Db, (db) => db.put(1)))
    )
    expect(syncIssues.pipe(Step.retry(asking))).type.toBe<
      Step.Step<
        "sync-issues",
        Issues,
        MissingOwner | Stale,
        RateLimited | TokenRevoked | WriteFailed,
        Forge | Db
      >
    >()
  })

  test("durability changes no channel", () => {
    expect(syncIssues.pipe(Step.durability("sync"))).type.toBe<typeof syncIssues>()
    expect(Step.durability).type.not.toBeCallableWith("later")
  })

  test("every combinator keeps the needs of a step", () => {
    const step = reconcile.pipe(
      Step.timeout("1 second"),
      Step.retry(Schedule.recurs(1)),
      Step.bestEffort,
      Step.withDefault(() => 0),
      Step.durability("sync")
    )
    expect(step).type.toBe<
      Step.Step<
        "reconcile",
        number,
        WriteFailed | Fault.StepTimeout,
        never,
        Db | Step.Needs<"sync-issues", Issues>
      >
    >()
  })
})

describe("variance", () => {
  test("is covariant in every channel", () => {
    expect(syncIssues).type.toBeAssignableTo<
      Step.Step<string, unknown, MissingOwner | Stale | Error, RateLimited | TokenRevoked | Error, Forge | Db>
    >()
    expect(syncIssues).type.toBeAssignableTo<Step.Any>()
    expect(reconcile).type.toBeAssignableTo<Step.Any>()
  })

  test("loses no warning, failure, service or name on the way", () => {
    expect(syncIssues).type.not.toBeAssignableTo<
      Step.Step<"sync-issues", Issues, MissingOwner, RateLimited | TokenRevoked, Forge>
    >()
    expect(syncIssues).type.not.toBeAssignableTo<
      Step.Step<"sync-issues", Issues, MissingOwner | Stale, RateLimited, Forge>
    >()
    expect(syncIssues).type.not.toBeAssignableTo<
      Step.Step<"sync-issues", Issues, MissingOwner | Stale, RateLimited | TokenRevoked, never>
    >()
    expect(syncIssues).type.not.toBeAssignableTo<
      Step.Step<"other", Issues, MissingOwner | Stale, RateLimited | TokenRevoked, Forge>
    >()
    expect(syncIssues.pipe(Step.bestEffort)).type.not.toBeAssignableTo<
      Step.Step<"sync-issues", Issues, unknown, never, Forge>
    >()
  })

  test("needs are contravariant in the result that is read", () => {
    expect<Step.Needs<"a", string | undefined>>().type.toBeAssignableTo<Step.Needs<"a", string>>()
    expect<Step.Needs<"a", string>>().type.not.toBeAssignableTo<Step.Needs<"a", string | undefined>>()
  })
})

describe("channels", () => {
  test("no channel is any", () => {
    const steps = [syncIssues, plain, reconcile, syncIssues.pipe(Step.bestEffort)] as const
    type S = typeof steps[number]
    expect<IsAny<Step.Name<S>>>().type.toBe<false>()
    expect<IsAny<Step.Success<S>>>().type.toBe<false>()
    expect<IsAny<Step.Warning<S>>>().type.toBe<false>()
    expect<IsAny<Step.Failure<S>>>().type.toBe<false>()
    expect<IsAny<Step.Services<S>>>().type.toBe<false>()
    expect<IsAny<Step.Services<typeof plain>>>().type.toBe<false>()
    expect<IsAny<Step.Failure<typeof plain>>>().type.toBe<false>()
  })

  test("a warning is never a failure, nor the other way round", () => {
    const warns = Step.make("warns", Step.warn(new Stale()))
    const fails = Step.make("fails", Effect.fail(new Stale()))
    expect(warns).type.toBe<Step.Step<"warns", void, Stale, never, never>>()
    expect(fails).type.toBe<Step.Step<"fails", void, never, Stale, never>>()
  })
})
