import {
  type AgentRun,
  Checkpointer,
  type CheckpointStore,
  MessageCodec,
  type PassError,
  type RunId,
  type StoreError
} from "@everbeat/core"
import { type Effect, Schema, type Scope } from "effect"
import { describe, expect, test } from "tstyche"

const Message = Schema.Struct({ role: Schema.String, at: Schema.Date })
type Message = typeof Message.Type
const codec = MessageCodec.make(Message)

declare const meta: Checkpointer.Meta
declare const runId: RunId.RunId
declare const resumed: Checkpointer.Granted<CheckpointStore.Resumed>
declare const needy: Schema.Codec<string, string, "Service", "Service">
declare const effect: Effect.Effect<1, "E", "R">
declare const checkpointer: Checkpointer.Checkpointer<Message>

describe("make", () => {
  test("saves JSON unless a codec says otherwise", () => {
    expect(Checkpointer.make({ meta })).type.toBe<
      Effect.Effect<
        Checkpointer.Checkpointer<Schema.Json>,
        StoreError.RunExists | StoreError.StoreError,
        Scope.Scope
      >
    >()
    expect(Checkpointer.make({ meta, codec })).type.toBe<
      Effect.Effect<Checkpointer.Checkpointer<Message>, StoreError.RunExists | StoreError.StoreError, Scope.Scope>
    >()
  })

  test("needs to know the agent", () => {
    expect(Checkpointer.make).type.not.toBeCallableWith({ meta: {} })
  })
})

describe("resume and claim", () => {
  test("may find a checkpoint that cannot be read", () => {
    expect(Checkpointer.resume({ resumed, codec })).type.toBe<
      Effect.Effect<
        Checkpointer.Checkpointer<Message>,
        MessageCodec.MessageUnreadable | StoreError.StoreError,
        Scope.Scope
      >
    >()
    expect(Checkpointer.claim({ runId, codec })).type.toBe<
      Effect.Effect<
        Checkpointer.Checkpointer<Message>,
        StoreError.RunNotFound | StoreError.LeaseHeld | MessageCodec.MessageUnreadable | StoreError.StoreError,
        Scope.Scope
      >
    >()
  })
})

describe("a checkpointer", () => {
  test("takes only its messages", () => {
    expect(checkpointer.save).type.toBeCallableWith({ messages: [{ role: "user", at: new Date() }], iteration: 1 })
    expect(checkpointer.save).type.not.toBeCallableWith({ messages: [{ role: "user", at: "now" }] })
    expect(checkpointer.resumed).type.toBe<Checkpointer.State<Message> | undefined>()
  })

  test("has typed failures", () => {
    expect(checkpointer.save({})).type.toBe<
      Effect.Effect<
        void,
        MessageCodec.Unencodable | MessageCodec.MessageTooLarge | PassError.LeaseLost | StoreError.Gone
      >
    >()
    expect(checkpointer.complete()).type.toBe<
      Effect.Effect<AgentRun.AgentRun, PassError.LeaseLost | StoreError.Gone | StoreError.StoreError>
    >()
  })

  test("adds the reasons to stop to what it guards", () => {
    expect(checkpointer.guard(effect)).type.toBe<
      Effect.Effect<1, "E" | PassError.LeaseLost | PassError.PassCancelled | StoreError.StoreError, "R">
    >()
  })
})

describe("MessageCodec", () => {
  test("knows its messages and refuses schemas that need services", () => {
    expect(codec).type.toBe<MessageCodec.MessageCodec<Message>>()
    expect(MessageCodec.make).type.not.toBeCallableWith(needy)
  })
})
