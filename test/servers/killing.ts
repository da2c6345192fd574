/** What is left of processes that were killed while they saved, at every point. */
import { assert } from "@effect/vitest"
import { Checkpointer } from "@everbeat/core"
import type { CheckpointStore } from "@everbeat/core/CheckpointStore"
import type { RunId } from "@everbeat/core/RunId"
import { Effect, type Scope } from "effect"
import type { Proxy } from "./proxy.ts"
import type { Victim } from "./victims.ts"

type Store = CheckpointStore["Service"]

/** Starting a process takes a second of a core. */
const concurrency = 3

/** What a process left that was killed while it saved: all of the old state or all of the new one, to be continued. */
const inherited = Effect.fnUntraced(function*(store: CheckpointStore["Service"], runId: string) {
  const { attempts } = yield* store.load(runId as RunId)
  const { fence, owner } = attempts.at(-1) ?? assert.fail()
  // As if the lease had expired.
  yield* store.release({ runId: runId as RunId, owner, fence })
  const next = yield* Checkpointer.claim({ store, runId: runId as RunId })
  const { completedPhases, iteration, messages, notes, phase } = next.resumed ?? assert.fail()
  const contents = messages.map((message) => JSON.stringify(message).slice(0, 20))
  const isNew = iteration === 2
  assert.deepStrictEqual({ completedPhases, notes, phase }, {
    completedPhases: isNew ? ["old", "new"] : ["old"],
    notes: isNew ? "new" : "old",
    phase: isNew ? "new" : "old"
  })
  const expected = isNew
    ? ["summary", "old 3", "new 0 ", "new 1 ", "new 2 "]
    : ["old 0", "old 1", "old 2", "old 3"]
  assert.lengthOf(contents, expected.length)
  for (const [index, text] of expected.entries()) assert.isTrue(contents[index]?.startsWith(`{"content":"${text}`))
  yield* next.save({ messages: [...messages, { content: "goes on" }] })
  assert.isAbove((yield* next.flush).position, messages.length)
  return isNew ? "new" : "old"
})

interface Given {
  readonly checkpoints: Store
  readonly proxy: Effect.Effect<Proxy, never, Scope.Scope>
  readonly start: (address: string) => Effect.Effect<Victim>
}

/** Kills processes when the server has got nothing of their save, a part, all but a byte, and all without the answer. */
export const dyingAtEachByte = Effect.fnUntraced(function*({ checkpoints, proxy: way, start }: Given) {
  const proxied = Effect.gen(function*() {
    const proxy = yield* way
    return { proxy, victim: yield* start(proxy.url) }
  })
  const whole = yield* proxied
  const before = whole.proxy.bytes.sent
  whole.victim.go()
  yield* Effect.promise(() => whole.victim.saved)
  const length = whole.proxy.bytes.sent - before
  whole.victim.kill()
  assert.strictEqual(yield* inherited(checkpoints, whole.victim.runId), "new")

  const cuts = [0, 5, Math.floor(length / 2), length - 1, undefined]
  yield* Effect.forEach(cuts, (cut) =>
    Effect.gen(function*() {
      const { proxy, victim } = yield* proxied
      if (cut === undefined) proxy.withholdAnswers(victim.kill)
      else proxy.stopAfter(cut, victim.kill)
      victim.go()
      yield* Effect.promise(() => victim.ended)
      proxy.cut()
      const left = yield* inherited(checkpoints, victim.runId)
      assert.strictEqual(left, cut === undefined ? "new" : "old", `after ${cut ?? "all"} of ${length} bytes`)
    }), { concurrency, discard: true })
})

/** Kills processes at points of their own work: while they encode, before they send, while they wait. */
export const dyingAtTurns = (checkpoints: Store, start: (turns: string) => Promise<Victim>) =>
  Effect.forEach([0, 3, 12, 80], (turns) =>
    Effect.gen(function*() {
      const victim = yield* Effect.promise(() => start(String(turns)))
      victim.go()
      yield* Effect.promise(() => victim.ended)
      yield* inherited(checkpoints, victim.runId)
    }), { concurrency, discard: true })
