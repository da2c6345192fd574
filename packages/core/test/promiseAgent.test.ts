import {
  agent,
  type AgentContext,
  AgentFailedError,
  createEverbeat,
  json,
  type SettledRun
} from "@everbeat/core/promise"
import { memoryStore } from "@everbeat/store-memory/promise"
import { Schema } from "effect"
import { describe, expect, it } from "vitest"
import { expectNoUnhandled, stopped, until } from "./promiseSupport.ts"

expectNoUnhandled()

interface Message {
  readonly role: "user" | "assistant" | "tool"
  readonly text: string
  readonly extra?: string | undefined
}

describe("an agent", () => {
  it("resumes after a failure with its messages, notes, phases and remembered tools", async () => {
    const done: Array<string> = []
    const coder = agent("coder", {
      message: json<Message>(),
      backoff: () => 0,
      resumeOn: (error) => error instanceof Error && error.message === "provider down",
      run: async (ctx) => {
        const messages: Array<Message> = [...(ctx.resume?.messages ?? [{ role: "user", text: ctx.meta.prompt ?? "" }])]
        const phase = await ctx.checkpoint.phase("read", async () => {
          done.push("read")
          return 1
        })
        const paid = await ctx.checkpoint.tool({ id: "c1", name: "pay", remember: true }, async () => {
          done.push("pay")
          return { receipt: 7, note: undefined }
        })
        messages.push({ role: "tool", text: `receipt ${paid.receipt}`, extra: undefined })
        await ctx.checkpoint.save({ messages: [...messages], iteration: ctx.attempt })
        await ctx.checkpoint.note(`paid in attempt ${ctx.attempt}`)
        ctx.warn("slow", "the provider is slow")
        ctx.touch("https://example.com/1")
        if (ctx.attempt === 1) throw new Error("provider down")
        return {
          phase,
          attempt: ctx.attempt,
          messages: messages.length,
          notes: ctx.resume?.notes,
          prompt: ctx.resume?.continuation.prompt.includes("paid in attempt 1"),
          original: ctx.resume?.continuation.original,
          completed: ctx.resume?.completedPhases,
          reason: ctx.resume?.reason
        }
      }
    })
    await using everbeat = createEverbeat({ store: memoryStore(), agents: [coder] })
    const handle = await everbeat.agent.start("coder", { prompt: "Pay", callerId: "ada", payload: { a: 1 } })
    expect(await handle.result()).toEqual({
      phase: undefined,
      attempt: 2,
      messages: 3,
      notes: "paid in attempt 1",
      prompt: true,
      original: "Pay",
      completed: ["read"],
      reason: "Unknown"
    })
    expect(done).toEqual(["read", "pay"])
    const record = await handle.record()
    expect(record).toMatchObject({ status: "warning", callerId: "ada", touchedIssueUrls: ["https://example.com/1"] })
    expect(record.attempts).toHaveLength(2)
    expect(record.attempts[0]?.startedAt).toBeInstanceOf(Date)
    expect(await everbeat.runs.get(handle.runId)).toEqual(record)
  })

  it("is stopped at its limit and continued, although it never saves, until it is exhausted", async () => {
    const never = agent("never", {
      timeout: 20,
      backoff: () => 0,
      run: (ctx) => stopped(ctx.signal)
    })
    await using everbeat = createEverbeat({ store: memoryStore(), agents: [never], recovery: false })
    const handle = await everbeat.agent.start(never)
    await expect(handle.result()).rejects.toMatchObject({
      name: "RunExhaustedError",
      code: "run-exhausted",
      attempts: 2
    })
    const { items } = await everbeat.checkpoints.list()
    expect(items).toMatchObject([{ runId: handle.runId, status: "exhausted", iteration: 0 }])
    expect(await everbeat.checkpoints.get(handle.runId)).toMatchObject({ messages: 0, notes: "" })
    await everbeat.checkpoints.discard(handle.runId)
    await expect(everbeat.checkpoints.get(handle.runId)).rejects.toMatchObject({ code: "run-not-found" })
  })

  it("rejects with what it threw here, and with what was recorded when it is asked again", async () => {
    class Refused extends Error {}
    const refuses = agent("refuses", {
      run: async () => {
        throw new Refused("no")
      }
    })
    await using everbeat = createEverbeat({ store: memoryStore(), agents: [refuses] })
    const first = await everbeat.agent.start(refuses, { key: "k" })
    await expect(first.result()).rejects.toBeInstanceOf(Refused)
    const again = await everbeat.agent.start("refuses", { key: "k" })
    expect([again.origin, again.runId]).toEqual(["replayed", first.runId])
    await expect(again.result()).rejects.toMatchObject({
      code: "agent-failed",
      diagnostic: { code: "Refused", message: "no" }
    })
    expect((await again.record()).errors).toMatchObject([{ code: "Refused", message: "no" }])
  })

  it("starts children, and cancels them with itself", async () => {
    const aborted: Array<string> = []
    const child = agent("child", { run: async (ctx) => ctx.meta.prompt ?? "none" })
    const waits = agent("waits", {
      run: (ctx) => stopped(ctx.signal).finally(() => aborted.push(ctx.meta.agentName))
    })
    const parent = agent("parent", {
      run: async (ctx) => {
        const answered = await ctx.start(child, { key: "one", prompt: "hi" })
        const answer: string = await answered.result()
        await ctx.start(waits, { key: "two" })
        aborted.push(answer)
        return stopped(ctx.signal)
      }
    })
    await using everbeat = createEverbeat({ store: memoryStore(), agents: [parent, child, waits] })
    const handle = await everbeat.agent.start(parent)
    await until(() => aborted.includes("hi"))
    await everbeat.agent.cancel(handle.runId)
    await expect(handle.result()).rejects.toMatchObject({ code: "run-cancelled" })
    expect((await handle.record()).status).toBe("cancelled")
    const { items } = await everbeat.runs.list({ kind: "agent" })
    expect(items.map(({ definition, status }) => `${definition.name} ${status}`).sort()).toEqual([
      "child ok",
      "parent cancelled",
      "waits cancelled"
    ])
    await expect(everbeat.agent.cancel(handle.runId)).rejects.toMatchObject({ code: "run-settled" })
  })

  it("stores what its schema or validator accepts, and names the path of what JSON cannot hold", async () => {
    const errors: Array<unknown> = []
    const attempt = async (ctx: AgentContext<never>, messages: ReadonlyArray<unknown>) => {
      await ctx.checkpoint.save({ messages: messages as ReadonlyArray<never> }).catch((error: unknown) =>
        errors.push(error)
      )
    }
    const plain = agent("plain", {
      run: async (ctx) => {
        await attempt(ctx as never, [{ parts: [{ data: 1n }] }])
        await attempt(ctx as never, ["ok", { at: new Date(0) }])
        return {
          tool: await ctx.checkpoint.tool({ id: "t", name: "t", remember: true }, () => () =>
            "a function") === undefined
        }
      }
    })
    const dated = agent("dated", {
      message: Schema.Struct({ at: Schema.Date }),
      run: async (ctx) => {
        await ctx.checkpoint.save({ messages: [{ at: new Date(0) }] })
        if (ctx.resume === undefined) throw Object.assign(new Error("again"), { retryable: true })
        return ctx.resume.messages[0]?.at.getTime()
      },
      backoff: () => 0
    })
    const checked = agent("checked", {
      message: {
        "~standard": {
          version: 1,
          vendor: "test",
          validate: (value: unknown) =>
            Promise.resolve(
              typeof value === "string"
                ? { value }
                : { issues: [{ message: "a text is expected", path: [{ key: "text" }] }] }
            )
        }
      },
      run: async (ctx) => {
        await attempt(ctx as never, [{ text: 1 }])
        await ctx.checkpoint.save({ messages: ["fine"] })
      }
    })
    await using everbeat = createEverbeat({ store: memoryStore(), agents: [plain, dated, checked] })
    const first = await everbeat.agent.start(plain)
    expect(await first.result()).toEqual({ tool: false })
    expect(await (await everbeat.agent.start(dated)).result()).toBe(0)
    await (await everbeat.agent.start(checked)).result()
    expect(errors.map((error) => error instanceof Error && error.message)).toEqual([
      "messages[0].parts[0].data cannot be stored: a bigint is not JSON",
      "messages[1].at cannot be stored: an instance of Date is not JSON; store toISOString()",
      "messages[0].text cannot be stored: a text is expected"
    ])
    expect(errors).toMatchObject([{ code: "not-storable", path: "messages[0].parts[0].data" }, {}, {}])
  })

  it("fails when what it answers is not JSON", async () => {
    const wrong = agent("wrong", { run: async () => ({ list: [1, new Map()] }) })
    await using everbeat = createEverbeat({ store: memoryStore(), agents: [wrong] })
    const handle = await everbeat.agent.start(wrong)
    const { errors } = await handle.record()
    expect(errors).toMatchObject([{ code: "ResultRefused" }])
    expect(errors[0]?.message).toContain("Map")
  })

  it.for([null, undefined, "text", 7, { code: 1 }])(
    "rejects with an error when it threw something that is none: %s",
    async (thrown) => {
      const odd = agent("odd", {
        run: async () => {
          throw thrown
        }
      })
      await using everbeat = createEverbeat({ store: memoryStore(), agents: [odd] })
      const handle = await everbeat.agent.start(odd)
      const error: unknown = await handle.result().catch((error: unknown) => error)
      expect(error).toBeInstanceOf(AgentFailedError)
      expect((await handle.record()).status).toBe("error")
    }
  )
})

describe("settled", () => {
  it("tells of passes and runs, by a callback and as an iterable that ends", async () => {
    const told: Array<string> = []
    const quick = agent("quick", { run: async () => "done" })
    const everbeat = createEverbeat({
      store: memoryStore(),
      agents: [quick],
      onSettled: (run: SettledRun) => {
        told.push(run.agentName)
        throw new Error("a failure of the host")
      }
    })
    const read = (async () => {
      const all: Array<string> = []
      for await (const run of everbeat.settled) all.push(`${run.agentName} ${run.status}`)
      return all
    })()
    await (await everbeat.agent.start("quick")).result()
    await everbeat.dispose()
    expect([told, await read]).toEqual([["quick"], ["quick ok"]])
  })
})
