import { assert, it } from "@effect/vitest"
import { AgentName, Checkpointer, CheckpointStore, MessageCodec, type RunCheckpoint, type RunId } from "@everbeat/core"
import { Effect, Schema, SchemaGetter, Scope } from "effect"
import { stores } from "./support.ts"

const meta = { agentName: AgentName.make("coder") }
const load = (runId: RunId.RunId) => Effect.flatMap(CheckpointStore.CheckpointStore, (store) => store.load(runId))
const contents = (runId: RunId.RunId) =>
  Effect.map(load(runId), ({ messages }) => messages.map((text) => text.slice(text.indexOf(":") + 1)))

/** A message whose encoding is counted. */
const counted = () => {
  const calls = { encoded: 0 }
  const text = Schema.String.pipe(Schema.decodeTo(Schema.String, {
    decode: SchemaGetter.passthrough(),
    encode: SchemaGetter.transform((value: string) => {
      calls.encoded++
      return value
    })
  }))
  return { calls, codec: MessageCodec.make(Schema.Struct({ role: Schema.String, content: text })) }
}

type Message = {
  readonly role: string
  readonly content: string
}
const message = (content: string): Message => ({ role: "user", content })

/** The same edits at every run. */
const generator = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296
}

const edit = (random: () => number, before: ReadonlyArray<Message>, n: number): ReadonlyArray<Message> => {
  const at = (length: number) => Math.floor(random() * length)
  const kind = before.length < 4 ? "append" : [
    ...Array<string>(6).fill("append"),
    "compact",
    "delete",
    "edit",
    "truncate",
    "duplicate",
    "clone",
    "insert",
    "nothing"
  ][at(14)]
  const index = at(before.length)
  switch (kind) {
    case "compact":
      return [message(`summary ${n}`), ...before.slice(before.length >> 1)]
    case "delete":
      return before.toSpliced(index, 1)
    case "edit":
      return before.with(index, message(`edited ${n}`))
    case "truncate":
      return before.slice(0, -3)
    case "duplicate":
      return before.toSpliced(at(before.length), 0, ...before.slice(index, index + 1))
    case "clone":
      return structuredClone(before)
    case "insert":
      return before.toSpliced(index, 0, message(`inserted ${n}`))
    case "nothing":
      return before
    default:
      return [...before, message(`a ${n}`), message(`b ${n}`)]
  }
}

it.layer(stores)("history", (it) => {
  it.effect("two new messages in 2,000 are all that is encoded and written", () =>
    Effect.gen(function*() {
      const { calls, codec } = counted()
      const checkpointer = yield* Checkpointer.make({ meta, codec })
      const old = Array.from({ length: 2000 }, (_, n) => message(`m${n}`))
      yield* checkpointer.save({ messages: old })
      yield* checkpointer.flush
      assert.strictEqual(calls.encoded, 2000)
      yield* checkpointer.save({ messages: [...old, message("x"), message("y")] })
      assert.strictEqual((yield* checkpointer.flush).position, 2002)
      assert.strictEqual(calls.encoded, 2002)
      const checkpoint = yield* load(checkpointer.runId)
      assert.deepStrictEqual(checkpoint.segments, [[0, 2002]])
      // Objects that moved are looked up, not encoded.
      yield* checkpointer.save({ messages: old.slice(10) })
      assert.strictEqual((yield* checkpointer.flush).position, 2002)
      assert.strictEqual(calls.encoded, 2002)
    }))

  it.effect("a resumed run writes only what is new, also of copies", () =>
    Effect.gen(function*() {
      const { calls, codec } = counted()
      const scope = yield* Scope.make()
      const first = yield* Scope.provide(Checkpointer.make({ meta, codec }), scope)
      yield* first.save({ messages: Array.from({ length: 100 }, (_, n) => message(`m${n}`)) })
      yield* Scope.close(scope, yield* Effect.exit(Effect.void))
      calls.encoded = 0
      const second = yield* Checkpointer.claim({ runId: first.runId, codec })
      const loaded = second.resumed?.messages ?? []
      assert.lengthOf(loaded, 100)
      yield* second.save({ messages: [...loaded, message("new")] })
      assert.strictEqual((yield* second.flush).position, 101)
      assert.strictEqual(calls.encoded, 1)
      yield* second.save({ messages: structuredClone([...loaded, message("new"), message("newer")]) })
      assert.strictEqual((yield* second.flush).position, 102)
    }))

  it.effect(
    "whatever is done to a history, it is read back as it was saved, and only what is new is written",
    () =>
      Effect.gen(function*() {
        for (let seed = 1; seed <= 60; seed++) {
          const random = generator(seed)
          const checkpointer = yield* Checkpointer.make({
            meta,
            throttle: "1 hour", // what is not flushed collapses with what comes after it
            verify: seed % 5 === 0 ? "hash" : "identity"
          })
          yield* checkpointer.save({ phase: "leading" })
          let messages: ReadonlyArray<Message> = []
          let stored = new Set<string>()
          let position = 0
          for (let n = 0; n < 50; n++) {
            messages = edit(random, messages, n)
            yield* checkpointer.save({ messages: messages })
            if (random() < 0.2) continue
            const saved = yield* checkpointer.flush
            const { messages: rows, segments } = yield* load(checkpointer.runId)
            assert.deepStrictEqual(rows.map((text) => JSON.parse(text.slice(text.indexOf(":") + 1))), [...messages])
            const texts = new Set(messages.map(({ content }) => content))
            const fresh = [...texts].filter((text) => !stored.has(text)).length
            const rewritten = segments.length === 1 && segments[0]?.[0] === position && position > 0
            if (!rewritten) assert.isAtMost(saved.position - position, fresh)
            position = saved.position
            stored = texts
          }
          yield* checkpointer.complete()
        }
      }),
    60_000
  )

  it.effect("a history in many pieces or with much garbage is written once more in one", () =>
    Effect.gen(function*() {
      const checkpointer = yield* Checkpointer.make({ meta })
      const all: ReadonlyArray<Schema.Json> = Array.from({ length: 300 }, (_, n) => ({ n }))
      yield* checkpointer.save({ messages: all })
      yield* checkpointer.flush
      const odd = all.filter((_, n) => n % 2 === 0) // 150 pieces
      yield* checkpointer.save({ messages: odd })
      yield* checkpointer.flush
      assert.deepStrictEqual(
        (yield* load(checkpointer.runId)).segments,
        [[300, 450]] as ReadonlyArray<RunCheckpoint.Segment>
      )
      yield* checkpointer.save({ messages: odd.slice(0, 20) }) // 130 of 150 rows are garbage
      yield* checkpointer.flush
      assert.deepStrictEqual(
        (yield* load(checkpointer.runId)).segments,
        [[450, 470]] as ReadonlyArray<RunCheckpoint.Segment>
      )
      yield* checkpointer.save({ messages: [...odd.slice(0, 20), { n: -1 }] })
      assert.strictEqual((yield* checkpointer.flush).position, 471)
      const bodies = (yield* contents(checkpointer.runId)).map((text) => JSON.parse(text).n)
      assert.deepStrictEqual(bodies, [...odd.slice(0, 20).map((_, n) => n * 2), -1])
    }))

  it.effect("a history that repeats messages is not rewritten over and over", () =>
    Effect.gen(function*() {
      const checkpointer = yield* Checkpointer.make({ meta })
      const same = { same: true }
      let messages: ReadonlyArray<Schema.Json> = Array.from({ length: 200 }, (_, n) => [same, { n }]).flat()
      yield* checkpointer.save({ messages })
      const { position } = yield* checkpointer.flush
      for (let n = 0; n < 10; n++) {
        messages = messages.concat([same, { more: n }])
        yield* checkpointer.save({ messages })
        yield* checkpointer.flush
      }
      assert.strictEqual((yield* checkpointer.flush).position, position + 10)
    }))

  it.effect("what was changed in place after a save does not change what is stored, and verify finds it", () =>
    Effect.gen(function*() {
      for (const verify of ["identity", "hash"] as const) {
        const checkpointer = yield* Checkpointer.make({ meta, verify })
        const mutable = { content: "before" }
        const messages = [mutable]
        yield* checkpointer.save({ messages })
        mutable.content = "after"
        yield* checkpointer.flush
        assert.deepStrictEqual(yield* contents(checkpointer.runId), [`{"content":"before"}`])
        messages.push({ content: "second" })
        yield* checkpointer.save({ messages })
        yield* checkpointer.flush
        const first = verify === "hash" ? "after" : "before"
        assert.deepStrictEqual(yield* contents(checkpointer.runId), [`{"content":"${first}"}`, `{"content":"second"}`])
      }
    }))

  it.effect("messages may be texts and other values without identity", () =>
    Effect.gen(function*() {
      const checkpointer = yield* Checkpointer.make({ meta })
      yield* checkpointer.save({ messages: ["a", "b", null, 1, true] })
      yield* checkpointer.flush
      yield* checkpointer.save({ messages: ["b", null, "c", 1, 1] })
      assert.strictEqual((yield* checkpointer.flush).position, 6)
      assert.deepStrictEqual(yield* contents(checkpointer.runId), [`"b"`, "null", `"c"`, "1", "1"])
    }))
})
