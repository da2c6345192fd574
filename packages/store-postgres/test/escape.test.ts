import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Buffer } from "node:buffer"
import { escape, unescape } from "../src/internal/escape.ts"
import { append, begun, freshStore, inputOf, recordOf } from "./support/fixtures.ts"

const odd =
  "NUL \u0000, lone \ud83d and \ude00\ud83d, pair 😀, mark \u0010 \u00100000, separators \u001e\u001f\u001e, \ufeff\u2028 e\u0301 '\"\\ $1 {,} NULL"

/** Texts of the characters that are hardest, in every order. */
const texts = Array.from({ length: 2_000 }, (_, seed) => {
  const alphabet = ["\0", "\u0010", "\u001e", "\u001f", "\ud83d", "\ude00", "0", "d", "8", "3", "é", "😀", "\\", "\""]
  let state = seed + 1
  return Array.from({ length: seed % 9 }, () => {
    state = (state * 48_271) % 2_147_483_647
    return alphabet[state % alphabet.length]
  }).join("")
})

describe("escape", () => {
  it("is undone by unescape, for every text", () => {
    for (const text of [...texts, odd]) assert.strictEqual(unescape(escape(text)), text)
  })

  it("leaves nothing that PostgreSQL refuses", () => {
    for (const text of [...texts, odd]) {
      const stored = escape(text)
      assert.notInclude(stored, "\0")
      assert.strictEqual(Buffer.from(stored, "utf8").toString("utf8"), stored, "every character has its UTF-8")
    }
  })

  it("keeps different texts different", () => {
    assert.strictEqual(new Set(texts.map(escape)).size, new Set(texts).size)
  })

  it("does not touch an ordinary text", () => {
    const text = "Fix it.\n\"All\" of it: é 😀 \\u0000"
    assert.strictEqual(escape(text), text)
    assert.strictEqual(unescape(text), text)
  })
})

describe("a store with odd texts", () => {
  it.effect("reads each text back exactly, finds what it is asked for by it, and keeps its keys apart", () =>
    Effect.gen(function*() {
      const { checkpoints, runs } = yield* freshStore()
      const idempotency = { key: `key ${odd}`, fingerprint: `fingerprint ${odd}` }
      const input = inputOf({
        owner: `owner ${odd}`,
        idempotency,
        meta: {
          agentId: odd,
          callerId: `caller ${odd}`,
          channelId: `channel ${odd}`,
          guildId: odd,
          prompt: odd,
          modelTier: odd,
          definition: { name: `definition ${odd}`, hash: odd },
          payload: { [odd]: [odd] }
        }
      })
      const lease = yield* begun(checkpoints, input)
      const fields = { phase: odd, completedPhases: [odd, ""], notes: odd, workspace: odd }
      yield* checkpoints.save(lease, append(0, [odd, odd], fields))
      yield* checkpoints.release(lease, odd)
      const [listed] = (yield* checkpoints.listInterrupted({
        callerId: `caller ${odd}`,
        channelId: `channel ${odd}`
      })).items
      assert.strictEqual(listed?.runId, lease.runId)
      const [resumed] = yield* checkpoints.claimNext(odd, input.ttl, 1, { definitions: [`definition ${odd}`] })
      assert(resumed !== undefined)
      const { checkpoint } = resumed
      assert.deepStrictEqual(checkpoint.messages, [odd, odd])
      assert.deepStrictEqual({ ...checkpoint, ...fields }, checkpoint)
      assert.deepStrictEqual({ ...checkpoint, ...input.meta }, checkpoint)
      assert.deepStrictEqual(checkpoint.attempts.map(({ owner }) => owner), [`owner ${odd}`, odd])
      assert.strictEqual(checkpoint.attempts[0]?.reason, odd)
      assert.deepStrictEqual(resumed.idempotency, idempotency)
      const same = { ...inputOf({ meta: { agentName: input.meta.agentName } }), idempotency }
      const other = { ...same, idempotency: { ...idempotency, fingerprint: odd } }
      assert.strictEqual((yield* Effect.flip(checkpoints.begin(other)))._tag, "KeyMismatch")

      const record = { ...recordOf(input), summary: odd }
      yield* checkpoints.settle(resumed.lease, record)
      const replayed = yield* checkpoints.begin(same)
      assert(replayed._tag === "Replayed")
      assert.deepStrictEqual({ ...replayed.run }, { ...record, idempotency })
      assert.strictEqual((yield* runs.list({ callerId: `caller ${odd}` })).items.length, 1)
      assert.strictEqual(yield* runs.erase({ callerId: `caller ${odd}` }), 1)
    }).pipe(Effect.scoped))

  it.effect("compares definitions exactly, and names the one that stands in the way", () =>
    Effect.gen(function*() {
      const { checkpoints } = yield* freshStore()
      const definition = { name: `definition ${odd}`, hash: `hash ${odd}` }
      const input = inputOf({ exclusive: true, resumes: "same-hash", meta: { definition } })
      const { agentName } = input.meta
      yield* checkpoints.release(yield* begun(checkpoints, input))
      for (const other of [{ ...definition, name: "hash" }, { ...definition, hash: `hash ${odd} ` }]) {
        const next = inputOf({ exclusive: true, resumes: "same-hash", meta: { agentName, definition: other } })
        const error = yield* Effect.flip(checkpoints.begin(next))
        assert(error._tag === "OtherDefinition")
        assert.strictEqual(error.name, definition.name)
      }
      assert.strictEqual((yield* checkpoints.begin(input))._tag, "Resumed")
    }).pipe(Effect.scoped))
})
