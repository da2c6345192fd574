/** What somebody who can write to the store, or who makes an agent say much, can do to the process that reads it. */
import { assert, describe, it } from "@effect/vitest"
import {
  Agent,
  AgentName,
  AgentSupervisor,
  Checkpointer,
  CheckpointStore,
  MessageCodec,
  type RunCheckpoint,
  type RunId,
  RunStore
} from "@everbeat/core"
import { Effect, Exit, Layer, Schema, Scope } from "effect"
import { Aead } from "effect/crypto"
import { Base64 } from "effect/encoding"
import { deflateRawSync } from "node:zlib"
import { quiet, stores } from "./support.ts"

const meta = { agentName: AgentName.make("coder") }
const Text = Schema.Struct({ content: Schema.String })
const key = (byte: number) => Aead.key(Aead.aes256Gcm, new Uint8Array(32).fill(byte))

/** An interrupted run. */
const saved = <M>(codec: MessageCodec.MessageCodec<M>, update: Checkpointer.Update<M>) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const checkpointer = yield* Scope.provide(Checkpointer.make({ meta, codec }), scope)
    yield* checkpointer.save(update)
    yield* checkpointer.flush
    yield* Scope.close(scope, Exit.void)
    return checkpointer.runId
  })

type Change = (checkpoint: RunCheckpoint.RunCheckpoint) => Partial<RunCheckpoint.RunCheckpoint>

/** Continues a run whose rows somebody has changed in the store. */
const poisoned = <M>(runId: RunId.RunId, codec: MessageCodec.MessageCodec<M>, change: Change) =>
  Effect.gen(function*() {
    const store = yield* CheckpointStore.CheckpointStore
    const changed: typeof store = {
      ...store,
      claim: (...args) =>
        Effect.map(store.claim(...args), (resumed) => ({
          ...resumed,
          checkpoint: { ...resumed.checkpoint, ...change(resumed.checkpoint) }
        }))
    }
    return yield* Checkpointer.claim({ store: changed, runId, codec })
  }).pipe(Effect.scoped)

const refused = <M>(runId: RunId.RunId, codec: MessageCodec.MessageCodec<M>, change: Change) =>
  Effect.map(Effect.flip(poisoned(runId, codec, change)), (error) => {
    assert.instanceOf(error, MessageCodec.MessageUnreadable)
    return error
  })

/** A row whose body inflates to so many bytes. */
const bomb = (bytes: number): string =>
  `1.1.z.:${Base64.encode(new Uint8Array(deflateRawSync(Buffer.alloc(bytes, 32))))}`

it.layer(stores)("security: a poisoned row", (it) => {
  it("may take 16 MiB stored and 64 MiB inflated unless the host says otherwise", () => {
    const { maxBytes, maxInflatedBytes } = MessageCodec.make(Text)
    assert.deepStrictEqual({ maxBytes, maxInflatedBytes }, { maxBytes: 16 * 2 ** 20, maxInflatedBytes: 64 * 2 ** 20 })
  })

  it.effect(
    "that inflates without end is given up at the limit, in messages and in notes",
    () =>
      Effect.gen(function*() {
        const codec = MessageCodec.make(Text, { maxInflatedBytes: 1024 * 1024 })
        const runId = yield* saved(codec, { messages: [{ content: "a" }], notes: "n" })
        const row = bomb(200 * 1024 * 1024)
        assert.isBelow(row.length, 1024 * 1024)
        const before = process.memoryUsage().arrayBuffers
        for (const change of [{ messages: [row] }, { notes: row }]) {
          const error = yield* refused(runId, codec, () => change)
          assert.strictEqual(error.reason, "corrupt")
          assert.include(error.detail, "maxInflatedBytes")
        }
        assert.isBelow(process.memoryUsage().arrayBuffers - before, 100 * 1024 * 1024)
      }),
    60_000
  )

  it.effect("has a limit without being told, above what is stored by default", () =>
    Effect.gen(function*() {
      const codec = MessageCodec.make(Text)
      assert.strictEqual(codec.maxInflatedBytes, 64 * 1024 * 1024)
      const runId = yield* saved(codec, { messages: [{ content: "a" }] })
      assert.include((yield* refused(runId, codec, () => ({ messages: [bomb(65 * 1024 * 1024)] }))).detail, "67108864")
    }), 60_000)

  it.effect("that would be refused on reading is refused on writing", () =>
    Effect.gen(function*() {
      const codec = MessageCodec.make(Text, { compressAbove: 100, maxInflatedBytes: 10_000 })
      const content = "x".repeat(10_000 - `{"content":""}`.length)
      const runId = yield* saved(codec, { messages: [{ content }] })
      assert.strictEqual((yield* Checkpointer.claim({ runId, codec })).resumed?.messages[0]?.content, content)
      const error = yield* Effect.flip(saved(codec, { messages: [{ content: `${content}x` }] }))
      assert.deepInclude(error, { _tag: "MessageTooLarge", bytes: 10_001, limit: 10_000 })
    }))

  it.effect("does not reach the prototypes of objects", () =>
    Effect.gen(function*() {
      const evil = `{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"content":"a"}`
      const Loose = Schema.Struct({ content: Schema.String, more: Schema.optionalKey(Schema.Json) })
      const runId = yield* saved(MessageCodec.make(Loose), { messages: [{ content: "a" }] })
      const change = () => ({ messages: [`1.1.j.:${evil}`] })
      const read: ReadonlyArray<unknown> = [
        (yield* poisoned(runId, MessageCodec.make(Loose), change)).resumed?.messages[0],
        (yield* poisoned(runId, MessageCodec.json, change)).resumed?.messages[0]
      ]
      for (const one of read) {
        const message = Object(one)
        assert.strictEqual(Reflect.get(message, "content"), "a")
        assert.isUndefined(Reflect.get({}, "polluted"))
        assert.isUndefined(Reflect.get(message, "polluted"))
        assert.strictEqual(Object.getPrototypeOf(message), Object.prototype)
      }
    }))

  it.effect("with forged segments fails at the first message that is not there", () =>
    Effect.gen(function*() {
      const codec = MessageCodec.make(Text)
      const runId = yield* saved(codec, { messages: [{ content: "a" }] })
      for (const segments of [[[0, Number.MAX_SAFE_INTEGER]], [[-5, 0]], [[1e15, 1e15 + 1], [0, 1]]] as const) {
        const error = yield* refused(runId, codec, () => ({ segments }))
        assert.strictEqual(error.reason, "corrupt")
      }
    }))

  it.effect("of another run, another place or another key id is not decrypted, and none says what its key is", () =>
    Effect.gen(function*() {
      const [k, other] = [yield* key(1), yield* key(2)]
      const codec = MessageCodec.make(Text, { encryption: { write: "k", keys: { k, other } } })
      const first = yield* saved(codec, { messages: [{ content: "a" }], notes: "n", workspace: "w" })
      const second = yield* saved(codec, { messages: [{ content: "b" }] })
      const foreign = (yield* Effect.flatMap(CheckpointStore.CheckpointStore, (store) => store.load(second))).messages
      const changes: ReadonlyArray<Change> = [
        () => ({ messages: foreign }),
        ({ notes }) => ({ messages: [notes ?? ""] }),
        ({ workspace }) => ({ notes: workspace }),
        ({ messages }) => ({ messages: messages.map((row) => row.replace(".k:", ".other:")) }),
        ({ messages }) => ({ messages: messages.map((row) => row.replace(".je.", ".ze.")) }),
        ({ messages }) => ({ messages: messages.map((row) => `${row.slice(0, -6)}AAAA${row.slice(-2)}`) }),
        () => ({ messages: [`1.1.j.:{"content":"in the clear"}`] })
      ]
      for (const change of changes) {
        const error = yield* refused(first, codec, change)
        assert.strictEqual(error.reason, "tampered")
        assert.notInclude(JSON.stringify(error), Base64.encode(new Uint8Array(32).fill(1)))
      }
    }))

  it.effect("cannot be told from others by its nonce: each is new, also of the same text in two runs", () =>
    Effect.gen(function*() {
      const codec = MessageCodec.make(Text, { encryption: { write: "k", keys: { k: yield* key(1) } } })
      const messages = Array.from({ length: 500 }, (_, n) => ({ content: `${n}` }))
      const runIds = [yield* saved(codec, { messages }), yield* saved(codec, { messages })]
      const store = yield* CheckpointStore.CheckpointStore
      const rows = (yield* Effect.forEach(runIds, (runId) => store.load(runId))).flatMap(({ messages }) => messages)
      const nonces = rows.map((row) => row.slice("1.1.je.k:".length).slice(0, 16))
      assert.lengthOf(nonces, 1000)
      assert.strictEqual(new Set(nonces).size, 1000)
    }))
})

describe("security: an agent that says too much", () => {
  it.live("leaves a record of bounded size", () =>
    Effect.gen(function*() {
      const huge = "x".repeat(100_000)
      const agent = Agent.make("talker", {
        message: Schema.String,
        run: (ctx) =>
          Effect.gen(function*() {
            for (let n = 0; n < 2_000; n++) {
              yield* ctx.warn(`${n} ${huge}`)
              yield* ctx.touch(`https://example.com/${n}`)
              yield* ctx.touch(`https://example.com/${n}?${huge}`)
              yield* ctx.touch(`javascript:alert(${n})`)
            }
          })
      })
      const run = yield* Effect.flatMap(Agent.start(agent), ({ record }) => record)
      assert.isAtMost(run.touchedIssueUrls.length, 200)
      assert.isAtMost(run.warnings.length, 201)
      assert.isTrue(run.touchedIssueUrls.every((url) => url.startsWith("https://example.com/") && url.length < 2048))
      assert.isBelow(JSON.stringify(run).length, 512 * 1024)
      const runs = yield* RunStore.RunStore
      assert.isBelow(JSON.stringify(yield* runs.get(run.runId)).length, 512 * 1024)
    }).pipe(Effect.provide(Layer.provideMerge(AgentSupervisor.layer, stores)), Effect.provide(quiet)))
})
