/**
 * Conformance kit of `RunStore`: what every store must do, as cases that run
 * against any layer.
 *
 * @since 0.1.0
 */
import type * as Layer from "effect/Layer"
import type { CheckpointStore } from "../CheckpointStore.ts"
import type { RunStore } from "../RunStore.ts"
import * as Conformance from "./Conformance.ts"
import * as Erase from "./runStore/erase.ts"
import * as Get from "./runStore/get.ts"
import * as List from "./runStore/list.ts"
import * as Prune from "./runStore/prune.ts"

const groups = {
  get: Get.cases,
  list: List.cases,
  prune: Prune.cases,
  erase: Erase.cases
} satisfies Readonly<Record<string, ReadonlyArray<Conformance.Case>>>

/**
 * Every case as a plain effect, to run one by hand or against a store that is
 * broken on purpose.
 *
 * @category testing
 * @since 0.1.0
 */
export const cases: ReadonlyArray<Conformance.Case> = Object.values(groups).flat()

/**
 * Registers every case as a test of one store, as `CheckpointStoreTest.suite`
 * does.
 *
 * **Gotchas**
 *
 * `prune` reaches every run of a database: test files that run at the same time
 * need a schema or a key prefix each.
 *
 * @category testing
 * @since 0.1.0
 */
export const suite = <E>(
  name: string,
  layer: Layer.Layer<CheckpointStore | RunStore, E>,
  options?: Conformance.Options
): void => Conformance.register(`RunStore (${name})`, groups, layer, options)
