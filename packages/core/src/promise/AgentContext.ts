/**
 * What an agent written with Promises is given to run.
 *
 * @since 0.1.0
 */
import type * as CoreContext from "../AgentContext.ts"
import type { Continuation } from "../Continuation.ts"
import type { Answer, CallRecord } from "../Transcript.ts"
import type { AnyAgent, StartOptions } from "./Agent.ts"
import type { AgentHandle } from "./AgentHandle.ts"
import type { RunMeta } from "./Run.ts"
import type { WarnOptions } from "./Step.ts"

/**
 * What changed since the last save. `messages` is the whole history: what is new
 * in it is found out. An absent field stays as it was.
 *
 * @category models
 * @since 0.1.0
 */
export interface Update<in out M> extends CoreContext.Update<M> {}

/**
 * A tool call, as the model made it.
 *
 * @category models
 * @since 0.1.0
 */
export interface ToolCall extends CoreContext.ToolCall {
  /**
   * Whether the result is kept, as JSON, so that a call that an earlier attempt answered is answered again without
   * running it.
   *
   * @default false
   */
  readonly remember?: boolean | undefined
}

/**
 * Saves the progress of an agent. When something is written is decided by the
 * agent's `checkpoint` policy; the newest state is written at a timeout, an
 * abort and a shutdown in any case.
 *
 * @category models
 * @since 0.1.0
 */
export interface AgentCheckpoint<in out M> {
  /** Hands over the newest state. It is durable after `flush`, or when the policy says so. */
  readonly save: (update: Update<M>) => Promise<void>
  /** Adds a line to the notes: decisions with their reasons, what is done, what remains. The resumed agent reads them. */
  readonly note: (text: string) => Promise<void>
  /** Resolves when everything saved before is durable. */
  readonly flush: () => Promise<void>
  /**
   * Runs a tool call and records that it was begun and how it ended, so that a resumed agent learns which calls were
   * answered, which may have taken effect, and which never started. Rejects with what `execute` rejects with.
   */
  readonly tool: <A>(call: ToolCall, execute: (signal: AbortSignal) => A | PromiseLike<A>) => Promise<A>
  /**
   * Runs a phase unless an earlier attempt completed it: then it resolves to `undefined`. A phase is completed when its
   * files are kept and that is durable.
   */
  readonly phase: <A>(name: string, body: (signal: AbortSignal) => A | PromiseLike<A>) => Promise<A | undefined>
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
  readonly endedAt: Date | undefined
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
  readonly workspace: RestoredFiles | undefined
  /** What to begin with: its `messages`, then its `original` and its `prompt` as the user's, where there are any. */
  readonly continuation: Continuation<M>
}

/**
 * Files as one snapshot has them.
 *
 * @category models
 * @since 0.1.0
 */
export interface KeptFiles {
  /** Number of the snapshot within its run. */
  readonly seq: number
  /** Why it was taken: `interval`, `tool`, `phase`, `timeout`, ... */
  readonly reason: string
  readonly createdAt: Date
  /** Where the files are: with git, a commit and the refs that keep it. */
  readonly commit: string
  readonly refs: ReadonlyArray<string>
  /** How many files differ from the base. */
  readonly files: number
  /** The first paths that were left out, and why; how many there are in all. */
  readonly skipped: ReadonlyArray<{ readonly path: string; readonly reason: string }>
  readonly skippedCount: number
}

/**
 * Where the files of an earlier attempt are.
 *
 * @category models
 * @since 0.1.0
 */
export interface RestoredFiles {
  /** The top of the worktree, and the agent's folder in it. */
  readonly path: string
  readonly cwd: string
  /** The original worktree was as it had been left, and is used. */
  readonly inPlace: boolean
  readonly base: string | null
  readonly branch: string | null
  /** Whether everything that the agent had is there. */
  readonly complete: boolean
  readonly snapshot: KeptFiles
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
  /** Keeps the files now. Resolves to `undefined` when none was taken. */
  readonly snapshot: () => Promise<KeptFiles | undefined>
}

/**
 * Options of a run that a run starts: `key` names it within its parent.
 *
 * @category models
 * @since 0.1.0
 */
export interface ChildOptions extends Omit<StartOptions, "key" | "parentRunId" | "signal"> {
  readonly key: string
}

/**
 * What an agent written with Promises is given to run.
 *
 * **Gotchas**
 *
 * Await what the methods return: an agent that ends before is waited for, and
 * what failed meanwhile is a warning of its run.
 *
 * @category models
 * @since 0.1.0
 */
export interface AgentContext<in out M> {
  readonly runId: string
  /** What the run is about: who asked, the prompt, the payload. */
  readonly meta: RunMeta
  /** 1 for the first. */
  readonly attempt: number
  readonly maxAttempts: number
  /** Grows with every attempt: a token for external systems. Absent without a store. */
  readonly fence: number | undefined
  /** Aborts at the timeout of the attempt, a cancel, a shutdown, and when the run is lost to another process. */
  readonly signal: AbortSignal
  /** Absent in the first attempt. */
  readonly resume: Resumption<M> | undefined
  readonly checkpoint: AgentCheckpoint<M>
  /** Absent without a workspace. */
  readonly workspace: AgentWorkspace | undefined
  /** Records a warning: the run ends as `warning` at best. */
  readonly warn: (code: string, message: string, options?: WarnOptions) => void
  /** Records the http(s) URL of something that the run touched. */
  readonly touch: (url: string | URL) => void
  /**
   * Starts a run of another agent, or continues the one that an earlier attempt started under this key; of one that has
   * ended the result is answered. It is stopped when this attempt is, and cancelled when this run fails or is cancelled.
   */
  readonly start: <A>(agent: AnyAgent<A>, options: ChildOptions) => Promise<AgentHandle<A>>
}
