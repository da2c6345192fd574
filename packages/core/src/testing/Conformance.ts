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
  /** The case lets more than a day pass: only for stores whose time is a test clock. */
  readonly needsDays: boolean
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
  defaultValue: () => ({ elapse: TestClock.adjust, shortTtl: Duration.seconds(30) })
})

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
   * test clock, and without cases that need days: such a
   * store proves the retention of keys by making its own rows older.
   *
   * @default TestClock.adjust
   */
  readonly elapse?: ((duration: Duration.Duration) => Effect.Effect<void>) | undefined
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
  options: { readonly needsDays?: boolean } = {}
): Case => ({ name, effect, needsDays: options.needsDays ?? false })

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
  const { elapse } = options
  const time = elapse === undefined && options.shortTtl === undefined ? undefined : {
    elapse: elapse ?? TestClock.adjust,
    shortTtl: Duration.fromInputUnsafe(options.shortTtl ?? (elapse === undefined ? "30 seconds" : "150 millis"))
  }
  it.layer(layer, { timeout: options.timeout ?? "30 seconds", excludeTestServices: elapse !== undefined })(
    title,
    (it) => {
      for (const [group, cases] of Object.entries(groups)) {
        it.describe(group, () => {
          for (const { effect, name, needsDays } of cases) {
            if (needsDays && elapse !== undefined) continue
            it.effect(name, () => time === undefined ? effect : Effect.provideService(effect, StoreTime, time))
          }
        })
      }
    }
  )
}
