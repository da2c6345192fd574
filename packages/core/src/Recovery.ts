/**
 * Finds interrupted runs and continues them.
 *
 * Recovery runs in the background: at start, and then on a poll that slows down
 * while there is nothing to do. Replicas share the work, and each run is
 * continued by exactly one of them.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Agent from "./Agent.ts"
import type { ResumeError, UnknownDefinition } from "./AgentError.ts"
import type { RunInFlight } from "./AgentRun.ts"
import { AgentSupervisor } from "./AgentSupervisor.ts"
import { CheckpointStore } from "./CheckpointStore.ts"
import type * as Heartbeat from "./Heartbeat.ts"
import type { HeartbeatEngine } from "./HeartbeatEngine.ts"
import { makeRecovery } from "./internal/recovery.ts"
import type { AdoptError } from "./PassError.ts"
import type { RunId } from "./RunId.ts"
import { RunStore } from "./RunStore.ts"
import type { StoreError } from "./StoreError.ts"

/**
 * What is recovered, and how eagerly.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<
  Agents extends ReadonlyArray<Agent.Any> = ReadonlyArray<Agent.Any>,
  Heartbeats extends ReadonlyArray<Heartbeat.Any> = ReadonlyArray<Heartbeat.Any>
> {
  readonly agents?: Agents | undefined
  /** Heartbeats, whose interrupted passes are continued without waiting for the next call. */
  readonly heartbeats?: Heartbeats | undefined
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
  readonly pollInterval?: Duration.Input | undefined
  /**
   * The longest pause. An interrupted run waits at most that long, beside its lease.
   *
   * @default "10 seconds"
   */
  readonly maxPollInterval?: Duration.Input | undefined
  /**
   * How often it is looked, and logged, whether there are runs that nobody here continues.
   *
   * @default "5 minutes"
   */
  readonly reportInterval?: Duration.Input | undefined
  /**
   * How often the snapshots of runs that ended long ago are removed, also soon after the start. Only with a `Workspace`.
   *
   * @default "1 day"
   */
  readonly sweepInterval?: Duration.Input | undefined
  /**
   * Folders in the repositories where agents work.
   *
   * @default the one that the workspace was made with
   */
  readonly folders?: ReadonlyArray<string> | undefined
}

/**
 * The interrupted runs that are left alone.
 *
 * @category models
 * @since 0.1.0
 */
export interface RecoveryReport {
  /** Runs of definitions that this process does not know. */
  readonly unknown: ReadonlyArray<RunInFlight>
  /** Runs whose parent has ended or is gone: nobody asks for them any more. Resume or cancel them by their id. */
  readonly orphans: ReadonlyArray<RunInFlight>
  /** Runs that this process was given and could not continue: their checkpoint is of a newer version, or damaged. */
  readonly unreadable: ReadonlyArray<RunInFlight>
  /** Runs that used up their attempts. */
  readonly exhausted: ReadonlyArray<RunInFlight>
}

/**
 * Service that continues interrupted runs.
 *
 * @category services
 * @since 0.1.0
 */
export class Recovery extends Context.Service<Recovery, {
  /** Looks for interrupted runs now, and answers how many are continued. The background does so by itself. */
  readonly sweep: Effect.Effect<number, StoreError>

  /** Continues one run by its id, also an exhausted one or a child: somebody asked for it. */
  readonly resume: (
    runId: RunId,
    options?: Agent.ResumeOptions
  ) => Effect.Effect<void, AdoptError | ResumeError | UnknownDefinition>

  /** Tells which interrupted runs are left alone. At most the first 1,000 are looked at. */
  readonly report: Effect.Effect<RecoveryReport, StoreError>
}>()("@everbeat/core/Recovery") {}

type NeedsEngine<Heartbeats> = Heartbeats extends readonly [] ? never : HeartbeatEngine

type AgentServices<Agents> = Agents extends ReadonlyArray<infer A> ? Agent.Services<A> : never

// Over the elements: of an empty list nothing could be inferred.
type HeartbeatServices<Heartbeats> = Heartbeats extends ReadonlyArray<infer H> ? ServicesOf<H> : never

type ServicesOf<H> = H extends Heartbeat.Heartbeat<string, unknown, unknown, infer R> ? R : never

/**
 * Layer that continues interrupted runs until its scope closes.
 *
 * **Details**
 *
 * It never delays the host: the layer is ready before the first poll. Runs of
 * other definitions are left for a process that knows them. Children are
 * continued by their parent. A run whose checkpoint cannot be read here is given
 * back without counting an attempt, and does not hold up the others.
 *
 * With a `Workspace` it removes what is left of the files of runs that ended long ago, and what crashes left behind.
 *
 * While nothing is interrupted it asks the store at most once in
 * `maxPollInterval` for each kind (agents, heartbeats).
 *
 * **Example** (Agents that survive a restart)
 *
 * ```ts
 * import { Agent, AgentSupervisor, Recovery } from "@everbeat/core"
 * import { MemoryStore } from "@everbeat/store-memory"
 * import { Effect, Layer, Schema } from "effect"
 *
 * const coder = Agent.make("coder", { message: Schema.String, run: () => Effect.void })
 * const layer = Recovery.layer({ agents: [coder] }).pipe(
 *   Layer.provideMerge(AgentSupervisor.layer),
 *   Layer.provideMerge(MemoryStore.layer)
 * )
 * const program = Effect.flatMap(Recovery.Recovery, (recovery) => recovery.report)
 * await Effect.runPromise(Effect.provide(program, layer)) // => { unknown: [], orphans: [], unreadable: [], exhausted: [] }
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <
  const Agents extends ReadonlyArray<Agent.Any> = readonly [],
  const Heartbeats extends ReadonlyArray<Heartbeat.Any> = readonly []
>(
  options: Options<Agents, Heartbeats>
): Layer.Layer<
  Recovery,
  never,
  | AgentSupervisor
  | CheckpointStore
  | RunStore
  | NeedsEngine<Heartbeats>
  | AgentServices<Agents>
  | HeartbeatServices<Heartbeats>
> =>
  Layer.effect(
    Recovery,
    Effect.gen(function*() {
      const millis = (input: Duration.Input) => Math.max(1, Duration.toMillis(Duration.fromInputUnsafe(input)))
      return yield* makeRecovery(yield* AgentSupervisor, yield* CheckpointStore, yield* RunStore, {
        agents: options.agents ?? [],
        heartbeats: options.heartbeats ?? [],
        concurrency: Math.max(1, options.concurrency ?? 4),
        pollMillis: millis(options.pollInterval ?? "1 second"),
        maxPollMillis: millis(options.maxPollInterval ?? "10 seconds"),
        reportMillis: millis(options.reportInterval ?? "5 minutes"),
        sweepMillis: millis(options.sweepInterval ?? "1 day"),
        folders: options.folders ?? []
      })
    })
  )
