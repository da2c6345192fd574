/**
 * The service that runs agents: it starts their attempts, stops them at their
 * limit, keeps what they leave, and starts the next one.
 *
 * A run belongs to its supervisor, not to the caller that asked for it. Closing
 * its scope interrupts what is running, stores its newest state and releases the
 * leases, so that another process continues at once.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { Agent, ResumeOptions, StartOptions } from "./Agent.ts"
import type { AgentStartError, ResumeError, RunAlreadySettled } from "./AgentError.ts"
import type { AgentHandle } from "./AgentHandle.ts"
import type { AgentRun } from "./AgentRun.ts"
import type { Granted } from "./Checkpointer.ts"
import { CheckpointStore, type ClaimFilter, type Resumed } from "./CheckpointStore.ts"
import { makeSupervisor } from "./internal/agent/supervisor.ts"
import { holdTimes } from "./internal/holdTimes.ts"
import type { RunId } from "./RunId.ts"
import { RunStore } from "./RunStore.ts"
import type { LeaseHeld, RunNotFound, StoreError } from "./StoreError.ts"

/**
 * Options of a supervisor.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * How long a lease lives without renewal: after a crash, a run waits that long
   * for another process. Renewed at a third of it.
   *
   * @default "30 seconds"
   */
  readonly leaseTtl?: Duration.Input | undefined
  /**
   * How long one operation of the store may take before it counts as failed.
   *
   * @default "5 seconds"
   */
  readonly storeTimeout?: Duration.Input | undefined
}

/**
 * What happens to the runs of a supervisor, for alerts and dashboards.
 *
 * **Details**
 *
 * `AttemptEnded` tells that a run was stopped and will be continued. After
 * `RunSettled`, `RunExhausted` and `RunReleased` (to another process) nothing
 * more is said of a run here.
 *
 * @category models
 * @since 0.1.0
 */
export type AgentEvent =
  | { readonly _tag: "AttemptStarted"; readonly runId: RunId; readonly agent: string; readonly attempt: number }
  | {
    readonly _tag: "AttemptEnded"
    readonly runId: RunId
    readonly agent: string
    readonly attempt: number
    readonly reason: string
  }
  | { readonly _tag: "RunSettled"; readonly run: AgentRun }
  | { readonly _tag: "RunExhausted"; readonly runId: RunId; readonly agent: string; readonly attempts: number }
  | { readonly _tag: "RunReleased"; readonly runId: RunId; readonly agent: string; readonly reason: string }

/**
 * Service that owns the agents' runs of this process.
 *
 * @category services
 * @since 0.1.0
 */
export class AgentSupervisor extends Context.Service<AgentSupervisor, {
  /** Names this process in leases and attempts. */
  readonly owner: string

  /** Claims interrupted runs for this process. Each must be adopted, or released, at once. */
  readonly claimNext: (
    limit: number,
    filter?: ClaimFilter
  ) => Effect.Effect<ReadonlyArray<Granted<Resumed>>, StoreError>

  /** Claims one run for this process. */
  readonly claim: (runId: RunId) => Effect.Effect<Granted<Resumed>, LeaseHeld | RunNotFound | StoreError>

  /** Starts a run. Use it through `Agent.start`. */
  readonly start: <Name extends string, M, A, E, R>(
    agent: Agent<Name, M, A, E, R>,
    options: StartOptions
  ) => Effect.Effect<AgentHandle<A, E>, AgentStartError, R>

  /** Continues a run. Use it through `Agent.resume`. */
  readonly resume: <Name extends string, M, A, E, R>(
    agent: Agent<Name, M, A, E, R>,
    runId: RunId,
    options?: ResumeOptions
  ) => Effect.Effect<AgentHandle<A, E>, ResumeError, R>

  /** Continues a run that `claim` or `claimNext` handed out. */
  readonly adopt: <Name extends string, M, A, E, R>(
    agent: Agent<Name, M, A, E, R>,
    granted: Granted<Resumed>,
    options?: ResumeOptions
  ) => Effect.Effect<AgentHandle<A, E>, ResumeError, R>

  /** Cancels a run. Use it through `Agent.cancel`. */
  readonly cancel: (
    runId: RunId
  ) => Effect.Effect<AgentRun | undefined, RunAlreadySettled | RunNotFound | StoreError>

  /** Throws an interrupted run away. Use it through `Agent.discard`. */
  readonly discard: (
    runId: RunId
  ) => Effect.Effect<void, LeaseHeld | RunAlreadySettled | RunNotFound | StoreError>
  /** What happens from now on. A slow reader loses the oldest of 1,024 events; it never slows a run. */
  readonly events: Stream.Stream<AgentEvent>

  /** The records of runs that end here from now on. */
  readonly settled: Stream.Stream<AgentRun>

  /**
   * Stops the supervisor for good: starts nothing new, waits up to `grace` for the runs in flight, then interrupts and
   * releases them.
   */
  readonly drain: (grace: Duration.Input) => Effect.Effect<void>
}>()("@everbeat/core/AgentSupervisor") {}

/**
 * Creates a supervisor on the stores, stopped when its scope closes.
 *
 * **Details**
 *
 * It uses the `Workspace` of the context of whoever starts a run, when there is one.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options: Options = {}
): Effect.Effect<AgentSupervisor["Service"], never, CheckpointStore | RunStore | Scope.Scope> =>
  Effect.gen(function*() {
    const checkpoints = yield* CheckpointStore
    const runs = yield* RunStore
    return yield* makeSupervisor(checkpoints, runs, holdTimes("AgentSupervisor", options))
  })

/**
 * Layer that provides a supervisor on the stores.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<AgentSupervisor, never, CheckpointStore | RunStore> = Layer.effect(
  AgentSupervisor,
  make()
)

/**
 * Layer that provides a supervisor with options.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerWith = (options: Options): Layer.Layer<AgentSupervisor, never, CheckpointStore | RunStore> =>
  Layer.effect(AgentSupervisor, make(options))
