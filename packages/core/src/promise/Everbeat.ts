/**
 * Everbeat as one object, for hosts that do not use Effect.
 *
 * @since 0.1.0
 */
import type * as ManagedRuntime from "effect/ManagedRuntime"
import type { AgentSupervisor } from "../AgentSupervisor.ts"
import type { CheckpointStore } from "../CheckpointStore.ts"
import type { HeartbeatEngine } from "../HeartbeatEngine.ts"
import type { RunStore } from "../RunStore.ts"
import type { AnyAgent, StartOptions } from "./Agent.ts"
import type { AgentHandle } from "./AgentHandle.ts"
import type { Duration } from "./Duration.ts"
import type { Extensible } from "./Extension.ts"
import type { AnyHeartbeat } from "./Heartbeat.ts"
import * as internal from "./internal/everbeat.ts"
import type { Json } from "./Json.ts"
import type { Heartbeats, LayerServices, MissingLayer, Options } from "./Options.ts"
import type { Diagnostic, Report } from "./Report.ts"
import type { Checkpoint, Page, Run, RunInFlight, SettledRun } from "./Run.ts"

/**
 * The report of a heartbeat, with its codes.
 *
 * @category utility types
 * @since 0.1.0
 */
export type ReportOf<H> = H extends AnyHeartbeat<infer W, infer E, unknown>
  ? Report<W extends Diagnostic ? W : Diagnostic, E extends Diagnostic ? E : Diagnostic>
  : Report

/**
 * Who asks for a pass, and how.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunOptions {
  /** JSON that steps read as `ctx.payload`. With a key, it must not change. */
  readonly payload?: Json | undefined
  /** Idempotency key, 1 to 255 visible ASCII characters: the same key answers the recorded report and never runs twice. */
  readonly key?: string | undefined
  /**
   * When the agent has a pass in flight: reject with `AgentBusyError`, or `join` it and answer its report.
   *
   * @default "fail"
   */
  readonly onBusy?: "fail" | "join" | undefined
  /** Aborts the call, and the pass when this call began it: what it has done is stored and the next call continues it. */
  readonly signal?: AbortSignal | undefined
  readonly prompt?: string | undefined
  readonly agentId?: string | undefined
  readonly callerId?: string | undefined
  readonly channelId?: string | undefined
  readonly guildId?: string | undefined
  readonly modelTier?: string | undefined
  readonly parentRunId?: string | undefined
}

/**
 * Which runs to list. Absent fields do not filter.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunFilter {
  readonly agentName?: string | undefined
  readonly kind?: "heartbeat" | "agent" | undefined
  readonly status?: ReadonlyArray<Run["status"]> | undefined
  readonly callerId?: string | undefined
  /** Only runs that started at or after this instant. */
  readonly from?: Date | undefined
  /** Only runs that started before this instant. */
  readonly until?: Date | undefined
  /** @default 50 */
  readonly limit?: number | undefined
  /** `next` of the page before. */
  readonly cursor?: string | undefined
}

/**
 * Which runs in flight to list. Absent fields do not filter.
 *
 * @category models
 * @since 0.1.0
 */
export interface CheckpointFilter {
  readonly agentName?: string | undefined
  readonly callerId?: string | undefined
  readonly channelId?: string | undefined
  readonly parentRunId?: string | undefined
  /** Only runs whose lease ended at least so long ago. */
  readonly interruptedFor?: Duration | undefined
  /** @default ["interrupted", "exhausted"] */
  readonly status?: ReadonlyArray<RunInFlight["status"]> | undefined
  /** @default 50 */
  readonly limit?: number | undefined
  /** `next` of the page before. */
  readonly cursor?: string | undefined
}

/**
 * How to continue a run.
 *
 * @category models
 * @since 0.1.0
 */
export interface ResumeOptions {
  /** What the agent is told last. It must come from whom you trust. */
  readonly followUp?: string | undefined
}

/**
 * Which runs to prune. A run goes when any given rule says so; without a rule none does.
 *
 * @category models
 * @since 0.1.0
 */
export interface PruneRules {
  /** Runs that ended longer ago than this. */
  readonly olderThan?: Duration | undefined
  /** Runs that ended, beyond the newest so many of each agent. */
  readonly keepLast?: number | undefined
  /** Exhausted runs that nobody has continued for longer than this. */
  readonly exhaustedFor?: Duration | undefined
}

/**
 * Reads runs, and deletes old ones.
 *
 * @category models
 * @since 0.1.0
 */
export interface Runs {
  /** Lists runs, newest first. Rejects with `StoreError`. */
  readonly list: (filter?: RunFilter) => Promise<Page<Run>>
  /** Reads one run, ended or in flight. Rejects with `RunNotFoundError` or `StoreError`. */
  readonly get: (runId: string) => Promise<Run>
  /**
   * Deletes old runs, a thousand at a time, and resolves to how many. It leaves those of the last 24 hours that have an
   * idempotency key. Rejects with `InvalidInputError` or `StoreError`: what was deleted before stays deleted.
   */
  readonly prune: (rules: PruneRules) => Promise<number>
  /**
   * Deletes every run of a caller or of an agent that has ended, keys included, and resolves to how many. Rejects with
   * `InvalidInputError` or `StoreError`.
   */
  readonly erase: (who: { readonly callerId: string } | { readonly agentName: string }) => Promise<number>
}

/**
 * Looks after runs that did not end.
 *
 * @category models
 * @since 0.1.0
 */
export interface Checkpoints {
  /** Lists runs in flight, those that were interrupted first come first. Rejects with `StoreError`. */
  readonly list: (filter?: CheckpointFilter) => Promise<Page<RunInFlight>>
  /** Reads what is stored of a run in flight. Rejects with `RunNotFoundError` (also when it has ended) or `StoreError`. */
  readonly get: (runId: string) => Promise<Checkpoint>
  /**
   * Continues an interrupted run, also an exhausted one, and does not wait for its end. Rejects with `RunNotFoundError`,
   * `RunSettledError`, `RunHeldError`, `UnknownAgentError`, `DefinitionChangedError`, `CheckpointUnreadableError` or
   * `StoreError`.
   */
  readonly resume: (runId: string, options?: ResumeOptions) => Promise<void>
  /**
   * Deletes what is stored of an interrupted run, without a record. Rejects with `RunNotFoundError`, `RunSettledError`,
   * `RunHeldError` (cancel such a run) or `StoreError`.
   */
  readonly discard: (runId: string) => Promise<void>
}

/**
 * Runs agents.
 *
 * @category models
 * @since 0.1.0
 */
export interface Agents<A extends AnyAgent> {
  /**
   * Starts a run and does not wait for its end: the handle does. Rejects with `UnknownAgentError`, `AgentBusyError` (a run
   * of that key is in flight elsewhere), `KeyMismatchError`, `InvalidInputError`, `InvalidOptions`, `NotStorableError` for
   * a payload, or `StoreError`.
   */
  readonly start: <const Given extends A | A["name"]>(
    agent: Given,
    options?: StartOptions
  ) => Promise<AgentHandle<AnswerOf<Given, A>>>
  /**
   * Continues an interrupted run of this agent as its next attempt, also an exhausted one. Rejects with
   * `RunNotFoundError`, `RunSettledError`, `RunHeldError`, `DefinitionChangedError`, `CheckpointUnreadableError`,
   * `UnknownAgentError` or `StoreError`.
   */
  readonly resume: <const Given extends A | A["name"]>(
    agent: Given,
    runId: string,
    options?: ResumeOptions
  ) => Promise<AgentHandle<AnswerOf<Given, A>>>
  /**
   * Cancels a run, wherever it is, and those that it started; also a pass of a heartbeat. Resolves to its record when
   * nobody ran it; else to `undefined`: its owner stops soon. Rejects with `RunNotFoundError`, `RunSettledError` or
   * `StoreError`.
   */
  readonly cancel: (runId: string) => Promise<SettledRun | undefined>
}

/**
 * What an agent answers.
 *
 * @category utility types
 * @since 0.1.0
 */
export type AnswerOf<Given, A extends AnyAgent> = Given extends AnyAgent<infer Answer> ? Answer
  : Extract<A, { readonly name: Given }> extends AnyAgent<infer Answer> ? Answer
  : unknown

/**
 * An instance of Everbeat. Every method rejects with `DisposedError` after
 * `dispose`, and with `signal.reason` when the caller's signal aborts.
 *
 * @category models
 * @since 0.1.0
 */
export interface Everbeat<H extends Heartbeats = Heartbeats, A extends AnyAgent = AnyAgent, R = never, E = unknown>
  extends AsyncDisposable, Extensible
{
  /**
   * Runs the heartbeat of an agent and resolves to its report, for `ok`, `warning` and `error` alike. Rejects only when
   * there is no report:
   *
   * - `AgentBusyError`: a pass is in flight. Wait, or ask with `onBusy: "join"`.
   * - `KeyMismatchError`: the key was used with another payload.
   * - `StoreError`: the store failed before the pass began.
   * - `RunInterruptedError`, `LeaseLostError`: the pass goes on elsewhere, or with the next call.
   * - `RunCancelledError`: somebody cancelled it.
   * - `DefinitionChangedError`, `CheckpointUnreadableError`: an interrupted pass is in the way.
   * - `UnknownAgentError`, `InvalidInputError`, `InvalidOptions`, `NotStorableError` (the payload): correct the call.
   */
  readonly run: <N extends keyof H & string>(agentName: N, options?: RunOptions) => Promise<ReportOf<H[N]>>
  readonly runs: Runs
  readonly checkpoints: Checkpoints
  readonly agent: Agents<A>
  /**
   * The runs that end in this process from now on; it ends with `dispose`. A slow reader loses the oldest of 1,024 runs,
   * and never slows one.
   */
  readonly settled: AsyncIterable<SettledRun>
  /**
   * Connects the store and starts to look for interrupted runs. Otherwise the first call does. Rejects with what the
   * store or the layer fails with; the next call tries again.
   */
  readonly ready: () => Promise<void>
  /**
   * Refuses further calls, waits up to `graceMs` for what is in flight, interrupts the rest (another process continues
   * it), and closes what the instance has opened: never a pool or a client of yours. Every further call answers the same
   * promise. It does not reject: what fails is logged.
   */
  readonly dispose: (options?: { readonly graceMs?: number | undefined }) => Promise<void>
  /** The way out to Effect: all services, and those of the `layer` option. After `dispose` it runs nothing. */
  readonly runtime: ManagedRuntime.ManagedRuntime<
    AgentSupervisor | CheckpointStore | HeartbeatEngine | RunStore | R,
    E
  >
}

/**
 * Creates an instance: heartbeats, agents and what is stored of them.
 *
 * **Details**
 *
 * It returns at once; the store is connected with the first call, or with
 * `ready`. Every wrong option is listed in one `InvalidOptions`, which is thrown.
 *
 * Interrupted runs are looked for from then on, and continued: `recovery: false`
 * leaves that to others.
 *
 * **Gotchas**
 *
 * It installs no signal handlers: when the process is told to stop, await
 * `dispose`. In development, modules are evaluated again when they change: see
 * `createOnce`.
 *
 * **Example** (Running a heartbeat)
 *
 * ```ts
 * import { createEverbeat, heartbeat } from "@everbeat/core/promise"
 * import { memoryStore } from "@everbeat/store-memory/promise"
 *
 * const greeting = heartbeat().step("greet", async (ctx) => `hello, ${ctx.agentName}`)
 * await using everbeat = createEverbeat({ store: memoryStore(), heartbeats: { triage: greeting } })
 *
 * const report = await everbeat.run("triage")
 * report.status // => "ok"
 * const { items } = await everbeat.runs.list({ agentName: "triage" })
 * items.map((run) => run.status) // => ["ok"]
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const createEverbeat: <
  const H extends Heartbeats = {},
  const A extends ReadonlyArray<AnyAgent> = readonly [],
  R = never,
  E = never
>(
  options: Options<H, A, R, E> & MissingLayer<LayerServices<H>, R>
) => Everbeat<H, A[number], R, unknown> = internal.createEverbeat
