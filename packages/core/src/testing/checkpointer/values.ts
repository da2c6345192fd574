/**
 * Cases of the values that a checkpointer keeps on the store.
 *
 * @since 0.1.0
 */
import { assert } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Checkpointer from "../../Checkpointer.ts"
import { CheckpointStore } from "../../CheckpointStore.ts"
import * as MessageCodec from "../../MessageCodec.ts"
import { RunStore } from "../../RunStore.ts"
import { type Case, check } from "../Conformance.ts"
import * as Agents from "../internal/agents.ts"
import * as Fixtures from "../internal/fixtures.ts"

const Rich = Schema.Struct({
  at: Schema.Date,
  big: Schema.BigInt,
  bytes: Schema.Uint8Array,
  map: Schema.ReadonlyMap(Schema.String, Schema.Date),
  set: Schema.ReadonlySet(Schema.BigInt),
  nothing: Schema.UndefinedOr(Schema.String),
  nan: Schema.Number,
  infinite: Schema.Number,
  text: Schema.String,
  json: Schema.Json
})

// Texts that databases change, and objects that look like what encoders write for values that JSON does not have.
const rich: typeof Rich.Type = {
  at: DateTime.toDateUtc(DateTime.makeUnsafe(5)),
  big: 12_345_678_901_234_567_890n,
  bytes: new Uint8Array([0, 255, 7]),
  map: new Map([["a", DateTime.toDateUtc(DateTime.makeUnsafe(7))]]),
  set: new Set([1n, 2n]),
  nothing: undefined,
  nan: Number.NaN,
  infinite: -Infinity,
  text: "a\0b \ud800 \udc00 é 🎈 1.1.j.: \u2028 \\u0000",
  json: JSON.parse(
    `{"__proto__":{"polluted":true},"constructor":"c","_tag":"Some","$date":"2020-01-01","lc":2,"type":"undefined",
      "id":["Uint8Array"],"kwargs":{},"@type":"BigInt","value":"1","nested":[{"lc":1,"type":"constructor"}]}`
  ) as Schema.Json
}

/** Saves in one process and reads in the next. */
const roundTrip = Effect.fnUntraced(function*<M>(codec: MessageCodec.MessageCodec<M>, messages: ReadonlyArray<M>) {
  const first = yield* Agents.process
  const checkpointer = yield* first.run(Agents.codedAgent(codec))
  yield* checkpointer.save({ messages })
  yield* checkpointer.flush
  yield* first.end
  const next = yield* Checkpointer.claim({ ...Agents.patient, runId: checkpointer.runId, codec })
  yield* next.complete()
  return next.resumed?.messages ?? []
})

const nested = (depth: number): Schema.Json => {
  let value: Schema.Json = "deep"
  for (let level = 0; level < depth; level++) value = level % 2 === 0 ? [value] : { value }
  return value
}

/**
 * What holds for the values that a checkpointer keeps: they come back as they
 * were, or are refused before anything is written.
 *
 * @category testing
 * @since 0.1.0
 */
export const cases: ReadonlyArray<Case> = [
  check(
    "brings values back as they were, those that look like encoded ones included",
    Effect.scoped(Effect.gen(function*() {
      for (const codec of [MessageCodec.make(Rich), MessageCodec.make(Rich, { compressAbove: 10 })]) {
        assert.deepStrictEqual(yield* roundTrip(codec, [rich, { ...rich, nothing: "now" }]), [
          rich,
          { ...rich, nothing: "now" }
        ])
      }
    }))
  ),
  check(
    "restores a BigInt in a tool message or refuses it by its path, and never keeps a placeholder",
    Effect.scoped(Effect.gen(function*() {
      const typed = MessageCodec.make(Schema.Struct({ role: Schema.String, content: Schema.BigInt }))
      assert.deepStrictEqual(yield* roundTrip(typed, [{ role: "tool", content: 10n }]), [
        { role: "tool", content: 10n }
      ])
      const untyped = MessageCodec.make(Schema.Struct({ role: Schema.String, content: Schema.Any }))
      const checkpointer = yield* Agents.codedAgent(untyped)
      const good = { role: "tool", content: { rows: 1 } }
      yield* checkpointer.save({ messages: [good], iteration: 1 })
      const error = yield* Fixtures.refused(
        checkpointer.save({ messages: [good, { role: "tool", content: { rows: [1, 10n] } }], iteration: 2 }),
        "Unencodable"
      )
      assert.strictEqual(error.path, "messages[1].content.rows[1]")
      yield* checkpointer.flush
      const { checkpoint, values } = yield* Agents.stored(checkpointer.runId)
      assert.deepStrictEqual(values, [good])
      assert.strictEqual(checkpoint.iteration, 1)
    }))
  ),
  check(
    "keeps deep messages or refuses them, and the checkpoint before them stays",
    Effect.scoped(Effect.gen(function*() {
      for (const depth of [500, 5_000, 50_000]) {
        const checkpointer = yield* Agents.agent()
        yield* checkpointer.save({ messages: [Agents.user("before")] })
        const deep = nested(depth)
        const result = yield* Effect.result(checkpointer.save({ messages: [Agents.user("before"), deep] }))
        yield* checkpointer.flush
        const store = yield* CheckpointStore
        const { messages } = yield* store.load(checkpointer.runId)
        if (result._tag === "Success") {
          // Compared as texts: comparing values of this depth takes as much stack as encoding them.
          assert.isTrue(messages[1]?.endsWith(JSON.stringify(deep)) === true, `${depth} levels`)
        } else {
          assert.strictEqual(result.failure._tag, "Unencodable")
          assert.lengthOf(messages, 1)
          assert.isAbove(depth, 500, "what is nested a little is not refused")
        }
        yield* checkpointer.complete()
      }
    }))
  ),
  check(
    "keeps a message of ten megabytes",
    Effect.scoped(Effect.gen(function*() {
      const large = "0123456789é\ud800".repeat(770_000)
      const [before, back, after] = yield* roundTrip(MessageCodec.json, ["before", large, "after"])

      assert.isAbove(large.length, 9_000_000)
      assert.deepStrictEqual([before, after], ["before", "after"])
      // Compared as a whole text, a difference would be the message of the failure.
      assert.isTrue(back === large, "the message is the same")
    }))
  ),
  check(
    "keeps what a run is about and how far it is, in flight, for who continues it, and in its record",
    Effect.gen(function*() {
      const runs = yield* RunStore
      const parent = yield* Fixtures.started()
      const meta = {
        agentName: yield* Fixtures.freshAgent,
        agentId: "agent 7",
        callerId: "caller/ä",
        channelId: "C 1",
        guildId: "G\t1",
        prompt: "Fix it.\nAll of it: \"quotes\" 🚀 \0 \ud800",
        modelTier: "large",
        parentRunId: parent.runId,
        definition: { name: "coder", hash: "0a1b" }
      }
      const state = {
        iteration: 7,
        phase: "review",
        completedPhases: ["plan", "code"],
        notes: "n \0",
        workspace: "w \ud800"
      }
      const first = yield* Agents.process
      const { runId } = yield* first.run(Effect.tap(Agents.agent({ meta }), (checkpointer) => checkpointer.save(state)))
      yield* first.end
      yield* Effect.scoped(Effect.gen(function*() {
        const next = yield* Checkpointer.claim({ ...Agents.patient, runId })
        assert.deepStrictEqual(next.resumed, { ...state, messages: [] })
        Fixtures.assertSameMeta(yield* runs.get(runId), { ...meta, runId, kind: "agent" })
        const record = yield* next.complete()
        Fixtures.assertSameMeta(record, { ...meta, runId, kind: "agent" })
        Fixtures.assertSameRun(yield* runs.get(runId), record)
      }))
    })
  ),
  check(
    "leaves a row of a newer version to a process that can read it",
    Effect.scoped(Effect.gen(function*() {
      const of = (version: number) => MessageCodec.make(Schema.Json, { version })
      const first = yield* Agents.process
      const { runId } = yield* first.run(
        Effect.tap(Agents.codedAgent(of(2)), (checkpointer) => checkpointer.save({ messages: ["new"] }))
      )
      yield* first.end
      const error = yield* Fixtures.refused(
        Checkpointer.claim({ ...Agents.patient, runId, codec: of(1) }),
        "MessageUnreadable"
      )
      assert.strictEqual(error.reason, "newer-version")
      const next = yield* Checkpointer.claim({ ...Agents.patient, runId, codec: of(2) })
      assert.deepStrictEqual(next.resumed?.messages, ["new"])
    }))
  )
]
