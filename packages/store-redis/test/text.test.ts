import { assert, describe, it } from "@effect/vitest"
import * as Text from "../src/internal/text.ts"

const utf8 = (text: string): string => new TextDecoder().decode(new TextEncoder().encode(text))

const texts = [
  "",
  "plain",
  "NUL \u0000",
  "👩‍👩‍👧‍👦 \u2028",
  "\ud83d",
  "\ude00",
  "\ude00\ud83d",
  "\ud83d\ud83d\ude00\ude00",
  "a\ud83db\ude00c",
  "\ue000",
  "\ue000d83d",
  "x\ue000d83d",
  "x\ue000d83d\ud83d",
  "\ue000\ud83d\ue000e000"
]

describe("text", () => {
  it("reads every text back as it was, through UTF-8", () => {
    for (const text of texts) assert.strictEqual(Text.decode(utf8(Text.encode(text))), text)
  })

  it("reads random texts of awkward characters back", () => {
    const alphabet = ["\ud83d", "\ude00", "\ue000", "d", "8", "3", "\u0000", "ä", "🚀"]
    let seed = 7
    const next = (below: number): number => (seed = (seed * 48_271) % 2_147_483_647) % below
    for (let round = 0; round < 2_000; round++) {
      const text = Array.from({ length: next(12) }, () => alphabet[next(alphabet.length)]).join("")
      assert.strictEqual(Text.decode(utf8(Text.encode(text))), text)
    }
  })

  it("leaves alone what needs no escape", () => {
    for (const text of ["", "plain", "NUL \u0000", "x\ue000", "🚀"]) assert.strictEqual(Text.encode(text), text)
  })

  it("gives two texts two forms", () => {
    assert.strictEqual(new Set(texts.map(Text.encode)).size, texts.length)
  })
})
