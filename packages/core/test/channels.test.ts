import { assert, it } from "@effect/vitest"
import { Heartbeat, Step } from "@everbeat/core"
import { Cause, Effect, Exit, Schema } from "effect"
import { type AnyStep, Bad, codes, layer, Low, pass, statuses } from "./support.ts"

it.layer(layer)("the two channels", (it) => {
  it.effect("collects warnings, touched URLs and results", () =>
    Effect.gen(function*() {
      const a = Step.make("a", { result: Schema.Finite }, () =>
        Effect.gen(function*() {
          yield* Step.touch("https://x.dev/1")
          yield* Step.touch("javascript:alert(1)")
          yield* Step.touch("not a url")
          yield* Step.touch(new URL("https://x.dev/2"))
          yield* Step.warn(new Bad({ why: "odd" }))
          yield* Step.touch("https://x.dev/1")
          return 41
        }))
      const b = Step.make(
        "b",
        { after: { a }, result: Schema.Finite },
        ({ a }) => Effect.as(Step.warn(new Low({ n: a + 1 })), a + 1)
      )
      const report = yield* Heartbeat.run(Heartbeat.make("t", [a, b]), { agent: "collects" })
      assert.strictEqual(report.status, "warning")
      assert.deepStrictEqual(report.touchedIssueUrls, ["https://x.dev/1", "https://x.dev/2"])
      assert.deepStrictEqual<unknown>(
        report.warnings.map(({ at: _, value: __, ...rest }) => rest),
        [
          {
            severity: "warning",
            step: "a",
            code: "Bad",
            message: "It is odd",
            hint: "Repair it",
            url: "https://example.com/bad"
          },
          { severity: "warning", step: "b", code: "Low", message: "Low { n: 42 }" }
        ]
      )
      assert.deepStrictEqual(statuses(report), ["a:warning", "b:warning"])
      assert.strictEqual(report.summary, "2 steps: 2 warning; 2 issues touched")
    }))

  it.effect("warnOn and bestEffort make warnings of failures, and dependents still run", () =>
    Effect.gen(function*() {
      const bad = Step.make("bad", { result: Schema.Finite }, () => Effect.fail(new Bad({ why: "x" })))
      const die = Step.make("die", Effect.die(new Error("boom")))
      const soft = [
        [bad.pipe(Step.warnOn("Bad")), -1],
        [bad.pipe(Step.bestEffort), -1],
        [bad.pipe(Step.bestEffort, Step.withDefault(() => 7)), 7],
        [bad.pipe(Step.warnOn("Bad"), Step.withDefault(() => 7)), 7]
      ] as const
      for (const [step, n] of soft) {
        const read = Step.make("read", { after: { bad: step } }, ({ bad }) => Step.warn(new Low({ n: bad ?? -1 })))
        const report = yield* pass([step, read, die.pipe(Step.bestEffort)])
        assert.deepStrictEqual(codes(report), { warnings: ["bad:Bad", "read:Low", "die:Defect"], errors: [] })
        assert.deepStrictEqual(report.warnings[1]?.value, new Low({ n }))
      }
    }))

  it.effect("a default that the schema refuses is a failure of the step", () =>
    Effect.gen(function*() {
      const step = Step.make("a", { result: Schema.Int }, () => Effect.fail(new Bad({ why: "x" }))).pipe(
        Step.bestEffort,
        Step.withDefault(() => 1.5)
      )
      assert.deepStrictEqual(codes(yield* pass([step])), { warnings: ["a:Bad"], errors: ["a:ResultRefused"] })
    }))

  it.effect("a critical failure skips dependents; stop and continue", () =>
    Effect.gen(function*() {
      const a = Step.make("a", Effect.fail(new Bad({ why: "x" })))
      const b = Step.make("b", { after: { a } }, () => Effect.void)
      const c = Step.make("c", { after: { b } }, () => Effect.void)
      const d = Step.make("d", Effect.void)
      assert.deepStrictEqual(statuses(yield* pass([a, b, c, d])), ["a:error", "b:skipped", "c:skipped", "d:skipped"])
      assert.deepStrictEqual(
        statuses(yield* pass([a, b, c, d], { onCritical: "continue" })),
        ["a:error", "b:skipped", "c:skipped", "d:ok"]
      )
    }))

  it.effect("runOrFail fails with the typed failures, all in one cause", () =>
    Effect.gen(function*() {
      const heartbeat = Heartbeat.make("t", [
        Step.make("a", Effect.fail(new Bad({ why: "x" }))),
        Step.make("b", Effect.fail(new Low({ n: 1 }))),
        Step.make("c", Effect.die("d"))
      ], { onCritical: "continue" })
      const exit = yield* Effect.exit(Heartbeat.runOrFail(heartbeat, { agent: "or-fail" }))
      assert(Exit.isFailure(exit))
      assert.deepStrictEqual(
        exit.cause.reasons.map((reason) =>
          Cause.isFailReason(reason) ? reason.error._tag : Cause.isDieReason(reason) ? String(reason.defect) : "?"
        ),
        ["Bad", "Low", "d"]
      )
      const fine = yield* Heartbeat.runOrFail(Heartbeat.make("t", [Step.make("a", Effect.void)]), { agent: "or-fail" })
      assert.deepStrictEqual(fine.errors, [])
    }))

  it.effect("a defect is an error; self-interruption is an error even under bestEffort", () =>
    Effect.gen(function*() {
      const report = yield* pass([
        Step.make(
          "die",
          Effect.sync(() => {
            throw new TypeError("bug")
          })
        ),
        Step.make("thrown", () => {
          throw new RangeError("outside")
        }),
        Step.make("interrupted", Effect.interrupt).pipe(Step.bestEffort),
        Step.make("both", Effect.failCause(Cause.combine(Cause.fail(new Bad({ why: "x" })), Cause.die("y"))))
      ], { onCritical: "continue" })
      assert.deepStrictEqual(codes(report), {
        warnings: [],
        errors: ["die:Defect", "thrown:Defect", "interrupted:StepInterrupted", "both:Bad", "both:Defect"]
      })
      assert.strictEqual(report.errors[0]?.message, "bug")
    }))

  it.effect("a result that its schema refuses is an error of that step", () =>
    Effect.gen(function*() {
      const report = yield* pass([Step.make("a", { result: Schema.Int }, () => Effect.succeed(1.5))])
      assert.deepStrictEqual(codes(report).errors, ["a:ResultRefused"])
    }))

  it.effect("the scope of a step closes when it ends", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const a = Step.make("a", Effect.addFinalizer(() => Effect.sync(() => log.push("closed"))))
      const b = Step.make("b", Effect.sync(() => log.push("next")))
      yield* pass([a, b])
      assert.deepStrictEqual(log, ["closed", "next"])
    }))

  it.effect("collects warnings of helpers and of concurrent code", () =>
    Effect.gen(function*() {
      const helper = (n: number) => Step.warn(new Low({ n }))
      const report = yield* pass([Step.make("a", Effect.forEach([1, 2, 3], helper, { concurrency: 3, discard: true }))])
      assert.strictEqual(report.warnings.length, 3)
    }))

  it.effect("bounds diagnostics in number and size, and URLs in number", () =>
    Effect.gen(function*() {
      const noisy = (name: string, count: number) =>
        Step.make(
          name,
          Effect.gen(function*() {
            for (let n = 0; n < count; n++) {
              yield* Step.warn(new Bad({ why: "é".repeat(5000) }))
              yield* Step.touch(`https://x.dev/${name}/${n}`)
            }
          })
        )
      const report = yield* pass(
        [noisy("a", 5000), noisy("b", 800), Step.make("c", Effect.fail(new Bad({ why: "x" })))] as ReadonlyArray<
          AnyStep
        >
      )
      assert.strictEqual(report.errors.length, 1)
      assert.strictEqual(report.warnings.length, 999 + 1)
      assert.strictEqual(
        report.warnings.at(-1)?.message,
        "4801 more diagnostics and 4800 more touched URLs did not fit into the report."
      )
      const bytes = (text: string | undefined) => new TextEncoder().encode(text ?? "").length
      for (const { code, hint, message, url } of report.warnings) {
        assert.isAtMost(bytes(code) + bytes(hint) + bytes(message) + bytes(url), 2048)
      }
      assert.strictEqual(report.touchedIssueUrls.length, 1000)
    }))

  it.effect("what a step reads of itself makes an idempotency key", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      const a = Step.make(
        "a",
        Effect.gen(function*() {
          const { agentName, attempt, fence, payload, runId, step } = yield* Step.Current
          seen.push({ agentName, attempt, fence, payload, runId, step })
        })
      )
      const report = yield* Heartbeat.run(Heartbeat.make("t", [a]), { agent: "current", payload: { reason: "cron" } })
      assert.deepStrictEqual(seen, [{
        agentName: "current",
        attempt: 1,
        fence: 1,
        payload: { reason: "cron" },
        runId: report.runId,
        step: "a"
      }])
    }))

  it.effect("tells callers without a type checker what a body must be", () =>
    Effect.gen(function*() {
      const untyped = Step.make as (name: string, body: unknown) => Step.Step<"a", void, never, never, never>
      assert.throws(() => untyped("a", 7), "Step 'a': the body must be an Effect, or a function that returns one")
      const report = yield* pass([untyped("a", () => Promise.resolve(1))])
      assert.include(report.errors[0]?.message, "wrap a promise in Effect.tryPromise")
    }))

  it("refuses bad lists when the heartbeat is built, with a sentence", () => {
    const a = Step.make("a", Effect.void)
    const b = Step.make("b", { after: { a } }, () => Effect.void)
    const cyclic = Step.make("a", { after: { b } }, () => Effect.void)
    const self = Step.make("a", { after: { a } }, () => Effect.void)
    const build = (steps: ReadonlyArray<Step.Any>, options?: Heartbeat.Options) => () =>
      Heartbeat.make("t", steps, options)
    assert.throws(build([b, a] as ReadonlyArray<Step.Any>), "Heartbeat 't': list 'a' before 'b', which runs after it")
    assert.throws(build([a, a]), "Heartbeat 't': 'a' is listed twice")
    assert.throws(build([b] as ReadonlyArray<Step.Any>), "Heartbeat 't': 'b' runs after 'a', which is not listed")
    assert.throws(build([cyclic, b] as ReadonlyArray<Step.Any>), "Heartbeat 't': 'a' and 'b' run after each other")
    assert.throws(build([self] as ReadonlyArray<Step.Any>), "Heartbeat 't': 'a' runs after itself")
    assert.throws(build([]), "Heartbeat 't': list at least one step")
    assert.throws(build([a], { concurrency: 0 }), "Heartbeat 't': concurrency must be a whole number of at least 1")
    assert.throws(build([a], { maxAttempts: 1.5 }), "Heartbeat 't': maxAttempts must be a whole number of at least 1")
    assert.throws(build([a], { deadline: -5 }), "Heartbeat 't': deadline must be longer than 0")
    assert.throws(build([a], { stepTimeout: Number.NaN }), "Heartbeat 't': stepTimeout must be longer than 0")
  })
})
