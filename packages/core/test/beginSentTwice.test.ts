import { assert, describe, it } from "@effect/vitest"
import { Agent, AgentSupervisor, CheckpointStore, Heartbeat, HeartbeatEngine, RunStore, Step } from "@everbeat/core"
import { MemoryStore } from "@everbeat/store-memory"
import { Duration, Effect, Layer, Schema } from "effect"
import { recordOf } from "../src/testing/internal/fixtures.ts"

type Store = CheckpointStore.CheckpointStore["Service"]

/** A client that lost the answer of `begin`, and sends it again when another process has taken the run over and ended it. */
const sendingTwice = (store: Store): Store => ({
  ...store,
  begin: (input) =>
    Effect.gen(function*() {
      const answer = yield* store.begin(input)
      if (answer._tag !== "Begun") return answer
      const over = Effect.gen(function*() {
        yield* store.release(answer.lease)
        const { lease } = yield* store.claim(input.meta.runId, "another process", Duration.seconds(30))
        yield* store.settle(lease, yield* recordOf({ input, lease, meta: input.meta, runId: input.meta.runId }))
      })
      yield* Effect.orDie(over)
      return yield* store.begin(input)
    })
})

const stores = Layer.effect(
  CheckpointStore.CheckpointStore,
  Effect.map(CheckpointStore.CheckpointStore, sendingTwice)
).pipe(Layer.provideMerge(MemoryStore.layer))

const layer = Layer.merge(HeartbeatEngine.layer, AgentSupervisor.layer).pipe(Layer.provideMerge(stores))

describe("a begin whose answer was lost, and that was sent again", () => {
  it.effect("is a failure of the store to who called the heartbeat, and no bug", () =>
    Effect.gen(function*() {
      const beat = Heartbeat.make("beat", [Step.make("one", Effect.void)])
      const error = yield* Effect.flip(Heartbeat.run(beat, { agent: "triage" }))
      assert.deepInclude(error, { _tag: "StoreError", reason: "unavailable" })
      const [run] = (yield* (yield* RunStore.RunStore).list({})).items
      assert.include(error.message, run?.runId ?? "no run")
    }).pipe(Effect.provide(layer)))

  it.effect("is a failure of the store to who started the agent, and no bug", () =>
    Effect.gen(function*() {
      const coder = Agent.make("coder", { message: Schema.String, run: () => Effect.void })
      const error = yield* Effect.flip(Agent.start(coder))
      assert.deepInclude(error, { _tag: "StoreError", reason: "unavailable" })
    }).pipe(Effect.provide(layer)))
})
