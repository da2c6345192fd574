/**
 * Storage contract that answers questions about runs: settled ones from their
 * records, those in flight from the live heads.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type { AgentName } from "./AgentName.ts"
import type { AgentRun, InFlightStatus, RunInFlight, RunMeta, SettledStatus } from "./AgentRun.ts"
import type { Page, PageRequest } from "./CheckpointStore.ts"
import type { RunId } from "./RunId.ts"
import type { RunNotFound, StoreError } from "./StoreError.ts"

/**
 * How long a settled run keeps its idempotency key at least: `prune` leaves
 * younger runs with a key alone.
 *
 * @category references
 * @since 0.1.0
 */
export const keyRetention: Duration.Duration = Duration.hours(24)

/**
 * Which runs to list. Absent fields do not filter.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunFilter {
  readonly agentName?: AgentName | undefined
  readonly kind?: RunMeta["kind"] | undefined
  readonly status?: ReadonlyArray<SettledStatus | InFlightStatus> | undefined
  readonly callerId?: string | undefined
  /** Only runs that started at or after this instant. */
  readonly from?: DateTime.Utc | undefined
  /** Only runs that started before this instant. */
  readonly until?: DateTime.Utc | undefined
}

/**
 * What to prune. A run goes when any given rule says so.
 *
 * @category models
 * @since 0.1.0
 */
export interface PruneOptions {
  /** Settled runs that finished longer ago than this. */
  readonly olderThan?: Duration.Duration | undefined
  /** Settled runs beyond the newest so many of each agent. */
  readonly keepLast?: number | undefined
  /** Exhausted runs in flight whose lease ended longer ago than this. */
  readonly exhaustedFor?: Duration.Duration | undefined
  /**
   * Runs deleted by one call at most: repeat until it answers less.
   *
   * @default 1000
   */
  readonly batch?: number | undefined
}

/**
 * Service that answers questions about runs.
 *
 * @category services
 * @since 0.1.0
 */
export class RunStore extends Context.Service<RunStore, {
  /** Reads one run, settled or in flight. */
  readonly get: (runId: RunId) => Effect.Effect<AgentRun | RunInFlight, RunNotFound | StoreError>

  /**
   * Lists runs, newest first. Pages are stable while runs are added. A run of which nothing can be read is left out with a
   * warning in the log.
   */
  readonly list: (
    filter?: RunFilter,
    page?: PageRequest
  ) => Effect.Effect<Page<AgentRun | RunInFlight>, StoreError>

  /** Deletes old records and answers how many. Never a run that an idempotency key may still ask for. */
  readonly prune: (options: PruneOptions) => Effect.Effect<number, StoreError>

  /** Deletes every settled run of a caller or of an agent, keys included, and answers how many. */
  readonly erase: (
    who: { readonly callerId: string } | { readonly agentName: AgentName }
  ) => Effect.Effect<number, StoreError>
}>()("@everbeat/core/RunStore") {}
