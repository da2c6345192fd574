import { assert, describe, it } from "@effect/vitest"
import type { CheckpointStore, Delta } from "@everbeat/core/CheckpointStore"
import type { Lease } from "@everbeat/core/Lease"
import { Effect, Fiber, Result } from "effect"
import { countingProxy } from "./support/counter.ts"
import { hostPool } from "./support/database.ts"
import { append, begun, freshStore, inputOf, recordOf, ttl, waitingFor, whileLocked } from "./support/fixtures.ts"

type Store = CheckpointStore["Service"]

const begunRuns = (store: Store, size: number) =>
  Effect.forEach(Array.from({ length: size }), () => begun(store), { concurrency: "unbounded" })

/** What became of each: its tag, or the reason of the store. */
const outcomes = <A, E extends { readonly _tag: string }>(effects: ReadonlyArray<Effect.Effect<A, E>>) =>
  Effect.map(
    Effect.forEach(effects, Effect.result, { concurrency: "unbounded" }),
    (results) =>
      results.map((result) => {
        if (Result.isSuccess(result)) return "ok"
        const { failure } = result
        return "reason" in failure ? failure.reason : failure._tag
      })
  )

const saved = (store: Store, { runId }: Lease) => Effect.map(store.load(runId), ({ messages }) => messages)

describe("requests that share a statement", () => {
  it.live("each get an answer of their own", () =>
    Effect.gen(function*() {
      const { count, url } = yield* countingProxy
      const { checkpoints } = yield* freshStore({ connectionString: url })
      const leases = yield* begunRuns(checkpoints, 7)
      const [good, fenced, conflict, gone, odd, last, heads] = leases
      assert(good && fenced && conflict && gone && odd && last && heads)
      yield* checkpoints.delete(gone)
      const before = count.statements
      const found = yield* outcomes([
        checkpoints.save(good, append(0, ["a", "b"])),
        checkpoints.save({ ...fenced, fence: fenced.fence + 1 }, append(0, ["no"])),
        checkpoints.save(conflict, append(5, ["no"])),
        checkpoints.save(gone, append(0, ["no"])),
        checkpoints.save(odd, append(0, ["\0\ud83d\u0010"])),
        checkpoints.save({ ...last, owner: "somebody else" }, append(0, ["no"])),
        checkpoints.save(heads, append(0, [], { notes: "n" }))
      ])
      assert.strictEqual(count.statements - before, 1)
      assert.deepStrictEqual(found, ["ok", "Fenced", "Conflict", "Gone", "ok", "Fenced", "ok"])

      assert.deepStrictEqual(yield* saved(checkpoints, good), ["a", "b"])
      assert.deepStrictEqual(yield* saved(checkpoints, odd), ["\0\ud83d\u0010"])
      for (const lease of [fenced, conflict, last, heads]) assert.deepStrictEqual(yield* saved(checkpoints, lease), [])
    }).pipe(Effect.scoped))

  it.live("keep their texts apart: empty ones, absent ones, and those that look like what is in between", () =>
    Effect.gen(function*() {
      const { checkpoints } = yield* freshStore()
      const texts = [
        "",
        "\u001e",
        "\u001f",
        "\u001e\u001f",
        "{}",
        "{NULL,\"a\"}",
        "null",
        "NULL",
        "\\",
        "\"",
        ",",
        "plain"
      ]
      const inputs = texts.map((text, n) =>
        inputOf({ owner: text, meta: n % 2 === 0 ? { callerId: text, prompt: text } : {} })
      )
      const leases = yield* Effect.forEach(inputs, (input) => begun(checkpoints, input), { concurrency: "unbounded" })
      const deltas = texts.map((text, n) =>
        n % 3 === 0 ? append(0, [text]) : n % 3 === 1
          ? append(0, [text, "", text], { notes: text, phase: text, completedPhases: [text] })
          : append(0, [], { workspace: text })
      )
      const both = leases.map((lease, n) => [lease, deltas[n] ?? append(0, [])] as const)
      yield* Effect.forEach(both, ([lease, delta]) => checkpoints.save(lease, delta), { concurrency: "unbounded" })
      for (const [n, [{ runId }, { completedPhases = [], notes, phase = "", rows, workspace }]] of both.entries()) {
        const checkpoint = yield* checkpoints.load(runId)
        assert.deepStrictEqual(checkpoint.messages, rows)
        assert.deepStrictEqual(
          [checkpoint.notes, checkpoint.workspace, checkpoint.phase, checkpoint.completedPhases],
          [notes, workspace, phase, completedPhases]
        )
        assert.strictEqual(checkpoint.attempts[0]?.owner, texts[n])
        assert.strictEqual(checkpoint.callerId, inputs[n]?.meta.callerId)
      }
      const renewals = yield* checkpoints.renew(leases, ttl)
      assert.isTrue(renewals.every(({ state }) => state === "renewed"))
      const [first] = leases
      assert(first?.owner === "")
      assert.deepStrictEqual((yield* checkpoints.renew([first], ttl)).map(({ state }) => state), ["renewed"])
    }).pipe(Effect.scoped))

  it.live("are saved beside values that the server or the driver refuses", () =>
    Effect.gen(function*() {
      const { checkpoints } = yield* freshStore()
      const leases = yield* begunRuns(checkpoints, 6)
      // What no typed caller sends.
      const wrong: ReadonlyArray<Partial<Record<keyof Delta, unknown>>> = [
        {},
        { rows: [42] },
        { iteration: 0.5 },
        {},
        { segments: 1n },
        { position: Number.NaN }
      ]
      const found = yield* outcomes(
        leases.map((lease, n) => checkpoints.save(lease, { ...append(0, ["a"]), ...wrong[n] } as Delta))
      )
      assert.deepStrictEqual(found, ["ok", "unknown", "refused", "ok", "unknown", "refused"])

      for (const lease of [leases[0], leases[3]]) {
        assert(lease !== undefined)
        assert.deepStrictEqual(yield* saved(checkpoints, lease), ["a"])
      }
    }).pipe(Effect.scoped))

  it.live("begin and settle beside one that is refused", () =>
    Effect.gen(function*() {
      const { checkpoints } = yield* freshStore()
      const long = Array.from({ length: 2_000 }, () => inputOf().meta.runId).join("")
      const inputs = Array.from({ length: 5 }, (_, n) =>
        inputOf({ idempotency: { key: n === 2 ? long : `key ${n}`, fingerprint: "payload" } }))
      const begins = inputs.map((input) =>
        begun(checkpoints, input)
      )
      const leases: Array<Lease> = []
      const found = yield* outcomes(begins.map((begin) => Effect.map(begin, (lease) => void leases.push(lease))))
      assert.deepStrictEqual(found, ["ok", "ok", "refused", "ok", "ok"])

      const settled = yield* outcomes(leases.map((lease, n) => {
        const input = inputs.find(({ meta }) => meta.runId === lease.runId)
        assert(input !== undefined)
        return checkpoints.settle(n === 1 ? { ...lease, fence: 1e30 } : lease, recordOf(input))
      }))
      assert.deepStrictEqual(settled, ["ok", "refused", "ok", "ok"])
    }).pipe(Effect.scoped))

  it.live("do not fail with the one that waits too long for a lock", () =>
    Effect.gen(function*() {
      const admin = yield* hostPool()
      for (const timeout of [{ statement_timeout: 200 }, { lock_timeout: 200 }]) {
        const { checkpoints, schema } = yield* freshStore(timeout)
        const leases = yield* begunRuns(checkpoints, 6)
        const [locked] = leases
        assert(locked !== undefined)
        const found = yield* whileLocked(
          admin,
          schema,
          locked.runId,
          outcomes(leases.map((lease) => checkpoints.save(lease, append(0, ["a"]))))
        )
        assert.deepStrictEqual(found, ["timeout", "ok", "ok", "ok", "ok", "ok"])
      }
    }).pipe(Effect.scoped))

  it.live("are saved when a caller beside them is interrupted", () =>
    Effect.gen(function*() {
      const admin = yield* hostPool()
      const { checkpoints, schema } = yield* freshStore()
      const leases = yield* begunRuns(checkpoints, 6)
      const [locked, ...others] = leases
      assert(locked !== undefined)
      const fibers = yield* whileLocked(
        admin,
        schema,
        locked.runId,
        Effect.gen(function*() {
          const fibers = yield* Effect.forEach(
            leases,
            (lease) => Effect.forkChild(checkpoints.save(lease, append(0, ["a"])))
          )
          yield* waitingFor(admin, schema)
          for (const fiber of fibers.slice(0, 2)) yield* Fiber.interrupt(fiber)
          return fibers.slice(2)
        })
      )
      yield* Effect.forEach(fibers, Fiber.join)

      for (const lease of others) assert.deepStrictEqual(yield* saved(checkpoints, lease), ["a"])
    }).pipe(Effect.scoped))

  it.live("are not sent any more when their caller was interrupted while they waited", () =>
    Effect.gen(function*() {
      const admin = yield* hostPool()
      const { checkpoints, schema } = yield* freshStore()
      const leases = yield* begunRuns(checkpoints, 4)
      const [first, second, third, fourth] = leases
      assert(first && second && third && fourth)
      const save = (lease: Lease) => Effect.forkChild(checkpoints.save(lease, append(0, ["a"])))
      // Both lanes wait for a lock: the rest has to wait for a lane.
      const kept = yield* whileLocked(
        admin,
        schema,
        first.runId,
        whileLocked(
          admin,
          schema,
          second.runId,
          Effect.gen(function*() {
            const busy = [yield* save(first)]
            yield* waitingFor(admin, schema)
            busy.push(yield* save(second))
            yield* waitingFor(admin, schema, 2)
            const [abandoned, kept] = [yield* save(third), yield* save(fourth)]
            yield* Effect.yieldNow
            yield* Fiber.interrupt(abandoned)
            return [...busy, kept]
          })
        )
      )
      yield* Effect.forEach(kept, Fiber.join)

      assert.deepStrictEqual(yield* saved(checkpoints, third), [])
      assert.deepStrictEqual(yield* saved(checkpoints, fourth), ["a"])
    }).pipe(Effect.scoped))
})
