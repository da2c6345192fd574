/**
 * Runs as the store knows them.
 *
 * @since 0.1.0
 */
import type { Json } from "./Json.ts"
import type { Diagnostic, StepOutcome } from "./Report.ts"

/**
 * What a run is about: who asked, and for what.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunMeta {
  readonly runId: string
  readonly kind: "heartbeat" | "agent"
  readonly agentName: string
  readonly agentId?: string
  readonly callerId?: string
  readonly channelId?: string
  readonly guildId?: string
  readonly prompt?: string
  readonly modelTier?: string
  readonly parentRunId?: string
  /** The heartbeat or agent, with the hash of its step list or its version. */
  readonly definition: { readonly name: string; readonly hash: string }
  readonly payload?: Json
}

/**
 * One attempt at a run: who held it, from when, and how it ended.
 *
 * @category models
 * @since 0.1.0
 */
export interface Attempt {
  readonly number: number
  readonly owner: string
  readonly fence: number
  readonly startedAt: Date
  readonly endedAt?: Date
  readonly end?: "settled" | "released" | "expired"
  readonly reason?: string
}

/**
 * The record of a run that ended.
 *
 * @category models
 * @since 0.1.0
 */
export interface SettledRun extends RunMeta {
  readonly status: "ok" | "warning" | "error" | "cancelled"
  readonly startedAt: Date
  readonly finishedAt: Date
  readonly summary: string
  readonly warnings: ReadonlyArray<Diagnostic>
  readonly errors: ReadonlyArray<Diagnostic>
  readonly touchedIssueUrls: ReadonlyArray<string>
  readonly steps: ReadonlyArray<StepOutcome>
  readonly attempts: ReadonlyArray<Attempt>
  /** What an agent answered, as JSON. */
  readonly result?: Json
}

/**
 * A run that has not ended.
 *
 * **Details**
 *
 * `running`: a process has its lease. `interrupted`: somebody may continue it.
 * `exhausted`: it was continued too often and is kept for people.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunInFlight extends RunMeta {
  readonly status: "running" | "interrupted" | "exhausted"
  readonly startedAt: Date
  readonly updatedAt: Date
  readonly iteration: number
  readonly phase: string
  readonly completedPhases: ReadonlyArray<string>
  readonly attempts: ReadonlyArray<Attempt>
  readonly leaseUntil: Date
  readonly cancelRequested: boolean
}

/**
 * A run, ended or not: `"finishedAt" in run` tells.
 *
 * @category models
 * @since 0.1.0
 */
export type Run = SettledRun | RunInFlight

/**
 * The checkpoint of a run in flight, without its messages, which may be
 * encrypted.
 *
 * @category models
 * @since 0.1.0
 */
export interface Checkpoint extends RunInFlight {
  /** What the agent noted. Empty for a heartbeat, and where notes are encrypted. */
  readonly notes: string
  /** How many messages are stored; of a heartbeat, outcomes of steps. */
  readonly messages: number
}

/**
 * One page of a list. `next` is absent on the last page; give it back as
 * `cursor`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Page<out A> {
  readonly items: ReadonlyArray<A>
  readonly next?: string
}
