import { agent, createEverbeat, heartbeat } from "@everbeat/core/promise"
import { memoryStore } from "@everbeat/store-memory/promise"
import { describe, expect, it } from "vitest"
import { expectNoUnhandled, gate, hostile, revoked, stopped, tick, until } from "./promiseSupport.ts"

expectNoUnhandled()

describe("a step", () => {
  const odd: ReadonlyArray<readonly [string, unknown, string]> = [
    ["a text", "no", "no"],
    ["null", null, "null was thrown, which is no error."],
    ["undefined", undefined, "undefined was thrown, which is no error."],
    ["a number", 7, "7 was thrown, which is no error."],
    ["a frozen object", Object.freeze({ a: 1 }), "an object was thrown, which is no error."],
    ["a frozen error", Object.freeze(new Error("frozen")), "frozen"],
    ["an error that throws when it is looked at", hostile(), "Unknown"],
    ["a revoked proxy", revoked(), "something that cannot be looked at was thrown, which is no error."],
    [
      "an error with a cause",
      new TypeError("fetch failed", { cause: new Error("connect ECONNREFUSED") }),
      "fetch failed: connect ECONNREFUSED"
    ]
  ]
  it.for(odd)("that throws %s ends the pass as error, thrown or rejected", async ([, thrown, message]) => {
    const steps = heartbeat({ onCritical: "continue" })
      .step("thrown", () => {
        throw thrown
      })
      .step("rejected", async () => {
        throw thrown
      }, { after: [] })
      .step("warned", async () => {
        throw thrown
      }, { after: [], onError: "warn", failsWith: { RangeError } })
    await using everbeat = createEverbeat({ store: memoryStore(), heartbeats: { triage: steps } })
    const report = await everbeat.run("triage")
    expect(report.status).toBe("error")
    expect([...report.errors, ...report.warnings].map(({ step }) => step)).toEqual(["thrown", "rejected", "warned"])
    const messages = [...report.errors, ...report.warnings].map((one) => one.message)
    expect(new Set(messages)).toEqual(new Set([message]))
    expect(report.warnings.map(({ code }) => code)).toEqual(["Unexpected"])
    expect(await everbeat.runs.get(report.runId)).toMatchObject({ status: "error" })
  })

  it("that returns an odd thenable is a failure of the step", async () => {
    const thenable = new Proxy({}, {
      get() {
        throw new Error("looked at")
      }
    })
    const steps = heartbeat().step("odd", () => thenable)
    await using everbeat = createEverbeat({ store: memoryStore(), heartbeats: { triage: steps } })
    expect((await everbeat.run("triage")).errors).toMatchObject([{ message: "looked at" }])
  })

  it("whose result is not JSON is told where", async () => {
    const cycle: { self?: unknown } = {}
    cycle.self = cycle
    let deep: unknown = 1
    for (let depth = 0; depth < 5000; depth++) deep = [deep]
    const results: Readonly<Record<string, unknown>> = {
      "date": { issues: [{ at: new Date(0) }] },
      "nan": [Number.NaN],
      "big": 1n,
      "function": { run: () => 1 },
      "hole": [undefined],
      "promise": { later: Promise.resolve(1) },
      "cycle": cycle,
      "deep": deep,
      "hostile": {
        get x(): never {
          throw new Error("looked at")
        }
      }
    }
    const steps = Object.entries(results).reduce(
      (chain, [name, result]) => chain.step(name as "name", () => result, { after: [] }) as unknown as typeof chain,
      heartbeat({ onCritical: "continue" })
    )
    await using everbeat = createEverbeat({ store: memoryStore(), heartbeats: { triage: steps } })
    const report = await everbeat.run("triage")
    const messages = Object.fromEntries(report.errors.map(({ code, message, step }) => [step, `${code} ${message}`]))
    expect(Object.keys(messages)).toEqual(Object.keys(results))
    expect(messages["date"]).toBe(
      "ResultRefused The result does not fit its schema: result.issues[0].at: an instance of Date is not JSON; store toISOString()"
    )
    expect(messages["nan"]).toContain("result[0]: NaN is not JSON")
    expect(messages["big"]).toContain("result: a bigint is not JSON")
    expect(messages["function"]).toContain("result.run: a function is not JSON")
    expect(messages["hole"]).toContain("result[0]: undefined is not JSON")
    expect(messages["promise"]).toContain("result.later: an instance of Promise is not JSON; await it")
    expect(messages["cycle"]).toContain("contains itself")
    expect(messages["deep"]).toContain("nested too deeply")
    expect(messages["hostile"]).toContain("looking at it threw Error: looked at")
  })

  it("that resolves after its timeout changes nothing any more", async () => {
    const late = gate()
    const over = gate()
    const steps = heartbeat({ grace: 5 }).step("late", async (ctx) => {
      await late.promise
      ctx.warn("late", "too late")
      ctx.touch("https://example.com/late")
      expect(ctx.signal.aborted).toBe(true)
      over.open()
      return 1
    }, { timeout: 10 })
    await using everbeat = createEverbeat({ store: memoryStore(), heartbeats: { triage: steps } })
    const report = await everbeat.run("triage")
    expect(report.errors).toMatchObject([{ code: "StepTimeout" }])
    expect(report.errors[0]?.message).toContain("still running")
    late.open()
    await over.promise
    expect([report.warnings, report.touchedIssueUrls]).toEqual([[], []])
    expect(await everbeat.runs.get(report.runId)).toMatchObject({ warnings: [], touchedIssueUrls: [] })
  })

  it("that forgets to await ends without it: what comes late changes nothing, also of the steps after it", async () => {
    const late = gate()
    const over = gate()
    const steps = heartbeat()
      .step("forgets", (ctx) => {
        void (async () => {
          await late.promise
          ctx.warn("late", "too late")
          ctx.touch("https://example.com/late")
          over.open()
        })()
        return "early"
      })
      .step("after", async (ctx) => {
        late.open()
        await over.promise
        return ctx.results.forgets
      })
    await using everbeat = createEverbeat({ store: memoryStore(), heartbeats: { triage: steps } })
    const report = await everbeat.run("triage")
    expect(report).toMatchObject({ status: "ok", warnings: [], touchedIssueUrls: [] })
    expect(await everbeat.runs.get(report.runId)).toMatchObject({ status: "ok", warnings: [], touchedIssueUrls: [] })
  })

  it("that rejects after its timeout, or hands a bad warning over, is nobody's unhandled rejection", async () => {
    const late = gate()
    const steps = heartbeat({ grace: 5, onCritical: "continue" })
      .step("late", async () => {
        await late.promise
        throw new Error("late")
      }, { timeout: 10 })
      .step("bad", (ctx) => {
        ctx.warn(undefined as never, null as never)
        ctx.warn("hostile", "message", revoked())
        ctx.touch(revoked() as URL)
        ctx.touch("not a url")
      }, { after: [] })
    await using everbeat = createEverbeat({ store: memoryStore(), heartbeats: { triage: steps } })
    const report = await everbeat.run("triage")
    expect(report.warnings.map(({ code, message }) => `${code} ${message}`)).toEqual([
      "Unknown null",
      "hostile message"
    ])
    late.open()
    await tick(5)
  })
})

describe("an abort", () => {
  const waits = () => {
    const started = gate()
    const reasons: Array<unknown> = []
    const steps = heartbeat().step("wait", (ctx) => {
      started.open()
      return stopped(ctx.signal).catch((error: unknown) => {
        reasons.push(error)
        throw error
      })
    })
    return { started: started.promise, steps, reasons }
  }

  it("that came before the call rejects with its reason, and begins nothing", async () => {
    const { steps } = waits()
    await using everbeat = createEverbeat({ store: memoryStore(), heartbeats: { triage: steps } })
    const reason = new Error("mine")
    await expect(everbeat.run("triage", { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    await expect(everbeat.run("triage", { signal: AbortSignal.abort() })).rejects.toMatchObject({ name: "AbortError" })
    expect((await everbeat.runs.list()).items).toEqual([])
  })

  it("that came before an agent is started rejects with its reason, and starts nothing", async () => {
    let ran = false
    const coder = agent("coder", {
      run: () => {
        ran = true
      }
    })
    await using everbeat = createEverbeat({ store: memoryStore(), agents: [coder] })
    const reason = new Error("mine")
    await expect(everbeat.agent.start("coder", { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    await tick(3)
    expect([ran, (await everbeat.runs.list()).items]).toEqual([false, []])
  })

  it("during the call interrupts the pass that it began; the next call continues it", async () => {
    const { reasons, started, steps } = waits()
    await using everbeat = createEverbeat({ store: memoryStore(), heartbeats: { triage: steps }, recovery: false })
    const controller = new AbortController()
    const call = everbeat.run("triage", { signal: controller.signal })
    await started
    const reason = { odd: "reason" }
    controller.abort(reason)
    await expect(call).rejects.toBe(reason)
    await until(() => reasons.length === 1)
    expect(reasons).toMatchObject([{ name: "AbortError" }])
    expect((await everbeat.checkpoints.list()).items).toMatchObject([{ status: "interrupted", agentName: "triage" }])
  })
})

describe("an agent", () => {
  it("that forgets to await is waited for, and told of what failed", async () => {
    const pending = gate()
    const forgets = agent("forgets", {
      run: async (ctx) => {
        void ctx.checkpoint.save({ messages: ["kept"], iteration: 1 })
        void ctx.checkpoint.note("kept too")
        void ctx.checkpoint.flush()
        void ctx.checkpoint.save({ messages: [1n as never] })
        void ctx.checkpoint.tool({ id: "a", name: "late" }, async () => {
          await pending.promise
          throw new Error("the tool failed")
        })
        void ctx.checkpoint.phase("p", async () => {
          throw new Error("the phase failed")
        })
        void ctx.start({ name: "nobody" } as never, { key: "x" }).catch?.(() => undefined)
        return "done"
      }
    })
    await using everbeat = createEverbeat({ store: memoryStore(), agents: [forgets] })
    const handle = await everbeat.agent.start("forgets")
    await tick(3)
    pending.open()
    expect(await handle.result()).toBe("done")
    const { warnings } = await handle.record()
    expect(new Set(warnings.map(({ code }) => code))).toEqual(new Set(["NotAwaited"]))
    expect(warnings.some(({ message }) => message.includes("the tool failed"))).toBe(true)
  })

  it("that catches its abort and goes on calling is told no", async () => {
    const told: Array<unknown> = []
    const stubborn = agent("stubborn", {
      timeout: 20,
      maxAttempts: 1,
      run: async (ctx) => {
        await ctx.checkpoint.tool({ id: "a", name: "slow" }, stopped).catch((error: unknown) => told.push(error))
        await ctx.checkpoint.tool({ id: "b", name: "again" }, () => told.push("ran")).catch((error: unknown) =>
          told.push(error)
        )
        await ctx.checkpoint.save({ messages: ["the end"] })
      }
    })
    await using everbeat = createEverbeat({ store: memoryStore(), agents: [stubborn], recovery: false })
    const handle = await everbeat.agent.start("stubborn")
    await expect(handle.result()).rejects.toMatchObject({ code: "run-exhausted" })
    expect(told).toMatchObject([{ name: "AbortError" }, { name: "AbortError" }])
    expect((await everbeat.checkpoints.get(handle.runId)).messages).toBe(1)
  })

  it("whose tool answers what cannot be stored gets it, and the next attempt is told why it runs again", async () => {
    let ran = 0
    const told: Array<unknown> = []
    const coder = agent("coder", {
      backoff: () => 0,
      run: async (ctx) => {
        told.push(ctx.resume?.calls.map(({ detail, id, status }) => ({ detail, id, status })))
        const answer = await ctx.checkpoint.tool({ id: "a", name: "read", remember: true }, () => {
          ran++
          return { size: 1n }
        })
        told.push(answer)
        if (ctx.attempt === 1) throw Object.assign(new Error("overloaded"), { retryable: true })
        return "done"
      }
    })
    await using everbeat = createEverbeat({ store: memoryStore(), agents: [coder] })
    const handle = await everbeat.agent.start("coder")
    expect(await handle.result()).toBe("done")
    expect(ran).toBe(2)
    const why = expect.stringMatching(/^its result (?:cannot be stored|does not fit)/)
    expect(told).toEqual([undefined, { size: 1n }, [{ id: "a", status: "done", detail: why }], { size: 1n }])
    expect((await handle.record()).status).toBe("ok")
  })
})
