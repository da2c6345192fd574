import { assert, it } from "@effect/vitest"
import { AgentRun, CheckpointStore, Heartbeat, RunStore, Step } from "@everbeat/core"
import { Deferred, Effect, Fiber, Schema } from "effect"
import { TestClock } from "effect/testing"
import {
  type AnyStep,
  Bad,
  codes,
  engineOver,
  Low,
  runsOf,
  statuses,
  stores,
  unavailable,
  Wire,
  withEngine
} from "./support.ts"

/** Lets the engine behind this wire go silent, as a killed process would: nothing it sends arrives any more. */
const kill = (wire: Wire) => {
  wire.before = () => Effect.never
}

const fiveSteps = (log: Array<string>, durability: "sync" | "coalesce") =>
  Heartbeat.make(
    "five",
    ["a", "b", "c", "d", "e"].map((name) => Step.make(name, { durability }, () => Effect.sync(() => log.push(name))))
  )

it.layer(stores)("durable passes", (it) => {
  it.effect("a fast pass costs two statements, and six when every step is sync", () =>
    Effect.gen(function*() {
      for (
        const [durability, expected] of [
          ["coalesce", ["begin", "settle"]],
          ["sync", ["begin", "save", "save", "save", "save", "settle"]]
        ] as const
      ) {
        const wire = new Wire()
        const engine = yield* engineOver(wire)
        const report = yield* withEngine(engine)(
          Heartbeat.run(fiveSteps([], durability), { agent: `cost-${durability}` })
        )
        assert.strictEqual(report.status, "ok")
        assert.deepStrictEqual(wire.log, [...expected])
      }
    }))

  it.effect("many sync steps on a store that answers at once", () =>
    Effect.gen(function*() {
      const wire = new Wire()
      const engine = yield* engineOver(wire)
      const steps = Array.from({ length: 2000 }, (_, index) => Step.make(`s${index}`, Effect.void))
      const heartbeat = Heartbeat.make("many", steps, { durability: "sync" })
      const report = yield* withEngine(engine)(Heartbeat.run(heartbeat, { agent: "many" }))
      assert.strictEqual(report.summary, "2000 steps: 2000 ok")
      assert.strictEqual(wire.log.length, 2001)
    }))

  it.effect("a coalesced outcome is written within 100 ms", () =>
    Effect.gen(function*() {
      const wire = new Wire()
      const engine = yield* engineOver(wire)
      const steps = [Step.make("a", Effect.void), Step.make("b", Effect.void), Step.make("c", Effect.sleep("1 second"))]
      const pass = yield* withEngine(engine)(
        Heartbeat.start(Heartbeat.make("t", steps as ReadonlyArray<AnyStep>), { agent: "coalesce" })
      )
      yield* TestClock.adjust("99 millis")
      assert.deepStrictEqual(wire.log, ["begin"])
      yield* TestClock.adjust("1 millis")
      yield* Effect.yieldNow
      const store = yield* CheckpointStore.CheckpointStore
      const checkpoint = yield* store.load(pass.runId)
      assert.strictEqual(checkpoint.iteration, 2)
      assert.deepStrictEqual(checkpoint.messages.map((row) => JSON.parse(row).name), ["a", "b"])
      yield* TestClock.adjust("900 millis")
      assert.strictEqual((yield* pass.report).status, "ok")
      assert.deepStrictEqual(wire.log, ["begin", "save", "settle"])
    }))

  it.effect("a pass whose process died is continued from the first step without an outcome", () =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const Result = Schema.Struct({ at: Schema.Date, big: Schema.BigInt })
      let hang = true
      const a = Step.make("a", { result: Result, durability: "sync" }, () =>
        Effect.gen(function*() {
          ran.push("a")
          yield* Step.touch("https://x.dev/a")
          yield* Step.warn(new Low({ n: 1 }))
          return { at: new Date(5), big: 12n }
        }))
      const soft = Step.make(
        "soft",
        { result: Schema.Finite, durability: "sync" },
        () => Effect.fail(new Bad({ why: "x" }))
      )
        .pipe(Step.bestEffort)
      const b = Step.make("b", { after: { a, soft } }, ({ a, soft }) =>
        Effect.gen(function*() {
          const { fence } = yield* Step.Current
          ran.push(`b ${a.at.getTime()} ${a.big} ${soft} fence ${fence}`)
          if (hang) yield* Effect.never
        }))
      const heartbeat = Heartbeat.make("t", [a, soft, b])
      const wire = new Wire()
      const dead = yield* engineOver(wire)
      const first = yield* withEngine(dead)(Heartbeat.start(heartbeat, { agent: "died" }))
      yield* TestClock.adjust("1 second")
      kill(wire)
      hang = false

      const next = yield* engineOver()
      const busy = yield* Effect.flip(withEngine(next)(Heartbeat.run(heartbeat, { agent: "died" })))
      assert.strictEqual(busy._tag, "AgentBusy", "until the lease expires")
      yield* TestClock.adjust("30 seconds")
      const keyed = yield* Effect.flip(withEngine(next)(Heartbeat.run(heartbeat, { agent: "died", key: "other" })))
      assert.strictEqual(keyed._tag, "AgentBusy", "a call with another key stays busy until the pass is settled")

      const report = yield* withEngine(next)(Heartbeat.run(heartbeat, { agent: "died" }))
      assert.deepStrictEqual(ran, ["a", "b 5 12 undefined fence 1", "b 5 12 undefined fence 2"])
      assert.strictEqual(report.runId, first.runId, "one run id for life")
      assert.strictEqual(report.origin, "resumed")
      assert.deepStrictEqual(codes(report), { warnings: ["a:Low", "soft:Bad"], errors: [] })
      assert.isUndefined(report.warnings[0]?.value, "only the diagnostic survived")
      assert.deepStrictEqual(report.touchedIssueUrls, ["https://x.dev/a"])
      const runs = yield* RunStore.RunStore
      const run = yield* runs.get(report.runId)
      assert(AgentRun.isSettled(run))
      assert.deepStrictEqual(run.attempts.map(({ end, fence, number }) => [number, fence, end]), [
        [1, 1, "expired"],
        [2, 2, "settled"]
      ])
      assert.deepStrictEqual(run.warnings.map((warning) => Object.keys(warning).includes("value")), [false, false])
    }))

  it.effect("a crash after any write leaves a pass that ends with the record of an undisturbed one", () =>
    Effect.gen(function*() {
      // A killed process does not run steps either.
      let dead = false
      const steps = (log: Array<string>): ReadonlyArray<AnyStep> => {
        const act = (name: string) => Effect.suspend(() => dead ? Effect.never : Effect.sync(() => void log.push(name)))
        const a = Step.make("a", { result: Schema.Int, durability: "sync" }, () => Effect.as(act("a"), 1))
        const b = Step.make("b", { after: { a }, durability: "sync" }, ({ a }) =>
          Effect.gen(function*() {
            yield* act("b")
            yield* Step.warn(new Low({ n: a }))
            yield* Step.touch("https://x.dev/b")
          }))
        const c = Step.make(
          "c",
          { durability: "sync" },
          () => Effect.andThen(act("c"), Effect.fail(new Bad({ why: "c" })))
        )
        const d = Step.make("d", { after: { c } }, () => Effect.void)
        return [a, b, c, d, Step.make("e", { durability: "sync" }, () => act("e"))] as ReadonlyArray<AnyStep>
      }
      const outcome = (agentName: string) =>
        Effect.map(runsOf(agentName), ([run]) => {
          assert(run !== undefined && AgentRun.isSettled(run))
          const plain = ({ at: _, ...rest }: (typeof run.errors)[number]) => rest
          return {
            status: run.status,
            summary: run.summary,
            warnings: run.warnings.map(plain),
            errors: run.errors.map(plain),
            touched: run.touchedIssueUrls,
            steps: run.steps.map(({ name, status }) => [name, status])
          }
        })
      const options = { onCritical: "continue" } as const
      const oracle = yield* engineOver()
      const undisturbed = new Wire()
      const oracleLog: Array<string> = []
      yield* withEngine(yield* engineOver(undisturbed))(
        Heartbeat.run(Heartbeat.make("crash", steps(oracleLog), options), { agent: "oracle" })
      )
      const expected = yield* outcome("oracle")
      const writes = undisturbed.log.length
      assert.deepStrictEqual(undisturbed.log, ["begin", "save", "save", "save", "settle"])

      for (const side of ["before", "after"] as const) {
        for (let crashAt = 1; crashAt <= writes; crashAt++) {
          const agent = `crash-${side}-${crashAt}`
          const log: Array<string> = []
          const heartbeat = Heartbeat.make("crash", steps(log), options)
          const wire = new Wire()
          const crash = Effect.suspend(() => {
            dead = true
            kill(wire)
            return Effect.never
          })
          wire[side] = (_, count) => count < crashAt ? Effect.void : crash
          const killed = yield* engineOver(wire)
          yield* Effect.forkChild(withEngine(killed)(Heartbeat.run(heartbeat, { agent })), { startImmediately: true })
          yield* TestClock.adjust("31 seconds")
          dead = false
          if (!(side === "after" && crashAt === writes)) {
            yield* withEngine(oracle)(Heartbeat.run(heartbeat, { agent }))
          }
          assert.deepStrictEqual(yield* outcome(agent), expected, agent)
          // What was acknowledged is not repeated: at most the step that was being written runs again.
          assert.isAtMost(log.length, oracleLog.length + 1, agent)
        }
      }
    }))

  it.effect("a changed step list resumes by name, restarts or is left alone", () =>
    Effect.gen(function*() {
      const interrupted = (agent: string) =>
        Effect.gen(function*() {
          const old = Heartbeat.make("v", [
            Step.make("a", { durability: "sync" }, () => Effect.void),
            Step.make("gone", { durability: "sync" }, () => Effect.void),
            Step.make("hang", Effect.never)
          ])
          const engine = yield* engineOver()
          const pass = yield* withEngine(engine)(Heartbeat.start(old, { agent }))
          yield* TestClock.adjust(1)
          yield* pass.interrupt
        })
      const ran: Array<string> = []
      const step = (name: string) => Step.make(name, Effect.sync(() => ran.push(name)))
      const next = (policy: "resume-by-name" | "restart" | "fail") =>
        Heartbeat.make("v", [step("new"), step("a")] as ReadonlyArray<Step.Step<string, void, never, never, never>>, {
          onDefinitionChange: policy
        })
      const engine = yield* engineOver()
      yield* interrupted("by-name")
      assert.deepStrictEqual(
        statuses(yield* withEngine(engine)(Heartbeat.run(next("resume-by-name"), { agent: "by-name" }))),
        ["new:ok", "a:ok", "gone:ok"]
      )
      assert.deepStrictEqual(ran.splice(0), ["new"])
      yield* interrupted("restart")
      yield* withEngine(engine)(Heartbeat.run(next("restart"), { agent: "restart" }))
      assert.deepStrictEqual(ran.splice(0), ["new", "a"])
      yield* interrupted("fail")
      const error = yield* Effect.flip(withEngine(engine)(Heartbeat.run(next("fail"), { agent: "fail" })))
      assert.strictEqual(error._tag, "DefinitionChanged")
      assert.deepStrictEqual(ran, [])
      assert.strictEqual((yield* runsOf("fail"))[0]?.status, "interrupted", "left for who knows it")
    }))

  it.effect("a result that today's schema refuses makes the step run again", () =>
    Effect.gen(function*() {
      const old = Step.make("a", { result: Schema.String, durability: "sync" }, () => Effect.succeed("text"))
      const engine = yield* engineOver()
      const pass = yield* withEngine(engine)(
        Heartbeat.start(Heartbeat.make("v", [old, Step.make("hang", Effect.never)]), { agent: "schema" })
      )
      yield* TestClock.adjust(1)
      yield* pass.interrupt
      const seen: Array<number> = []
      const a = Step.make("a", { result: Schema.Int }, () => Effect.succeed(7))
      const hang = Step.make("hang", { after: { a } }, ({ a }) => Effect.sync(() => seen.push(a)))
      yield* withEngine(engine)(Heartbeat.run(Heartbeat.make("v", [a, hang]), { agent: "schema" }))
      assert.deepStrictEqual(seen, [7])
    }))

  it.effect("a checkpoint of a newer version is left untouched", () =>
    Effect.gen(function*() {
      const heartbeat = Heartbeat.make("v", [
        Step.make("a", { durability: "sync" }, () => Effect.void),
        Step.make("hang", Effect.never)
      ])
      const store = yield* CheckpointStore.CheckpointStore
      const newer = {
        ...store,
        save: (lease: Parameters<typeof store.save>[0], delta: Parameters<typeof store.save>[1]) =>
          store.save(lease, {
            ...delta,
            rows: delta.rows.map((row) => JSON.stringify({ ...JSON.parse(row), format: 2 }))
          })
      }
      const future = yield* engineOver().pipe(Effect.provideService(CheckpointStore.CheckpointStore, newer))
      const pass = yield* withEngine(future)(Heartbeat.start(heartbeat, { agent: "newer" }))
      yield* TestClock.adjust(1)
      yield* pass.interrupt
      const before = yield* store.load(pass.runId)
      const engine = yield* engineOver()
      const error = yield* Effect.flip(withEngine(engine)(Heartbeat.run(heartbeat, { agent: "newer" })))
      assert(error._tag === "CheckpointUnreadable")
      assert.include(error.message, "it has format 2, this version reads up to 1")
      assert.deepStrictEqual((yield* store.load(pass.runId)).messages, before.messages)
    }))

  it.effect("a pass that takes the process down each time is given up, and the agent is free again", () =>
    Effect.gen(function*() {
      let fatal = true
      const heartbeat = Heartbeat.make("t", [
        Step.make("fine", { durability: "sync" }, () => Effect.void),
        Step.make("fatal", Effect.suspend(() => fatal ? Effect.never : Effect.void))
      ])
      for (let attempt = 1; attempt <= 3; attempt++) {
        const wire = new Wire()
        const engine = yield* engineOver(wire)
        yield* withEngine(engine)(Heartbeat.start(heartbeat, { agent: "fatal" }))
        yield* TestClock.adjust("1 second")
        kill(wire)
        yield* TestClock.adjust("30 seconds")
      }
      const engine = yield* engineOver()
      assert.strictEqual((yield* runsOf("fatal"))[0]?.status, "exhausted")
      const report = yield* withEngine(engine)(Heartbeat.run(heartbeat, { agent: "fatal" }))
      assert.deepStrictEqual(codes(report).errors, ["-:AttemptsExhausted"])
      assert.deepStrictEqual(statuses(report), ["fine:ok", "fatal:skipped"])
      fatal = false
      const fresh = yield* withEngine(engine)(Heartbeat.run(heartbeat, { agent: "fatal" }))
      assert.strictEqual(fresh.status, "ok")
      assert.notStrictEqual(fresh.runId, report.runId)
    }))
})

it.layer(stores)("a store in trouble", (it) => {
  const beat = (log: Array<string> = []) => fiveSteps(log, "sync")

  it.effect("failing at begin: there is no pass, and a typed error says so", () =>
    Effect.gen(function*() {
      const wire = new Wire()
      wire.before = (operation) => Effect.fail(unavailable(operation))
      const log: Array<string> = []
      const error = yield* Effect.flip(withEngine(yield* engineOver(wire))(Heartbeat.run(beat(log), { agent: "b" })))
      assert(error._tag === "StoreError")
      assert.isTrue(error.isRetryable)
      assert.strictEqual(error.message, "The store failed at begin (unavailable): connection refused")
      assert.deepStrictEqual(log, [])
    }))

  it.effect("failing in the middle: the pass goes on, warns once, and the record carries everything", () =>
    Effect.gen(function*() {
      const wire = new Wire()
      wire.before = (operation) => operation === "save" ? Effect.fail(unavailable(operation)) : Effect.void
      const fiber = yield* Effect.forkChild(withEngine(yield* engineOver(wire))(Heartbeat.run(beat(), { agent: "m" })))
      yield* TestClock.adjust("10 seconds")
      const report = yield* Fiber.join(fiber)
      assert.deepStrictEqual(codes(report), { warnings: ["-:OutcomeNotSaved"], errors: [] })
      assert.notInclude(JSON.stringify(report), "connection refused", "what the store says is for the log")
      assert.deepStrictEqual(statuses(report), ["a:ok", "b:ok", "c:ok", "d:ok", "e:ok"])
      assert.isTrue(report.recorded)
      const [run] = yield* runsOf("m")
      assert.strictEqual(run?.status, "warning")
    }))

  it.effect("failing in the middle with onStoreFailure stop: no further step starts", () =>
    Effect.gen(function*() {
      const wire = new Wire()
      wire.before = (operation) => operation === "save" ? Effect.fail(unavailable(operation)) : Effect.void
      const steps = [Step.make("a", { durability: "sync" }, () => Effect.void), Step.make("b", Effect.void)]
      const heartbeat = Heartbeat.make("t", steps, { onStoreFailure: "stop" })
      const fiber = yield* Effect.forkChild(
        withEngine(yield* engineOver(wire))(Heartbeat.run(heartbeat, { agent: "s" }))
      )
      yield* TestClock.adjust("10 seconds")
      const report = yield* Fiber.join(fiber)
      assert.deepStrictEqual(statuses(report), ["a:ok", "b:skipped"])
      assert.deepStrictEqual(codes(report).errors, ["-:OutcomeNotSaved"])
    }))

  it.effect("an answer that was lost is not an outcome that was lost", () =>
    Effect.gen(function*() {
      for (const operation of ["save", "settle"] as const) {
        const wire = new Wire()
        let lose = true
        wire.after = (done) => {
          if (done !== operation || !lose) return Effect.void
          lose = false
          return Effect.fail(unavailable(operation))
        }
        const fiber = yield* Effect.forkChild(
          withEngine(yield* engineOver(wire))(Heartbeat.run(beat(), { agent: `lost-${operation}` }))
        )
        yield* TestClock.adjust("10 seconds")
        const report = yield* Fiber.join(fiber)
        assert.deepStrictEqual([report.status, report.recorded], ["ok", true], operation)
        const [run] = yield* runsOf(`lost-${operation}`)
        assert.deepStrictEqual([run?.status, run?.runId], ["ok", report.runId], operation)
      }
    }))

  it.effect("what was stored although its answer was lost is not stored twice", () =>
    Effect.gen(function*() {
      const wire = new Wire()
      let lose = true
      wire.after = (done) => {
        if (done !== "save" || !lose) return Effect.void
        lose = false
        return Effect.fail(unavailable(done))
      }
      const steps = [150, 150, 1000].map((millis, index) => Step.make("abc".charAt(index), Effect.sleep(millis)))
      const heartbeat = Heartbeat.make("t", steps)
      const pass = yield* withEngine(yield* engineOver(wire))(Heartbeat.start(heartbeat, { agent: "prefix" }))
      const store = yield* CheckpointStore.CheckpointStore
      yield* TestClock.adjust("260 millis") // the save of a is lost; b ended meanwhile
      yield* TestClock.adjust("200 millis") // asked again, with both
      const checkpoint = yield* store.load(pass.runId)
      assert.deepStrictEqual(checkpoint.messages.map((row) => JSON.parse(row).name), ["a", "b"])
      assert.strictEqual(checkpoint.iteration, 2)
      yield* TestClock.adjust("1 second")
      const report = yield* pass.report
      assert.deepStrictEqual([report.status, report.recorded], ["ok", true])
    }))

  it.effect("a store that throws is a store that fails", () =>
    Effect.gen(function*() {
      const wire = new Wire()
      wire.before = () => Effect.die(new Error("driver bug"))
      const error = yield* Effect.flip(withEngine(yield* engineOver(wire))(Heartbeat.run(beat(), { agent: "throws" })))
      assert(error._tag === "StoreError")
      assert.strictEqual(error.reason, "unknown")
    }))

  it.effect("failing at settle: the report says that it was not recorded, and the next heartbeat settles it", () =>
    Effect.gen(function*() {
      const wire = new Wire()
      wire.before = (operation) => operation === "settle" ? Effect.fail(unavailable(operation)) : Effect.void
      const log: Array<string> = []
      const fiber = yield* Effect.forkChild(
        withEngine(yield* engineOver(wire))(Heartbeat.run(beat(log), { agent: "e" }))
      )
      yield* TestClock.adjust("10 seconds")
      const report = yield* Fiber.join(fiber)
      assert.deepStrictEqual([report.status, report.recorded], ["error", false])
      assert.deepStrictEqual(codes(report).errors, ["-:RunNotRecorded"])
      assert.notInclude(JSON.stringify(report), "connection refused")
      yield* TestClock.adjust("30 seconds")
      const next = yield* withEngine(yield* engineOver())(Heartbeat.run(beat(log), { agent: "e" }))
      assert.strictEqual(next.runId, report.runId)
      assert.strictEqual(next.status, "ok")
      assert.deepStrictEqual(log, ["a", "b", "c", "d", "e", "e"], "only what was not stored ran again")
    }))

  it.effect("an owner that another process replaced stops, and the successor's report counts", () =>
    Effect.gen(function*() {
      const wire = new Wire()
      const gate = yield* Deferred.make<void>()
      let interrupted = false
      const heartbeat = Heartbeat.make("t", [
        Step.make(
          "a",
          Effect.onInterrupt(Deferred.await(gate), () =>
            Effect.sync(() => {
              interrupted = true
            }))
        )
      ], { stepTimeout: "10 minutes", deadline: "10 minutes" })
      const frozen = yield* engineOver(wire)
      const first = yield* withEngine(frozen)(Heartbeat.start(heartbeat, { agent: "zombie" }))
      wire.before = (operation) => operation === "renew" ? Effect.never : Effect.void
      yield* TestClock.adjust("26 seconds")
      assert.isFalse(interrupted)
      yield* TestClock.adjust("1 second")
      assert.isTrue(interrupted, "stopped before the lease ends, by its own clock")
      assert.strictEqual((yield* Effect.flip(first.report))._tag, "LeaseLost")
      yield* TestClock.adjust("5 seconds")
      yield* Deferred.succeed(gate, undefined)
      const report = yield* withEngine(yield* engineOver())(Heartbeat.run(heartbeat, { agent: "zombie" }))
      assert.deepStrictEqual([report.runId, report.origin], [first.runId, "resumed"])
    }))

  it.effect("one renewal for all passes of a process, each third of the lease", () =>
    Effect.gen(function*() {
      const wire = new Wire()
      const gate = yield* Deferred.make<void>()
      const heartbeat = Heartbeat.make("t", [Step.make("a", Deferred.await(gate))], {
        stepTimeout: "10 minutes",
        deadline: "10 minutes"
      })
      const engine = yield* engineOver(wire)
      const passes = yield* Effect.forEach(
        Array.from({ length: 20 }, (_, index) => `renew-${index}`),
        (agent) => withEngine(engine)(Heartbeat.start(heartbeat, { agent }))
      )
      yield* TestClock.adjust("95 seconds")
      assert.strictEqual(wire.log.filter((operation) => operation === "renew").length, 9)
      yield* Deferred.succeed(gate, undefined)
      for (const pass of passes) assert.strictEqual((yield* pass.report).status, "ok")
      yield* TestClock.adjust("95 seconds")
      assert.strictEqual(
        wire.log.filter((operation) => operation === "renew").length,
        9,
        "nothing to renew, no statement"
      )
    }))
})
