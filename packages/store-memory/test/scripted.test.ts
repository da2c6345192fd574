import { FakeTokens, ScriptedAgent, ScriptedModel, TestEverbeat } from "@everbeat/store-memory/testing"
import { describe, expect, it } from "vitest"

describe("a scripted model", () => {
  it("plays its turns, and keeps what it was asked as it was asked", async () => {
    const messages = ["one"]
    const model = ScriptedModel.make<ReadonlyArray<string>, string>([
      { answer: "first" },
      { fail: new Error("overloaded") },
      { ask: (asked) => `${asked.length} messages` }
    ])
    expect(await model.ask(messages)).toBe("first")
    messages.push("two")
    await expect(model.ask(messages)).rejects.toThrow("overloaded")
    expect(model.left()).toBe(1)
    expect(await model.ask(messages)).toBe("2 messages")
    expect(model.asked).toEqual([["one"], ["one", "two"], ["one", "two"]])
    await expect(model.ask(messages)).rejects.toThrow("asked 4 times and has 3 turns")
    expect(model.left()).toBe(0)
  })

  it("hangs until it is stopped", async () => {
    const model = ScriptedModel.make<string, string>(["hang", "hang"])
    const controller = new AbortController()
    const call = model.ask("?", controller.signal)
    controller.abort(new Error("stopped"))
    await expect(call).rejects.toThrow("stopped")
    await expect(model.ask("?", AbortSignal.abort(new Error("before")))).rejects.toThrow("before")
  })
})

describe("a scripted agent", () => {
  it("warns, touches, calls tools and ends with its messages", async () => {
    const called: Array<string> = []
    const coder = ScriptedAgent.make("coder", [
      { say: "hello" },
      { warn: "an issue has no owner" },
      { touch: "https://example.com/issues/7" },
      { tool: "close_issue", run: () => called.push("closed") }
    ])
    await using test = TestEverbeat.make({ agents: [coder] })
    const run = await test.everbeat.agent.start("coder")
    expect(await run.result()).toEqual([
      "hello",
      "an issue has no owner",
      "https://example.com/issues/7",
      "close_issue"
    ])
    expect(await run.record()).toMatchObject({
      status: "warning",
      warnings: [{ code: "scripted", message: "an issue has no owner" }],
      touchedIssueUrls: ["https://example.com/issues/7"]
    })
    expect(called).toEqual(["closed"])
  })

  it("ends as error where it fails, and goes on where another attempt may mend that", async () => {
    const turns: ReadonlyArray<ScriptedAgent.Turn> = [{ fail: new Error("overloaded") }, { say: "done" }]
    const fails = ScriptedAgent.make("fails", turns)
    const mends = ScriptedAgent.make("mends", turns, { resumeOn: () => true })
    await using test = TestEverbeat.make({ agents: [fails, mends] })
    await expect((await test.everbeat.agent.start("fails")).result()).rejects.toThrow("overloaded")
    const run = await test.everbeat.agent.start("mends")
    await test.advance("1 minute")
    expect(await run.result()).toEqual(["fail", "done"])
  })
})

describe("fake tokens", () => {
  it("stand for their agent until they are revoked, and for nobody else", () => {
    const tokens = FakeTokens.make()
    const all = tokens.of("triage")
    const reads = tokens.of("triage", ["read"])
    expect(tokens.verify(all)).toEqual({ agentName: "triage", tokenId: "fake-1" })
    expect(tokens.verify(reads)).toEqual({ agentName: "triage", tokenId: "fake-2", scopes: ["read"] })
    expect(tokens.verify("guess")).toBe(null)
    tokens.revoke(all)
    expect(tokens.verify(all)).toBe(null)
    expect(tokens.of("triage")).not.toBe(reads)
    const { authorization } = tokens.authorization("other")
    expect(tokens.verify(authorization.slice("Bearer ".length))).toMatchObject({ agentName: "other" })
  })
})
