/**
 * The service that begins, continues and ends passes.
 *
 * A pass belongs to its engine, not to the caller that asked for it: a caller
 * that goes away does not cut a pass in half. Closing the engine's scope
 * interrupts what is running, stores the outcomes so far and releases the
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
import type { AgentRun } from "./AgentRun.ts"
import type { Granted } from "./Checkpointer.ts"
import { CheckpointStore, type Resumed } from "./CheckpointStore.ts"
import type { Heartbeat, Pass, RunOptions } from "./Heartbeat.ts"
import { makeEngine } from "./internal/engine.ts"
import { holdTimes } from "./internal/holdTimes.ts"
import { makeVolatile } from "./internal/volatileStore.ts"
import type { AdoptError, RunError, StartError } from "./PassError.ts"
import type { Report } from "./Report.ts"
import type { RunId } from "./RunId.ts"
import { RunStore } from "./RunStore.ts"

/**
 * Options of an engine.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * How long a lease lives without renewal: after a crash, an agent is busy
   * that long. Renewed at a third of it.
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
 * Service that owns the passes of this process.
 *
 * @category services
 * @since 0.1.0
 */
export class HeartbeatEngine extends Context.Service<HeartbeatEngine, {
  /** Names this engine in leases and attempts; made afresh for every engine. */
  readonly owner: string

  /** Begins, continues, joins or replays a pass. Use it through `Heartbeat.start` and `Heartbeat.run`. */
  readonly start: <Name extends string, W, E, R>(
    heartbeat: Heartbeat<Name, W, E, R>,
    options: RunOptions
  ) => Effect.Effect<Pass<W, E>, StartError, R>

  /** Runs a pass and waits for its report; interrupting the call interrupts a pass that it began. */
  readonly run: <Name extends string, W, E, R>(
    heartbeat: Heartbeat<Name, W, E, R>,
    options: RunOptions
  ) => Effect.Effect<Report<W, E>, RunError, R>

  /**
   * Continues a pass that `claim` or `claimNext` of a store handed out, for `Recovery`. Answers nothing when it had been
   * cancelled: then it is recorded as that.
   */
  readonly adopt: <Name extends string, W, E, R>(
    heartbeat: Heartbeat<Name, W, E, R>,
    granted: Granted<Resumed>
  ) => Effect.Effect<Pass<W, E> | undefined, AdoptError, R>

  /**
   * Stops a pass of this engine, which is then recorded as `cancelled`. Answers whether it is one; a pass of another
   * engine is cancelled through the store: `CheckpointStore.requestCancel`.
   */
  readonly cancel: (runId: RunId) => Effect.Effect<boolean>

  /**
   * The records of passes that end here from now on, for alerts. A slow reader loses the oldest of 1,024; it never slows
   * a pass. Ends when the engine has stopped.
   */
  readonly settled: Stream.Stream<AgentRun>

  /**
   * Stops the engine for good: begins nothing new, waits up to `grace` for the
   * passes in flight, then interrupts and releases them.
   */
  readonly drain: (grace: Duration.Input) => Effect.Effect<void>
}>()("@everbeat/core/HeartbeatEngine") {}

/**
 * Creates an engine on the stores, stopped when its scope closes.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options: Options = {}
): Effect.Effect<HeartbeatEngine["Service"], never, CheckpointStore | RunStore | Scope.Scope> =>
  Effect.gen(function*() {
    const checkpoints = yield* CheckpointStore
    const runs = yield* RunStore
    return yield* makeEngine(checkpoints, runs, holdTimes("HeartbeatEngine", options))
  })

/**
 * Layer that provides an engine on the stores.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<HeartbeatEngine, never, CheckpointStore | RunStore> = Layer.effect(
  HeartbeatEngine,
  make()
)

/**
 * Layer that provides an engine with options.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerWith = (options: Options): Layer.Layer<HeartbeatEngine, never, CheckpointStore | RunStore> =>
  Layer.effect(HeartbeatEngine, make(options))

/**
 * Layer that provides an engine without a store.
 *
 * **Details**
 *
 * Passes run and report; nothing is recorded or continued, single flight holds
 * within this process, and an idempotency key does not replay.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerNoStore: Layer.Layer<HeartbeatEngine> = Layer.effect(
  HeartbeatEngine,
  Effect.suspend(() => makeEngine(makeVolatile(), undefined, holdTimes("HeartbeatEngine", {})))
)
