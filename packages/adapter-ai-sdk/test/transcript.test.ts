import { assert, describe, it } from "@effect/vitest"
import { AiSdk } from "@everbeat/adapter-ai-sdk"
import { Transcript } from "@everbeat/core"
import { generateText, type ModelMessage } from "ai"
import { answer, modelOf, text } from "./support.ts"

const { transcript } = AiSdk
const user: ModelMessage = { role: "user", content: "Close 7." }
const calls: ModelMessage = {
  role: "assistant",
  content: [
    { type: "reasoning", text: "Both.", providerOptions: { anthropic: { signature: "sig" } } },
    { type: "text", text: "I comment and close." },
    { type: "tool-call", toolCallId: "c1", toolName: "comment", input: { issue: 7 } },
    { type: "tool-call", toolCallId: "s1", toolName: "web_search", input: {}, providerExecuted: true },
    { type: "tool-result", toolCallId: "s1", toolName: "web_search", output: { type: "json", value: [] } },
    { type: "tool-call", toolCallId: "c2", toolName: "close", input: { issue: 7 } }
  ]
}
const result = (toolCallId: string, toolName: string, value: string): ModelMessage => ({
  role: "tool",
  content: [{ type: "tool-result", toolCallId, toolName, output: { type: "text", value } }]
})
const record = (id: string, name: string, more: Partial<Transcript.CallRecord>): Transcript.CallRecord => ({
  id,
  name,
  mutates: true,
  status: "started",
  startedAt: 0,
  ...more
})
const outputs = (messages: ReadonlyArray<ModelMessage>) =>
  messages.flatMap((message) => (message.role === "tool" ? message.content : []))
    .flatMap((part) => (part.type === "tool-result" ? [[part.toolCallId, part.output]] : []))

describe("the transcript", () => {
  it("shows what was said, and the calls that are ours", () => {
    assert.strictEqual(transcript.text(calls), "I comment and close.")
    assert.deepStrictEqual(transcript.calls(calls), [
      { id: "c1", name: "comment", input: { issue: 7 } },
      { id: "c2", name: "close", input: { issue: 7 } }
    ])
    assert.deepStrictEqual(transcript.results(calls), [])
    assert.deepStrictEqual([transcript.role(user), transcript.text(user)], ["user", "Close 7."])
  })

  it("adds answers to the results that are there, in one message, and changes no message that makes calls", () => {
    const messages = [user, calls, result("c1", "comment", "ok")]
    const { messages: fit, repaired } = Transcript.repair(transcript, messages, [record("c2", "close", {})])
    assert.deepStrictEqual(repaired.map(({ how }) => how), ["outcome-unknown"])
    assert.strictEqual(fit[1], calls)
    assert.lengthOf(fit, 3)
    assert.deepStrictEqual(outputs(fit).map(([id]) => id), ["c1", "c2"])
    assert.strictEqual(Transcript.repair(transcript, fit, undefined).messages, fit)
  })

  it("answers with the recorded result, as the SDK would show it", () => {
    const ledger = [
      record("c1", "comment", { status: "done", result: "said" }),
      record("c2", "close", { status: "done", result: { closed: [7] } })
    ]
    const { messages } = Transcript.repair(transcript, [user, calls], ledger)
    assert.deepStrictEqual(outputs(messages), [
      ["c1", { type: "text", value: "said" }],
      ["c2", { type: "json", value: { closed: [7] } }]
    ])
    const failed = [record("c1", "comment", { status: "failed", detail: "locked" }), ...ledger.slice(1)]
    assert.deepStrictEqual(outputs(Transcript.repair(transcript, [user, calls], failed).messages)[0], [
      "c1",
      { type: "error-text", value: "locked" }
    ])
  })

  it("drops a result of no call, moves one that came late, and leaves approvals where they are", () => {
    const approval: ModelMessage = {
      role: "tool",
      content: [
        { type: "tool-result", toolCallId: "nobody", toolName: "x", output: { type: "text", value: "?" } },
        { type: "tool-approval-response", approvalId: "a1", approved: true }
      ]
    }
    const { dropped, messages } = Transcript.repair(
      transcript,
      [user, calls, approval, result("c2", "close", "late")],
      [
        record("c1", "comment", { status: "done", result: "said" })
      ]
    )
    assert.deepStrictEqual(dropped, ["nobody"])
    assert.sameMembers(outputs(messages).map(([id]) => id), ["c1", "c2"])
    const kept = messages.flatMap((message) => (message.role === "tool" ? message.content : []))
    assert.isTrue(kept.some((part) => part.type === "tool-approval-response"))
  })

  it("leaves the refusal of a call that the provider executes alone", () => {
    const denied: ModelMessage = {
      role: "tool",
      content: [{
        type: "tool-result",
        toolCallId: "m1",
        toolName: "mcp",
        output: { type: "execution-denied", providerOptions: { openai: { approvalId: "a1" } } }
      }]
    }
    assert.deepStrictEqual(transcript.results(denied), [])
    assert.deepStrictEqual(Transcript.repair(transcript, [user, denied], undefined).messages, [user, denied])
  })

  it("makes a conversation that the SDK accepts, where it refuses the one that was cut off", async () => {
    const model = modelOf(() => answer([text("done")]))
    const cut = [user, calls]
    const refusal = await generateText({ model, messages: cut }).then(() => "accepted", (error: Error) => error.name)
    assert.strictEqual(refusal, "AI_MissingToolResultsError")
    const { messages } = Transcript.repair(transcript, cut, [])
    assert.strictEqual((await generateText({ model, messages: [...messages] })).text, "done")
  })
})
