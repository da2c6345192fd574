/**
 * An agent: a loop whose runs survive timeouts, deploys and crashes.
 *
 * A definition says how to run the agent, for how long, and what to persist.
 * Each run has one id for life; a run that ends in any way but its own is
 * continued as its next attempt, by exactly one process, told what it was doing.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type * as Types from "effect/Types"
import type { AgentContext } from "./AgentContext.ts"
import type { AgentStartError, ResumeError, RunAlreadySettled } from "./AgentError.ts"
import type { AgentHandle } from "./AgentHandle.ts"
import type { AgentRun, RunMeta } from "./AgentRun.ts"
import { AgentSupervisor } from "./AgentSupervisor.ts"
import type * as Continuation from "./Continuation.ts"
import * as internal from "./internal/agent/definition.ts"
import type { MessageCodec } from "./MessageCodec.ts"
import type { RunId } from "./RunId.ts"
import type { LeaseHeld, RunNotFound, StoreError } from "./StoreError.ts"
import type * as Transcript from "./Transcript.ts"

/**
 * Identifies agents.
 *
 * @category type ids
 * @since 0.1.0
 */
export const TypeId: typeof internal.TypeId = internal.TypeId

/**
 * When the progress of an agent is written.
 *
 * **Details**
 *
 * A change of phase, a timeout, an interruption and a shutdown write the newest
 * state in any case.
 *
 * @category models
 * @since 0.1.0
 */
export interface CheckpointPolicy {
  /**
   * Every so many iterations.
   *
   * @default 1
   */
  readonly every?: number | undefined
  /**
   * Whether a mutating tool call waits until its intent, and then its outcome, is durable.
   *
   * @default true
   */
  readonly onMutation?: boolean | undefined
  /**
   * How far apart writes are at least. Safety points do not wait for it.
   *
   * @default 0
   */
  readonly throttle?: Duration.Input | undefined
  /**
   * While the store fails: `continue` goes on and keeps the newest state pending: when the process is lost then too, what
   * its tools did meanwhile is not known. `stop` ends the attempt after three failures in a row, so that nothing happens
   * that is not recorded.
   *
   * @default "continue"
   */
  readonly onStoreFailure?: "continue" | "stop" | undefined
  /**
   * How a saved message is recognised; see `Checkpointer.Options`.
   *
   * @default "identity"
   */
  readonly verify?: "identity" | "hash" | undefined
}

/**
 * When the files of an agent are kept. At the end of an attempt they are in any
 * case.
 *
 * @category models
 * @since 0.1.0
 */
export interface WorkspacePolicy {
  /**
   * Every so many iterations.
   *
   * @default 5
   */
  readonly every?: number | undefined
  /**
   * After a mutating tool call, at most once in this time.
   *
   * @default "30 seconds"
   */
  readonly afterMutation?: Duration.Input | undefined
}

/**
 * Options of an agent.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<in out M, in out A, in out E, out R> {
  /** Schema of one message, or a codec with a version, compression, encryption. */
  readonly message: Schema.Codec<M, unknown> | MessageCodec<M>
  /**
   * Schema of what the agent answers, at most 1 MiB of JSON: other answers end the run as `ResultRefused`. Without one it
   * answers nothing.
   */
  readonly result?: Schema.Codec<A, unknown> | undefined
  /** The loop. Called once for each attempt. */
  readonly run: (context: AgentContext<M>) => Effect.Effect<NoInfer<A>, E, R>
  /** Stored with every run; a resumed run is told by `meta.definition.hash` which version began it. */
  readonly version?: string | undefined
  /**
   * Limit of one attempt.
   *
   * @default "120 seconds"
   */
  readonly timeout?: Duration.Input | undefined
  /**
   * How long an attempt that is stopped may take to end before it is left behind.
   *
   * @default "5 seconds"
   */
  readonly grace?: Duration.Input | undefined
  /**
   * How many attempts a run gets, the first included. Crashes and timeouts count; a shutdown in good order counts only when
   * the attempt had saved nothing new.
   *
   * @default 3
   */
  readonly maxAttempts?: number | undefined
  /**
   * How long to wait before the next attempt, by the number of the one that ended.
   *
   * @default one second, doubled each time, at most 30 seconds
   */
  readonly backoff?: ((attempt: number) => Duration.Input) | undefined
  /**
   * Which failures another attempt may mend (a rate limit, a provider that is down). Others end the run as `error`. Write
   * it behind `run`, from which the type of the error is inferred.
   *
   * @default those whose error has `isRetryable: true`
   */
  readonly resumeOn?: ((error: E) => boolean) | undefined
  readonly checkpoint?: CheckpointPolicy | undefined
  readonly workspace?: WorkspacePolicy | undefined
  /** What tool calls and results are, so that a resumed conversation has no call without an answer. */
  readonly transcript?: Transcript.Adapter<M> | undefined
  /**
   * Whether each call of a tool goes through `checkpoint.tool`: then a call without a record is known not to have started.
   * Otherwise that is known from the first recorded call on.
   *
   * @default false
   */
  readonly recordsCalls?: boolean | undefined
  /** What a resumed agent is told. */
  readonly continuation?: Continuation.Options<M> | undefined
}

/**
 * Any agent that needs no more than the services `R`, whatever its name and its messages are.
 *
 * @category models
 * @since 0.1.0
 */
export interface Any<out R = unknown, out A = unknown, out E = unknown> {
  readonly [TypeId]: {
    readonly _A: Types.Covariant<A>
    readonly _E: Types.Covariant<E>
    readonly _R: Types.Covariant<R>
  }
  readonly name: string
  readonly version: string
}

/**
 * A definition of an agent with messages `M` that answers `A`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Agent<out Name extends string, in out M, out A, out E, out R> extends Any<R, A, E> {
  readonly [TypeId]: {
    readonly _M: Types.Invariant<M>
    readonly _A: Types.Covariant<A>
    readonly _E: Types.Covariant<E>
    readonly _R: Types.Covariant<R>
  }
  readonly name: Name
}

/**
 * The services that an agent needs.
 *
 * @category utility types
 * @since 0.1.0
 */
export type Services<T> = T extends Any<infer R> ? R : never

/**
 * Who asks for a run, and for what.
 *
 * @category models
 * @since 0.1.0
 */
export interface StartOptions extends
  Partial<
    Pick<
      RunMeta,
      "agentId" | "callerId" | "channelId" | "guildId" | "modelTier" | "parentRunId" | "payload" | "prompt"
    >
  >
{
  /**
   * Name of the agent in records, and the scope of the key.
   *
   * @default the name of the definition
   */
  readonly agent?: string | undefined
  /**
   * Idempotency key, 1 to 255 visible ASCII characters: a second start with the same key finds the first run, also after
   * it has ended.
   */
  readonly key?: string | undefined
  /** The agent's folder. Absent: the one that the workspace was made with. */
  readonly cwd?: string | undefined
}

/**
 * How to resume a run.
 *
 * @category models
 * @since 0.1.0
 */
export interface ResumeOptions {
  /** What the agent is told last: the latest instruction. */
  readonly followUp?: string | undefined
}

/**
 * Creates an agent.
 *
 * **Details**
 *
 * `run` is called once for each attempt, with what the one before left in
 * `resume`. It saves its messages after every turn and wraps its tools in
 * `checkpoint.tool`. When it succeeds the run is recorded and its checkpoint is
 * gone.
 *
 * A timeout stops the attempt, keeps its newest state and its files, and starts
 * the next one. A failure that `resumeOn` accepts does the same; any other one,
 * and a defect, ends the run as `error`.
 *
 * **Gotchas**
 *
 * What a tool does outside the conversation is at-least-once: a process may die
 * between the effect and its record. The resumed agent is told of such calls.
 *
 * **Example** (An agent that counts to three, over two attempts)
 *
 * ```ts
 * import { Agent, AgentSupervisor } from "@everbeat/core"
 * import { MemoryStore } from "@everbeat/store-memory"
 * import { Effect, Layer, Schema } from "effect"
 *
 * const counter = Agent.make("counter", {
 *   message: Schema.String,
 *   result: Schema.Array(Schema.String),
 *   backoff: () => 0,
 *   run: (ctx) =>
 *     Effect.gen(function*() {
 *       const messages = [...(ctx.resume?.messages ?? [])]
 *       while (messages.length < 3) {
 *         messages.push(`attempt ${ctx.attempt}`)
 *         yield* ctx.checkpoint.save({ messages: [...messages], iteration: messages.length })
 *         if (ctx.attempt === 1) return yield* Effect.fail("rate limited")
 *       }
 *       return messages
 *     }),
 *   resumeOn: (error) => error === "rate limited"
 * })
 *
 * const layer = Layer.provideMerge(AgentSupervisor.layer, MemoryStore.layer)
 * const program = Effect.flatMap(Agent.start(counter, { prompt: "Count" }), (run) => run.result)
 * await Effect.runPromise(Effect.provide(program, layer)) // => ["attempt 1", "attempt 2", "attempt 2"]
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <const Name extends string, M, E, R, A = void>(
  name: Name,
  options: Options<M, A, E, R>
): Agent<Name, M, A, E, R> => internal.build(name, options)

/**
 * Starts a run and does not wait for it.
 *
 * **Details**
 *
 * Succeeds as soon as the run is begun in the store. It goes on with the services
 * of the caller, owned by the supervisor. With a key that an interrupted run has,
 * that run is continued; with that of a run in flight elsewhere it fails with
 * `AgentBusy`.
 *
 * @category running
 * @since 0.1.0
 */
export const start = <A, E, R>(
  self: Any<R, A, E>,
  options: StartOptions = {}
): Effect.Effect<AgentHandle<A, E>, AgentStartError, R | AgentSupervisor> =>
  Effect.flatMap(AgentSupervisor, (supervisor) => supervisor.start(internal.erased(self), options))

/**
 * Continues an interrupted run as its next attempt, also an exhausted one.
 *
 * **Details**
 *
 * Asked twice in one process, it answers the same run. While another process
 * runs it, it fails with `LeaseHeld`.
 *
 * @category running
 * @since 0.1.0
 */
export const resume = <A, E, R>(
  self: Any<R, A, E>,
  runId: RunId,
  options: ResumeOptions = {}
): Effect.Effect<AgentHandle<A, E>, ResumeError, R | AgentSupervisor> =>
  Effect.flatMap(AgentSupervisor, (supervisor) => supervisor.resume(internal.erased(self), runId, options))

/**
 * Cancels a run, wherever it is, and those that it started.
 *
 * **Details**
 *
 * A run that nobody holds is recorded as `cancelled` at once, and its record is
 * the answer. Of a run in flight the owner learns with its next save or renewal:
 * then the answer is `undefined`.
 *
 * What was kept of its files stays for a week, as after a failure: then the
 * sweep of `Recovery` removes it.
 *
 * @category running
 * @since 0.1.0
 */
export const cancel = (
  runId: RunId
): Effect.Effect<AgentRun | undefined, RunAlreadySettled | RunNotFound | StoreError, AgentSupervisor> =>
  Effect.flatMap(AgentSupervisor, (supervisor) => supervisor.cancel(runId))

/**
 * Throws an interrupted run away: nothing is recorded, its checkpoint is
 * deleted, and so is what was kept of its files.
 *
 * **Details**
 *
 * The files are forgotten by the `Workspace` in context, when there is one and
 * it is on the machine that has them; elsewhere the sweep of `Recovery` removes
 * them after a week. Files in the agent's folder are the user's, and stay.
 *
 * It fails with `LeaseHeld` while somebody runs it: cancel it. To keep a record
 * and the files, cancel it as well.
 *
 * **Gotchas**
 *
 * Runs that it started stay: `Recovery` reports them as orphans. Where the notes
 * of a run are encrypted or compressed, its snapshots are looked for in the
 * folder that the workspace was made with.
 *
 * @category running
 * @since 0.1.0
 */
export const discard = (
  runId: RunId
): Effect.Effect<void, LeaseHeld | RunAlreadySettled | RunNotFound | StoreError, AgentSupervisor> =>
  Effect.flatMap(AgentSupervisor, (supervisor) => supervisor.discard(runId))

/**
 * Returns `true` when the value is an agent.
 *
 * @category guards
 * @since 0.1.0
 */
export const isAgent = (u: unknown): u is Any => typeof u === "object" && u !== null && TypeId in u
