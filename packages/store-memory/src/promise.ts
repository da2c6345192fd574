/**
 * The memory store for applications that do not use Effect.
 *
 * @since 0.1.0
 */
import { InvalidOptions } from "@everbeat/core/promise/InvalidOptions"
import { type Store, storeFromLayer } from "@everbeat/core/promise/Store"
import * as MemoryStore from "./MemoryStore.ts"

/**
 * Creates a store in memory: the embedded default, and the store of tests.
 *
 * **Details**
 *
 * What it holds is gone with the instance that uses it. `maxRuns` is how many
 * settled runs are kept, 10,000 by default. Throws `InvalidOptions` for anything
 * but a number.
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
  return storeFromLayer(MemoryStore.layerWith(options))
}
