/**
 * Both store services in memory: the embedded default, the store of tests, and
 * the reference for the semantics of every other store.
 *
 * Leases and fences work as in the durable stores, on Effect's `Clock`, so a
 * test that drives `TestClock` sees leases expire. What it holds is gone with
 * the process: it cannot survive the restart that durable runs exist for.
 *
 * @since 0.1.0
 */
import { CheckpointStore } from "@everbeat/core/CheckpointStore"
import { RunStore } from "@everbeat/core/RunStore"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Checkpoints from "./internal/checkpoints.ts"
import * as Runs from "./internal/runs.ts"
import { SettledQueue } from "./internal/settledQueue.ts"
import * as State from "./internal/state.ts"

/**
 * Options of the memory store.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * Settled runs that are kept: the oldest go first, except those whose
   * idempotency key may still be asked for (24 hours).
   *
   * @default 10000
   */
  readonly maxRuns?: number | undefined
}

/**
 * Creates both services on one state.
 *
 * **Example** (An empty store)
 *
 * ```ts
 * import { MemoryStore } from "@everbeat/store-memory"
 * import { Effect } from "effect"
 *
 * const page = await Effect.runPromise(Effect.flatMap(MemoryStore.make(), ({ runs }) => runs.list()))
 * page.items // => []
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options = {}): Effect.Effect<{
  readonly checkpoints: CheckpointStore["Service"]
  readonly runs: RunStore["Service"]
}> =>
  Effect.map(Clock.Clock, (clock) => {
    const { maxRuns = 10_000 } = options
    const state = State.make()
    // Monotonic since the store was made: a wall clock that is set back must not prolong a lease.
    const monotonicMillis = (clock: Clock.Clock) => Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)
    const origin = clock.currentTimeMillisUnsafe() - monotonicMillis(clock)
    const now = Effect.map(Clock.Clock, (clock) => origin + monotonicMillis(clock))
    const settled = new SettledQueue(state, maxRuns)
    return {
      checkpoints: Checkpoints.make(state, now, (run, now) => settled.add(run, now)),
      runs: Runs.make(state, now)
    }
  })

/**
 * Layer that provides both services with options.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerWith = (options: Options): Layer.Layer<CheckpointStore | RunStore> =>
  Layer.effectContext(
    Effect.map(make(options), ({ checkpoints, runs }) =>
      Context.make(CheckpointStore, checkpoints).pipe(Context.add(RunStore, runs)))
  )

/**
 * Layer that provides both services in memory.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<CheckpointStore | RunStore> = layerWith({})
