import { assert, describe, it } from "@effect/vitest"
import { AgentName, Diagnostic, RunId } from "@everbeat/core"
import { Data, DateTime, Schema } from "effect"
import { clip, fromValue } from "../src/internal/diagnose.ts"
import { Bad, Low } from "./support.ts"

const at = DateTime.makeUnsafe(0)
const of = (value: unknown) => {
  const { code, hint, message, url } = fromValue("error", "s", value, at)
  return { code, message, ...(hint === undefined ? {} : { hint }), ...(url === undefined ? {} : { url }) }
}

describe("diagnostics of what steps raise", () => {
  it("takes code, message, hint and url of a tagged error", () => {
    assert.deepStrictEqual(of(new Bad({ why: "odd" })), {
      code: "Bad",
      message: "It is odd",
      hint: "Repair it",
      url: "https://example.com/bad"
    })
  })

  it("falls back to tag and fields where there is no message", () => {
    class Plain extends Data.TaggedError("Plain")<{ readonly n: number }> {}
    assert.deepStrictEqual(of(new Low({ n: 42 })), { code: "Low", message: "Low { n: 42 }" })
    assert.deepStrictEqual(of(new Plain({ n: 1 })), { code: "Plain", message: "Plain { n: 1 }" })
    assert.deepStrictEqual(of({ _tag: "Empty" }), { code: "Empty", message: "Empty" })
  })

  it("copes with anything that can be thrown", () => {
    assert.deepStrictEqual(of(new TypeError("x")), { code: "TypeError", message: "x" })
    assert.deepStrictEqual(of(new Error("boom")), { code: "Unknown", message: "boom" })
    assert.deepStrictEqual(of("text"), { code: "Unknown", message: "text" })
    assert.deepStrictEqual(of(undefined), { code: "Unknown", message: "Unknown" })
    assert.deepStrictEqual(of(null), { code: "Unknown", message: "null" })
    assert.deepStrictEqual(of(7), { code: "Unknown", message: "7" })
    const hostile = {
      _tag: "Hostile",
      get message(): string {
        throw new Error("no")
      },
      get hint(): string {
        throw new Error("no")
      }
    }
    assert.strictEqual(of(hostile).code, "Hostile")
    const cyclic: { _tag: string; self?: unknown } = { _tag: "Cyclic" }
    cyclic.self = cyclic
    assert.strictEqual(of(cyclic).code, "Cyclic")
  })

  it("tells what a promise was rejected with", () => {
    const wrapped = (cause: unknown) =>
      Object.assign(new Error("An error occurred in Effect.tryPromise", { cause }), {
        _tag: "UnknownError"
      })
    assert.strictEqual(of(wrapped(new Error("net down"))).message, "net down")
    assert.strictEqual(of(wrapped("refused")).message, "refused")
    assert.strictEqual(of(wrapped(7)).message, "An error occurred in Effect.tryPromise")
  })

  it("doubles no prefix", () => {
    assert.strictEqual(of(new TypeError("TypeError: TypeError: x")).message, "x")
    const diagnostic = fromValue("error", "sync", { _tag: "E", message: "sync: failed" }, at)
    assert.strictEqual(Diagnostic.render(diagnostic), "sync: failed")
    assert.strictEqual(
      Diagnostic.render(fromValue("error", "sync", new Bad({ why: "x" }), at)),
      "sync: It is x (Repair it)"
    )
    assert.strictEqual(Diagnostic.render(fromValue("error", undefined, "whole pass", at)), "whole pass")
    const forged = fromValue("error", "sync", "failed\n[05:00] INFO forged \u001b[31mline", at)
    assert.strictEqual(Diagnostic.render(forged), "sync: failed [05:00] INFO forged  [31mline")
  })

  it("keeps only http and https URLs", () => {
    for (
      const url of ["javascript:alert(1)", "file:///etc/passwd", "x", "https://", `https://x.dev/${"a".repeat(400)}`]
    ) {
      assert.isUndefined(of({ _tag: "E", url }).url, url)
    }
  })

  it("clips at a character boundary", () => {
    assert.strictEqual(clip("é".repeat(10), 10), "ééé…")
    assert.strictEqual(clip("short", 10), "short")
    assert.isAtMost(new TextEncoder().encode(clip("😀".repeat(1000), 100)).length, 100)
  })

  it("survives a round trip through JSON", () => {
    const codec = Schema.fromJsonString(Schema.toCodecJson(Diagnostic.Diagnostic))
    const { value: _, ...diagnostic } = fromValue("warning", "s", new Bad({ why: "odd" }), at)
    assert.deepStrictEqual(Schema.decodeSync(codec)(Schema.encodeSync(codec)(diagnostic)), diagnostic)
  })
})

describe("run ids", () => {
  it("are UUIDv7, sort by creation and carry the bucket of the agent", () => {
    const triage = AgentName.make("triage")
    const ids = Array.from({ length: 1000 }, () => RunId.make(triage))
    assert.deepStrictEqual(ids.toSorted(), ids)
    assert.strictEqual(new Set(ids).size, 1000)
    assert.isTrue(ids.every(RunId.isRunId))
    assert.isTrue(ids.every((id) => RunId.bucketOf(id) === RunId.bucketOfAgent(triage)))
    assert.isFalse(RunId.isRunId("6ba7b810-9dad-41d1-80b4-00c04fd430c8"))
  })

  it("spread agents over all buckets", () => {
    const buckets = new Set(Array.from({ length: 5000 }, (_, n) => RunId.bucketOfAgent(AgentName.make(`agent-${n}`))))
    assert.strictEqual(buckets.size, 256)
  })

  it("refuse what is no agent's name", () => {
    for (const name of ["", "a".repeat(129), "..%2f", "a/b", "é", " a", "a\u0000"]) {
      assert.isFalse(AgentName.isAgentName(name), name)
      assert.throws(() => AgentName.make(name))
    }
    assert.isTrue(AgentName.isAgentName("a".repeat(128)))
  })
})
