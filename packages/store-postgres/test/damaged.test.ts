/** What people and Recovery can do about runs of which the server has lost or spoilt something. */
import { assert, describe, it } from "@effect/vitest"
import { Agent, AgentSupervisor, CheckpointStore, Recovery, RunStore } from "@everbeat/core"
import type { RunId } from "@everbeat/core/RunId"
import { Context, Effect, Layer, Schema } from "effect"
import { freshStore } from "./support/fixtures.ts"

const coder = Agent.make("coder", {
  message: Schema.String,
  run: (ctx) => Effect.andThen(ctx.checkpoint.save({ messages: ["a", "b"], iteration: 1 }), Effect.never)
})

const willing = Agent.make("coder", { message: Schema.String, run: () => Effect.void })

const opened = Effect.fnUntraced(function*() {
  const { checkpoints, pool, runs, schema } = yield* freshStore()
  const stores = Layer.succeedContext(
    Context.make(CheckpointStore.CheckpointStore, checkpoints).pipe(Context.add(RunStore.RunStore, runs))
  )
  const layer = Layer.provideMerge(AgentSupervisor.layer, stores)
  const start = Effect.gen(function*() {
    const { runId } = yield* Agent.start(coder)
    while ((yield* checkpoints.load(runId)).iteration < 1) yield* Effect.sleep(5)
    return runId
  })
  return {
    checkpoints,
    runs,
    layer,
    /** A run whose process has shut down. */
    interrupted: Effect.suspend(() => Effect.provide(start, Layer.fresh(layer))),
    damage: (change: string, runId: RunId) =>
      Effect.promise(() => pool.query(change.replace(/run(_row)? /, `"${schema}".run$1 `), [runId]))
  }
})

const damages = [
  "update run set segments = 'x' where run_id = $1",
  "update run set meta = '{' where run_id = $1",
  "delete from run_row where run_id = $1"
]

describe("PostgresStore, on a damaged run", () => {
  it.live("cancels it", () =>
    Effect.gen(function*() {
      const { damage, interrupted, layer, runs } = yield* opened()
      for (const change of damages) {
        const runId = yield* interrupted
        yield* damage(change, runId)
        const run = yield* Effect.provide(Agent.cancel(runId), Layer.fresh(layer))
        assert.deepInclude(run, { runId, status: "cancelled" })
        assert.strictEqual((yield* runs.get(runId)).status, "cancelled")
      }
    }).pipe(Effect.scoped))

  it.live("continues the others, whatever of it is damaged", () =>
    Effect.gen(function*() {
      const { damage, interrupted, layer, runs } = yield* opened()
      const bad = yield* Effect.forEach(damages, (change) => Effect.tap(interrupted, (runId) => damage(change, runId)))
      const good = yield* Effect.forEach([0, 1, 2], () => interrupted)
      const recovery = Recovery.layer({
        agents: [willing],
        concurrency: 1,
        pollInterval: "20 millis",
        maxPollInterval: "50 millis"
      })
      yield* Effect.provide(
        Effect.gen(function*() {
          for (const runId of good) while ((yield* runs.get(runId)).status !== "ok") yield* Effect.sleep(10)
        }),
        Layer.fresh(Layer.provideMerge(recovery, layer))
      )
      for (const runId of bad) assert.strictEqual((yield* runs.get(runId)).status, "running") // claimed, and nothing more
    }).pipe(Effect.scoped))
})
