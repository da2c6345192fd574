import { assert, describe, it } from "@effect/vitest"
import { Agent, AgentRun, AgentSupervisor, Heartbeat, RunStore, Step } from "@everbeat/core"
import { Cause, Clock, Deferred, Effect, Exit, Fiber, Layer, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import {
  type AnyStep,
  Bad,
  codes,
  engineOver,
  layer,
  Low,
  pass,
  quiet,
  scaled,
  statuses,
  stores,
  withEngine
} from "./support.ts"

it.layer(layer)("time", (it) => {
  it.effect("the default limit interrupts a step for real", () =>
    Effect.gen(function*() {
      let released = false
      const slow = Step.make(
        "slow",
        Effect.onInterrupt(Effect.never, () =>
          Effect.sync(() => {
            released = true
          }))
      )
      const fiber = yield* Effect.forkChild(pass([slow]))
      yield* TestClock.adjust("29 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 second")
      const report = yield* Fiber.join(fiber)
      assert.isTrue(released)
      assert.deepStrictEqual(codes(report).errors, ["slow:StepTimeout"])
      assert.strictEqual(report.steps[0]?.millis, 30_000)
    }))

  it.effect("a step that ignores interruption is left behind after the grace and can no longer warn", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      let ended = false
      const stuck = Step.make(
        "stuck",
        Effect.uninterruptible(Effect.gen(function*() {
          yield* Deferred.await(gate)
          yield* Step.warn(new Low({ n: 1 }))
          ended = true
        }))
      )
      const next = Step.make("next", Effect.void)
      const fiber = yield* Effect.forkChild(pass([
        stuck.pipe(Step.timeout("5 seconds"), Step.retry(Schedule.recurs(3)), Step.bestEffort),
        next
      ]))
      yield* TestClock.adjust("5 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 second")
      const report = yield* Fiber.join(fiber)
      yield* Deferred.succeed(gate, undefined)
      yield* Effect.yieldNow
      assert.isTrue(ended)
      assert.deepStrictEqual(codes(report), { warnings: ["stuck:StepTimeout"], errors: [] })
      assert.include(report.warnings[0]?.message, "still running")
      assert.deepStrictEqual(statuses(report), ["stuck:warning", "next:ok"])
      assert.strictEqual(report.steps[0]?.attempts, 1, "a step that is still running is not started a second time")
    }))

  it.effect("the default limit also leaves a critical step behind, and stops the pass", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const stuck = Step.make("stuck", Effect.uninterruptible(Deferred.await(gate)))
      const fiber = yield* Effect.forkChild(pass([stuck, Step.make("next", Effect.void)]))
      yield* TestClock.adjust("31 seconds")
      const report = yield* Fiber.join(fiber)
      assert.deepStrictEqual(statuses(report), ["stuck:error", "next:skipped"])
      assert.include(report.errors[0]?.message, "still running")
      yield* Deferred.succeed(gate, undefined)
    }))

  it.effect("timeout inside retry limits each try; warnings of repeated tries are dropped", () =>
    Effect.gen(function*() {
      let n = 0
      const flaky = Step.make(
        "flaky",
        Effect.suspend(() => Effect.andThen(Step.warn(new Low({ n: ++n })), n < 3 ? Effect.never : Effect.void))
      )
      const fiber = yield* Effect.forkChild(
        pass([flaky.pipe(Step.timeout("40 seconds"), Step.retry(Schedule.recurs(5)))])
      )
      yield* TestClock.adjust("80 seconds")
      const report = yield* Fiber.join(fiber)
      assert.strictEqual(report.steps[0]?.attempts, 3)
      assert.deepStrictEqual(report.warnings.map((warning) => warning.value), [new Low({ n: 3 })])
      assert.strictEqual(report.status, "warning")
    }))

  it.effect("retry repeats typed failures as the schedule says", () =>
    Effect.gen(function*() {
      let n = 0
      const flaky = Step.make("flaky", Effect.suspend(() => ++n < 3 ? Effect.fail(new Bad({ why: "x" })) : Effect.void))
      const fiber = yield* Effect.forkChild(pass([flaky.pipe(Step.retry(Schedule.spaced("1 second")))]))
      yield* TestClock.adjust("2 seconds")
      const report = yield* Fiber.join(fiber)
      assert.deepStrictEqual([report.status, report.steps[0]?.attempts, n], ["ok", 3, 3])
    }))

  it.effect("the deadline ends running steps and skips the rest", () =>
    Effect.gen(function*() {
      const hang = Step.make("hang", Effect.never)
      const soft = Step.make("soft", Effect.never).pipe(Step.bestEffort)
      const last = Step.make("last", Effect.void)
      const fiber = yield* Effect.forkChild(
        pass([hang, soft, last], { concurrency: 2, deadline: "10 seconds", onCritical: "continue" })
      )
      yield* TestClock.adjust("10 seconds")
      const report = yield* Fiber.join(fiber)
      assert.deepStrictEqual(statuses(report), ["hang:error", "soft:warning", "last:skipped"])
      assert.deepStrictEqual(codes(report), {
        warnings: ["soft:DeadlineExceeded"],
        errors: ["hang:DeadlineExceeded", "-:DeadlineExceeded"]
      })
    }))

  it.effect("interrupting the call interrupts the steps, and there is no report", () =>
    Effect.gen(function*() {
      let released = 0
      const step = (name: string) =>
        Step.make(name, Effect.onInterrupt(Effect.never, () => Effect.sync(() => released++))).pipe(Step.bestEffort)
      const fiber = yield* Effect.forkChild(
        pass([step("a"), step("b")] as ReadonlyArray<AnyStep>, { concurrency: 2 })
      )
      yield* TestClock.adjust(1)
      yield* Fiber.interrupt(fiber)
      const exit = yield* Fiber.await(fiber)
      assert.strictEqual(released, 2)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
    }))

  it.effect("interrupting is not held up by a step that ignores it for longer than the grace", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const stuck = Step.make("stuck", Effect.uninterruptible(Deferred.await(gate)))
      const fiber = yield* Effect.forkChild(pass([stuck]), { startImmediately: true })
      yield* TestClock.adjust("3 seconds")
      fiber.interruptUnsafe()
      yield* TestClock.adjust("999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      const exit = yield* Fiber.await(fiber)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
      yield* Deferred.succeed(gate, undefined)
    }))

  it.effect("a wall clock that jumps backwards ends no run before it began", () =>
    Effect.gen(function*() {
      const real = yield* Clock.Clock
      let wall = 10_000_000
      const clock: Clock.Clock = Object.create(real, { currentTimeMillisUnsafe: { value: () => wall } })
      const back = Step.make("back", Effect.sync(() => wall = 1_000))
      const report = yield* pass([back]).pipe(
        Effect.provide(Layer.fresh(layer)),
        Effect.provideService(Clock.Clock, clock)
      )
      assert.strictEqual(report.status, "ok")
      assert.strictEqual(report.startedAt.epochMilliseconds, 10_000_000)
      assert.strictEqual(report.finishedAt.epochMilliseconds, 10_000_000)
      assert.isAtLeast(report.steps[0]?.millis ?? -1, 0)
    }))

  it.effect("a wall clock that jumps backwards ends no attempt before it began", () =>
    Effect.gen(function*() {
      const instants = ({ attempts, finishedAt, startedAt }: AgentRun.AgentRun) => [
        startedAt.epochMilliseconds,
        ...attempts.flatMap(({ endedAt, startedAt }) => [startedAt.epochMilliseconds, endedAt?.epochMilliseconds]),
        finishedAt.epochMilliseconds
      ]
      const runs = yield* RunStore.RunStore
      const real = yield* Clock.Clock
      const behind: Clock.Clock = Object.create(real, {
        currentTimeMillisUnsafe: { value: () => real.currentTimeMillisUnsafe() - 3_600_000 }
      })
      const gate = yield* Deferred.make<void>()
      const heartbeat = Heartbeat.make("t", [Step.make("a", Deferred.await(gate))])
      const first = yield* Effect.scoped(Effect.gen(function*() {
        return yield* Heartbeat.start(heartbeat, { agent: "triage" }).pipe(withEngine(yield* engineOver()))
      }))
      yield* TestClock.adjust("10 minutes")
      yield* Deferred.succeed(gate, undefined)
      // The second attempt is in a process whose clock is behind that of the store, which dates attempts.
      const report = yield* Effect.gen(function*() {
        return yield* Heartbeat.run(heartbeat, { agent: "triage" }).pipe(withEngine(yield* engineOver()))
      }).pipe(Effect.provideService(Clock.Clock, behind))
      const run = yield* runs.get(first.runId)
      assert(AgentRun.isSettled(run))
      assert.strictEqual(report.runId, first.runId)
      assert.lengthOf(run.attempts, 2)
      assert.deepStrictEqual(instants(run), instants(run).toSorted((a = 0, b = 0) => a - b))
      assert.strictEqual(report.finishedAt.epochMilliseconds, run.finishedAt.epochMilliseconds)

      // And so for an agent.
      const agent = Agent.make("coder", { message: Schema.String, run: () => TestClock.setTime(1000) })
      const supervisor = yield* AgentSupervisor.make()
      yield* TestClock.adjust("1 hour")
      const handle = yield* Agent.start(agent).pipe(Effect.provideService(AgentSupervisor.AgentSupervisor, supervisor))
      const record = yield* handle.record
      assert.deepStrictEqual(instants(record), instants(record).toSorted((a = 0, b = 0) => a - b))
    }).pipe(Effect.provide(Layer.fresh(stores))))

  it.effect("what the caller sees does not depend on timing", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const step = <const Name extends string>(name: Name, millis: number) =>
        Step.make(name, { result: Schema.String }, () =>
          Effect.gen(function*() {
            log.push(`+${name}`)
            yield* Effect.sleep(millis)
            yield* Step.touch(`https://x.dev/${name}`)
            yield* Step.warn(new Bad({ why: name }))
            log.push(`-${name}`)
            return name
          }))
      const a = step("a", 30)
      const b = step("b", 10)
      const c = step("c", 20)
      const d = Step.make("d", { after: { a, b } }, ({ a, b }) => Effect.sync(() => log.push(a + b)))
      const fiber = yield* Effect.forkChild(
        Heartbeat.run(Heartbeat.make("t", [a, b, c, d], { concurrency: 2 }), { agent: "timing" })
      )
      yield* TestClock.adjust(100)
      const report = yield* Fiber.join(fiber)
      assert.deepStrictEqual(report.warnings.map((warning) => warning.step), ["a", "b", "c"])
      assert.deepStrictEqual(report.touchedIssueUrls, ["https://x.dev/a", "https://x.dev/b", "https://x.dev/c"])
      assert.deepStrictEqual(log.slice(0, 4), ["+a", "+b", "-b", "+c"], "c overtakes d, which waits for a")
      assert.isAbove(log.indexOf("ab"), log.indexOf("-a"))
    }))
})

describe("on the live clock", () => {
  it.live("arrays are the same in 100 repetitions, whatever overtakes what", () =>
    Effect.gen(function*() {
      const names = Array.from({ length: 12 }, (_, index) => `s${index}`)
      const steps = names.map((name) =>
        Step.make(
          name,
          Effect.gen(function*() {
            for (let turn = 0; turn < Math.floor(Math.random() * 5); turn++) yield* Effect.yieldNow
            yield* Step.warn(new Bad({ why: name }))
            yield* Step.touch(`https://x.dev/${name}`)
            for (let turn = 0; turn < Math.floor(Math.random() * 5); turn++) yield* Effect.yieldNow
            if (name === "s5") return yield* Effect.fail(new Low({ n: 5 }))
          })
        )
      ) as ReadonlyArray<AnyStep>
      const seen = new Set<string>()
      for (let round = 0; round < scaled(100); round++) {
        const { errors, steps: outcomes, touchedIssueUrls, warnings } = yield* pass(steps, {
          concurrency: "unbounded",
          onCritical: "continue"
        })
        seen.add(JSON.stringify([
          warnings.map(({ message, step }) => [step, message]),
          errors.map(({ message, step }) => [step, message]),
          outcomes.map(({ name, status }) => [name, status]),
          touchedIssueUrls
        ]))
      }
      assert.strictEqual(seen.size, 1)
    }).pipe(Effect.provide([layer, quiet])))

  it.live("no timer outlives a pass, whatever ended it", () =>
    Effect.gen(function*() {
      const open = new Set<unknown>()
      const { clearTimeout: clear, setTimeout: set } = globalThis
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          Object.assign(globalThis, {
            setTimeout: (run: () => void, millis: number) => {
              const handle = set(() => {
                open.delete(handle)
                run()
              }, millis)
              open.add(handle)
              return handle
            },
            clearTimeout: (handle: NodeJS.Timeout) => {
              open.delete(handle)
              clear(handle)
            }
          })
        }),
        () => Effect.sync(() => Object.assign(globalThis, { setTimeout: set, clearTimeout: clear }))
      )
      const fast = Step.make("fast", Effect.sleep(2))
      const slow = Step.make("slow", Effect.never).pipe(Step.timeout(5), Step.bestEffort)
      const gate = yield* Deferred.make<void>()
      const stuck = Step.make("stuck", Effect.uninterruptible(Deferred.await(gate))).pipe(
        Step.timeout(5),
        Step.bestEffort
      )
      yield* Effect.gen(function*() {
        yield* pass([fast, slow, stuck] as ReadonlyArray<AnyStep>, { grace: 5 })
        yield* pass([slow])
        yield* pass([Step.make("hang", Effect.never)], { deadline: 10 })
      }).pipe(Effect.provide([layer, quiet])) // closes the engine
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(open.size, 0)
    }))
})
