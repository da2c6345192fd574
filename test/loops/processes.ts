/** Processes of a test that run an agent on the stores of the context, and end in every way. */
import { Agent, AgentSupervisor, CheckpointStore, RunStore, StoreError } from "@everbeat/core"
import { Crash } from "@everbeat/core/testing"
import { Context, type Duration, Effect, Exit, Fiber, Layer, Scope } from "effect"
import type { World } from "./world.ts"

type Stores = CheckpointStore.CheckpointStore | RunStore.RunStore

/** The loop under test, as an agent that needs nothing more. */
export type Make = (world: World, settings?: Settings) => Agent.Any<never>

/** What a test changes of the agent. */
export interface Settings {
  readonly timeout?: Duration.Input | undefined
  readonly onStoreFailure?: "continue" | "stop" | undefined
  readonly maxIterations?: number | undefined
}

/** Every run of a test is asked for with this key, so that another process continues it. */
const ask = { key: "k", prompt: "Comment, label and close issue 7." } as const

/** Starts a process: a supervisor of its own on the stores of the context. */
export const startProcess = Effect.fnUntraced(function*(stores?: Context.Context<Stores>) {
  const scope = yield* Scope.make()
  const given = stores ??
    Context.pick(CheckpointStore.CheckpointStore, RunStore.RunStore)(yield* Effect.context<Stores>())
  const context = yield* Layer.buildWithScope(Layer.fresh(AgentSupervisor.layer), scope).pipe(
    Effect.provideContext(given)
  )
  return {
    start: (agent: ReturnType<Make>) => Effect.provideContext(Agent.start(agent, ask), context),
    /** SIGTERM: what runs is interrupted, stored and released. */
    stop: Scope.close(scope, Exit.void)
  }
})

/** As if the leases of what a dead process left had expired. */
const expire = Effect.gen(function*() {
  const store = yield* CheckpointStore.CheckpointStore
  const { items } = yield* store.listInterrupted({ status: ["running", "interrupted"] })
  yield* Effect.forEach(items, ({ runId }) =>
    Effect.gen(function*() {
      const { attempts } = yield* store.load(runId)
      const last = attempts.at(-1)
      if (last !== undefined) yield* store.release({ runId, owner: last.owner, fence: last.fence })
    }), { discard: true })
})

/** At which of its writes a process dies: at the n-th, or at the one that ends the run. */
export type Death = number | "end"

/** Runs the agent in a process that dies at one of its writes, and goes on with another one. */
export const killedAt = Effect.fnUntraced(function*(make: Make, world: World, death: Death, point: Crash.CrashPoint) {
  const crash = yield* death === "end" ? Crash.crashAfterWrite(1, point, "settle") : Crash.crashAfterWrite(death, point)
  // Never stopped: a process that is killed tidies nothing up.
  const doomed = yield* startProcess(crash.context)
  const dying = make(world.for({ before: () => crash.alive, after: () => crash.alive }))
  // Nobody waits for what is left of it: its last call to the store is given up after some seconds only.
  const first = yield* Effect.forkDetach(Effect.flatMap(doomed.start(dying), ({ record }) => record))
  const crashed = yield* Effect.raceFirst(Effect.as(Fiber.await(first), false), Effect.as(crash.crashed, true))
  yield* expire
  const second = yield* startProcess()
  const run = yield* Effect.flatMap(second.start(make(world.for({}))), ({ record }) => record)
  yield* second.stop
  return { crashed, run }
})

/**
 * Stores whose saves fail from the n-th on, for the first owner of a run: as if its way to the server were cut. `isDown`
 * tells whether it is.
 */
export const cutOffAt = Effect.fnUntraced(function*(n: number) {
  const store = yield* CheckpointStore.CheckpointStore
  const runs = yield* RunStore.RunStore
  let first: number | undefined
  let saves = 0
  const failure = new StoreError.StoreError({ operation: "save", reason: "unavailable", detail: "connection refused" })
  const save: typeof store.save = (lease, delta) =>
    Effect.suspend(() => {
      first ??= lease.fence
      return lease.fence === first && ++saves >= n ? Effect.fail(failure) : store.save(lease, delta)
    })
  return {
    context: Context.make(CheckpointStore.CheckpointStore, { ...store, save }).pipe(
      Context.add(RunStore.RunStore, runs)
    ),
    isDown: () => saves >= n,
    /** Whether the store has it that a call of this tool began: what is kept of calls is in the notes. */
    isRecorded: (name: string) =>
      Effect.gen(function*() {
        const { items } = yield* store.listInterrupted({ status: ["running"] })
        const found = yield* Effect.forEach(items, ({ runId }) => store.load(runId))
        return found.some(({ notes }) => notes?.includes(name) === true)
      }).pipe(Effect.orDie)
  }
})
