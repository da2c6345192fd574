import { Transcript } from "@everbeat/core"
import type { Schema } from "effect"
import { describe, expect, test } from "tstyche"

interface Mine {
  readonly words: string
}
declare const adapter: Transcript.Adapter<Mine>
declare const messages: ReadonlyArray<Mine>
declare const ledger: ReadonlyArray<Transcript.CallRecord>

describe("repair", () => {
  test("returns messages of the type that came in", () => {
    expect(Transcript.repair(adapter, messages, ledger)).type.toBe<Transcript.Repaired<Mine>>()
    expect(Transcript.repair(Transcript.chat, [], undefined)).type.toBe<Transcript.Repaired<Transcript.Message>>()
  })

  test("needs the adapter of the messages", () => {
    expect(Transcript.repair<Mine>).type.not.toBeCallableWith(Transcript.chat, messages, ledger)
    expect(Transcript.repair<Transcript.Message>).type.not.toBeCallableWith(Transcript.chat, messages, ledger)
  })

  test("makes the caller say that there is no ledger", () => {
    expect(Transcript.repair<Mine>).type.not.toBeCallableWith(adapter, messages)
  })
})

describe("the schemas", () => {
  test("store themselves as JSON", () => {
    expect<typeof Transcript.CallRecord.Encoded>().type.toBeAssignableTo<Schema.Json>()
    expect<typeof Transcript.Message.Encoded>().type.toBeAssignableTo<Schema.Json>()
  })
})
