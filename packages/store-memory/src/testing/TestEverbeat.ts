/**
 * Everbeat for the tests of an application: on a store in memory, on a clock that
 * stands still until the test moves it, in processes that can be killed.
 *
 * It needs no test runner: use it with vitest, `node:test` or any other.
 *
 * @since 0.1.0
 */
import * as AgentSupervisor from "@everbeat/core/AgentSupervisor"
import type { CheckpointStore } from "@everbeat/core/CheckpointStore"
import * as HeartbeatEngine from "@everbeat/core/HeartbeatEngine"
import type { AnyAgent } from "@everbeat/core/promise/Agent"
import type { Duration } from "@everbeat/core/promise/Duration"
import type { Everbeat } from "@everbeat/core/promise/Everbeat"
import type {
  Heartbeats,
  LayerServices,
  MissingLayer,
  Options as EverbeatOptions
} from "@everbeat/core/promise/Options"
import type { RunStore } from "@everbeat/core/RunStore"
import type { CrashPoint } from "@everbeat/core/testing/Crash"
import * as Layer from "effect/Layer"
import * as MemoryStore from "../MemoryStore.ts"
import { makeTest } from "./internal/make.ts"

/**
 * Options of {@link make}: those of `createEverbeat` without the store.
 *
 * **Details**
 *
 * Two defaults differ. `recovery` is `false`: nothing is continued behind the
 * back of the test. `graceMs` is 0: at the end nobody is waited for.
 *
 * @category models
 * @since 0.1.0
 */
export type Options<H extends Heartbeats, A extends ReadonlyArray<AnyAgent>, R, E> = Omit<
  EverbeatOptions<H, A, R, E>,
  "store"
>

/**
 * The process that an instance lives in.
 *
 * @category models
 * @since 0.1.0
 */
export interface Process {
  /** Resolves in a living process, and never in a dead one: what is done outside the store begins with it. */
  readonly alive: () => Promise<void>
  /** Waits on the clock of the test. Rejects when the signal aborts. */
  readonly sleep: (duration: Duration, signal?: AbortSignal) => Promise<void>
}

/**
 * How a process ended that was to be killed: it died, or it made fewer writes.
 *
 * @category models
 * @since 0.1.0
 */
export type CrashEnd<A> =
  | { readonly crashed: true; readonly writes: number }
  | { readonly crashed: false; readonly writes: number; readonly value: A }

/**
 * A store and a clock, and the instances on them.
 *
 * @category models
 * @since 0.1.0
 */
export interface TestEverbeat<H extends Heartbeats = Heartbeats, A extends AnyAgent = AnyAgent, R = never>
  extends AsyncDisposable
{
  /** The instance, created when it is asked for first. */
  readonly everbeat: Everbeat<H, A, R>
  /** The time of the test. It begins at 2026-01-01T00:00:00Z. */
  readonly now: () => Date
  /**
   * Lets time pass, without waiting: limits, leases, retries and polls that fall due take place, in order. Resolves when
   * everything waits again.
   */
  readonly advance: (duration: Duration) => Promise<void>
  /**
   * Runs a function with an instance in a process of its own, which dies at its n-th write to the store: from then on
   * nothing reaches the store and nothing is answered. Resolves when it is dead and its leases have expired, so that
   * `everbeat` can go on with its runs; or when the function has resolved before, and the process has ended in order.
   * Rejects with what the function rejects with, and with `InvalidOptions` for an `n` below 1.
   *
   * `point` is where in the write: `unsent`, `unanswered` (executed, but not answered: the default) or `answered`.
   */
  readonly crashAfterWrite: <B>(
    n: number,
    use: (everbeat: Everbeat<H, A, R>) => B | PromiseLike<B>,
    point?: CrashPoint
  ) => Promise<CrashEnd<B>>
  /** Disposes the instance, as a deploy does, and resolves to the next one on the same store. */
  readonly restart: () => Promise<Everbeat<H, A, R>>
  /** Disposes the instance. What is in flight is stopped. */
  readonly dispose: () => Promise<void>
}

/**
 * Creates a store in memory, a clock, and an instance on both.
 *
 * **Details**
 *
 * Options that are a function are asked for once in each process: give the
 * agents what belongs to it, such as `alive`. A wrong option throws
 * `InvalidOptions` when the instance is asked for.
 *
 * **Gotchas**
 *
 * Only time limits, retries, leases, polls and the times of records follow the
 * clock, and `sleep` of the process. Timers of yours do not: `advance` waits for
 * promises, not for timers, files or sockets.
 *
 * Nothing stops an async function of a dead process that does not wait for the
 * store: let it begin with `alive` what it does elsewhere.
 *
 * **Example** (A step that is too slow, without waiting)
 *
 * ```ts
 * import { heartbeat } from "@everbeat/core/promise"
 * import { TestEverbeat } from "@everbeat/store-memory/testing"
 *
 * const triage = heartbeat().step("sync", () => new Promise<never>(() => {}), { timeout: "10 seconds" })
 * await using test = TestEverbeat.make({ heartbeats: { triage } })
 *
 * const call = test.everbeat.run("triage")
 * await test.advance("1 minute")
 * const report = await call
 * report.errors.map(({ code }) => code) // => ["StepTimeout"]
 * ```
 *
 * **Example** (A process that is killed at each of its writes)
 *
 * ```ts
 * import { heartbeat } from "@everbeat/core/promise"
 * import { TestEverbeat } from "@everbeat/store-memory/testing"
 *
 * const done: Array<string> = []
 * const triage = heartbeat()
 *   .step("sync", () => done.push("sync"), { durability: "sync" })
 *   .step("report", () => done.push("report"), { durability: "sync" })
 *
 * for (let n = 1; ; n++) {
 *   done.length = 0
 *   await using test = TestEverbeat.make({ heartbeats: { triage } })
 *   const { crashed } = await test.crashAfterWrite(n, (everbeat) => everbeat.run("triage", { key: "k" }))
 *   const report = await test.everbeat.run("triage", { key: "k" })
 *   report.status // => "ok"
 *   done // => ["sync", "report"]
 *   if (!crashed) break
 * }
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: <
  const H extends Heartbeats = {},
  const A extends ReadonlyArray<AnyAgent> = readonly [],
  R = never,
  E = never
>(
  options:
    | (Options<H, A, R, E> & MissingLayer<LayerServices<H>, R>)
    | ((process: Process) => Options<H, A, R, E> & MissingLayer<LayerServices<H>, R>)
) => TestEverbeat<H, A[number], R> = makeTest

/**
 * Layer for tests in Effect: the engine, the supervisor and both stores in
 * memory.
 *
 * **Details**
 *
 * It lives on the clock of the test: `it.effect` of `@effect/vitest` brings one,
 * and `TestClock.layer()` elsewhere. Processes that crash are in `Crash` of
 * `@everbeat/core/testing/Crash`. Every build has a store of its own.
 *
 * **Example** (A lease that expires)
 *
 * ```ts
 * import { Heartbeat, Step } from "@everbeat/core"
 * import { TestEverbeat } from "@everbeat/store-memory/testing"
 * import { Effect, Fiber } from "effect"
 * import { TestClock } from "effect/testing"
 *
 * const slow = Heartbeat.make("slow", [Step.make("sync", Effect.never).pipe(Step.timeout("10 seconds"))])
 * const program = Effect.gen(function*() {
 *   const pass = yield* Effect.forkChild(Heartbeat.run(slow, { agent: "triage" }))
 *   yield* TestClock.adjust("1 minute")
 *   return yield* Fiber.join(pass)
 * }).pipe(Effect.provide(TestEverbeat.layer), Effect.provide(TestClock.layer()))
 *
 * const report = await Effect.runPromise(program)
 * report.errors.map(({ code }) => code) // => ["StepTimeout"]
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<
  AgentSupervisor.AgentSupervisor | CheckpointStore | HeartbeatEngine.HeartbeatEngine | RunStore
> = Layer.fresh(
  Layer.provideMerge(Layer.merge(HeartbeatEngine.layer, AgentSupervisor.layer), MemoryStore.layer)
)
