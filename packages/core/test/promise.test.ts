import { agent, createEverbeat, heartbeat, InvalidOptions } from "@everbeat/core/promise"
import { memoryStore } from "@everbeat/store-memory/promise"
import { Effect } from "effect"
import { describe, expect, it } from "vitest"

class RateLimited extends Error {
  readonly retryAfter = 30
  readonly hint = "Wait."
}

const codes = (all: ReadonlyArray<{ readonly code: string }>) => all.map(({ code }) => code)

describe("run", () => {
  it("resolves to a report whose warnings and results come from the chain", async () => {
    const triage = heartbeat("triage", { warnings: ["no-owner"] })
      .step("sync", async (ctx) => {
        await Promise.resolve()
        ctx.touch("https://example.com/issues/7")
        return { issues: [{ number: 7, owner: null as string | null }], skipped: undefined }
      })
      .step("check", ({ results, warn }) => {
        for (const issue of results.sync.issues) {
          if (issue.owner === null) {
            warn("no-owner", `issue ${issue.number} has no owner`, {
              hint: "Assign it.",
              url: "https://example.com/issues/7"
            })
          }
        }
        return Object.keys(results.sync)
      })
      .step("count", (ctx) => Effect.succeed(ctx.results.check.length + ctx.results.sync.issues.length))
      .step("last", (ctx) => {
        expect(ctx.results).toEqual({ sync: { issues: [{ number: 7, owner: null }] }, check: ["issues"], count: 2 })
        expect([ctx.agentName, ctx.step, ctx.attempt, ctx.payload]).toEqual(["triage", "last", 1, { why: "cron" }])
      })
    await using everbeat = createEverbeat({ store: memoryStore(), heartbeats: { triage } })
    const report = await everbeat.run("triage", { payload: { why: "cron" } })
    expect(report).toMatchObject({
      agentName: "triage",
      status: "warning",
      summary: "4 steps: 3 ok, 1 warning; 1 issue touched",
      origin: "executed",
      recorded: true,
      errors: [],
      touchedIssueUrls: ["https://example.com/issues/7"]
    })
    expect(report.warnings).toEqual([{
      severity: "warning",
      step: "check",
      code: "no-owner",
      message: "issue 7 has no owner",
      hint: "Assign it.",
      url: "https://example.com/issues/7",
      at: report.warnings[0]?.at
    }])
    expect(report.startedAt).toBeInstanceOf(Date)
    const run = await everbeat.runs.get(report.runId)
    expect(run).toMatchObject({ status: "warning", kind: "heartbeat", payload: { why: "cron" } })
    const { items } = await everbeat.runs.list({ agentName: "triage", from: new Date(0), limit: 5 })
    expect(items).toEqual([run])
  })

  it("tells failures by the codes under which their classes are declared", async () => {
    const steps = heartbeat({ onCritical: "continue" })
      .step("limited", () => {
        throw new RateLimited("slow down")
      }, { failsWith: { RateLimited } })
      .step("other", () => {
        throw new RangeError("out of range")
      }, { failsWith: { RateLimited }, after: [] })
      .step("undeclared", async () => {
        throw new RangeError("out of range")
      }, { after: [] })
      .step("skipped", () => 1, { after: ["limited"] })
    await using everbeat = createEverbeat({ store: memoryStore(), heartbeats: { triage: steps } })
    const report = await everbeat.run("triage")
    expect(report.status).toBe("error")
    expect(codes(report.errors)).toEqual(["RateLimited", "Unexpected", "RangeError"])
    expect(report.errors[0]).toMatchObject({ message: "slow down", hint: "Wait." })
    const [first] = report.errors
    expect(first?.code === "RateLimited" && first.value instanceof RateLimited).toBe(true)
    expect(report.steps.map(({ status }) => status)).toEqual(["error", "error", "error", "skipped"])
  })

  it("shares the failures that a heartbeat declares among its steps", async () => {
    const steps = heartbeat({ onCritical: "continue", failsWith: { RateLimited } })
      .step("shared", () => {
        throw new RateLimited("slow down")
      })
      .step("own", () => {
        throw new RangeError("out of range")
      }, { failsWith: { RangeError }, after: [] })
      .step("moved", () => {
        throw new RateLimited("slow down")
      }, { warnOn: ["RateLimited"], after: [] })
      .step("other", () => {
        throw new SyntaxError("neither")
      }, { after: [] })
    await using everbeat = createEverbeat({ store: memoryStore(), heartbeats: { triage: steps } })
    const report = await everbeat.run("triage")
    expect(codes(report.errors)).toEqual(["RateLimited", "RangeError", "Unexpected"])
    expect(codes(report.warnings)).toEqual(["RateLimited"])
  })

  it("turns failures into warnings where a step says so, with a default for its readers", async () => {
    const seen: Array<unknown> = []
    const fails = () => {
      throw new RateLimited("slow down")
    }
    const steps = heartbeat("soft")
      .step("best-effort", fails, { onError: "warn" })
      .step("default", (): Array<string> => fails(), { onError: "warn", default: [] })
      .step("some", fails, { failsWith: { RateLimited, RangeError }, warnOn: ["RateLimited"] })
      .step("read", (ctx) => {
        seen.push(ctx.results)
      })
    await using everbeat = createEverbeat({ store: memoryStore(), heartbeats: { triage: steps } })
    const report = await everbeat.run("triage")
    expect([report.status, codes(report.warnings)]).toEqual(["warning", ["RateLimited", "RateLimited", "RateLimited"]])
    expect(seen).toEqual([{ "best-effort": undefined, default: [], some: undefined }])
  })

  it("repeats a step as often as it says, while it is worth it", async () => {
    const tries: Array<number> = []
    const steps = heartbeat()
      .step("flaky", async (ctx) => {
        tries.push(ctx.attempt)
        ctx.warn("tried", `try ${ctx.attempt}`)
        if (ctx.attempt < 3) throw new RateLimited("slow down")
      }, { retry: { times: 5, delay: 0, if: (error) => error instanceof RateLimited } })
      .step("worthless", async () => {
        tries.push(-1)
        throw new Error("no use")
      }, { retry: { times: 5, delay: 0, if: (error) => error instanceof RateLimited }, onError: "warn" })
    await using everbeat = createEverbeat({ store: memoryStore(), heartbeats: { triage: steps } })
    const report = await everbeat.run("triage")
    expect(tries).toEqual([1, 2, 3, -1])
    expect(report.warnings.map(({ message }) => message)).toEqual(["try 3", "no use"])
  })

  it("answers the recorded report to the same key, and refuses another payload", async () => {
    let runs = 0
    const steps = heartbeat().step("count", () => ++runs)
    await using everbeat = createEverbeat({ store: memoryStore(), heartbeats: { triage: steps } })
    const first = await everbeat.run("triage", { key: "k", payload: 1 })
    const second = await everbeat.run("triage", { key: "k", payload: 1 })
    expect([second.runId, second.origin, runs]).toEqual([first.runId, "replayed", 1])
    await expect(everbeat.run("triage", { key: "k", payload: 2 })).rejects.toMatchObject({
      name: "KeyMismatchError",
      code: "key-mismatch",
      retryable: false,
      runId: first.runId
    })
  })
})

describe("options", () => {
  it("are all told of at once", () => {
    const make = () =>
      createEverbeat({
        store: { pg: true },
        heartbeats: { triage: 3, "../x": heartbeat().step("a", () => 1), empty: heartbeat() },
        agents: [{}],
        onSetled: () => 1,
        graceMs: -1,
        recovery: { concurrency: 0 }
      } as never)
    expect(make).toThrow(InvalidOptions)
    expect(make).toThrow(TypeError)
    let problems: unknown
    try {
      make()
    } catch (error) {
      problems = error instanceof InvalidOptions && error.problems.map(({ given, option }) => `${option}: ${given}`)
    }
    expect(problems).toEqual([
      "store: an object",
      "graceMs: -1",
      "onSetled: a function",
      "heartbeats.triage: 3",
      "heartbeats.../x: given to \"../x\"",
      "heartbeats.empty: a heartbeat without steps",
      "agents[0]: an object",
      "recovery.concurrency: 0"
    ])
    expect(make).toThrow("perhaps onSettled is meant")
  })

  const step = (name: unknown, run: unknown, options?: unknown) => () =>
    heartbeat("triage").step("first", () => 1).step(name as "x", run as () => 1, options as {})
  const wrong: ReadonlyArray<readonly [string, () => unknown, ReadonlyArray<string>]> = [
    ["a heartbeat", () => heartbeat("triage", { concurrency: 1.5, grace: "soon", warnings: [1] } as never), [
      "warnings is an array: expected an array of strings",
      "concurrency is 1.5: expected a whole number of at least 1, or \"unbounded\"",
      "grace is \"soon\": expected milliseconds or a text such as \"10 seconds\", at least 0 ms"
    ]],
    ["a heartbeat's name", () => heartbeat("../triage"), ["name is \"../triage\": expected 1 to 128 letters"]],
    ["a step", step("", "run", { onErorr: "warn", retry: { times: -1, factor: 0 }, after: ["zeroth"], timeout: 0 }), [
      "name is \"\": expected a name of 1 to 128 bytes",
      "run is \"run\": expected a function",
      "after is an array: expected an array of names of earlier steps: first",
      "timeout is 0",
      "onErorr is \"warn\": expected nothing: perhaps onError is meant",
      "retry.times is -1",
      "retry.factor is 0"
    ]],
    ["failures", step("x", () => 1, { failsWith: ["RateLimited"], warnOn: ["RateLimited"] }), [
      "failsWith is an array: expected an object of error classes, such as { RateLimited }",
      "warnOn is an array: expected an array of codes of declared failures: there are none"
    ]],
    ["a default", step("x", () => 1, { default: { at: new Date(0) } }), [
      "default.at: an instance of Date is not JSON"
    ]],
    ["a step that is listed twice", step("first", () => 1), ["name is \"first\": expected another name"]],
    ["an agent", () => agent("coder", { timeout: Number.NaN, message: {}, checkpoint: { every: 0 } } as never), [
      "run is undefined: expected a function",
      "message is an object: expected json(), a validator (Standard Schema), or a schema of Effect",
      "timeout is NaN",
      "checkpoint.every is 0"
    ]],
    ["nothing at all", () => createEverbeat(undefined as never), ["the options is undefined: expected an object"]]
  ]
  it.for(wrong)("of %s say what is expected", ([, make, messages]) => {
    let text = ""
    try {
      make()
    } catch (error) {
      text = error instanceof InvalidOptions ? error.message : `not InvalidOptions: ${String(error)}`
    }
    expect(messages.filter((message) => !text.includes(message))).toEqual([])
    expect(text.split("\n")).toHaveLength(messages.length + 1)
  })
})
