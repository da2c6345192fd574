import { assert, it } from "@effect/vitest"
import { AgentName, Checkpointer, CheckpointStore, RunId, StoreError } from "@everbeat/core"
import { Clock, Context, Duration, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { boundCheckpoints } from "../../src/internal/boundedStore.ts"
import { Watch } from "../../src/internal/watch.ts"
import { stores } from "../support.ts"

const runId = RunId.make(AgentName.make("triage"))
const lease = { runId, owner: "o", fence: 1 }
const ttl = Duration.seconds(30)

/** Calls each operation. A new one is a type error here. */
const calls: {
  readonly [Name in keyof CheckpointStore.CheckpointStore["Service"]]: (
    store: CheckpointStore.CheckpointStore["Service"]
  ) => Effect.Effect<unknown, { readonly _tag: string }>
} = {
  begin: (store) =>
    store.begin({
      meta: { runId, kind: "agent", agentName: AgentName.make("triage"), definition: { name: "t", hash: "" } },
      owner: "o",
      ttl,
      maxAttempts: 3,
      exclusive: false,
      resumes: "same-name"
    }),
  save: (store) => store.save(lease, { position: 0, rows: [], segments: [], ttl }),
  settle: (store) => Effect.suspend(() => store.settle(lease, undefined as never)),
  release: (store) => store.release(lease),
  renew: (store) => store.renew([lease], ttl),
  claim: (store) => store.claim(runId, "o", ttl),
  claimNext: (store) => store.claimNext("o", ttl, 1),
  requestCancel: (store) => store.requestCancel(runId),
  load: (store) => store.load(runId),
  listInterrupted: (store) => store.listInterrupted(),
  delete: (store) => store.delete(lease),
  ping: (store) => store.ping
}

/** Every operation as it is in an outage: asked for, and never answered. */
const silent = (store: CheckpointStore.CheckpointStore["Service"]): CheckpointStore.CheckpointStore["Service"] => ({
  ...store,
  begin: () => Effect.never,
  save: () => Effect.never,
  settle: () => Effect.never,
  release: () => Effect.never,
  renew: () => Effect.never,
  claim: () => Effect.never,
  claimNext: () => Effect.never,
  requestCancel: () => Effect.never,
  load: () => Effect.never,
  listInterrupted: () => Effect.never,
  delete: () => Effect.never,
  ping: Effect.never
})

it.layer(stores)("A store that does not answer", (it) => {
  it.effect.each(Object.entries(calls))("holds up nobody who calls %s", ([operation, call]) =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const watch = new Watch(clock, Context.make(Clock.Clock, clock))
      const store = boundCheckpoints(silent(yield* CheckpointStore.CheckpointStore), watch, 5000)
      const asked = yield* Effect.forkChild(Effect.flip(call(store)), { startImmediately: true })
      yield* TestClock.adjust("4999 millis")
      assert.isUndefined(asked.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      const error = yield* Fiber.join(asked)
      assert(error instanceof StoreError.StoreError)
      assert.deepStrictEqual([error.operation, error.reason], [operation, "timeout"])
      watch.close()
    }))

  it.effect("holds up no checkpointer that claims a run", () =>
    Effect.gen(function*() {
      const store = silent(yield* CheckpointStore.CheckpointStore)
      const claiming = yield* Effect.forkChild(Effect.flip(Checkpointer.claim({ store, runId })))
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* Fiber.join(claiming))._tag, "StoreError")
    }))
})
