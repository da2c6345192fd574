/**
 * Agents as async functions.
 *
 * @since 0.1.0
 */
import type { CheckpointPolicy as CoreCheckpointPolicy, WorkspacePolicy as CoreWorkspacePolicy } from "../Agent.ts"
import type * as Continuation from "../Continuation.ts"
import type * as Transcript from "../Transcript.ts"
import type { AgentContext } from "./AgentContext.ts"
import type { Duration } from "./Duration.ts"
import * as internal from "./internal/agent.ts"
import type { Json, Stored } from "./Json.ts"

/**
 * Identifies agents of this module.
 *
 * @category type ids
 * @since 0.1.0
 */
export const AgentTypeId: typeof internal.TypeId = internal.TypeId

/**
 * When the progress of an agent is written. A change of phase, a timeout, an
 * abort and a shutdown write the newest state in any case.
 *
 * @category models
 * @since 0.1.0
 */
export interface CheckpointPolicy extends Omit<CoreCheckpointPolicy, "throttle"> {
  /**
   * How far apart writes are at least. Safety points do not wait for it.
   *
   * @default 0
   */
  readonly throttle?: Duration | undefined
}

/**
 * When the files of an agent are kept, beside the end of an attempt.
 *
 * @category models
 * @since 0.1.0
 */
export interface WorkspacePolicy extends Omit<CoreWorkspacePolicy, "afterMutation"> {
  /**
   * After a mutating tool call, at most once in this time.
   *
   * @default "30 seconds"
   */
  readonly afterMutation?: Duration | undefined
}

/**
 * Options of an agent.
 *
 * @category models
 * @since 0.1.0
 */
export interface AgentOptions<in out M, in out A> {
  /**
   * What one message is: `json<Message>()`, a validator, or a schema of Effect.
   *
   * @default any JSON value
   */
  readonly message?: Stored<M> | undefined
  /**
   * What the agent answers. Nothing is stored as `null`.
   *
   * @default any JSON value
   */
  readonly result?: Stored<A> | undefined
  /** The loop. Called once for each attempt. */
  readonly run: (ctx: AgentContext<M>) => A | PromiseLike<A>
  /** Stored with every run; a resumed run is told by `meta.definition.hash` which version began it. */
  readonly version?: string | undefined
  /**
   * Limit of one attempt.
   *
   * @default "120 seconds"
   */
  readonly timeout?: Duration | undefined
  /**
   * How long an attempt whose signal was aborted may take to end before it is left behind.
   *
   * @default "5 seconds"
   */
  readonly grace?: Duration | undefined
  /**
   * How many attempts a run gets, the first included. Restarts and deploys count.
   *
   * @default 3
   */
  readonly maxAttempts?: number | undefined
  /**
   * How long to wait before the next attempt, by the number of the one that ended.
   *
   * @default one second, doubled each time, at most 30 seconds
   */
  readonly backoff?: ((attempt: number) => Duration) | undefined
  /**
   * Which failures another attempt may mend. Others end the run as `error`.
   *
   * @default those whose error has `retryable: true`
   */
  readonly resumeOn?: ((error: unknown) => boolean) | undefined
  readonly checkpoint?: CheckpointPolicy | undefined
  readonly workspace?: WorkspacePolicy | undefined
  /** What tool calls and results are, so that a resumed conversation has no call without an answer. */
  readonly transcript?: Transcript.Adapter<M> | undefined
  /** What a resumed agent is told: see `ctx.resume.continuation`. */
  readonly continuation?: Continuation.Options<M> | undefined
}

/**
 * Any agent that answers `A`.
 *
 * @category models
 * @since 0.1.0
 */
export interface AnyAgent<out A = unknown> {
  readonly [AgentTypeId]: { readonly _A: () => A }
  readonly name: string
  readonly version: string
}

/**
 * A definition of an agent with messages `M` that answers `A`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Agent<out Name extends string, in out M, out A> extends AnyAgent<A> {
  readonly [AgentTypeId]: { readonly _A: () => A; readonly _M: (message: M) => M }
  readonly name: Name
}

/**
 * Who asks for a run, and for what.
 *
 * @category models
 * @since 0.1.0
 */
export interface StartOptions {
  /** What the agent is to do. A resumed one is told it again. */
  readonly prompt?: string | undefined
  readonly payload?: Json | undefined
  /**
   * Idempotency key, 1 to 255 visible ASCII characters: a second start with the same key finds the first run, also after
   * it has ended.
   */
  readonly key?: string | undefined
  /**
   * Name of the agent in records, and the scope of the key.
   *
   * @default the name of the definition
   */
  readonly agent?: string | undefined
  /** The agent's folder. Absent: the one that the workspace was made with. */
  readonly cwd?: string | undefined
  readonly agentId?: string | undefined
  readonly callerId?: string | undefined
  readonly channelId?: string | undefined
  readonly guildId?: string | undefined
  readonly modelTier?: string | undefined
  readonly parentRunId?: string | undefined
  /** Gives up waiting until the run is begun. A run that was begun goes on: cancel it by its id. */
  readonly signal?: AbortSignal | undefined
}

/**
 * Creates an agent.
 *
 * **Details**
 *
 * `run` is called once for each attempt, with what the one before left in
 * `ctx.resume`. It saves its messages after every turn and wraps its tools in
 * `ctx.checkpoint.tool`. When it resolves, the run is recorded and its
 * checkpoint is gone.
 *
 * A timeout aborts `ctx.signal`, keeps the newest state and the files, and
 * starts the next attempt. An error that `resumeOn` accepts does the same; any
 * other one ends the run as `error`.
 *
 * **Gotchas**
 *
 * What a tool does outside the conversation is at-least-once: a process may die
 * between the effect and its record. The resumed agent is told of such calls.
 *
 * A wrong option throws `InvalidOptions` at once.
 *
 * **Example** (An agent that counts to three, over two attempts)
 *
 * ```ts
 * import { agent, createEverbeat, json } from "@everbeat/core/promise"
 * import { memoryStore } from "@everbeat/store-memory/promise"
 *
 * const counter = agent("counter", {
 *   message: json<string>(),
 *   backoff: () => 0,
 *   resumeOn: () => true,
 *   run: async (ctx) => {
 *     const messages = [...(ctx.resume?.messages ?? [])]
 *     while (messages.length < 3) {
 *       messages.push(`attempt ${ctx.attempt}`)
 *       await ctx.checkpoint.save({ messages: [...messages], iteration: messages.length })
 *       if (ctx.attempt === 1) throw new Error("rate limited")
 *     }
 *     return messages
 *   }
 * })
 *
 * await using everbeat = createEverbeat({ store: memoryStore(), agents: [counter] })
 * const run = await everbeat.agent.start("counter", { prompt: "Count" })
 * await run.result() // => ["attempt 1", "attempt 2", "attempt 2"]
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const agent = <const Name extends string, A, M = Json>(
  name: Name,
  options: AgentOptions<M, A>
): Agent<Name, M, A> => internal.agent(name, options)
