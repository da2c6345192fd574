/* oxlint-disable eslint/no-await-in-loop -- one process after the other */
import { Heartbeat, HeartbeatEngine, Step } from "@everbeat/core"
import { agent, heartbeat, InvalidOptions, json } from "@everbeat/core/promise"
import { type CrashPoint } from "@everbeat/core/testing/Crash"
import { ScriptedAgent, TestEverbeat } from "@everbeat/store-memory/testing"
import { Context, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { describe, expect, it } from "vitest"

const never = () => new Promise<never>(() => {})

describe("the clock of a test", () => {
  it("stands still, and begins on a day that is easy to read", async () => {
    await using test = TestEverbeat.make({ heartbeats: { triage: heartbeat().step("greet", () => "hello") } })
    const { runId } = await test.everbeat.run("triage")
    const run = await test.everbeat.runs.get(runId)
    expect(run.startedAt).toEqual(new Date("2026-01-01T00:00:00Z"))
    expect(test.now()).toEqual(new Date("2026-01-01T00:00:00Z"))
    await test.advance("1 hour")
    expect(test.now()).toEqual(new Date("2026-01-01T01:00:00Z"))
  })

  it("lets limits, retries and deadlines take place in order", async () => {
    let tries = 0
    const steps = heartbeat({ deadline: "1 hour", onCritical: "continue" })
      .step("flaky", async () => {
        if (++tries < 3) throw new Error("not yet")
        return tries
      }, { retry: { times: 5, delay: "20 seconds" }, timeout: "10 minutes" })
      .step("slow", never, { timeout: "10 minutes" })
    await using test = TestEverbeat.make({ heartbeats: { triage: steps } })
    const call = test.everbeat.run("triage")
    await test.advance("19 seconds")
    expect(tries).toBe(1)
    await test.advance("30 minutes")
    const report = await call
    expect(tries).toBe(3)
    expect(report.steps.map(({ name, status }) => `${name}: ${status}`)).toEqual(["flaky: ok", "slow: error"])
    expect(report.errors).toMatchObject([{ code: "StepTimeout" }])
  })

  it("is what a step sleeps on with the process it is given", async () => {
    await using test = TestEverbeat.make(({ sleep }) => ({
      heartbeats: {
        triage: heartbeat().step("wait", async (ctx) => {
          await sleep("20 seconds", ctx.signal)
          return "slept"
        })
      }
    }))
    const call = test.everbeat.run("triage")
    await test.advance("19 seconds")
    expect((await test.everbeat.runs.list()).items.map(({ status }) => status)).toEqual(["running"])
    await test.advance("1 second")
    expect((await call).status).toBe("ok")
  })

  it("keeps a lease while its owner lives", async () => {
    const coder = ScriptedAgent.make("coder", ["hang"], { timeout: "1 hour" })
    await using test = TestEverbeat.make({ agents: [coder] })
    const { runId } = await test.everbeat.agent.start("coder")
    await test.advance("30 minutes")
    expect((await test.everbeat.runs.get(runId)).status).toBe("running")
  })
})

describe("a process that is killed", () => {
  const tracked = (closed: Array<number>, live: Array<() => Promise<void>>) =>
    agent("closer", {
      message: json<string>(),
      maxAttempts: 5,
      run: async (ctx) => {
        const alive = live.at(-1)
        for (const issue of [7, 8]) {
          if (closed.includes(issue)) continue
          await ctx.checkpoint.tool({ id: `close-${issue}`, name: "close" }, async () => {
            await alive?.()
            closed.push(issue)
          })
        }
        return "closed"
      }
    })

  it.for<CrashPoint>(["unsent", "unanswered", "answered"])(
    "at any of its writes (%s) leaves a run that the next one ends, with every issue closed once",
    async (point) => {
      const ends: Array<boolean> = []
      for (let n = 1; ends.at(-1) !== false; n++) {
        const closed: Array<number> = []
        const live: Array<() => Promise<void>> = []
        await using test = TestEverbeat.make((process) => {
          live.push(process.alive)
          return { agents: [tracked(closed, live)] }
        })
        const end = await test.crashAfterWrite(n, async (everbeat) => {
          const run = await everbeat.agent.start("closer", { key: "k" })
          return run.result()
        }, point)
        expect(end.writes).toBe(end.crashed ? n : n - 1)
        const run = await test.everbeat.agent.start("closer", { key: "k" })
        const record = await run.record()
        expect([record.status, closed]).toEqual(["ok", [7, 8]])
        ends.push(end.crashed)
      }
      expect(ends.length).toBeGreaterThan(5)
    }
  )

  it("does nothing any more that begins with `alive`", async () => {
    const live: Array<TestEverbeat.Process> = []
    await using test = TestEverbeat.make((process) => {
      live.push(process)
      return { heartbeats: { triage: heartbeat().step("one", () => 1) } }
    })
    await test.crashAfterWrite(1, (everbeat) => everbeat.run("triage"))
    await test.everbeat.run("triage")
    const [dead, living] = live
    const told: Array<string> = []
    void dead?.alive().then(() => told.push("dead"))
    void dead?.sleep("1 second").then(() => told.push("dead"))
    await living?.alive().then(() => told.push("living"))
    await test.advance("1 minute")
    expect(told).toEqual(["living"])
  })

  it("finds nothing out any more, and runs no step after its death", async () => {
    const done: Array<string> = []
    const triage = heartbeat()
      .step("sync", () => done.push("sync"), { durability: "sync" })
      .step("report", () => done.push("report"))
    await using test = TestEverbeat.make({ heartbeats: { triage } })
    await test.crashAfterWrite(2, (everbeat) => everbeat.run("triage", { key: "k" }))
    await test.advance("1 hour")
    expect(done).toEqual(["sync"])
    expect((await test.everbeat.run("triage", { key: "k" })).status).toBe("ok")
    expect(done).toEqual(["sync", "report"])
  })

  it("that answers before tells what it answered, and rejects with what it throws", async () => {
    await using test = TestEverbeat.make({ heartbeats: { triage: heartbeat().step("one", () => 1) } })
    const end = await test.crashAfterWrite(Infinity, (everbeat) => everbeat.run("triage"))
    expect(end).toMatchObject({ crashed: false, writes: 2, value: { status: "ok" } })
    const thrown = new Error("mine")
    await expect(test.crashAfterWrite(9, () => Promise.reject(thrown))).rejects.toBe(thrown)
    await expect(test.crashAfterWrite(0, () => 1)).rejects.toBeInstanceOf(InvalidOptions)
  })

  it("is one of several: a run outlives more than one", async () => {
    const coder = ScriptedAgent.make("coder", [{ say: "a" }, { say: "b" }, { say: "c" }], { maxAttempts: 9 })
    await using test = TestEverbeat.make({ agents: [coder] })
    for (let times = 0; times < 2; times++) {
      const end = await test.crashAfterWrite(2, async (everbeat) => {
        const run = await everbeat.agent.start("coder", { key: "k" })
        return run.result()
      })
      expect(end.crashed).toBe(true)
    }
    const run = await test.everbeat.agent.start("coder", { key: "k" })
    expect([run.origin, await run.result()]).toEqual(["resumed", ["a", "b", "c"]])
    expect((await run.record()).attempts.length).toBe(3)
  })

  it("is replaced by recovery when the test asks for it", async () => {
    const coder = ScriptedAgent.make("coder", [{ say: "a" }, { say: "b" }])
    await using test = TestEverbeat.make({ agents: [coder], recovery: true })
    await test.crashAfterWrite(3, (everbeat) => everbeat.agent.start("coder", { key: "k" }).then((run) => run.result()))
    await test.everbeat.ready()
    await test.advance("1 minute")
    const { items } = await test.everbeat.runs.list()
    expect(items.map(({ status }) => status)).toEqual(["ok"])
  })
})

describe("a deploy", () => {
  it("stops what is in flight, and the next process goes on at once", async () => {
    const coder = ScriptedAgent.make("coder", [{ say: "a" }, "hang", { say: "b" }], { timeout: "1 hour" })
    await using test = TestEverbeat.make({ agents: [coder] })
    const { result, runId } = await test.everbeat.agent.start("coder")
    await test.advance("1 second")
    const before = test.everbeat
    const stopped = result().catch((error: unknown) => error)
    const after = await test.restart()
    expect(after).not.toBe(before)
    expect(test.everbeat).toBe(after)
    expect(await stopped).toMatchObject({ code: "run-interrupted" })
    const resumed = await after.agent.resume("coder", runId)
    expect(await resumed.result()).toEqual(["a", "hang", "b"])
  })

  it("does not wait for a step that ignores it", async () => {
    const test = TestEverbeat.make({ heartbeats: { triage: heartbeat({ grace: "1 hour" }).step("deaf", never) } })
    const call = test.everbeat.run("triage").catch((error: unknown) => error)
    await test.advance("1 second")
    await test.dispose()
    expect(await call).toMatchObject({ code: "run-interrupted" })
    expect(test.dispose()).toBe(test.dispose())
    await expect(test.everbeat.run("triage")).rejects.toMatchObject({ code: "disposed" })
  })
})

describe("options", () => {
  it("that are wrong are refused when the instance is asked for", () => {
    expect(() => TestEverbeat.make({ leaseTtl: -1 }).everbeat).toThrow("leaseTtl")
    expect(() => TestEverbeat.make("no" as never)).not.toThrow()
    expect(() => TestEverbeat.make("no" as never).everbeat).toThrow(InvalidOptions)
  })

  it("keep their layer, which lives on the clock too", async () => {
    class Greeter extends Context.Service<Greeter, { readonly greet: Effect.Effect<string> }>()("test/Greeter") {}
    const greeter = Layer.succeed(Greeter, { greet: Effect.as(Effect.sleep("20 seconds"), "hello") })
    const triage = heartbeat().step("greet", () => Greeter.use(({ greet }) => greet))
    await using test = TestEverbeat.make({ heartbeats: { triage }, layer: greeter })
    const call = test.everbeat.run("triage")
    await test.advance("20 seconds")
    expect((await call).status).toBe("ok")
  })
})

describe("the layer for Effect", () => {
  it("has the engine, the supervisor and a store of its own for each build", async () => {
    const beat = Heartbeat.make("beat", [Step.make("wait", Effect.sleep("1 minute")).pipe(Step.timeout("2 minutes"))])
    const program = Effect.gen(function*() {
      const pass = yield* Effect.forkChild(Heartbeat.run(beat, { agent: "triage", key: "k" }))
      yield* TestClock.adjust("1 minute")
      const report = yield* Fiber.join(pass)
      const { owner } = yield* HeartbeatEngine.HeartbeatEngine
      return `${report.status} ${report.origin} ${owner === "" ? "nobody" : "somebody"}`
    }).pipe(Effect.provide(TestEverbeat.layer), Effect.provide(TestClock.layer()))
    expect(await Effect.runPromise(program)).toBe("ok executed somebody")
    expect(await Effect.runPromise(program)).toBe("ok executed somebody")
  })
})
