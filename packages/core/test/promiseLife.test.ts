import { HeartbeatEngine, StoreError } from "@everbeat/core"
import { agent, createEverbeat, createOnce, heartbeat, InvalidOptions, storeFromLayer } from "@everbeat/core/promise"
import { MemoryStore } from "@everbeat/store-memory"
import { memoryStore } from "@everbeat/store-memory/promise"
import { Context, Effect, Layer } from "effect"
import { describe, expect, it } from "vitest"
import { expectNoUnhandled, gate, stopped, tick, until } from "./promiseSupport.ts"

expectNoUnhandled()

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
    const handle = await everbeat.agent.start("loops")
    const ended = Promise.allSettled([run, handle.result()])
    await Promise.all([started, runsAgent.promise])
    await everbeat.dispose({ graceMs: 0 })
    expect(await ended).toMatchObject([
      { reason: { code: "run-interrupted", retryable: true } },
      { reason: { code: "run-interrupted", retryable: true } }
    ])
  })

  it("does not wait for what ignores it, and is not troubled by what that rejects with later", async () => {
    const [stepStarted, agentStarted, late] = [gate(), gate(), gate()]
    const told: Array<unknown> = []
    const steps = heartbeat({ grace: 5 }).step("deaf", async () => {
      stepStarted.open()
      await late.promise
      throw new Error("too late")
    })
    const deaf = agent("deaf", {
      grace: 5,
      run: async (ctx) => {
        agentStarted.open()
        await late.promise
        await ctx.checkpoint.save({ messages: ["late"] }).catch((error: unknown) => told.push(error))
        void ctx.checkpoint.tool({ id: "t", name: "t" }, () => told.push("ran"))
        void ctx.checkpoint.flush()
        throw new Error("too late")
      }
    })
    const everbeat = createEverbeat({ store: memoryStore(), heartbeats: { triage: steps }, agents: [deaf] })
    const run = everbeat.run("triage").catch((error: unknown) => error)
    const { result } = await everbeat.agent.start("deaf")
    const answer = result().catch((error: unknown) => error)
    await Promise.all([stepStarted.promise, agentStarted.promise])
    await everbeat.dispose({ graceMs: 0 })
    expect([await run, await answer]).toMatchObject([{ code: "run-interrupted" }, { code: "run-interrupted" }])
    late.open()
    await until(() => told.length === 1)
    expect(told).toMatchObject([{ code: "lease-lost" }])
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
    await Promise.all(calls.map((call) => expect(call()).rejects.toMatchObject({ code: "disposed" })))
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

describe("an interrupted pass", () => {
  const interrupted = async (recovery: false | { readonly pollInterval: number }) => {
    const started = gate()
    const tries: Array<string> = []
    const ended: Array<string> = []
    const steps = heartbeat("steps")
      .step("first", (ctx) => {
        tries.push(`first ${ctx.fence > 0}`)
        return ctx.payload ?? null
      }, { durability: "sync" })
      .step("second", async (ctx) => {
        tries.push("second")
        if (tries.length > 2) return
        started.open()
        await stopped(ctx.signal)
      })
    const everbeat = createEverbeat({
      store: memoryStore(),
      heartbeats: { triage: steps },
      recovery,
      onSettled: (run) => ended.push(run.status)
    })
    const controller = new AbortController()
    const call = everbeat.run("triage", { signal: controller.signal, payload: "kept" }).catch(() => "aborted")
    await started.promise
    controller.abort()
    expect(await call).toBe("aborted")
    return { everbeat, tries, ended }
  }

  it("is continued by its id, from the first step without a result", async () => {
    const { ended, everbeat, tries } = await interrupted(false)
    const { items: [run] } = await everbeat.checkpoints.list({ agentName: "triage" })
    expect(run).toMatchObject({ status: "interrupted", kind: "heartbeat", payload: "kept" })
    expect(await everbeat.checkpoints.get(run?.runId ?? "")).toMatchObject({ messages: 1, notes: "" })
    await everbeat.checkpoints.resume(run?.runId ?? "")
    await until(() => ended.length === 1)
    expect([tries, ended]).toEqual([["first true", "second", "second"], ["ok"]])
    await expect(everbeat.checkpoints.resume(run?.runId ?? "")).rejects.toMatchObject({ code: "run-settled" })
    await expect(everbeat.checkpoints.discard(run?.runId ?? "")).rejects.toMatchObject({ code: "run-settled" })
    await everbeat.dispose()
  })

  it("is continued by itself", async () => {
    const { ended, everbeat, tries } = await interrupted({ pollInterval: 5 })
    await until(() => ended.length === 1)
    expect([tries, ended]).toEqual([["first true", "second", "second"], ["ok"]])
    await everbeat.dispose()
  })

  it("is discarded without a record", async () => {
    const { ended, everbeat } = await interrupted(false)
    const { items: [run] } = await everbeat.checkpoints.list()
    await everbeat.checkpoints.discard(run?.runId ?? "")
    await expect(everbeat.runs.get(run?.runId ?? "")).rejects.toMatchObject({ code: "run-not-found" })
    expect(ended).toEqual([])
    await everbeat.dispose()
  })

  it("is cancelled", async () => {
    const { everbeat } = await interrupted(false)
    const { items: [run] } = await everbeat.checkpoints.list()
    await everbeat.agent.cancel(run?.runId ?? "")
    expect((await everbeat.checkpoints.list()).items.every(({ cancelRequested }) => cancelRequested)).toBe(true)
    await everbeat.dispose()
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
    await using everbeat = createEverbeat({
      store: memoryStore(),
      heartbeats: { triage: heartbeat().step("a", () => 1) }
    })
    await expect(everbeat.run("nobody" as never)).rejects.toMatchObject({ code: "unknown-agent", agentName: "nobody" })
    await expect(everbeat.run("toString" as never)).rejects.toMatchObject({ code: "unknown-agent" })
    await expect(everbeat.run("triage", { onBusy: "wait", keys: 1 } as never)).rejects.toBeInstanceOf(InvalidOptions)
    await expect(everbeat.run("triage", { payload: { at: new Date(0) } as never })).rejects.toMatchObject({
      code: "not-storable",
      path: "payload.at"
    })
    await expect(everbeat.run("triage", { key: "no spaces" })).rejects.toMatchObject({
      code: "invalid-input",
      field: "key"
    })
    await expect(everbeat.runs.get("7")).rejects.toMatchObject({ code: "invalid-input", field: "runId" })
    await expect(everbeat.runs.get("0193a3f0-0000-7000-8000-000000000000")).rejects.toMatchObject({
      code: "run-not-found"
    })
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
