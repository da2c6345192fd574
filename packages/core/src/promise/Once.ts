/**
 * One instance for a process, however often its module is evaluated.
 *
 * @since 0.1.0
 */
import type { Extensible } from "./Extension.ts"
import * as internal from "./internal/everbeat.ts"

/**
 * Creates an instance once for a process, and returns the same one from then
 * on, until it is disposed.
 *
 * **When to use**
 *
 * Use in development, where a module is evaluated again when it changes, and in
 * frameworks that load a module more than once: two instances would do the same
 * work twice. It is kept on `globalThis`.
 *
 * **Gotchas**
 *
 * The first definitions stay: restart to see changed steps.
 *
 * **Example** (One instance)
 *
 * ```ts
 * import { createEverbeat, createOnce } from "@everbeat/core/promise"
 * import { memoryStore } from "@everbeat/store-memory/promise"
 *
 * const make = () => createOnce("dispatch", () => createEverbeat({ store: memoryStore() }))
 * make() === make() // => true
 * await make().dispose()
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const createOnce: <T extends Extensible>(key: string, create: () => T) => T = internal.createOnce
