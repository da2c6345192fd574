import { Continuation, type Transcript } from "@everbeat/core"
import type { Result } from "effect"
import { describe, expect, test } from "tstyche"

interface Mine {
  readonly words: string
}
declare const bare: Omit<Continuation.Input<Mine>, "conversation">
declare const conversation: Continuation.Conversation<Mine>
declare const adapter: Transcript.Adapter<Mine>
declare const repaired: Transcript.Repaired<Mine>

describe("compose", () => {
  test("returns messages of the type of the conversation", () => {
    expect(Continuation.compose({ ...bare, conversation })).type.toBe<
      Result.Result<Continuation.Continuation<Mine>, Continuation.TranscriptTooLarge>
    >()
    expect(Continuation.compose(bare)).type.toBe<
      Result.Result<Continuation.Continuation<never>, Continuation.TranscriptTooLarge>
    >()
  })

  test("takes what repair returned", () => {
    expect({ adapter, ...repaired }).type.toBeAssignableTo<Continuation.Conversation<Mine>>()
  })

  test("knows its policies", () => {
    expect(Continuation.compose).type.toBeCallableWith(bare, { policy: "tail" })
    expect(Continuation.compose).type.toBeCallableWith(bare, { policy: ({ facts }: Continuation.Blocks) => facts })
    expect(Continuation.compose).type.not.toBeCallableWith(bare, { policy: "all" })
  })
})
