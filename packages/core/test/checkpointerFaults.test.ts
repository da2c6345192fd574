import { assert, it } from "@effect/vitest"
import { AgentName, Checkpointer, CheckpointStore, MessageCodec, type RunId, RunStore } from "@everbeat/core"
import { Deferred, Effect, Exit, Fiber, Schema, SchemaGetter, Scope } from "effect"
import { Aead } from "effect/crypto"
import { TestClock } from "effect/testing"
import { stores, unavailable, Wire } from "./support.ts"

const meta = { agentName: AgentName.make("coder") }

const wired = Effect.gen(function*() {
  const wire = new Wire()
  return { wire, store: wire.wrap(yield* CheckpointStore.CheckpointStore) }
})
const load = (runId: RunId.RunId) => Effect.flatMap(CheckpointStore.CheckpointStore, (store) => store.load(runId))
const contents = (runId: RunId.RunId) =>
  Effect.map(
    load(runId),
    ({ messages }) => messages.map((text): unknown => JSON.parse(text.slice(text.indexOf(":") + 1)).content)
  )

type Message = {
  content: string
}
const message = (content: string): Message => ({ content })

/** A codec that waits before it has encoded `slow`. */
const gated = (gate: Effect.Effect<void>) => {
  const text = Schema.String.pipe(Schema.decodeTo(Schema.String, {
    decode: SchemaGetter.passthrough(),
    encode: SchemaGetter.transformEffect((value: string) =>
      value === "slow" ? Effect.as(gate, value) : Effect.succeed(value)
    )
  }))
  return MessageCodec.make(Schema.Struct({ content: text }))
}

/** Holds the next save of the store back, until it is let go. */
const heldBack = (wire: Wire) =>
  Effect.gen(function*() {
    const arrived = yield* Deferred.make<void>()
    const release = yield* Deferred.make<void>()
    wire.before = (operation) => {
      if (operation !== "save") return Effect.void
      wire.before = () => Effect.void
      return Effect.andThen(Deferred.succeed(arrived, undefined), Deferred.await(release))
    }
    return { arrived: Deferred.await(arrived), release: Deferred.succeed(release, undefined) }
  })

it.layer(stores)("Checkpointer, against odds", (it) => {
  it.effect("a message that was encoded while an earlier save ended is stored as it was when it was saved", () =>
    Effect.gen(function*() {
      const { store, wire } = yield* wired
      const gate = yield* Deferred.make<void>()
      const checkpointer = yield* Checkpointer.make({ store, meta, codec: gated(Deferred.await(gate)) })
      const under = yield* heldBack(wire)
      const [first, second, slow] = [message("first"), message("second"), message("slow")]
      yield* checkpointer.save({ messages: [first] })
      yield* under.arrived
      const saving = yield* Effect.forkChild(checkpointer.save({ messages: [first, second, slow] }))
      const flushing = yield* Effect.forkChild(checkpointer.flush)
      yield* Effect.yieldNow
      yield* under.release
      yield* Fiber.join(flushing)
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(saving)
      second.content = "changed after it was saved"
      yield* checkpointer.flush

      assert.deepStrictEqual(yield* contents(checkpointer.runId), ["first", "second", "slow"])
    }))

  it.effect("a message that comes back while its removal is written is stored as it was when it was saved", () =>
    Effect.gen(function*() {
      for (const verify of ["identity", "hash"] as const) {
        const { store, wire } = yield* wired
        const checkpointer = yield* Checkpointer.make({ store, meta, verify })
        const [first, second] = [message("first"), message("second")]
        yield* checkpointer.save({ messages: [first, second] })
        yield* checkpointer.flush
        const under = yield* heldBack(wire)
        yield* checkpointer.save({ messages: [second] })
        yield* under.arrived
        yield* checkpointer.save({ messages: [first, second] })
        first.content = "changed after it was saved"
        yield* under.release
        yield* checkpointer.flush
        assert.deepStrictEqual(yield* contents(checkpointer.runId), ["first", "second"])

        // A copy is not taken for the one that was changed.
        yield* checkpointer.save({ messages: [message("first"), message("second")] })
        yield* checkpointer.flush
        assert.deepStrictEqual(yield* contents(checkpointer.runId), ["first", "second"])
      }
    }))

  it.effect("a rewrite stores nothing that was changed in place after it was saved", () =>
    Effect.gen(function*() {
      const checkpointer = yield* Checkpointer.make({ meta, verify: "hash", throttle: "1 hour" })
      const all = Array.from({ length: 300 }, (_, n) => message(`m${n}`))
      yield* checkpointer.save({ messages: all })
      const odd = all.filter((_, n) => n % 2 === 0)
      yield* checkpointer.save({ messages: odd })
      const saved = odd.map(({ content }) => content)
      all[10] = Object.assign(all[10] ?? assert.fail(), { content: "changed" })
      yield* checkpointer.flush
      assert.deepStrictEqual(yield* contents(checkpointer.runId), saved)

      yield* checkpointer.save({ messages: odd })
      yield* checkpointer.flush
      assert.deepStrictEqual(yield* contents(checkpointer.runId), odd.map(({ content }) => content))
      assert.lengthOf((yield* load(checkpointer.runId)).segments, 1)
    }))

  it.effect("a message that can no longer be stored does not hold up the saves after it", () =>
    Effect.gen(function*() {
      const codec = MessageCodec.make(Schema.Struct({ content: Schema.Any }))
      const checkpointer = yield* Checkpointer.make({ meta, codec })
      const all = Array.from({ length: 300 }, (_, n): { content: unknown } => ({ content: `m${n}` }))
      yield* checkpointer.save({ messages: all })
      yield* checkpointer.flush
      const odd = all.filter((_, n) => n % 2 === 0)
      const before = odd.map(({ content }) => content)
      Object.assign(odd[3] ?? assert.fail(), { content: 1n })
      yield* checkpointer.save({ messages: odd })
      yield* checkpointer.flush

      assert.deepStrictEqual(yield* contents(checkpointer.runId), before)
    }))

  it.effect("what a caller makes of the loaded history does not change what is stored", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const first = yield* Scope.provide(Checkpointer.make({ meta }), scope)
      yield* first.save({ messages: [{ content: "a" }, { content: "b" }, { content: "c" }] })
      yield* Scope.close(scope, Exit.void)
      const second = yield* Checkpointer.claim({ runId: first.runId })
      const loaded = (second.resumed?.messages ?? []) as Array<Schema.Json>
      loaded.shift()
      yield* second.save({ messages: loaded })
      yield* second.flush

      assert.deepStrictEqual(yield* contents(first.runId), ["b", "c"])
    }))

  it.effect("a save that is interrupted while it is encoded changes nothing, and the next goes on", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const checkpointer = yield* Checkpointer.make({ meta, codec: gated(Deferred.await(gate)) })
      const [first, second, slow] = [message("first"), message("second"), message("slow")]
      yield* checkpointer.save({ messages: [first], iteration: 1 })
      const saving = yield* Effect.forkChild(checkpointer.save({ messages: [first, second, slow], iteration: 2 }))
      yield* checkpointer.flush
      yield* Fiber.interrupt(saving)
      yield* checkpointer.save({ phase: "after" })
      yield* checkpointer.flush
      assert.deepInclude(yield* load(checkpointer.runId), { iteration: 1, phase: "after", position: 1 })

      yield* checkpointer.save({ messages: [first, second], iteration: 3 })
      yield* checkpointer.flush
      assert.deepStrictEqual(yield* contents(checkpointer.runId), ["first", "second"])
    }))

  it.effect("an end whose answers were all lost may be repeated, and answers what is stored", () =>
    Effect.gen(function*() {
      const runs = yield* RunStore.RunStore
      for (const meanwhile of ["nothing", "a save", "a renewal"] as const) {
        const { store, wire } = yield* wired
        const checkpointer = yield* Checkpointer.make({ store, meta })
        wire.after = (operation) => operation === "settle" ? Effect.fail(unavailable("settle")) : Effect.void
        wire.before = (operation, count) =>
          operation === "settle" && count > 2 ? Effect.fail(unavailable("settle")) : Effect.void
        const ending = yield* Effect.forkChild(Effect.flip(checkpointer.complete({ summary: "done" })))
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual((yield* Fiber.join(ending))._tag, "StoreError")
        wire.before = wire.after = () => Effect.void
        if (meanwhile === "a save") {
          yield* Effect.exit(checkpointer.save({ iteration: 1 }))
          yield* Effect.exit(checkpointer.flush)
        }
        if (meanwhile === "a renewal") yield* TestClock.adjust("11 seconds")
        // The caller may have come to another conclusion: what was recorded counts.
        const run = yield* checkpointer.fail("no answer")

        assert.deepStrictEqual(run, yield* runs.get(checkpointer.runId))
        assert.deepInclude(run, { status: "ok", summary: "done" })
      }
    }))

  it.effect("a run whose beginning had no answer is found and held", () =>
    Effect.gen(function*() {
      const { store, wire } = yield* wired
      wire.after = (operation) => operation === "begin" ? Effect.fail(unavailable("begin")) : Effect.void
      const checkpointer = yield* Checkpointer.make({ store, meta })
      wire.after = () => Effect.void
      yield* checkpointer.save({ iteration: 1 })
      yield* checkpointer.flush
      assert.deepInclude(yield* load(checkpointer.runId), { iteration: 1, status: "running" })
      assert.strictEqual((yield* checkpointer.complete()).status, "ok")

      wire.before = (operation) => operation === "begin" ? Effect.fail(unavailable("begin")) : Effect.void
      const failure = yield* Effect.flip(Checkpointer.make({ store, meta }))
      assert.deepInclude(failure, { _tag: "StoreError", operation: "begin" })
    }))

  it.effect("an iteration that is not a whole number is refused at once, and the state before it stays", () =>
    Effect.gen(function*() {
      const checkpointer = yield* Checkpointer.make({ meta })
      yield* checkpointer.save({ iteration: 1 })
      for (const iteration of [0.5, Number.NaN, Infinity, 2 ** 60]) {
        const error = yield* Effect.flip(checkpointer.save({ iteration, phase: "wrong" }))
        assert.deepInclude(error, { _tag: "Unencodable", path: "iteration" })
      }
      yield* checkpointer.flush
      assert.deepInclude(yield* load(checkpointer.runId), { iteration: 1, phase: "" })
    }))

  it.effect("a cyclic message is refused, also by the codec of JSON", () =>
    Effect.gen(function*() {
      const checkpointer = yield* Checkpointer.make({ meta })
      const cyclic: Record<string, Schema.Json> = { content: "a" }
      cyclic["self"] = cyclic
      const error = yield* Effect.flip(checkpointer.save({ messages: [{ content: "good" }, cyclic] }))
      assert.strictEqual(error._tag, "Unencodable")
      assert.match(error.message, /^messages\[1\]/)
      yield* checkpointer.save({ messages: [{ content: "good" }] })
      yield* checkpointer.flush
      assert.deepStrictEqual(yield* contents(checkpointer.runId), ["good"])
    }))

  it.effect("a rewrite leaves no row of an old key behind", () =>
    Effect.gen(function*() {
      const key = (byte: number) => Aead.key(Aead.aes256Gcm, new Uint8Array(32).fill(byte))
      const [k1, k2] = [yield* key(1), yield* key(2)]
      const of = (write: string, keys: Record<string, Aead.Key>) =>
        MessageCodec.make(Schema.Struct({ content: Schema.String }), { encryption: { write, keys } })
      const scope = yield* Scope.make()
      const first = yield* Scope.provide(Checkpointer.make({ meta, codec: of("k1", { k1 }) }), scope)
      yield* first.save({ messages: Array.from({ length: 300 }, (_, n) => message(`m${n}`)) })
      yield* Scope.close(scope, Exit.void)
      const rotating = yield* Scope.make()
      const codec = of("k2", { k1, k2 })
      const second = yield* Scope.provide(Checkpointer.claim({ runId: first.runId, codec }), rotating)
      const odd = (second.resumed?.messages ?? []).filter((_, n) => n % 2 === 0)
      yield* second.save({ messages: odd })
      yield* Scope.close(rotating, Exit.void)
      const third = yield* Checkpointer.claim({ runId: first.runId, codec: of("k2", { k2 }) })

      assert.deepStrictEqual(third.resumed?.messages, odd)
    }))

  it.effect("a save that the store does not answer is let go of with the scope", () =>
    Effect.gen(function*() {
      const { store, wire } = yield* wired
      const scope = yield* Scope.make()
      const checkpointer = yield* Scope.provide(Checkpointer.make({ store, meta, storeTimeout: "1 hour" }), scope)
      let letGo = false
      wire.before = (operation) =>
        operation === "save"
          ? Effect.onInterrupt(Effect.never, () =>
            Effect.sync(() => {
              letGo = true
            }))
          : Effect.never
      yield* checkpointer.save({ iteration: 1 })
      const agent = yield* Effect.forkChild(Effect.flip(checkpointer.guard(Effect.never)))
      yield* TestClock.adjust("27 seconds")
      assert.strictEqual((yield* Fiber.join(agent))._tag, "LeaseLost")
      assert.isFalse(letGo)
      yield* Scope.close(scope, Exit.void)
      yield* Effect.yieldNow

      assert.isTrue(letGo)
    }))

  it.effect("a key that JSON would leave out is refused", () =>
    Effect.gen(function*() {
      const codec = MessageCodec.make(Schema.Struct({ content: Schema.Any }))
      const checkpointer = yield* Checkpointer.make({ meta, codec })
      const error = yield* Effect.flip(checkpointer.save({ messages: [{ content: [{ [Symbol("secret")]: 1 }] }] }))
      assert.deepInclude(error, { _tag: "Unencodable", path: "messages[0].content[0]" })
      assert.include(error.message, "Symbol(secret)")
    }))
})
