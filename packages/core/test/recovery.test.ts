import { assert, it } from "@effect/vitest"
import { Agent, AgentSupervisor, Recovery, RunStore } from "@everbeat/core"
import { MemoryStore } from "@everbeat/store-memory"
import { Effect, Exit, Layer, Schema, Scope } from "effect"
import { TestClock } from "effect/testing"

/** A process of its own on the same store. */
const process = <A, E, R>(layer: Layer.Layer<A, E, R>) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const context = yield* Layer.buildWithScope(Layer.fresh(layer), scope)
    return { context, stop: Scope.close(scope, Exit.void) }
  })

const stubborn = Agent.make("coder", { message: Schema.String, run: () => Effect.never })
const willing = Agent.make("coder", {
  message: Schema.String,
  run: (ctx) => ctx.checkpoint.save({ messages: ["done"], iteration: 1 })
})

it.effect("a run of a process that shut down is continued at once by another one", () =>
  Effect.gen(function*() {
    const runs = yield* RunStore.RunStore
    const first = yield* process(AgentSupervisor.layer)
    const { runId } = yield* Effect.provideContext(Agent.start(stubborn, { prompt: "x" }), first.context)
    const second = yield* process(Layer.provideMerge(Recovery.layer({ agents: [willing] }), AgentSupervisor.layer))
    yield* TestClock.adjust("20 seconds")
    assert.containSubset(yield* runs.get(runId), { status: "running", attempts: [{}] })
    yield* first.stop
    yield* TestClock.adjust("10 seconds")
    assert.containSubset(yield* runs.get(runId), {
      status: "ok",
      attempts: [{ end: "released", reason: "shutdown" }, { end: "settled" }]
    })
    yield* second.stop
  }).pipe(Effect.provide(MemoryStore.layer)))
