/**
 * The memory store for applications that do not use Effect.
 *
 * @since 0.1.0
 */
import { CheckpointStore } from "@everbeat/core/CheckpointStore"
import { InvalidOptions } from "@everbeat/core/promise/InvalidOptions"
import { type Store, storeFromLayer } from "@everbeat/core/promise/Store"
import { RunStore } from "@everbeat/core/RunStore"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as MemoryStore from "./MemoryStore.ts"

/**
 * Creates a store in memory: the embedded default, and the store of tests.
 *
 * **Details**
 *
 * Instances that are created with the same store share what it holds, as
 * processes share a database: a test can dispose one and go on with another.
 * What it holds is gone with the store. `maxRuns` is how many settled runs are
 * kept, 10,000 by default. Throws `InvalidOptions` for anything but a number.
 *
 * **Example** (A store for a test)
 *
 * ```ts
 * import { createEverbeat } from "@everbeat/core/promise"
 * import { memoryStore } from "@everbeat/store-memory/promise"
 *
 * await using everbeat = createEverbeat({ store: memoryStore({ maxRuns: 100 }) })
 * const { items } = await everbeat.runs.list()
 * items // => []
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const memoryStore = (options: MemoryStore.Options = {}): Store => {
  const { maxRuns = 10_000 } = options
  if (!Number.isSafeInteger(maxRuns) || maxRuns < 0) {
    throw new InvalidOptions("memoryStore", [
      { option: "maxRuns", given: String(maxRuns), expected: "a whole number of at least 0" }
    ])
  }
  // Made once, with the first instance.
  let made: Effect.Success<ReturnType<typeof MemoryStore.make>> | undefined
  const services = Effect.suspend(() =>
    made === undefined ? Effect.map(MemoryStore.make(options), (stores) => made ??= stores) : Effect.succeed(made)
  )
  return storeFromLayer(Layer.effectContext(
    Effect.map(
      services,
      ({ checkpoints, runs }) => Context.make(CheckpointStore, checkpoints).pipe(Context.add(RunStore, runs))
    )
  ))
}
