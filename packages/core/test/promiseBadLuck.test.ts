import { agent, createEverbeat, createOnce, heartbeat, InvalidOptions, storeFromLayer } from "@everbeat/core/promise"
import { memoryStore } from "@everbeat/store-memory/promise"
import { MemoryStore } from "@everbeat/store-memory"
import { HeartbeatEngine, StoreError } from "@everbeat/core"
import { Context, Effect, Layer } from "effect"
import { afterEach, beforeEach, describe, expect, it } from "vitest"

/** What nobody handled: neither a test nor Everbeat may leave any. */
const unhandled: Array<unknown> = []
const listener = (reason: unknown) => void unhandled.push(reason)

beforeEach(() => {
  unhandled.length = 0
  process.on("unhandledRejection", listener)
})
afterEach(async () => {
  await tick(5)
  process.off("unhandledRejection", listener)
  expect(unhandled).toEqual([])
})

const tick = (times: number): Promise<void> =>
  times === 0 ? Promise.resolve() : new Promise<void>((resolve) => setTimeout(resolve, 1)).then(() => tick(times - 1))

const until = async (condition: () => boolean) => {
  for (let tries = 0; tries < 2000; tries++) {
    if (condition()) return
    await tick(1)
  }
  throw new Error("it did not come true")
}

const gate = () => {
  let open = (): void => {}
  const promise = new Promise<void>((resolve) => {
    open = resolve
  })
  return { open, promise }
}

const stopped = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true })
  })

const hostile = () => {
  const error = new Error("hidden")
  for (const key of ["message", "name", "_tag", "hint", "url", "cause", "stack", "retryable", "constructor"]) {
    Object.defineProperty(error, key, {
      get() {
        throw new Error("looked at")
      }
    })
  }
  return error
}

const revoked = () => {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

describe("a step", () => {
  const odd: ReadonlyArray<readonly [string, unknown, string]> = [
    ["a text", "no", "no"],
    ["null", null, "null was thrown, which is no error."],
    ["undefined", undefined, "undefined was thrown, which is no error."],
    ["a number", 7, "7 was thrown, which is no error."],
    ["a frozen object", Object.freeze({ a: 1 }), "an object was thrown, which is no error."],
    ["a frozen error", Object.freeze(new Error("frozen")), "frozen"],
    ["an error that throws when it is looked at", hostile(), ""],
    ["a revoked proxy", revoked(), ""],
    ["an error with a cause", new TypeError("fetch failed", { cause: new Error("connect ECONNREFUSED") }), "fetch failed: connect ECONNREFUSED"]
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
    if (message !== "") expect(new Set([...report.errors, ...report.warnings].map((one) => one.message))).toEqual(new Set([message]))
    expect(report.warnings.map(({ code }) => code)).toEqual(["Unexpected"])
    expect(await everbeat.runs.get(report.runId)).toMatchObject({ status: "error" })
  })

  it("that returns an odd thenable is a failure of the step", async () => {
    const steps = heartbeat().step("odd", () => ({
      get then(): never {
        throw new Error("looked at")
      }
    }))
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
    let steps = heartbeat({ onCritical: "continue" }).step("first", () => 1) as unknown as {
      readonly step: (name: string, run: () => unknown, options: object) => typeof steps
    }
    for (const [name, result] of Object.entries(results)) steps = steps.step(name, () => result, { after: [] })
    await using everbeat = createEverbeat({ store: memoryStore(), heartbeats: { triage: steps as never } })
    const report = await everbeat.run("triage" as never)
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

  it("that rejects after its timeout, or hands a bad warning over, is nobody's unhandled rejection", async () => {
    const late = gate()
    const steps = heartbeat({ grace: 5, onCritical: "continue" })
      .step("late", async () => {
        await late.promise
        throw new Error("late")
      }, { timeout: 10 })
      .step("bad", (ctx) => {
        ctx.warn(undefined as never, null as never)
        ctx.warn("hostile", "message", revoked() as never)
        ctx.touch(revoked() as never)
        ctx.touch("not a url")
      }, { after: [] })
    await using everbeat = createEverbeat({ store: memoryStore(), heartbeats: { triage: steps } })
    const report = await everbeat.run("triage")
    expect(report.warnings.map(({ code, message }) => `${code} ${message}`)).toEqual(["Unknown null", "hostile message"])
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
        await ctx.checkpoint.tool({ id: "b", name: "again" }, () => told.push("ran")).catch((error: unknown) => told.push(error))
        await ctx.checkpoint.save({ messages: ["the end"] })
      }
    })
    await using everbeat = createEverbeat({ store: memoryStore(), agents: [stubborn], recovery: false })
    const handle = await everbeat.agent.start("stubborn")
    await expect(handle.result()).rejects.toMatchObject({ code: "run-exhausted" })
    expect(told).toMatchObject([{ name: "AbortError" }, { name: "AbortError" }])
    expect((await everbeat.checkpoints.get(handle.runId)).messages).toBe(1)
  })
})

describe("dispose", () => {
  const busy = () => {
    const started = gate()
    const release = gate()
    const steps = heartbeat({ grace: 5 }).step("wait", async (ctx) => {
      started.open()
      await Promise.race([release.promise, stopped(ctx.signal)])
    })
    return { started: started.promise, release, steps }
  }

  it("waits for what is in flight, refuses what is new, and answers every caller the same promise", async () => {
    const { release, started, steps } = busy()
    const everbeat = createEverbeat({ store: memoryStore(), heartbeats: { triage: steps } })
    const run = everbeat.run("triage")
    await started
    const first = everbeat.dispose()
    const [second, third] = [everbeat.dispose({ graceMs: 0 }), everbeat[Symbol.asyncDispose]()]
    expect([second, third]).toEqual([first, first])
    await expect(everbeat.run("triage")).rejects.toMatchObject({ name: "DisposedError", code: "disposed" })
    release.open()
    expect((await run).status).toBe("ok")
    await Promise.all([first, second, third])
  })

  it("interrupts what does not end in time: it is continued by the next one", async () => {
    const { started, steps } = busy()
    const runsAgent = gate()
    const loops = agent("loops", {
      run: async (ctx) => {
        await ctx.checkpoint.save({ messages: ["kept"], iteration: 1 })
        runsAgent.open()
        return stopped(ctx.signal)
      }
    })
    const everbeat = createEverbeat({ store: memoryStore(), heartbeats: { triage: steps }, agents: [loops] })
    const run = everbeat.run("triage")
    const failed = expect(run).rejects.toMatchObject({ code: "run-interrupted", retryable: true })
    const handle = await everbeat.agent.start("loops")
    const ended = expect(handle.result()).rejects.toMatchObject({ code: "run-interrupted" })
    await Promise.all([started, runsAgent.promise])
    await everbeat.dispose({ graceMs: 0 })
    await Promise.all([failed, ended])
  })

  it("leaves nothing that can be called", async () => {
    const everbeat = createEverbeat({ store: memoryStore() })
    await everbeat.ready()
    await everbeat.dispose()
    const calls = [
      () => everbeat.ready(),
      () => everbeat.runs.list(),
      () => everbeat.runs.get("0193a3f0-0000-7000-8000-000000000000"),
      () => everbeat.checkpoints.list(),
      () => everbeat.checkpoints.discard("0193a3f0-0000-7000-8000-000000000000"),
      () => everbeat.checkpoints.resume("0193a3f0-0000-7000-8000-000000000000"),
      () => everbeat.agent.cancel("0193a3f0-0000-7000-8000-000000000000")
    ]
    for (const call of calls) await expect(call()).rejects.toMatchObject({ code: "disposed" })
    const all: Array<unknown> = []
    for await (const run of everbeat.settled) all.push(run)
    expect(all).toEqual([])
  })

  it("before the first call opens nothing", async () => {
    let opened = 0
    const store = storeFromLayer(Layer.merge(MemoryStore.layer, Layer.effectDiscard(Effect.sync(() => opened++))))
    const everbeat = createEverbeat({ store })
    await everbeat.dispose()
    expect(opened).toBe(0)
    await expect(everbeat.runtime.runPromise(Effect.void)).rejects.toBeDefined()
    expect(opened).toBe(0)
  })
})

describe("a store that cannot be opened", () => {
  it("fails the calls, and is tried again by the next one", async () => {
    let tries = 0
    const flaky = Layer.unwrap(Effect.andThen(Effect.sleep(1), () =>
      ++tries < 3
        ? Effect.fail(new StoreError.StoreError({ operation: "connect", reason: "unavailable", detail: "refused" }))
        : Effect.succeed(MemoryStore.layer)))
    await using everbeat = createEverbeat({
      store: storeFromLayer(flaky),
      heartbeats: { triage: heartbeat().step("a", () => 1) }
    })
    await expect(everbeat.ready()).rejects.toMatchObject({ name: "StoreError", code: "store-failed", retryable: true })
    const both = await Promise.allSettled([everbeat.run("triage"), everbeat.runs.list()])
    expect(both.map(({ status }) => status)).toEqual(["rejected", "rejected"])
    expect((await everbeat.run("triage")).status).toBe("ok")
    expect(tries).toBe(3)
  })
})

describe("calls", () => {
  it("with wrong arguments reject and never throw", async () => {
    await using everbeat = createEverbeat({ store: memoryStore(), heartbeats: { triage: heartbeat().step("a", () => 1) } })
    await expect(everbeat.run("nobody" as never)).rejects.toMatchObject({ code: "unknown-agent", agentName: "nobody" })
    await expect(everbeat.run("toString" as never)).rejects.toMatchObject({ code: "unknown-agent" })
    await expect(everbeat.run("triage", { onBusy: "wait", keys: 1 } as never)).rejects.toBeInstanceOf(InvalidOptions)
    await expect(everbeat.run("triage", { payload: { at: new Date(0) } as never })).rejects.toMatchObject({
      code: "not-storable",
      path: "payload.at"
    })
    await expect(everbeat.run("triage", { key: "no spaces" })).rejects.toMatchObject({ code: "invalid-input", field: "key" })
    await expect(everbeat.runs.get("7")).rejects.toMatchObject({ code: "invalid-input", field: "runId" })
    await expect(everbeat.runs.get("0193a3f0-0000-7000-8000-000000000000")).rejects.toMatchObject({ code: "run-not-found" })
    await expect(everbeat.runs.list({ from: "yesterday" } as never)).rejects.toBeInstanceOf(InvalidOptions)
    await expect(everbeat.agent.start("nobody" as never)).rejects.toMatchObject({ code: "unknown-agent" })
  })

  it("while a pass is in flight are refused, or join it", async () => {
    const started = gate()
    const release = gate()
    const steps = heartbeat().step("wait", async () => {
      started.open()
      await release.promise
    })
    await using everbeat = createEverbeat({ store: memoryStore(), heartbeats: { triage: steps } })
    const first = everbeat.run("triage")
    await started.promise
    const error: unknown = await everbeat.run("triage").catch((error: unknown) => error)
    expect(error).toMatchObject({ name: "AgentBusyError", _tag: "AgentBusy", retryable: true })
    const joined = everbeat.run("triage", { onBusy: "join" })
    await tick(2)
    release.open()
    expect([(await first).origin, (await joined).origin]).toEqual(["executed", "joined"])
  })
})

describe("the same module twice", () => {
  it("shares one instance by its key, until that is disposed", async () => {
    const make = () => createOnce("hmr-test", () => createEverbeat({ store: memoryStore() }))
    const first = make()
    expect(make()).toBe(first)
    await first.dispose()
    const second = make()
    expect(second).not.toBe(first)
    await second.dispose()
  })

  it("from two installed copies is found out", () => {
    const store = memoryStore()
    const [key] = Object.keys(store)
    const inside = { ...(Reflect.get(store, key ?? "") as object), copy: {} }
    expect(() => createEverbeat({ store: { [key ?? ""]: inside } as never })).toThrow("npm ls @everbeat/core")
    const other = { ...(Reflect.get(store, key ?? "") as object), layer: {} }
    expect(() => createEverbeat({ store: { [key ?? ""]: other } as never })).toThrow("npm ls effect")
  })
})

describe("the way out to Effect", () => {
  it("runs effects on the services, and gives those of the layer to steps", async () => {
    class Greeter extends Context.Service<Greeter, { readonly greet: (name: string) => string }>()("test/Greeter") {}
    const steps = heartbeat().step("greet", (ctx) => Greeter.use(({ greet }) => Effect.succeed(greet(ctx.agentName))))
      .step("check", (ctx) => {
        expect(ctx.results.greet).toBe("hello triage")
      })
    await using everbeat = createEverbeat({
      store: memoryStore(),
      heartbeats: { triage: steps },
      layer: Layer.succeed(Greeter, { greet: (name) => `hello ${name}` })
    })
    expect((await everbeat.run("triage")).status).toBe("ok")
    const owner = await everbeat.runtime.runPromise(Effect.map(HeartbeatEngine.HeartbeatEngine, ({ owner }) => owner))
    expect(owner).not.toBe("")
  })
})
