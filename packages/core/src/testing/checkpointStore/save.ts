/**
 * Cases of saving progress.
 *
 * @since 0.1.0
 */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { CheckpointStore } from "../../CheckpointStore.ts"
import { type Case, check, StoreTime } from "../Conformance.ts"
import * as Fixtures from "../internal/fixtures.ts"

/**
 * What holds when the owner of a run saves.
 *
 * @category testing
 * @since 0.1.0
 */
export const cases: ReadonlyArray<Case> = [
  check(
    "appends rows and answers the next free one",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { lease, runId } = yield* Fixtures.started()
      const first = yield* store.save(lease, Fixtures.append(0, ["a", "b"]))
      const second = yield* store.save(lease, Fixtures.append(2, ["c"]))
      const checkpoint = yield* store.load(runId)

      assert.deepStrictEqual(first, { position: 2, cancelRequested: false })
      assert.deepStrictEqual(second, { position: 3, cancelRequested: false })
      assert.strictEqual(checkpoint.position, 3)
      assert.deepStrictEqual(checkpoint.messages, ["a", "b", "c"])
      assert.deepStrictEqual(checkpoint.segments, [[0, 3]])
    })
  ),
  check(
    "saves all other fields",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { lease, runId } = yield* Fixtures.started()
      yield* store.save(
        lease,
        Fixtures.append(0, [], {
          iteration: 7,
          phase: "review",
          completedPhases: ["plan", "code"],
          notes: "{\"n\":1}",
          workspace: "{\"ref\":\"abc\"}"
        })
      )
      const checkpoint = yield* store.load(runId)

      assert.strictEqual(checkpoint.iteration, 7)
      assert.strictEqual(checkpoint.phase, "review")
      assert.deepStrictEqual(checkpoint.completedPhases, ["plan", "code"])
      assert.strictEqual(checkpoint.notes, "{\"n\":1}")
      assert.strictEqual(checkpoint.workspace, "{\"ref\":\"abc\"}")
      assert.deepStrictEqual(checkpoint.messages, [])
    })
  ),
  check(
    "leaves absent fields unchanged",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { lease, runId } = yield* Fixtures.started()
      yield* store.save(
        lease,
        Fixtures.append(0, ["a"], {
          iteration: 7,
          phase: "review",
          completedPhases: ["plan"],
          notes: "notes",
          workspace: "workspace"
        })
      )
      yield* store.save(lease, Fixtures.append(1, ["b"]))
      yield* store.save(lease, Fixtures.append(2, [], { notes: undefined, phase: undefined, iteration: 8 }))
      const checkpoint = yield* store.load(runId)

      assert.strictEqual(checkpoint.iteration, 8)
      assert.strictEqual(checkpoint.phase, "review")
      assert.deepStrictEqual(checkpoint.completedPhases, ["plan"])
      assert.strictEqual(checkpoint.notes, "notes")
      assert.strictEqual(checkpoint.workspace, "workspace")
      assert.deepStrictEqual(checkpoint.messages, ["a", "b"])
    })
  ),
  check(
    "takes empty values for values",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { lease, runId } = yield* Fixtures.started()
      const full = { iteration: 7, phase: "review", completedPhases: ["plan"], notes: "notes", workspace: "workspace" }
      yield* store.save(lease, Fixtures.append(0, [], full))
      const empty = { iteration: 0, phase: "", completedPhases: [], notes: "", workspace: "" }
      yield* store.save(lease, Fixtures.append(0, [""], empty))
      const checkpoint = yield* store.load(runId)

      assert.strictEqual(checkpoint.iteration, 0)
      assert.strictEqual(checkpoint.phase, "")
      assert.deepStrictEqual(checkpoint.completedPhases, [])
      assert.strictEqual(checkpoint.notes, "")
      assert.strictEqual(checkpoint.workspace, "")
      assert.deepStrictEqual(checkpoint.messages, [""])
    })
  ),
  check(
    "shows progress in reads of heads",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { lease, meta } = yield* Fixtures.started()
      yield* store.save(lease, Fixtures.append(0, ["a"], { iteration: 3, phase: "code", completedPhases: ["plan"] }))
      const { items } = yield* store.listInterrupted({ agentName: meta.agentName, status: ["running"] })

      assert.deepStrictEqual(
        items.map(({ completedPhases, iteration, phase }) => ({ completedPhases, iteration, phase })),
        [{ completedPhases: ["plan"], iteration: 3, phase: "code" }]
      )
    })
  ),
  check(
    "moves the time of the update, not that of the start",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { lease, runId } = yield* Fixtures.started()
      const before = yield* store.load(runId)
      yield* Fixtures.untilExpired
      yield* store.save(lease, Fixtures.append(0, ["a"]))
      const after = yield* store.load(runId)

      assert.strictEqual(after.startedAt.epochMilliseconds, before.startedAt.epochMilliseconds)
      assert.isAbove(after.updatedAt.epochMilliseconds, before.updatedAt.epochMilliseconds)
    })
  ),
  check(
    "renews the lease",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { shortTtl } = yield* StoreTime
      const { lease, runId } = yield* Fixtures.started({ ttl: shortTtl })
      yield* store.save(lease, Fixtures.append(0, ["a"]))
      yield* Fixtures.untilExpired

      yield* Fixtures.refused(Fixtures.takeOver(runId), "LeaseHeld")
    })
  ),
  check(
    "accepts a late save while nobody has claimed the run",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { lease, runId } = yield* Fixtures.expired()
      yield* store.save(lease, Fixtures.append(0, ["late"]))

      yield* Fixtures.refused(Fixtures.takeOver(runId), "LeaseHeld")
      const checkpoint = yield* store.load(runId)
      assert.strictEqual(checkpoint.status, "running")
      assert.deepStrictEqual(checkpoint.messages, ["late"])
      assert.lengthOf(checkpoint.attempts, 1)
    })
  ),
  check(
    "refuses a save that does not start at the next free row, and says which that is",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { lease, runId } = yield* Fixtures.started()
      yield* store.save(lease, Fixtures.append(0, ["a", "b"]))
      for (const position of [0, 1, 3]) {
        const late = Fixtures.append(position, ["x"], { phase: "wrong", notes: "wrong" })
        const error = yield* Fixtures.refused(store.save(lease, late), "Conflict")
        assert.strictEqual(error.runId, runId)
        assert.strictEqual(error.position, 2)
      }
      const checkpoint = yield* store.load(runId)

      assert.deepStrictEqual(checkpoint.messages, ["a", "b"])
      assert.strictEqual(checkpoint.phase, "")
      assert.isUndefined(checkpoint.notes)
    })
  ),
  check(
    "answers Conflict to a save that is delivered twice and keeps its rows once",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { lease, runId } = yield* Fixtures.started()
      const delta = Fixtures.append(0, ["a", "b"])
      yield* store.save(lease, delta)
      const error = yield* Fixtures.refused(store.save(lease, delta), "Conflict")
      const checkpoint = yield* store.load(runId)

      assert.strictEqual(error.position, 2)
      assert.deepStrictEqual(checkpoint.messages, ["a", "b"])
      assert.strictEqual(checkpoint.position, 2)
    })
  ),
  check(
    "lets exactly one of many concurrent saves at one position win",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { lease, runId } = yield* Fixtures.started()
      const rows = ["a", "b", "c", "d", "e", "f", "g", "h"]
      const results = yield* Fixtures.race(
        rows.map((row) => Effect.as(store.save(lease, Fixtures.append(0, [row, row])), row))
      )
      const { messages, position } = yield* store.load(runId)
      const winners = results.flatMap((result) => result._tag === "Success" ? [result.success] : [])

      assert.lengthOf(winners, 1)
      assert.deepStrictEqual(messages, [...winners, ...winners])
      assert.strictEqual(position, 2)
      assert.deepStrictEqual(
        [...new Set(Fixtures.tagsOf(results, () => "saved"))],
        ["Conflict", "saved"]
      )
    })
  ),
  check(
    "keeps the concurrent saves of many runs apart",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const runs = yield* Effect.forEach(Array.from({ length: 12 }), () => Fixtures.started())
      for (const position of [0, 1, 2]) {
        yield* Effect.forEach(
          runs,
          ({ lease, runId }) => store.save(lease, Fixtures.append(position, [`${runId} ${position}`])),
          { concurrency: "unbounded" }
        )
      }
      for (const { runId } of runs) {
        const { messages } = yield* store.load(runId)
        assert.deepStrictEqual(messages, [`${runId} 0`, `${runId} 1`, `${runId} 2`])
      }
    })
  ),
  check(
    "answers each of many concurrent saves for its own run",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const good = yield* Fixtures.started()
      const behind = yield* Fixtures.started()
      yield* store.save(behind.lease, Fixtures.append(0, ["a"]))
      const fenced = yield* Fixtures.handedOver()
      yield* Fixtures.takeOver(fenced.runId)
      const gone = yield* Fixtures.settled()
      const runs = [good, behind, fenced, gone]
      const results = yield* Fixtures.race(runs.map(({ lease }) => store.save(lease, Fixtures.append(0, ["b"]))))

      // A store may merge saves that wait at the same time: an outcome must not leak to a neighbour.
      assert.deepStrictEqual(
        results.map((result) => result._tag === "Success" ? "saved" : result.failure._tag),
        ["saved", "Conflict", "Fenced", "Gone"]
      )
    })
  ),
  check(
    "leaves the old or the new state when the caller is interrupted",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { lease, runId } = yield* Fixtures.started()
      let position = 0
      for (let round = 0; round < 10; round++) {
        const rows = [`${round}a`, `${round}b`]
        const fiber = yield* Effect.forkChild(store.save(lease, Fixtures.append(position, rows, { iteration: round })))
        for (let turn = 0; turn < round; turn++) yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
        // A statement that is under way may still land after the caller was interrupted, but never twice or in part.
        const again = yield* Effect.result(store.save(lease, Fixtures.append(position, rows, { iteration: round })))
        assert(again._tag === "Success" || again.failure._tag === "Conflict")
        position += rows.length
        const checkpoint = yield* store.load(runId)
        assert.strictEqual(checkpoint.position, position)
        assert.strictEqual(checkpoint.iteration, round)
        assert.deepStrictEqual(checkpoint.messages.slice(-2), rows)
      }
    })
  )
]
