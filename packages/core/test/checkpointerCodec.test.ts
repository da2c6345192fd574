import { assert, it } from "@effect/vitest"
import { AgentName, Checkpointer, CheckpointStore, MessageCodec, type RunId } from "@everbeat/core"
import { Effect, Exit, Schema, Scope } from "effect"
import { Aead } from "effect/crypto"
import { stores } from "./support.ts"

const meta = { agentName: AgentName.make("coder") }
const load = (runId: RunId.RunId) => Effect.flatMap(CheckpointStore.CheckpointStore, (store) => store.load(runId))

/** Saves with one codec in a process that then goes away, and continues with another. */
const saved = <M>(codec: MessageCodec.MessageCodec<M>, update: Checkpointer.Update<M>) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const checkpointer = yield* Scope.provide(Checkpointer.make({ meta, codec }), scope)
    yield* checkpointer.save(update)
    yield* checkpointer.flush
    yield* Scope.close(scope, Exit.void)
    return checkpointer.runId
  })
const roundTrip = <M>(codec: MessageCodec.MessageCodec<M>, messages: ReadonlyArray<M>) =>
  Effect.gen(function*() {
    const runId = yield* saved(codec, { messages })
    const next = yield* Checkpointer.claim({ runId, codec })
    return next.resumed?.messages ?? []
  })
const refusal = <M>(runId: RunId.RunId, codec: MessageCodec.MessageCodec<M>, change?: (texts: Array<string>) => void) =>
  Effect.gen(function*() {
    const store = yield* CheckpointStore.CheckpointStore
    const changed: typeof store = {
      ...store,
      claim: (...args) =>
        Effect.map(store.claim(...args), (resumed) => {
          const messages = [...resumed.checkpoint.messages]
          change?.(messages)
          return { ...resumed, checkpoint: { ...resumed.checkpoint, messages } }
        })
    }
    const error = yield* Effect.flip(Checkpointer.claim({ store: changed, runId, codec }))
    assert.instanceOf(error, MessageCodec.MessageUnreadable)
    return error
  })

const key = (byte: number) => Aead.key(Aead.aes256Gcm, new Uint8Array(32).fill(byte))
const Text = Schema.Struct({ content: Schema.String })
const text = (content: string) => ({ content })

it.layer(stores)("MessageCodec", (it) => {
  it.effect("values come back as they were", () =>
    Effect.gen(function*() {
      const Message = Schema.Struct({
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
      const message = {
        at: new Date(5),
        big: 12345678901234567890n,
        bytes: new Uint8Array([0, 255, 7]),
        map: new Map([["a", new Date(7)]]),
        set: new Set([1n, 2n]),
        nothing: undefined,
        nan: Number.NaN,
        infinite: -Infinity,
        text: "a\0b \ud800 \udc00 é 🎈 1.1.j.: \u2028",
        json: JSON.parse(`{"__proto__":{"x":1},"constructor":"c","_tag":"Some","a":[null,{"$date":1}]}`) as Schema.Json
      }
      const codecs = [
        MessageCodec.make(Message),
        MessageCodec.make(Message, { compressAbove: 10 }),
        MessageCodec.make(Message, { encryption: { write: "k", keys: { k: yield* key(1) } } }),
        MessageCodec.make(Message, { compressAbove: 10, encryption: { write: "k", keys: { k: yield* key(1) } } })
      ]
      for (const codec of codecs) assert.deepStrictEqual(yield* roundTrip(codec, [message]), [message])
    }))

  it.effect("deep and large messages come back", () =>
    Effect.gen(function*() {
      let deep: Schema.Json = 1
      for (let n = 0; n < 1000; n++) deep = [deep]
      const large = "0123456789é\ud800\0".repeat(800_000) // more than 10 MB
      for (
        const codec of [MessageCodec.json, MessageCodec.make(Schema.Json, { compressAbove: 8192, maxBytes: 2 ** 25 })]
      ) {
        const limited = { ...codec, maxBytes: 2 ** 25 }
        const back = yield* roundTrip(limited, [deep, large])
        assert.strictEqual(JSON.stringify(back[0]), JSON.stringify(deep))
        assert.isTrue(back[1] === large)
      }
    }), 60_000)

  it.effect("what cannot be encoded is named by its path, and the checkpoint stays as it was", () =>
    Effect.gen(function*() {
      const Message = Schema.Struct({ parts: Schema.Array(Schema.Struct({ data: Schema.Any })) })
      const checkpointer = yield* Checkpointer.make({ meta, codec: MessageCodec.make(Message) })
      const good = { parts: [{ data: 1 }] }
      yield* checkpointer.save({ messages: [good], iteration: 1 })
      yield* checkpointer.flush
      const cyclic: Record<string, unknown> = { a: { b: 1 } }
      cyclic["c"] = [cyclic]
      let deep: unknown = 1
      for (let n = 0; n < 20_000; n++) deep = [deep]
      const cases: ReadonlyArray<readonly [unknown, string, RegExp]> = [
        [{ deep: [0, 10n] }, ".deep[1]", /bigint/],
        [{ "a b": undefined }, `["a b"]`, /undefined/],
        [[Number.NaN], "[0]", /NaN/],
        [{ at: new Date(0) }, ".at", /Date/],
        [{ f: () => 1 }, ".f", /function/],
        [cyclic, ".c[0]", /itself/],
        [new Map(), "", /Map/],
        [deep, "", /deeply/]
      ]
      for (const [data, path, detail] of cases) {
        const error = yield* Effect.flip(
          checkpointer.save({ messages: [good, { parts: [{ data: 1 }, { data }] }], iteration: 2 })
        )
        assert.instanceOf(error, MessageCodec.Unencodable)
        assert.isTrue(error.path.startsWith(`messages[1].parts[1].data${path}`), error.path.slice(0, 100))
        assert.match(error.detail, detail)
      }
      const saved = yield* checkpointer.flush
      assert.strictEqual(saved.position, 1)
      assert.strictEqual((yield* load(checkpointer.runId)).iteration, 1)
      yield* checkpointer.save({ messages: [good, good], iteration: 3 })
      yield* checkpointer.flush
      assert.strictEqual((yield* load(checkpointer.runId)).iteration, 3)
    }))

  it.effect("a JSON schema names the path inside, and an unknown field is not dropped", () =>
    Effect.gen(function*() {
      const checkpointer = yield* Checkpointer.make({
        meta,
        codec: MessageCodec.make(Schema.Struct({ json: Schema.Json, at: Schema.Date }))
      })
      const save = (message: unknown) =>
        Effect.map(Effect.flip(checkpointer.save({ messages: [message as never] })), (error) =>
          error._tag === "Unencodable" ? error.path : error._tag)
      assert.strictEqual(yield* save({ json: { x: [1, undefined] }, at: new Date(0) }), "messages[0].json.x[1]")
      assert.strictEqual(yield* save({ json: 1, at: new Date(Number.NaN) }), "messages[0].at")
      assert.strictEqual(yield* save({ json: 1, at: new Date(0), more: 1 }), "messages[0].more")
    }))

  it.effect("what is too large is refused before it is written", () =>
    Effect.gen(function*() {
      const encryption = { write: "k", keys: { k: yield* key(1) } }
      for (const options of [{}, { encryption }, { compressAbove: 64 }]) {
        const codec = MessageCodec.make(Text, { ...options, maxBytes: 200 })
        const checkpointer = yield* Checkpointer.make({ meta, codec })
        yield* checkpointer.save({ messages: [text("short")], notes: "n" })
        const noise = Array.from({ length: 20 }, () => crypto.randomUUID()).join("")
        const error = yield* Effect.flip(checkpointer.save({ messages: [text("short"), text(noise)] }))
        assert.deepInclude(error, { _tag: "MessageTooLarge", path: "messages[1]", limit: 200 })
        const notes = yield* Effect.flip(checkpointer.save({ notes: noise }))
        assert.deepInclude(notes, { _tag: "MessageTooLarge", path: "notes" })
        assert.strictEqual((yield* checkpointer.flush).position, 1)
      }
    }))

  it.effect("the limit is exact", () =>
    Effect.gen(function*() {
      const encryption = { write: "k1", keys: { k1: yield* key(1) } }
      for (const options of [{}, { encryption }, { compressAbove: 10 }, { compressAbove: 10, encryption }]) {
        const message = text("é".repeat(500))
        const runId = yield* saved(MessageCodec.make(Text, options), { messages: [message] })
        const bytes = new TextEncoder().encode((yield* load(runId)).messages[0]).length
        yield* saved(MessageCodec.make(Text, { ...options, maxBytes: bytes }), { messages: [message] })
        const tight = MessageCodec.make(Text, { ...options, maxBytes: bytes - 1 })
        const error = yield* Effect.flip(saved(tight, { messages: [message] }))
        assert.deepInclude(error, { _tag: "MessageTooLarge", bytes })
      }
    }))

  it.effect("compression makes rows smaller, and only where it does", () =>
    Effect.gen(function*() {
      const runId = yield* saved(MessageCodec.make(Text, { compressAbove: 100 }), {
        messages: [text("x".repeat(10_000)), text("y".repeat(50)), text(crypto.randomUUID().repeat(3))]
      })
      const [long = "", short = ""] = (yield* load(runId)).messages
      assert.isBelow(long.length, 200)
      assert.isTrue(short.includes("yyyy"))
    }))

  it.effect("encrypted rows show nothing, and neither do notes and workspace", () =>
    Effect.gen(function*() {
      const codec = MessageCodec.make(Text, { encryption: { write: "k", keys: { k: yield* key(1) } } })
      const runId = yield* saved(codec, { messages: [text("secret")], notes: "secret", workspace: "secret" })
      const { messages, notes, workspace } = yield* load(runId)
      for (const stored of [...messages, notes ?? "", workspace ?? ""]) {
        assert.match(stored, /^1\.1\.je\.k:/)
        assert.notInclude(stored, "secret")
      }
      const next = yield* Checkpointer.claim({ runId, codec })
      assert.deepInclude(next.resumed, { notes: "secret", workspace: "secret", messages: [text("secret")] })
    }))

  it.effect("a wrong key, a changed row and swapped rows are refused", () =>
    Effect.gen(function*() {
      const with_ = (write: string, keys: Record<string, Aead.Key>) =>
        MessageCodec.make(Text, { encryption: { write, keys } })
      const codec = with_("k", { k: yield* key(1) })
      const runId = yield* saved(codec, { messages: [text("a"), text("b")] })
      const other = yield* saved(codec, { messages: [text("a"), text("b")] })
      const foreign = (yield* load(other)).messages
      const reason = (candidate: typeof codec, change?: (texts: Array<string>) => void) =>
        Effect.map(refusal(runId, candidate, change), (error) => `${error.place}: ${error.reason}`)
      assert.strictEqual(yield* reason(with_("k", { k: yield* key(2) })), "row 0: tampered")
      assert.strictEqual(yield* reason(with_("n", { n: yield* key(1) })), "row 0: unknown-key")
      assert.strictEqual(yield* reason(MessageCodec.make(Text)), "row 0: unknown-key")
      assert.strictEqual(yield* reason(codec, (texts) => texts.push(texts.shift() ?? "")), "row 0: tampered")
      assert.strictEqual(yield* reason(codec, (texts) => texts.splice(1, 1, foreign[1] ?? "")), "row 1: tampered")
      assert.strictEqual(
        yield* reason(codec, (texts) => texts.splice(1, 1, (texts[1] ?? "").replace("1.1.je", "1.0.je"))),
        "row 1: tampered"
      )
      assert.strictEqual(
        yield* reason(codec, (texts) => texts.splice(1, 1, `1.1.j.:{"content":"x"}`)),
        "row 1: tampered"
      )
      assert.strictEqual(yield* reason(codec, (texts) => texts.splice(1, 1, "1.1.je.k:???")), "row 1: corrupt")
      // After each refusal the run was released and is untouched.
      const next = yield* Checkpointer.claim({ runId, codec })
      assert.deepStrictEqual(next.resumed?.messages, [text("a"), text("b")])
    }))

  it.effect("keys rotate: several are read, one is written", () =>
    Effect.gen(function*() {
      const [k1, k2] = [yield* key(1), yield* key(2)]
      const first = MessageCodec.make(Text, { encryption: { write: "k1", keys: { k1 } } })
      const second = MessageCodec.make(Text, { encryption: { write: "k2", keys: { k1, k2 } } })
      const runId = yield* saved(first, { messages: [text("a")] })
      const next = yield* Checkpointer.claim({ runId, codec: second })
      yield* next.save({ messages: [...next.resumed?.messages ?? [], text("b")] })
      yield* next.flush
      assert.deepStrictEqual((yield* load(runId)).messages.map((row) => row.slice(0, 9)), ["1.1.je.k1", "1.1.je.k2"])
      const wrong = { encryption: { write: "k3", keys: { k1 } } }
      const error = yield* Effect.flip(Checkpointer.make({ meta, codec: MessageCodec.make(Text, wrong) }))
      assert.deepInclude(error, { _tag: "StoreError", reason: "refused" })
    }))

  it.effect("rows from before encryption are read where that is allowed", () =>
    Effect.gen(function*() {
      const runId = yield* saved(MessageCodec.make(Text), { messages: [text("a")] })
      const encryption = { write: "k", keys: { k: yield* key(1) } }
      assert.strictEqual((yield* refusal(runId, MessageCodec.make(Text, { encryption }))).reason, "tampered")
      const codec = MessageCodec.make(Text, { encryption: { ...encryption, readPlain: true } })
      assert.deepStrictEqual((yield* Checkpointer.claim({ runId, codec })).resumed?.messages, [text("a")])
    }))

  it.effect("a row of a newer version is left untouched and reported as such", () =>
    Effect.gen(function*() {
      const runId = yield* saved(MessageCodec.make(Text, { version: 3 }), { messages: [text("a")] })
      const before = yield* load(runId)
      const error = yield* refusal(runId, MessageCodec.make(Text, { version: 2 }))
      assert.deepInclude(error, { reason: "newer-version", place: "row 0" })
      const after = yield* load(runId)
      assert.deepStrictEqual(after.messages, before.messages)
      assert.strictEqual(after.status, "interrupted")
      const format = yield* refusal(runId, MessageCodec.make(Text, { version: 3 }), (texts) => texts.fill("2.new!"))
      assert.strictEqual(format.reason, "newer-version")
      // Who could not read it did not run it: neither claim is an attempt.
      assert.lengthOf((yield* load(runId)).attempts, 1)
    }))

  it.effect("a row of an older version is upgraded, and stays as it is until it is rewritten", () =>
    Effect.gen(function*() {
      const runId = yield* saved(MessageCodec.make(Text), { messages: [text("a")] })
      const codec = MessageCodec.make(Schema.Struct({ body: Schema.String }), {
        version: 2,
        upgrade: (json, version) => ({ body: `${version}:${JSON.stringify(json)}` })
      })
      const next = yield* Checkpointer.claim({ runId, codec })
      assert.deepStrictEqual(next.resumed?.messages, [{ body: `1:{"content":"a"}` }])
      yield* next.save({ messages: [...next.resumed?.messages ?? [], { body: "b" }] })
      assert.strictEqual((yield* next.flush).position, 2)
      assert.deepStrictEqual((yield* load(runId)).messages, [`1.1.j.:{"content":"a"}`, `1.2.j.:{"body":"b"}`])
    }))

  it.effect("what no codec wrote is corrupt", () =>
    Effect.gen(function*() {
      const codec = MessageCodec.make(Text)
      const runId = yield* saved(codec, { messages: [text("a")] })
      for (const row of ["", "hello", "1.1.j.:{", "1.1.z.:AAAA", "1.1.z.:?", `1.1.j.:{"content":1}`, "0.1.j.:{}"]) {
        assert.strictEqual((yield* refusal(runId, codec, (texts) => texts.fill(row))).reason, "corrupt", row)
      }
    }))
})
