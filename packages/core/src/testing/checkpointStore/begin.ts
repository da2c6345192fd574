/**
 * Cases of beginning fresh runs.
 *
 * @since 0.1.0
 */
import { assert } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { RunMeta } from "../../AgentRun.ts"
import { CheckpointStore } from "../../CheckpointStore.ts"
import * as RunId from "../../RunId.ts"
import { RunStore } from "../../RunStore.ts"
import { type Case, check } from "../Conformance.ts"
import * as Fixtures from "../internal/fixtures.ts"

/**
 * What holds when a run begins.
 *
 * @category testing
 * @since 0.1.0
 */
export const cases: ReadonlyArray<Case> = [
  check(
    "answers a probe",
    Effect.flatMap(CheckpointStore, (store) => store.ping)
  ),
  check(
    "begins a fresh run and grants its lease",
    Effect.gen(function*() {
      const { input, lease, runId } = yield* Fixtures.started()

      assert.strictEqual(lease.runId, runId)
      assert.strictEqual(lease.owner, input.owner)
      assert.isTrue(Number.isSafeInteger(lease.fence) && lease.fence > 0, "a fence is a positive integer")
    })
  ),
  check(
    "begins with an empty checkpoint and one attempt",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { lease, runId } = yield* Fixtures.started()
      const checkpoint = yield* store.load(runId)

      assert.strictEqual(checkpoint.status, "running")
      assert.deepStrictEqual(checkpoint.messages, [])
      assert.deepStrictEqual(checkpoint.segments, [])
      assert.strictEqual(checkpoint.position, 0)
      assert.strictEqual(checkpoint.iteration, 0)
      assert.strictEqual(checkpoint.phase, "")
      assert.deepStrictEqual(checkpoint.completedPhases, [])
      assert.isUndefined(checkpoint.notes)
      assert.isUndefined(checkpoint.workspace)
      assert.isFalse(checkpoint.cancelRequested)
      assert.lengthOf(checkpoint.attempts, 1)
      const [attempt] = checkpoint.attempts
      assert.strictEqual(attempt?.number, 1)
      assert.strictEqual(attempt?.owner, lease.owner)
      assert.strictEqual(attempt?.fence, lease.fence)
      assert.isFalse(attempt !== undefined && ("end" in attempt || "endedAt" in attempt || "reason" in attempt))
    })
  ),
  check(
    "counts the lease from its own clock",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { runId } = yield* Fixtures.started({ ttl: Duration.minutes(7) })
      const { leaseUntil, startedAt, updatedAt } = yield* store.load(runId)

      // One transition may read its clock more than once.
      assert.approximately(leaseUntil.epochMilliseconds - startedAt.epochMilliseconds, 7 * 60_000, 1000)
      assert.approximately(updatedAt.epochMilliseconds, startedAt.epochMilliseconds, 1000)
    })
  ),
  check(
    "keeps all that the caller said about the run",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const runs = yield* RunStore
      const parent = yield* Fixtures.started()
      const { meta, runId } = yield* Fixtures.started({
        meta: {
          kind: "agent",
          agentId: "agent id: 7",
          callerId: "caller/ä",
          channelId: "C 1",
          guildId: "G\t1",
          prompt: "Fix it.\nAll of it: \"quotes\", 'ticks', \\, $1, %s, {{}} 🚀",
          modelTier: "large",
          parentRunId: parent.runId,
          definition: { name: `dispatch ${parent.runId}`, hash: "0a1b2c3d" },
          payload: { list: [1, -0.5, 1e21, true, null, ""], nested: { "": [], "a.b": {} } }
        }
      })

      Fixtures.assertSameMeta(yield* store.load(runId), meta)
      Fixtures.assertSameMeta(yield* runs.get(runId), meta)
      const { items } = yield* store.listInterrupted({ agentName: meta.agentName, status: ["running"] })
      assert.lengthOf(items, 1)
      for (const item of items) Fixtures.assertSameMeta(item, meta)
    })
  ),
  check(
    "leaves out what the caller did not say",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { meta, runId } = yield* Fixtures.started()
      const checkpoint = yield* store.load(runId)

      Fixtures.assertSameMeta(checkpoint, meta)
      const optional: ReadonlyArray<keyof RunMeta> = ["agentId", "callerId", "prompt", "parentRunId", "payload"]
      for (const field of optional) assert.isFalse(field in checkpoint, `${field} is absent, not undefined`)
    })
  ),
  check(
    "tells an empty text and a null payload from an absent one",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { meta, runId } = yield* Fixtures.started({ meta: { prompt: "", callerId: "", payload: null } })

      Fixtures.assertSameMeta(yield* store.load(runId), meta)
    })
  ),
  check(
    "keeps what it was given, not what the caller makes of it later",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const payload = { labels: ["one"] }
      const { runId } = yield* Fixtures.started({ meta: { payload } })
      payload.labels.push("two")

      assert.deepStrictEqual((yield* store.load(runId)).payload, { labels: ["one"] })
    })
  ),
  check(
    "refuses the id of a run in flight, of its agent or not",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { meta, runId } = yield* Fixtures.started({ exclusive: false })
      const error = yield* Fixtures.refused(
        store.begin(yield* Fixtures.inputOf({ exclusive: false, meta: { agentName: meta.agentName, runId } })),
        "RunExists"
      )

      assert.strictEqual(error.runId, runId)
    })
  ),
  check(
    "refuses the id of a settled run",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { meta, runId } = yield* Fixtures.settled()
      const input = yield* Fixtures.inputOf({ meta: { agentName: meta.agentName, runId } })

      assert.strictEqual((yield* Fixtures.refused(store.begin(input), "RunExists")).runId, runId)
      yield* Fixtures.refused(store.load(runId), "RunNotFound")
    })
  ),
  check(
    "refuses the id of a run in flight also when that run is interrupted",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { meta, runId } = yield* Fixtures.handedOver({ exclusive: false })
      const input = yield* Fixtures.inputOf({ exclusive: false, meta: { agentName: meta.agentName, runId } })

      yield* Fixtures.refused(store.begin(input), "RunExists")
    })
  ),
  check(
    "lets exactly one of many concurrent callers begin under an id",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const agentName = yield* Fixtures.freshAgent
      const runId = RunId.make(agentName)
      const inputs = yield* Effect.forEach(
        Array.from({ length: 8 }),
        () => Fixtures.inputOf({ exclusive: false, meta: { agentName, runId } })
      )
      const results = yield* Fixtures.race(inputs.map((input) => store.begin(input)))

      assert.deepStrictEqual(Fixtures.tagsOf(results, ({ _tag }) => _tag), [
        "Begun",
        ...Array.from({ length: 7 }, () => "RunExists")
      ])
    })
  ),
  check(
    "has begun a run or has not when the caller is interrupted",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      for (let round = 0; round < 10; round++) {
        const input = yield* Fixtures.inputOf()
        const fiber = yield* Effect.forkChild(store.begin(input))
        for (let turn = 0; turn < round; turn++) yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
        // What is under way may still land: then the run and the guard of its agent are there, both.
        const again = yield* Effect.result(store.begin(input))
        assert(again._tag === "Success" || ["AgentBusy", "RunExists"].includes(again.failure._tag))
        const { attempts, messages, status } = yield* store.load(input.meta.runId)

        assert.lengthOf(attempts, 1)
        assert.deepStrictEqual(messages, [])
        assert.strictEqual(status, "running")
        const other = yield* Fixtures.inputOf({ meta: { agentName: input.meta.agentName } })
        yield* Fixtures.refused(store.begin(other), "AgentBusy")
      }
    })
  )
]
