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
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as State from "./internal/state.ts"
import * as Stores from "./internal/stores.ts"

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
export const make = ({ maxRuns = 10_000 }: Options = {}): Effect.Effect<{
  readonly checkpoints: CheckpointStore["Service"]
  readonly runs: RunStore["Service"]
}> => Effect.suspend(() => Stores.make(State.make(), maxRuns))

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
