/**
 * Cases of a checkpointer on the store while saves are lost, late or refused.
 *
 * @since 0.1.0
 */
import { assert } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { Json } from "effect/Schema"
import * as Checkpointer from "../../Checkpointer.ts"
import type { RunId } from "../../RunId.ts"
import { RunStore } from "../../RunStore.ts"
import { type Case, check } from "../Conformance.ts"
import * as Agents from "../internal/agents.ts"
import * as Fixtures from "../internal/fixtures.ts"
import { holdBack, passing, unavailable, wired } from "../internal/wire.ts"

const history = (length: number): ReadonlyArray<Json> => Array.from({ length }, (_, n) => Agents.user(`m${n}`))

/**
 * What holds for a checkpointer on the store, whatever happens on the way to it.
 *
 * @category testing
 * @since 0.1.0
 */
export const cases: ReadonlyArray<Case> = [
  check(
    "writes one state at a time, and the newest last",
    Effect.scoped(Effect.gen(function*() {
      const wire = yield* wired
      const checkpointer = yield* Agents.agent({ store: wire.store })
      const under = yield* holdBack(wire)
      yield* checkpointer.save({ iteration: 1 })
      yield* under.arrived
      const updates = Array.from({ length: 40 }, (_, n) => ({ iteration: n + 2, messages: history(n) }))
      yield* Effect.forEach(updates, (update) => checkpointer.save(update), { concurrency: "unbounded" })
      assert.lengthOf(wire.sent, 1)
      yield* under.release
      yield* passing(checkpointer.flush)

      assert.lengthOf(wire.sent, 2)
      const { checkpoint, values } = yield* Agents.stored(checkpointer.runId)
      assert.strictEqual(checkpoint.iteration, 41)
      assert.deepStrictEqual(values, [...history(39)])
    }))
  ),
  check(
    "sends as much with the two thousandth message as with the second",
    Effect.scoped(Effect.gen(function*() {
      const wire = yield* wired
      const checkpointer = yield* Agents.agent({ store: wire.store })
      const bytes = Effect.fnUntraced(function*(messages: ReadonlyArray<Json>) {
        wire.sent.length = 0
        yield* checkpointer.save({ messages })
        yield* checkpointer.flush
        assert.lengthOf(wire.sent, 1)
        return JSON.stringify(wire.sent).length
      })
      const all = history(2_000)
      yield* bytes(all.slice(0, 100))
      const early = yield* bytes(all.slice(0, 102))
      yield* bytes(all.slice(0, 1_998))
      const late = yield* bytes(all)

      // Numbers have more digits.
      assert.isAtMost(late, early + 20)
    }))
  ),
  check(
    "keeps the messages of a save that is delivered twice once, and its owner goes on",
    Effect.scoped(Effect.gen(function*() {
      const wire = yield* wired
      const checkpointer = yield* Agents.agent({ store: wire.store })
      wire.deliver = (save) => (lease, delta) => Effect.andThen(Effect.ignore(save(lease, delta)), save(lease, delta))
      for (let count = 1; count <= 5; count++) {
        yield* checkpointer.save({ messages: history(count), iteration: count })
        yield* passing(checkpointer.flush)
      }
      const { checkpoint, values } = yield* Agents.stored(checkpointer.runId)

      assert.deepStrictEqual(values, [...history(5)])
      assert.deepInclude(checkpoint, { iteration: 5, position: 5 })
    }))
  ),
  ...(["the same", "more", "other"] as const).map((next) =>
    check(
      `finds a save whose answer was lost by reading it back, when it then saves ${next}`,
      Effect.scoped(Effect.gen(function*() {
        const wire = yield* wired
        const checkpointer = yield* Agents.agent({ store: wire.store })
        const [a, b] = [Agents.user("a"), Agents.user("b")]
        yield* checkpointer.save({ messages: [a], phase: "one" })
        yield* checkpointer.flush
        const done = yield* Deferred.make<void>()
        wire.after = () => {
          wire.after = () => Effect.void
          return Effect.andThen(Deferred.succeed(done, undefined), Effect.fail(unavailable("save")))
        }
        yield* checkpointer.save({ messages: [a, b], phase: "two" })
        yield* Deferred.await(done)
        const messages = next === "the same" ? [a, b] : next === "more" ? [a, b, Agents.user("c")] : [Agents.user("s")]
        yield* checkpointer.save({ messages, phase: "one" })
        yield* passing(checkpointer.flush)
        const { checkpoint, values } = yield* Agents.stored(checkpointer.runId)

        assert.deepStrictEqual(values, messages)
        assert.strictEqual(checkpoint.phase, "one")
        assert.isAtMost(checkpoint.position, 3)
      }))
    )
  ),
  check(
    "is not undone by a save that was given up and arrives late",
    Effect.scoped(Effect.gen(function*() {
      const wire = yield* wired
      const checkpointer = yield* Agents.agent({ store: wire.store })
      let late: Effect.Effect<unknown, { readonly _tag: string }> | undefined
      wire.deliver = (save) => (lease, delta) => {
        if (delta.phase !== "old") return save(lease, delta)
        late = save(lease, delta)
        return Effect.fail(unavailable("save"))
      }
      yield* checkpointer.save({ phase: "old" })
      yield* checkpointer.save({ phase: "new" })
      yield* passing(checkpointer.flush)
      const refused = yield* Effect.flip(late ?? Effect.die("no save was sent"))

      assert.strictEqual(refused._tag, "Conflict")
      assert.strictEqual((yield* Agents.stored(checkpointer.runId)).checkpoint.phase, "new")
    }))
  ),
  check(
    "brings nothing back with a late save after the run was deleted or settled",
    Effect.gen(function*() {
      const runs = yield* RunStore
      for (const end of ["delete", "settle"] as const) {
        yield* Effect.scoped(Effect.gen(function*() {
          const wire = yield* wired
          const checkpointer = yield* Agents.agent({ store: wire.store })
          const lease = checkpointer.lease ?? assert.fail()
          yield* checkpointer.save({ messages: history(2) })
          yield* checkpointer.flush
          const under = yield* holdBack(wire)
          yield* checkpointer.save({ messages: history(3) })
          yield* under.arrived
          const run = yield* Fixtures.inputOf()
          if (end === "delete") yield* wire.store.delete(lease)
          else {
            const meta = { ...run.meta, runId: lease.runId }
            yield* wire.store.settle(
              lease,
              yield* Fixtures.recordOf({ input: { ...run, meta }, meta, runId: lease.runId, lease })
            )
          }
          yield* under.release
          yield* Fixtures.refused(passing(checkpointer.flush), "LeaseLost")
          yield* Fixtures.refused(wire.store.load(lease.runId), "RunNotFound")
          if (end === "delete") yield* Fixtures.refused(runs.get(lease.runId), "RunNotFound")
          else assert.strictEqual((yield* runs.get(lease.runId)).status, "ok")
        }))
      }
    })
  ),
  check(
    "never lets the save of a replaced owner become the latest, and stops that owner",
    Effect.scoped(Effect.gen(function*() {
      const wire = yield* wired
      const zombie = yield* Agents.agent({ store: wire.store })
      yield* zombie.save({ messages: history(1), iteration: 1 })
      yield* zombie.flush
      const under = yield* holdBack(wire)
      const work = yield* Effect.forkChild(Effect.flip(zombie.guard(Effect.never)))
      yield* zombie.save({ messages: history(3), iteration: 3, phase: "zombie" })
      yield* under.arrived
      // It hangs for so long that another process takes its place.
      yield* wire.store.release(zombie.lease ?? assert.fail())
      const heir = yield* Checkpointer.claim({ ...Agents.patient, runId: zombie.runId })
      yield* heir.save({
        messages: [...heir.resumed?.messages ?? [], Agents.user("heir")],
        iteration: 2,
        phase: "heir"
      })
      yield* heir.flush
      yield* under.release

      assert.strictEqual((yield* passing(Fiber.join(work)))._tag, "LeaseLost")
      yield* Fixtures.refused(zombie.save({ iteration: 9 }), "LeaseLost")
      yield* Fixtures.refused(zombie.complete(), "LeaseLost")
      const { checkpoint, values } = yield* Agents.stored(zombie.runId)
      assert.deepStrictEqual(values, [Agents.user("m0"), Agents.user("heir")])
      assert.deepInclude(checkpoint, { iteration: 2, phase: "heir", status: "running" })
    }))
  ),
  check(
    "leaves the newest state of an interrupted agent, for anybody, at once",
    Effect.gen(function*() {
      const made = yield* Deferred.make<RunId>()
      const work = Effect.scoped(Effect.gen(function*() {
        const checkpointer = yield* Agents.agent({ throttle: "1 minute" })
        yield* checkpointer.save({ messages: history(1), iteration: 1 })
        yield* checkpointer.save({ messages: history(4), iteration: 2, notes: "n" })
        yield* Deferred.succeed(made, checkpointer.runId)
        return yield* Effect.never
      }))
      const fiber = yield* Effect.forkChild(work)
      const runId = yield* Deferred.await(made)
      yield* Fiber.interrupt(fiber)
      yield* Effect.scoped(Effect.gen(function*() {
        const next = yield* Checkpointer.claim({ ...Agents.patient, runId })
        assert.deepInclude(next.resumed, { iteration: 2, notes: "n" })
        assert.deepStrictEqual(next.resumed?.messages, history(4))
      }))
    })
  ),
  check(
    "goes on while the store is down, and has the newest state when it is back",
    Effect.scoped(Effect.gen(function*() {
      const wire = yield* wired
      const checkpointer = yield* Agents.agent({ store: wire.store })
      yield* checkpointer.save({ messages: history(1) })
      yield* checkpointer.flush
      wire.down = true
      for (let count = 2; count <= 6; count++) yield* checkpointer.save({ messages: history(count), iteration: count })
      yield* Fixtures.refused(passing(checkpointer.flush), "StoreError")
      yield* checkpointer.save({ messages: history(7), iteration: 7 })
      wire.down = false
      yield* passing(checkpointer.flush)

      const { checkpoint, values } = yield* Agents.stored(checkpointer.runId)
      assert.deepStrictEqual(values, [...history(7)])
      assert.strictEqual(checkpoint.iteration, 7)
    }))
  )
]
