import { assert, describe, it } from "@effect/vitest"
import { AiSdk } from "@everbeat/adapter-ai-sdk"
import { AgentName, Checkpointer } from "@everbeat/core"
import { MemoryStore } from "@everbeat/store-memory"
import type { ModelMessage } from "ai"
import { Effect, Exit, Schema } from "effect"

const codec = AiSdk.message()
const roundTrip = (message: ModelMessage) => {
  const json: unknown = JSON.parse(JSON.stringify(Schema.encodeSync(codec.schema)(message)))
  return Schema.decodeUnknownSync(codec.schema)(json)
}

const messages: Record<string, ModelMessage> = {
  "text": { role: "user", content: "Hello" },
  "files": {
    role: "user",
    content: [
      { type: "text", text: "Look:" },
      { type: "file", mediaType: "image/png", data: { type: "data", data: new Uint8Array([0, 1, 255]) } },
      { type: "file", mediaType: "image/png", data: new Uint8Array([1, 2]).buffer },
      { type: "file", mediaType: "image/png", data: { type: "url", url: new URL("https://example.com/a.png") } },
      { type: "file", mediaType: "text/plain", filename: "a.txt", data: { type: "text", text: "a" } }
    ]
  },
  "reasoning with a signature, and calls": {
    role: "assistant",
    content: [
      { type: "reasoning", text: "Hm.", providerOptions: { anthropic: { signature: "EqQBCg==" } } },
      { type: "text", text: "I look." },
      { type: "tool-call", toolCallId: "c1", toolName: "look", input: { at: ["a", null, 1.5] } },
      { type: "tool-call", toolCallId: "c2", toolName: "search", input: {}, providerExecuted: true },
      { type: "tool-result", toolCallId: "c2", toolName: "search", output: { type: "json", value: [] } }
    ]
  },
  "results": {
    role: "tool",
    content: [
      { type: "tool-result", toolCallId: "c1", toolName: "look", output: { type: "error-text", value: "no" } },
      {
        type: "tool-result",
        toolCallId: "c3",
        toolName: "shoot",
        output: {
          type: "content",
          value: [{ type: "file", mediaType: "image/png", data: { type: "data", data: new Uint8Array([9]) } }]
        }
      }
    ]
  },
  "what looks like a form of ours": {
    role: "assistant",
    content: [{ type: "tool-call", toolCallId: "c1", toolName: "look", input: { $everbeat: "bytes", base64: "AA==" } }]
  }
}

describe("the codec", () => {
  it.each(Object.entries(messages))("brings back %s", (_, message) => {
    assert.deepStrictEqual(roundTrip(message), message)
  })

  it("takes a field that is undefined for absent, and keeps a date", () => {
    const at = new Date(0)
    const input = { at, gone: undefined }
    const message: ModelMessage = {
      role: "assistant",
      content: [{ type: "tool-call", toolCallId: "c1", toolName: "look", input, providerExecuted: undefined as never }]
    }
    assert.deepStrictEqual(roundTrip(message), {
      role: "assistant",
      content: [{ type: "tool-call", toolCallId: "c1", toolName: "look", input: { at } }]
    })
  })

  it("refuses what is no message of this version of the SDK", () => {
    const stored = { role: "assistant", content: [{ type: "hologram", data: 1 }] }
    assert.throws(() => Schema.decodeUnknownSync(codec.schema)(stored), /no message of this version of the AI SDK/)
    assert.throws(() => Schema.decodeUnknownSync(codec.schema)({ $everbeat: "riddle" }), /unknown form/)
  })

  const cyclic: Record<string, unknown> = {}
  cyclic["self"] = cyclic
  const refused: ReadonlyArray<[string, unknown, string]> = [
    ["a bigint", { issue: 7n }, "messages[0].content[0].input.issue cannot be stored: a bigint is not JSON"],
    ["a map", [new Map()], "messages[0].content[0].input[0] cannot be stored: an instance of Map is not JSON"],
    ["NaN", NaN, "messages[0].content[0].input cannot be stored: NaN is not JSON"],
    ["a function", { f: () => 1 }, "messages[0].content[0].input.f cannot be stored: a function is not JSON"],
    [
      "an item that is undefined",
      [undefined],
      "messages[0].content[0].input[0] cannot be stored: undefined is not JSON"
    ],
    ["an invalid date", new Date(NaN), "messages[0].content[0].input cannot be stored: an invalid date is not JSON"],
    ["what contains itself", cyclic, "messages[0].content[0].input.self cannot be stored: it contains itself"]
  ]

  it.effect.each(refused)(
    "names the path to %s, and leaves the checkpoint as it was",
    ([, input, expected]) =>
      Effect.gen(function*() {
        const message: ModelMessage = {
          role: "assistant",
          content: [{ type: "tool-call", toolCallId: "c1", toolName: "look", input }]
        }
        const checkpointer = yield* Checkpointer.make<ModelMessage>({
          meta: { agentName: AgentName.make("triage") },
          codec
        })
        const exit = yield* Effect.exit(checkpointer.save({ messages: [message] }))
        assert.deepInclude(yield* Effect.flip(exit), { _tag: "Unencodable", message: expected })
        assert.isTrue(Exit.isFailure(exit))
        assert.strictEqual((yield* checkpointer.flush).position, 0)
      }).pipe(Effect.provide(MemoryStore.layer))
  )
})
