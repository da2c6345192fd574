/**
 * What an instance is made of.
 *
 * @since 0.1.0
 */
import type * as Layer from "effect/Layer"
import type { AnyAgent } from "./Agent.ts"
import type { Duration } from "./Duration.ts"
import type { AnyHeartbeat } from "./Heartbeat.ts"
import type { SettledRun } from "./Run.ts"
import type { Store, Workspace } from "./Store.ts"

/**
 * Heartbeats by the agents that they are given to.
 *
 * @category models
 * @since 0.1.0
 */
export type Heartbeats = Readonly<Record<string, AnyHeartbeat>>

/**
 * How interrupted runs are looked for.
 *
 * @category models
 * @since 0.1.0
 */
export interface RecoveryOptions {
  /**
   * How many recovered runs may be in flight at once.
   *
   * @default 4
   */
  readonly concurrency?: number | undefined
  /**
   * The pause after a poll that found something. After one that found nothing it doubles.
   *
   * @default "1 second"
   */
  readonly pollInterval?: Duration | undefined
  /**
   * The longest pause.
   *
   * @default "10 seconds"
   */
  readonly maxPollInterval?: Duration | undefined
  /**
   * How often it is logged that there are runs that nobody here continues.
   *
   * @default "5 minutes"
   */
  readonly reportInterval?: Duration | undefined
  /**
   * How often the files of runs that ended long ago are removed.
   *
   * @default "1 day"
   */
  readonly sweepInterval?: Duration | undefined
  /** Folders in the repositories where agents work. */
  readonly folders?: ReadonlyArray<string> | undefined
}

/**
 * Options of `createEverbeat`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<H extends Heartbeats, A extends ReadonlyArray<AnyAgent>, R, E> {
  readonly store: Store
  /** Heartbeats by the names of the agents that they are given to. */
  readonly heartbeats?: H | undefined
  readonly agents?: A | undefined
  /**
   * Whether runs that were interrupted, here or in another process, are looked for and continued.
   *
   * @default true
   */
  readonly recovery?: boolean | RecoveryOptions | undefined
  /** Keeps the files of agents. */
  readonly workspace?: Workspace | undefined
  /** Provides the services that steps which return an Effect need. */
  readonly layer?: Layer.Layer<R, E> | undefined
  /**
   * How long a lease lives without renewal: after a crash, a run waits that long for another process.
   *
   * @default "30 seconds"
   */
  readonly leaseTtl?: Duration | undefined
  /**
   * How long one operation of the store may take.
   *
   * @default "5 seconds"
   */
  readonly storeTimeout?: Duration | undefined
  /**
   * How long `dispose` waits for what is in flight, in milliseconds.
   *
   * @default 10000
   */
  readonly graceMs?: number | undefined
  /** Is told of every run that ends here, for alerts. A failure of it is logged. */
  readonly onSettled?: ((run: SettledRun) => unknown) | undefined
}

/**
 * The services that the heartbeats need from the `layer` option.
 *
 * @category utility types
 * @since 0.1.0
 */
export type LayerServices<H extends Heartbeats> = {
  [K in keyof H]: H[K] extends AnyHeartbeat<unknown, unknown, infer R>
    // A heartbeat whose type was widened has forgotten what it needs.
    ? unknown extends R ? never : R
    : never
}[keyof H]

/**
 * Demands the `layer` option for heartbeats whose Effects need services.
 *
 * @category utility types
 * @since 0.1.0
 */
export type MissingLayer<Needed, R> = [Exclude<Needed, R>] extends [never] ? unknown
  : { readonly layer: Layer.Layer<Needed, unknown> }
