/** The life of an instance: built at the first use, built again when that failed, drained and closed at the end. */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Stream from "effect/Stream"
import type { AgentRun } from "../../AgentRun.ts"
import { AgentSupervisor } from "../../AgentSupervisor.ts"
import type { CheckpointStore } from "../../CheckpointStore.ts"
import { HeartbeatEngine } from "../../HeartbeatEngine.ts"
import type { RunStore } from "../../RunStore.ts"
import { DisposedError } from "../EverbeatError.ts"
import type { SettledRun } from "../Run.ts"
import type { SettledHub } from "../SettledHub.ts"
import { describe } from "./checks.ts"
import { isA } from "./raise.ts"
import { settledOf } from "./records.ts"
import { valueOf } from "./translate.ts"

export type Services = AgentSupervisor | CheckpointStore | HeartbeatEngine | RunStore

/** How long callbacks may take after the last run has ended. */
const lingerMs = 1000

const ignore = (): void => {}

export class Host {
  private current: ManagedRuntime.ManagedRuntime<Services, unknown> | undefined
  private disposing: Promise<void> | undefined
  /** Waits until what was settled is passed on. */
  private told: Effect.Effect<unknown> = Effect.void
  private readonly first: Array<(graceMs: number) => Promise<void>> = []
  private readonly layer: Layer.Layer<Services, unknown>
  private readonly hub: SettledHub<SettledRun>
  private readonly graceMs: number

  constructor(layer: Layer.Layer<Services, unknown>, hub: SettledHub<SettledRun>, graceMs: number) {
    this.layer = Layer.tap(layer, (context) =>
      Effect.sync(() => {
        this.told = feed(context, hub)
      }))
    this.hub = hub
    this.graceMs = graceMs
  }

  get disposed(): boolean {
    return this.disposing !== undefined
  }

  get runtime(): ManagedRuntime.ManagedRuntime<Services, unknown> {
    if (this.current !== undefined) return this.current
    this.current = ManagedRuntime.make(this.layer)
    // Whoever only looks at the instance is not to be surprised by an error: what it runs dies.
    if (this.disposed) this.current.dispose().catch(ignore)
    return this.current
  }

  /** Called before anything else ends, with the grace. */
  onDispose(dispose: (graceMs: number) => Promise<void>): () => void {
    this.first.push(dispose)
    return () => {
      const index = this.first.indexOf(dispose)
      if (index >= 0) this.first.splice(index, 1)
    }
  }

  /** Builds the runtime. One that could not be built is given up, so that the next call tries again. */
  readonly ready: Effect.Effect<Context.Context<Services>, unknown> = Effect.suspend(() => {
    if (this.disposed) return Effect.fail(new DisposedError())
    const { runtime } = this
    return Effect.onExit(Effect.mapError(runtime.contextEffect, notBuilt), (exit) =>
      Effect.sync(() => {
        if (exit._tag === "Success" || this.current !== runtime || this.disposed) return
        if (Cause.hasInterruptsOnly(exit.cause)) return // the caller went away, the building goes on
        this.current = undefined
        runtime.dispose().catch(ignore)
      }))
  })

  /** Runs an effect on the services. The one way in for everything that returns a promise. */
  async call<A>(effect: Effect.Effect<A, unknown, Services>, signal?: AbortSignal): Promise<A> {
    signal?.throwIfAborted()
    if (this.disposed) throw new DisposedError()
    const program = Effect.flatMap(this.ready, (context) => Effect.provideContext(effect, context))
    const exit = await Effect.runPromiseExit(program, signal === undefined ? undefined : { signal })
    return valueOf(exit, signal)
  }

  /** Waits for what is in flight already: also while the instance is being disposed. */
  async wait<A>(effect: Effect.Effect<A, unknown>): Promise<A> {
    return valueOf(await Effect.runPromiseExit(effect))
  }

  dispose(graceMs = this.graceMs): Promise<void> {
    return this.disposing ??= Promise.resolve().then(() => this.close(graceMs)).catch((error: unknown) =>
      Effect.runPromise(Effect.logError(`Everbeat could not be closed: ${Cause.pretty(Cause.fail(error))}`))
    )
  }

  private async close(graceMs: number): Promise<void> {
    await Promise.allSettled(this.first.map((dispose) => dispose(graceMs)))
    const runtime = this.current
    const context = runtime?.cachedContext
    if (context !== undefined) {
      await Effect.runPromise(Effect.andThen(drained(context, graceMs), Effect.timeoutOption(this.told, lingerMs)))
    }
    await runtime?.dispose()
    await Effect.runPromise(Effect.timeoutOption(Effect.promise(() => this.hub.called), lingerMs))
    this.hub.end()
  }
}

/** A layer may fail with anything; who calls a function is to catch an error. */
const notBuilt = (error: unknown): unknown => {
  if (isA(error, Error)) return error
  const text = typeof error === "string" ? error : describe(error)
  return new Error(`Everbeat could not start, its layer or its store failed with: ${text}`, { cause: error })
}

const drained = (context: Context.Context<Services>, graceMs: number): Effect.Effect<unknown> =>
  Effect.all([
    Context.get(context, HeartbeatEngine).drain(graceMs),
    Context.get(context, AgentSupervisor).drain(graceMs)
  ], { concurrency: "unbounded" })

/** Passes on what is settled; answers how to wait until everything is. */
const feed = (context: Context.Context<Services>, hub: SettledHub<SettledRun>): Effect.Effect<unknown> => {
  const pass = (settled: Stream.Stream<AgentRun>) =>
    Effect.runForkWith(context)(Stream.runForEach(settled, (run) => Effect.sync(() => hub.publish(settledOf(run)))))
  const passes = pass(Context.get(context, HeartbeatEngine).settled)
  pass(Context.get(context, AgentSupervisor).settled)
  // The other stream ends with its layer only, and what it was told of by then it has passed on.
  return Effect.andThen(Fiber.await(passes), Effect.sleep(0))
}
