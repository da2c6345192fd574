/**
 * What an agent is given to run: its checkpoint, what an earlier attempt left,
 * and its files.
 *
 * @since 0.1.0
 */
import type * as DateTime from "effect/DateTime"
import type * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type { Agent, StartOptions } from "./Agent.ts"
import type { AgentStartError } from "./AgentError.ts"
import type { AgentHandle } from "./AgentHandle.ts"
import type { RunMeta } from "./AgentRun.ts"
import type { SaveError, WriteError } from "./Checkpointer.ts"
import type { Continuation } from "./Continuation.ts"
import type { RunId } from "./RunId.ts"
import type { Answer, CallRecord } from "./Transcript.ts"
import type { Restored } from "./Workspace.ts"
import type { WorkspaceError } from "./WorkspaceError.ts"
import type { WorkspaceSnapshot } from "./WorkspaceSnapshot.ts"

/**
 * What changed since the last save. `messages` is the whole history: what is new
 * in it is found out. An absent field stays as it was.
 *
 * @category models
 * @since 0.1.0
 */
export interface Update<in out M> {
  readonly messages?: ReadonlyArray<M> | undefined
  readonly iteration?: number | undefined
  /** `""` when there is none. A change of phase is durable when `save` has ended. */
  readonly phase?: string | undefined
  /** Replaces all notes. */
  readonly notes?: string | undefined
}

/**
 * A tool call, as the model made it.
 *
 * @category models
 * @since 0.1.0
 */
export interface ToolCall {
  /** As in the message that makes the call. */
  readonly id: string
  readonly name: string
  /**
   * Whether the tool changes anything outside the conversation. Such a call is recorded before it starts and after it
   * ended.
   *
   * @default true
   */
  readonly mutates?: boolean | undefined
}

/**
 * A tool call whose result is kept by a schema: when the call was answered in an
 * earlier attempt, its result is given back and nothing runs.
 *
 * **Gotchas**
 *
 * The call runs again when its result is longer than 256 KiB of JSON, or when
 * its schema does not accept it any more. Of an agent without a transcript the
 * newest 500 calls are remembered, and 1 MiB of their results.
 *
 * @category models
 * @since 0.1.0
 */
export interface RememberedCall<A> extends ToolCall {
  readonly result: Schema.Codec<A, unknown>
}

/**
 * Saves the progress of an agent. When something is written is decided by the
 * agent's `checkpoint` policy; the newest state is written at a timeout, an
 * interruption and a shutdown in any case.
 *
 * @category models
 * @since 0.1.0
 */
export interface AgentCheckpoint<in out M> {
  /** Hands over the newest state. It is durable after `flush`, or when the policy says so. */
  readonly save: (update: Update<M>) => Effect.Effect<void, SaveError | WriteError>
  /** Adds a line to the notes: decisions with their reasons, what is done, what remains. The resumed agent reads them. */
  readonly note: (text: string) => Effect.Effect<void, SaveError>
  /** Succeeds when everything saved before is durable. */
  readonly flush: Effect.Effect<void, SaveError | WriteError>
  /**
   * Runs a tool call and records that it was begun and how it ended, so that a resumed agent learns which calls were
   * answered, which may have taken effect, and which never started.
   */
  readonly tool: {
    <A, E, R>(
      call: RememberedCall<A>,
      effect: Effect.Effect<A, E, R>
    ): Effect.Effect<A, E | SaveError | WriteError, R>
    <A, E, R>(call: ToolCall, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | SaveError | WriteError, R>
  }
  /**
   * Runs a phase unless an earlier attempt completed it: then it answers `undefined`. A phase is completed when its files
   * are kept and that is durable.
   */
  readonly phase: <A, E, R>(
    name: string,
    effect: Effect.Effect<A, E, R>
  ) => Effect.Effect<A | undefined, E | SaveError | WriteError, R>
}

/**
 * What an earlier attempt left to this one.
 *
 * @category models
 * @since 0.1.0
 */
export interface Resumption<out M> {
  /** Why the attempt before ended: `timeout`, `shutdown`, `expired` when its process was lost, ... */
  readonly reason: string
  readonly endedAt: DateTime.Utc | undefined
  /** The conversation. No tool call in it is without an answer, where the agent has a transcript adapter. */
  readonly messages: ReadonlyArray<M>
  /** The calls that were answered on resume, and how. */
  readonly repaired: ReadonlyArray<Answer>
  readonly calls: ReadonlyArray<CallRecord>
  readonly iteration: number
  readonly phase: string
  readonly completedPhases: ReadonlyArray<string>
  readonly notes: string
  /** Where the files are. Absent when none were kept. */
  readonly workspace: Restored | undefined
  /**
   * What to begin with: its `messages`, then its `original` and its `prompt` as the user's, where there are any. The
   * agent's `continuation` options say what is in them.
   */
  readonly continuation: Continuation<M>
}

/**
 * The files of an agent.
 *
 * @category models
 * @since 0.1.0
 */
export interface AgentWorkspace {
  /** The agent's folder: after a resume it may be another one. Absent: the one that the workspace was made with. */
  readonly cwd: string | undefined
  /** Keeps the files now. Answers `undefined` when none was taken. */
  readonly snapshot: Effect.Effect<WorkspaceSnapshot | undefined, WorkspaceError>
}

/**
 * Options of a run that a run starts: `key` names it within its parent.
 *
 * @category models
 * @since 0.1.0
 */
export interface ChildOptions extends Omit<StartOptions, "key" | "parentRunId"> {
  readonly key: string
}

/**
 * What an agent is given to run.
 *
 * @category models
 * @since 0.1.0
 */
export interface AgentContext<in out M> {
  readonly runId: RunId
  /** What the run is about: who asked, the prompt, the payload. */
  readonly meta: RunMeta
  /** 1 for the first. */
  readonly attempt: number
  /** How many the run gets: those of the definition, and one for each that a shutdown ended. */
  readonly maxAttempts: number
  /** Grows with every attempt: a token for external systems. Absent without a store. */
  readonly fence: number | undefined
  /** Absent in the first attempt. */
  readonly resume: Resumption<M> | undefined
  readonly checkpoint: AgentCheckpoint<M>
  /** Absent without a `Workspace` service. */
  readonly workspace: AgentWorkspace | undefined
  /** Records a warning: the run ends as `warning` at best. */
  readonly warn: (warning: unknown) => Effect.Effect<void>
  /** Records the http(s) URL of something that the run touched. Anything else, and what is longer than 2,048 characters, is ignored. */
  readonly touch: (url: string) => Effect.Effect<void>
  /**
   * Starts a run of another agent, or continues the one that an earlier attempt started under this key; of one that has
   * ended the result is answered. It is stopped when this attempt is, and cancelled when this run fails or is cancelled;
   * when this run succeeds before it, it goes on by itself.
   */
  readonly start: <Name extends string, M2, A, E, R>(
    agent: Agent<Name, M2, A, E, R>,
    options: ChildOptions
  ) => Effect.Effect<AgentHandle<A, E>, AgentStartError, R>
}
