/**
 * What the conformance kits share: cases as plain effects, the time that they
 * let pass, and their registration as tests.
 *
 * @since 0.1.0
 */
import { it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import type { CheckpointStore } from "../CheckpointStore.ts"
import type { RunId } from "../RunId.ts"
import type { RunStore } from "../RunStore.ts"

/**
 * One statement about a store, and the effect that fails when it is not so.
 *
 * **Details**
 *
 * A case uses fresh agents, owners and run ids, so it can run repeatedly on one
 * database. It does not expect to be alone there, but `prune` and `claimNext`
 * reach every run: give test files that run at the same time a schema or a key
 * prefix each.
 *
 * @category testing
 * @since 0.1.0
 */
export interface Case {
  readonly name: string
  readonly effect: Effect.Effect<void, unknown, CheckpointStore | RunStore>
  /** The case lets more than a day pass: on a real clock it needs the option `age`. */
  readonly needsDays: boolean
  /** The case is about damaged runs: it needs the option `damages`. */
  readonly needsDamage: boolean
}

/**
 * How time passes for the store under test.
 *
 * @category testing
 * @since 0.1.0
 */
export interface StoreTime {
  /** Lets so much time pass for the store. */
  readonly elapse: (duration: Duration.Duration) => Effect.Effect<void>
  /** Makes all that the store holds older by so much: for a time that nobody waits for. */
  readonly age: (duration: Duration.Duration) => Effect.Effect<void>
  /** Life of the leases that a case lets expire. */
  readonly shortTtl: Duration.Duration
}

/**
 * Reference to how time passes for the store under test. Without a value, the
 * store is on Effect's `Clock` and the `TestClock` is moved.
 *
 * @category testing
 * @since 0.1.0
 */
export const StoreTime = Context.Reference<StoreTime>("@everbeat/core/testing/Conformance/StoreTime", {
  defaultValue: () => ({ elapse: TestClock.adjust, age: TestClock.adjust, shortTtl: Duration.seconds(30) })
})

/**
 * One way in which what a store keeps of a run in flight can be damaged.
 *
 * @category testing
 * @since 0.1.0
 */
export type Damage = (runId: RunId) => Effect.Effect<void>

/**
 * Reference to the ways in which the store under test can be damaged, by name.
 *
 * @category testing
 * @since 0.1.0
 */
export const StoreDamages = Context.Reference<Readonly<Record<string, Damage>>>(
  "@everbeat/core/testing/Conformance/StoreDamages",
  { defaultValue: () => ({}) }
)

/**
 * Options of a suite.
 *
 * @category testing
 * @since 0.1.0
 */
export interface Options {
  /**
   * Lets so much time pass for the store. A store with a clock of its own (a
   * database server) passes `Effect.sleep`: the suite then runs without the
   * test clock.
   *
   * @default TestClock.adjust
   */
  readonly elapse?: ((duration: Duration.Duration) => Effect.Effect<void>) | undefined
  /**
   * Makes all that the store holds older by so much, by moving the times that it
   * has written. For a store with a clock of its own: without it, the cases that
   * need days are reported as skipped.
   *
   * @default `elapse` of the test clock
   */
  readonly age?: ((duration: Duration.Duration) => Effect.Effect<void>) | undefined
  /**
   * Ways to damage what the store keeps of a run in flight, as a disk, or a person with a client, would: so that its
   * checkpoint cannot be read back, its history of three rows or something else of it. Without them, the cases about
   * damaged runs are reported as skipped.
   */
  readonly damages?: Readonly<Record<string, Damage>> | undefined
  /**
   * Life of the leases that a case lets expire. No case depends on such a lease
   * being alive, so a slow machine breaks none.
   *
   * @default 30 seconds, with `elapse` 150 milliseconds
   */
  readonly shortTtl?: Duration.Input | undefined
  /**
   * How long building the layer may take.
   *
   * @default "30 seconds"
   */
  readonly timeout?: Duration.Input | undefined
}

/**
 * Creates a case.
 *
 * @category testing
 * @since 0.1.0
 */
export const check = (
  name: string,
  effect: Effect.Effect<void, unknown, CheckpointStore | RunStore>,
  { needsDamage = false, needsDays = false }: Partial<Pick<Case, "needsDamage" | "needsDays">> = {}
): Case => ({ name, effect, needsDamage, needsDays })

/**
 * Registers groups of cases as tests of one store. The layer is built once.
 *
 * @category testing
 * @since 0.1.0
 */
export const register = <E>(
  title: string,
  groups: Readonly<Record<string, ReadonlyArray<Case>>>,
  layer: Layer.Layer<CheckpointStore | RunStore, E>,
  options: Options = {}
): void => {
  const { age, damages, elapse } = options
  const time = elapse === undefined && options.shortTtl === undefined && age === undefined ? undefined : {
    elapse: elapse ?? TestClock.adjust,
    age: age ?? TestClock.adjust,
    shortTtl: Duration.fromInputUnsafe(options.shortTtl ?? (elapse === undefined ? "30 seconds" : "150 millis"))
  }
  const missing = ({ needsDamage, needsDays }: Case): string | undefined =>
    needsDays && elapse !== undefined && age === undefined
      ? "age"
      : needsDamage && damages === undefined
      ? "damages"
      : undefined
  for (const option of ["age", "damages"]) {
    const skipped = Object.values(groups).flat().filter((one) => missing(one) === option).map(({ name }) => name)
    if (skipped.length > 0) {
      // A runner says how many tests it skipped, not which.
      Effect.runSync(
        Effect.logWarning(`${title} is not checked without the option \`${option}\`: ${skipped.join("; ")}`)
      )
    }
  }
  it.layer(layer, { timeout: options.timeout ?? "30 seconds", excludeTestServices: elapse !== undefined })(
    title,
    (it) => {
      for (const [group, cases] of Object.entries(groups)) {
        it.describe(group, () => {
          for (const one of cases) {
            const timed = time === undefined ? one.effect : Effect.provideService(one.effect, StoreTime, time)
            const effect = damages === undefined ? timed : Effect.provideService(timed, StoreDamages, damages)
            if (missing(one) === undefined) it.effect(one.name, () => effect, caseMillis)
            else it.effect.skip(one.name, () => effect)
          }
        })
      }
    }
  )
}

/** Generous: a case may write a hundred thousand rows on a busy machine. */
const caseMillis = 120_000
