/**
 * Cases of reading one run.
 *
 * @since 0.1.0
 */
import { assert } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import type { Json } from "effect/Schema"
import { isSettled } from "../../AgentRun.ts"
import { CheckpointStore } from "../../CheckpointStore.ts"
import { RunStore } from "../../RunStore.ts"
import { type Case, check } from "../Conformance.ts"
import * as Fixtures from "../internal/fixtures.ts"

/**
 * What holds when a run is read by its id.
 *
 * @category testing
 * @since 0.1.0
 */
export const cases: ReadonlyArray<Case> = [
  check(
    "does not know a run that never was or that was deleted",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const runs = yield* RunStore
      const { meta } = yield* Fixtures.inputOf()
      const deleted = yield* Fixtures.started()
      yield* store.delete(deleted.lease)

      assert.strictEqual((yield* Fixtures.refused(runs.get(meta.runId), "RunNotFound")).runId, meta.runId)
      yield* Fixtures.refused(runs.get(deleted.runId), "RunNotFound")
    })
  ),
  check(
    "reads a run in flight from its head",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const runs = yield* RunStore
      const { lease, meta, runId } = yield* Fixtures.started()
      yield* store.save(
        lease,
        Fixtures.append(0, ["a"], {
          iteration: 4,
          phase: "code",
          completedPhases: ["plan"],
          notes: "n",
          workspace: "w"
        })
      )
      const run = yield* runs.get(runId)

      assert(!isSettled(run), "the run is in flight")
      Fixtures.assertSameMeta(run, meta)
      assert.strictEqual(run.status, "running")
      assert.strictEqual(run.iteration, 4)
      assert.strictEqual(run.phase, "code")
      assert.deepStrictEqual(run.completedPhases, ["plan"])
      assert.deepStrictEqual(run.attempts.map(({ fence, owner }) => ({ fence, owner })), [
        { fence: lease.fence, owner: lease.owner }
      ])
      assert.isFalse(run.cancelRequested)
      for (const field of ["messages", "segments", "notes", "workspace"]) assert.isFalse(field in run, field)
    })
  ),
  check(
    "shows an interrupted and an exhausted run as what they are",
    Effect.gen(function*() {
      const runs = yield* RunStore
      const interrupted = yield* Fixtures.expired()
      const released = yield* Fixtures.handedOver()
      const exhausted = yield* Fixtures.exhausted()

      assert.strictEqual((yield* runs.get(interrupted.runId)).status, "interrupted")
      assert.strictEqual((yield* runs.get(released.runId)).status, "interrupted")
      assert.strictEqual((yield* runs.get(exhausted.runId)).status, "exhausted")
      yield* Fixtures.takeOver(exhausted.runId)
      assert.strictEqual((yield* runs.get(exhausted.runId)).status, "running")
    })
  ),
  ...(["ok", "warning", "error", "cancelled"] as const).map((status) =>
    check(
      `reads a run back that was settled as ${status}`,
      Effect.gen(function*() {
        const runs = yield* RunStore
        const { record, runId } = yield* Fixtures.settled({}, { status })
        const run = yield* runs.get(runId)

        Fixtures.assertSameRun(run, record)
        assert.isTrue(isSettled(run))
      })
    )
  ),
  check(
    "reads every field of a record back exactly",
    Effect.gen(function*() {
      const runs = yield* RunStore
      const parent = yield* Fixtures.started()
      const at = DateTime.makeUnsafe("2026-02-28T23:59:59.999Z")
      const { record, runId } = yield* Fixtures.settled({
        idempotency: Fixtures.idempotency("key", "0123abcd"),
        meta: {
          kind: "agent",
          agentId: "agent 7",
          callerId: "caller",
          channelId: "channel",
          guildId: "guild",
          prompt: "Fix it.\n🚀",
          modelTier: "large",
          parentRunId: parent.runId,
          definition: { name: "coder", hash: "0a1b2c3d" },
          payload: { list: [1, -0.5, 1e21, true, null, ""], nested: { "": [], "a.b": {} } }
        }
      }, {
        status: "error",
        startedAt: DateTime.makeUnsafe("2026-02-28T23:59:58.001Z"),
        finishedAt: at,
        summary: "2 steps: 1 ok, 1 error",
        warnings: [
          { severity: "warning", code: "Stale", message: "old", at },
          { severity: "warning", step: "sync", code: "Low", message: "m", hint: "h", url: "https://example.com/1", at }
        ],
        errors: [{ severity: "error", step: "sync", code: "", message: "", at }],
        touchedIssueUrls: ["https://example.com/2", "https://example.com/1"],
        steps: [
          { name: "sync", status: "error", attempts: 3, startedAt: at, millis: 12.345 },
          { name: "report", status: "skipped", attempts: 0, millis: 0 }
        ],
        attempts: [
          { number: 1, owner: "a", fence: 1, startedAt: at, endedAt: at, end: "expired" },
          { number: 2, owner: "b", fence: 2, startedAt: at, endedAt: at, end: "released", reason: "shutdown" },
          // Fences may be microseconds since 1970.
          { number: 3, owner: "c", fence: 1_795_000_000_000_000, startedAt: at }
        ]
      })

      Fixtures.assertSameRun(yield* runs.get(runId), record)
      const { items } = yield* runs.list({ agentName: record.agentName })
      assert.lengthOf(items, 1)
      for (const item of items) Fixtures.assertSameRun(item, record)
    })
  ),
  check(
    "leaves out the fields that a record does not have",
    Effect.gen(function*() {
      const runs = yield* RunStore
      const { runId } = yield* Fixtures.settled()
      const run = yield* runs.get(runId)

      for (const field of ["agentId", "prompt", "payload", "parentRunId", "idempotency"]) {
        assert.isFalse(field in run, field)
      }
    })
  ),
  check(
    "keeps odd texts in a record",
    Effect.gen(function*() {
      const runs = yield* RunStore
      const at = DateTime.makeUnsafe(0)
      const text = "NUL \u0000, lone \ud83d and \ude00, 👩‍👩‍👧‍👦, e\u0301, \u2028, '\"\\ $1 %s, \ufeff"
      // Only a parser makes a property of that name; in a literal it would be the prototype.
      const payload: Json = JSON.parse(`{"__proto__":{"polluted":true},"list":[${JSON.stringify(text)}]}`)
      const { record, runId } = yield* Fixtures.settled({ meta: { prompt: text, agentId: text, payload } }, {
        summary: text,
        errors: [{ severity: "error", step: text, code: text, message: text, hint: text, at }],
        steps: [{ name: text, status: "ok", attempts: 1, millis: 1 }]
      })

      Fixtures.assertSameRun(yield* runs.get(runId), record)
    })
  ),
  check(
    "keeps a large record",
    Effect.gen(function*() {
      const runs = yield* RunStore
      const at = DateTime.makeUnsafe(0)
      const message = "äöü 0123456789".repeat(70)
      const { record, runId } = yield* Fixtures.settled({}, {
        status: "warning",
        warnings: Array.from({ length: 1_000 }, (_, n) => ({ severity: "warning", code: `W${n}`, message, at })),
        touchedIssueUrls: Array.from({ length: 1_000 }, (_, n) => `https://example.com/issues/${n}`)
      })

      Fixtures.assertSameRun(yield* runs.get(runId), record)
    })
  )
]
