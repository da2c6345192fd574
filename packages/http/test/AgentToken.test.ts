import { assert, describe, it } from "@effect/vitest"
import { AgentAuth, AgentToken, HeartbeatHandler } from "@everbeat/http"
import { Effect, Redacted } from "effect"
import { acquire, beat, callOf, heartbeats, host } from "./harness.ts"

const request = { method: "POST", path: "/api/agents/triage/heartbeat", agentName: "triage", headers: {} }

describe("AgentToken", () => {
  it.effect("makes tokens of 32 random bytes that differ, with a prefix, an id and a checksum", () =>
    Effect.gen(function*() {
      const issued = yield* Effect.forEach(
        Array.from({ length: 200 }),
        () => AgentToken.create({ environment: "test" })
      )
      const texts = issued.map(({ token }) => Redacted.value(token))
      assert.strictEqual(new Set(texts).size, 200)
      for (const { sha256, token, tokenId } of issued) {
        assert.match(Redacted.value(token), /^evb_test_[0-9A-Za-z]{11}_[0-9A-Za-z]{49}$/u)
        assert.deepStrictEqual(AgentToken.parse(token), { environment: "test", tokenId })
        assert.strictEqual(sha256, yield* AgentAuth.digest(token))
        assert.notInclude(JSON.stringify({ token }), Redacted.value(token))
      }
    }))

  it.effect("tells a typo at every place by its checksum", () =>
    Effect.gen(function*() {
      const { token } = yield* AgentToken.create({ tokenId: "triage1" })
      const text = Redacted.value(token)
      for (let index = 0; index < text.length; index++) {
        const other = text[index] === "x" ? "y" : "x"
        assert.isUndefined(AgentToken.parse(Redacted.make(text.slice(0, index) + other + text.slice(index + 1))))
      }
      for (
        const wrong of ["", "evb_", text.slice(0, -1), `${text}0`, text.toUpperCase(), text.toLowerCase(), ` ${text}`]
      ) {
        assert.isUndefined(AgentToken.parse(Redacted.make(wrong)))
      }
    }))

  it.effect("verifies against the old and the new digest, and nothing else", () =>
    Effect.gen(function*() {
      const old = yield* AgentToken.create()
      const next = yield* AgentToken.create()
      const other = yield* AgentToken.create()
      const digests = [old.sha256, next.sha256]
      assert.isTrue(yield* AgentToken.verify(old.token, digests))
      assert.isTrue(yield* AgentToken.verify(next.token, digests))
      assert.isFalse(yield* AgentToken.verify(other.token, digests))
      assert.isFalse(yield* AgentToken.verify(old.token, []))
      assert.isFalse(yield* AgentToken.verify(old.token, ["", "no hex", old.sha256.slice(2)]))
    }))

  it.effect("asks the host's table only for well-formed tokens", () =>
    Effect.gen(function*() {
      const asked: Array<string> = []
      const { sha256, token } = yield* AgentToken.create({ tokenId: "triage1" })
      const forged = yield* AgentToken.create({ tokenId: "triage1" })
      const unknown = yield* AgentToken.create({ tokenId: "nobody" })
      const auth = AgentToken.auth((tokenId) =>
        Effect.sync(() => {
          asked.push(tokenId)
          return tokenId === "triage1" ? { agentName: "triage", sha256, scopes: ["read" as const] } : null
        })
      )
      assert.deepStrictEqual(yield* auth.verify(token, request), {
        agentName: "triage",
        tokenId: "triage1",
        scopes: ["read"]
      })
      assert.isNull(yield* auth.verify(forged.token, request))
      assert.isNull(yield* auth.verify(unknown.token, request))
      assert.isNull(yield* auth.verify(Redacted.make(`${Redacted.value(token)}x`), request))
      assert.deepStrictEqual(asked, ["triage1", "triage1", "nobody"])
    }))

  it.effect("refuses an environment and an id that would break the format", () =>
    Effect.gen(function*() {
      for (const options of [{ environment: "Live" }, { environment: "" }, { tokenId: "a_b" }, { tokenId: "" }]) {
        const exit = yield* Effect.exit(AgentToken.create(options))
        assert.strictEqual(exit._tag, "Failure")
      }
    }))

  it.live("a token that differs in one bit, in length or in case is 401, alike", () =>
    Effect.gen(function*() {
      const { sha256, token } = yield* AgentToken.create({ tokenId: "triage1" })
      const text = Redacted.value(token)
      for (
        const auth of [
          AgentAuth.tokens([{ agentName: "triage", tokenId: "triage1", sha256 }]),
          AgentToken.auth(() => Effect.succeed({ agentName: "triage", sha256 }))
        ]
      ) {
        const handler = yield* acquire(() => HeartbeatHandler.make({ heartbeats, auth, layer: host }))
        const call = callOf(handler)
        assert.strictEqual((yield* beat(call, { token: text })).status, 200)
        const flipped = Array.from(text, (char, index) =>
          text.slice(0, index) + String.fromCodePoint((char.codePointAt(0) ?? 0) ^ 1) + text.slice(index + 1))
        const wrong = [
          ...flipped,
          text.slice(0, -1),
          text.slice(1),
          `${text}0`,
          text + text,
          text.toUpperCase(),
          text.toLowerCase()
        ]
        const bodies = new Set<string>()
        for (const token of wrong) {
          const answer = yield* beat(call, { token })
          assert.strictEqual(answer.status, 401, token)
          bodies.add(answer.text)
        }
        assert.strictEqual(bodies.size, 1)
      }
    }))
})
