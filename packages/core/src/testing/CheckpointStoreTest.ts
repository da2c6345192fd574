/**
 * Conformance kit of `CheckpointStore`: what every store must do, as cases that
 * run against any layer.
 *
 * @since 0.1.0
 */
import type * as Layer from "effect/Layer"
import type { CheckpointStore } from "../CheckpointStore.ts"
import type { RunStore } from "../RunStore.ts"
import * as CheckpointerFaults from "./checkpointer/faults.ts"
import * as CheckpointerHistories from "./checkpointer/histories.ts"
import * as CheckpointerValues from "./checkpointer/values.ts"
import * as Begin from "./checkpointStore/begin.ts"
import * as Claim from "./checkpointStore/claim.ts"
import * as ClaimNext from "./checkpointStore/claimNext.ts"
import * as Damaged from "./checkpointStore/damaged.ts"
import * as Exhausted from "./checkpointStore/exhausted.ts"
import * as Fence from "./checkpointStore/fence.ts"
import * as GivenBack from "./checkpointStore/givenBack.ts"
import * as Guard from "./checkpointStore/guard.ts"
import * as History from "./checkpointStore/history.ts"
import * as Keys from "./checkpointStore/keys.ts"
import * as ListInterrupted from "./checkpointStore/listInterrupted.ts"
import * as Renew from "./checkpointStore/renew.ts"
import * as Resume from "./checkpointStore/resume.ts"
import * as Save from "./checkpointStore/save.ts"
import * as Settle from "./checkpointStore/settle.ts"
import * as Conformance from "./Conformance.ts"

const groups = {
  begin: Begin.cases,
  "single flight": Guard.cases,
  "begin with a key": Keys.cases,
  "begin after an interruption": Resume.cases,
  "attempts and progress": Exhausted.cases,
  save: Save.cases,
  history: History.cases,
  "settle and delete": Settle.cases,
  "claim and release": Claim.cases,
  "claims given back": GivenBack.cases,
  fence: Fence.cases,
  claimNext: ClaimNext.cases,
  "damaged runs": Damaged.cases,
  "renew and cancel": Renew.cases,
  listInterrupted: ListInterrupted.cases,
  "a checkpointer's histories": CheckpointerHistories.cases,
  "a checkpointer's values": CheckpointerValues.cases,
  "a checkpointer's faults": CheckpointerFaults.cases
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
 * Registers every case as a test of one store.
 *
 * **Details**
 *
 * The layer is built once for the whole suite. Cases use fresh ids, so the
 * suite may run repeatedly against one database. A store with a clock of its
 * own passes `{ elapse: Effect.sleep }`; how its data can be damaged, it says with
 * `damages`. Everything else is the same for all.
 *
 * @category testing
 * @since 0.1.0
 */
export const suite = <E>(
  name: string,
  layer: Layer.Layer<CheckpointStore | RunStore, E>,
  options?: Conformance.Options
): void => Conformance.register(`CheckpointStore (${name})`, groups, layer, options)
