/** One of everything that a store does, for tests of the surroundings. */
import { assert } from "@effect/vitest"
import type { CheckpointStore } from "@everbeat/core/CheckpointStore"
import type { RunStore } from "@everbeat/core/RunStore"
import { Duration, Effect } from "effect"
import { append, begun, inputOf, recordOf, ttl } from "./fixtures.ts"

/** Takes a run through every transition, and asks every question. */
export const everyTransition = ({ checkpoints, runs }: {
  readonly checkpoints: CheckpointStore["Service"]
  readonly runs: RunStore["Service"]
}) =>
  Effect.gen(function*() {
    const input = inputOf({ exclusive: true, idempotency: { key: "key", fingerprint: "payload" } })
    const lease = yield* begun(checkpoints, input)
    yield* checkpoints.save(lease, append(0, ["a", "b\\'\0"], { notes: "n\\", completedPhases: ["p"] }))
    const [renewal] = yield* checkpoints.renew([lease], ttl)
    assert.strictEqual(renewal?.state, "renewed")
    assert.deepStrictEqual((yield* checkpoints.load(lease.runId)).messages, ["a", "b\\'\0"])
    yield* checkpoints.release(lease, "deploy")
    const listed = yield* checkpoints.listInterrupted({ agentName: input.meta.agentName })
    assert.lengthOf(listed.items, 1)
    const again = yield* checkpoints.begin(input)
    assert(again._tag === "Resumed")
    yield* checkpoints.release(again.lease)
    const claimed = yield* checkpoints.claim(lease.runId, "claim", ttl)
    yield* checkpoints.save(claimed.lease, append(2, ["c"]))
    yield* checkpoints.release(claimed.lease)
    const next = (yield* checkpoints.claimNext("next", ttl, 1_000)).find(({ lease: { runId } }) =>
      runId === lease.runId
    )
    assert(next !== undefined)
    assert.deepStrictEqual(next.checkpoint.messages, ["a", "b\\'\0", "c"])
    yield* checkpoints.requestCancel(lease.runId)
    yield* checkpoints.settle(next.lease, recordOf(input))
    assert.strictEqual((yield* runs.get(lease.runId)).status, "ok")
    assert.lengthOf((yield* runs.list({ agentName: input.meta.agentName })).items, 1)
    assert.strictEqual((yield* checkpoints.begin(input))._tag, "Replayed")
    yield* runs.prune({ olderThan: Duration.days(1_000), batch: 1 })
    assert.strictEqual(yield* runs.erase({ agentName: input.meta.agentName }), 1)
    yield* checkpoints.delete(yield* begun(checkpoints))
    yield* checkpoints.ping
  })
