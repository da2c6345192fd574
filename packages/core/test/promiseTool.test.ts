import { agent, type AgentContext, createEverbeat, type Json } from "@everbeat/core/promise"
import { memoryStore } from "@everbeat/store-memory/promise"
import { assert, describe, it } from "vitest"

type Context = AgentContext<Json>
type Resume = NonNullable<Context["resume"]>

/** Resolves when the signal aborts. */
const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener("abort", () => resolve(), { once: true })
  })

/** Runs an agent whose first attempt is stopped by its limit, and answers what the second one is told. */
const resumedAfter = async (first: (ctx: Context) => Promise<unknown>, timeout = 200): Promise<Resume | undefined> => {
  let resume: Resume | undefined
  const stopped = agent("stopped", {
    timeout,
    backoff: () => 0,
    run: async (ctx) => {
      if (ctx.attempt === 1) await first(ctx)
      resume = ctx.resume
    }
  })
  await using everbeat = createEverbeat({ store: memoryStore(), agents: [stopped] })
  const { result } = await everbeat.agent.start(stopped)
  await result()
  return resume
}

const callsOf = (resume: Resume | undefined) =>
  resume?.calls.map(({ detail, id, result, status }) => [id, status, ...(result === undefined ? [] : [result]), detail])

describe("a tool that is told to stop by the limit of its attempt", () => {
  it("is recorded as done when it ends well all the same", async () => {
    const resume = await resumedAfter((ctx) =>
      ctx.checkpoint.tool({ id: "a", name: "write" }, async (signal) => {
        await aborted(signal)
        await new Promise((resolve) => setTimeout(resolve, 5))
        return "written"
      })
    )
    assert.strictEqual(resume?.reason, "timeout")
    assert.deepStrictEqual(callsOf(resume), [["a", "done", "written", undefined]])
  })

  it("is answered again when its result was remembered", async () => {
    let ran = 0
    let again: unknown
    const write = (ctx: Context) =>
      ctx.checkpoint.tool({ id: "a", name: "write", remember: true }, async (signal) => {
        ran++
        await aborted(signal)
        return "written"
      })
    const stopped = agent("stopped", {
      timeout: 200,
      backoff: () => 0,
      run: async (ctx) => {
        again = await write(ctx)
      }
    })
    await using everbeat = createEverbeat({ store: memoryStore(), agents: [stopped] })
    await (await everbeat.agent.start(stopped)).result()
    assert.deepStrictEqual([ran, again], [1, "written"])
  })

  it("is recorded as unknown when it rejects, and the other one that ended stays done", async () => {
    const resume = await resumedAfter((ctx) =>
      Promise.all([
        ctx.checkpoint.tool({ id: "a", name: "write" }, () => "written"),
        ctx.checkpoint.tool({ id: "b", name: "close" }, async (signal) => {
          await aborted(signal)
          throw new Error("aborted")
        })
      ])
    )
    assert.deepStrictEqual(callsOf(resume), [["a", "done", "written", undefined], ["b", "started", undefined]])
  })

  it("rejects with the reason of the abort where the agent waits for it", async () => {
    let reason: unknown
    let given: unknown
    await resumedAfter(async (ctx) => {
      given = await ctx.checkpoint.tool({ id: "a", name: "write" }, aborted).catch((error: unknown) => error)
      reason = ctx.signal.reason
    })
    assert.instanceOf(given, DOMException)
    assert.strictEqual(given, reason)
  })

  it("does not begin any more", async () => {
    const begun: Array<string> = []
    const resume = await resumedAfter(async (ctx) => {
      await aborted(ctx.signal)
      await ctx.checkpoint.tool({ id: "late", name: "write" }, () => begun.push("late"))
    })
    assert.deepStrictEqual([begun, callsOf(resume)], [[], []])
  })
})
