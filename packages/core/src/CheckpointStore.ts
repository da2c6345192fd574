/**
 * Storage contract of runs in flight: their checkpoints and the leases that
 * guard them.
 *
 * Every store implements this service and proves it with
 * `CheckpointStoreTest.suite` from `@everbeat/core/testing`. Rules that hold
 * for every method:
 *
 * - Time is the store's own clock. No timestamp of a client decides anything.
 * - A write names its {@link Lease} and is refused with `Fenced` once another
 *   owner has claimed the run, with `Gone` once it was settled or deleted. The
 *   fence decides, not the expiry: a late owner whom nobody replaced may write.
 * - A method is one atomic transition. Interrupting the caller leaves either
 *   the old or the new state.
 * - A `StoreError` that is retryable leaves the outcome of a write unknown.
 * - Texts are any strings, and are read back exactly: NUL and lone surrogates
 *   included. Only an idempotency key of more than 1,000 bytes may be refused.
 * - A run that is damaged in the store fails alone, with a `StoreError`
 *   (`corrupt`) whose detail names it. Reads of heads show of it what can be read.
 *   A claim of it is made all the same, and is an attempt: the answer fails, but
 *   the head tells the lease (`Lease.newest`), with which it can be ended.
 * - Any text may be asked for as a run id: of one that is none, no run is known.
 * - An attempt made progress when it saved new rows, or other notes or another
 *   workspace than before. `maxAttempts` attempts exhaust a run, and so do two in
 *   a row without progress. Attempts are counted when the run is claimed; a
 *   release in good order (`shutdown`) takes that back when there was progress.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type { AgentName } from "./AgentName.ts"
import type { AgentRun, Idempotency, RunInFlight, RunMeta } from "./AgentRun.ts"
import type { Lease } from "./Lease.ts"
import type { RunCheckpoint, Segment } from "./RunCheckpoint.ts"
import type { RunId } from "./RunId.ts"
import type {
  AgentBusy,
  Conflict,
  Fenced,
  Gone,
  KeyMismatch,
  LeaseHeld,
  OtherDefinition,
  RunExists,
  RunNotFound,
  StoreError
} from "./StoreError.ts"

/**
 * What a caller wants to begin.
 *
 * @category models
 * @since 0.1.0
 */
export interface BeginInput {
  readonly meta: RunMeta
  /** Identity of the engine that will hold the lease. */
  readonly owner: string
  /** How long the lease lives without renewal. */
  readonly ttl: Duration.Duration
  /** Attempts after which a run is exhausted. Stored with the run. */
  readonly maxAttempts: number
  /** Whether the agent may have only one exclusive run in flight (heartbeats). */
  readonly exclusive: boolean
  readonly idempotency?: Idempotency | undefined
  /**
   * Which interrupted runs the caller can continue: those of a definition of the
   * same name, or only those with the same hash too.
   */
  readonly resumes: "same-name" | "same-hash"
}

/**
 * Answer of `begin`: a fresh run.
 *
 * @category models
 * @since 0.1.0
 */
export interface Begun {
  readonly _tag: "Begun"
  readonly lease: Lease
}

/**
 * Answer of `begin`, `claim` and `claimNext`: the lease on an interrupted run,
 * with its checkpoint. The claim is the newest element of
 * `checkpoint.attempts`. `exhausted` tells that the run had used up its
 * attempts before this claim: close it, do not continue it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Resumed {
  readonly _tag: "Resumed"
  readonly lease: Lease
  readonly checkpoint: RunCheckpoint
  readonly exhausted: boolean
  /** The idempotency key under which the run was begun. */
  readonly idempotency: Idempotency | undefined
}

/**
 * Answer of `begin`: the key belongs to a settled run, and this is its record.
 *
 * @category models
 * @since 0.1.0
 */
export interface Replayed {
  readonly _tag: "Replayed"
  readonly run: AgentRun
}

/**
 * What is new since the last save. An absent field is unchanged.
 *
 * @category models
 * @since 0.1.0
 */
export interface Delta {
  /** Number of the first row in `rows`: must be the next free one. */
  readonly position: number
  /** Encoded messages to append. */
  readonly rows: ReadonlyArray<string>
  /** The whole history as ranges of row numbers, after the append. */
  readonly segments: ReadonlyArray<Segment>
  readonly iteration?: number | undefined
  readonly phase?: string | undefined
  readonly completedPhases?: ReadonlyArray<string> | undefined
  readonly notes?: string | undefined
  readonly workspace?: string | undefined
  /** The save renews the lease by this much. */
  readonly ttl: Duration.Duration
}

/**
 * Answer of `save`: the next free row, and whether somebody asked to cancel
 * the run.
 *
 * @category models
 * @since 0.1.0
 */
export interface Saved {
  readonly position: number
  readonly cancelRequested: boolean
}

/**
 * Answer of `renew` for one lease. `unknown`: the part of the store that holds
 * this one did not answer; ask again.
 *
 * @category models
 * @since 0.1.0
 */
export interface Renewal {
  readonly runId: RunId
  readonly state: "renewed" | "fenced" | "gone" | "unknown"
  readonly cancelRequested: boolean
}

/**
 * Which interrupted runs to claim.
 *
 * @category models
 * @since 0.1.0
 */
export interface ClaimFilter {
  /** Only runs of these definitions: an unknown one is left for a process that knows it. */
  readonly definitions?: ReadonlyArray<string> | undefined
  readonly kind?: RunMeta["kind"] | undefined
  /** Only runs without a parent: the others are continued by the run that started them. */
  readonly roots?: boolean | undefined
}

/**
 * How a lease is given back.
 *
 * @category models
 * @since 0.1.0
 */
export interface ReleaseOptions {
  /**
   * Nothing was run under this claim, because its owner cannot read the checkpoint: it does not count as an attempt. Of a
   * run's first attempt this changes nothing.
   */
  readonly unstarted?: boolean | undefined
  /**
   * The process shuts down in good order. An attempt that made progress before that stays in the list of attempts, and uses
   * up none of those that the run has: who deploys often exhausts no run that gets on. One without progress counts.
   */
  readonly shutdown?: boolean | undefined
}

/**
 * Which runs to list.
 *
 * @category models
 * @since 0.1.0
 */
export interface InterruptedFilter {
  readonly agentName?: AgentName | undefined
  readonly callerId?: string | undefined
  readonly channelId?: string | undefined
  readonly parentRunId?: RunId | undefined
  /** Only runs whose lease ended at least so long ago. */
  readonly interruptedFor?: Duration.Duration | undefined
  /** @default ["interrupted", "exhausted"] */
  readonly status?: ReadonlyArray<RunInFlight["status"]> | undefined
}

/**
 * Which page of a list.
 *
 * @category models
 * @since 0.1.0
 */
export interface PageRequest {
  /** @default 50 */
  readonly limit?: number | undefined
  /** `next` of the page before. An unreadable one is treated as the start. */
  readonly cursor?: string | undefined
}

/**
 * One page of a list. `next` is absent on the last page.
 *
 * @category models
 * @since 0.1.0
 */
export interface Page<A> {
  readonly items: ReadonlyArray<A>
  readonly next?: string
}

/**
 * Service that persists the checkpoints of runs in flight and guards them with
 * leases.
 *
 * @category services
 * @since 0.1.0
 */
export class CheckpointStore extends Context.Service<CheckpointStore, {
  /**
   * Begins a run, or hands out what is there instead.
   *
   * With a key that a settled run has, the record is replayed. With a key that
   * a run in flight has, or for an exclusive run whose agent has one in flight:
   * `AgentBusy` while that run's lease is live; after it expired, `Resumed` for
   * a call without a key or with the same key, `AgentBusy` for another key. A run
   * that the caller cannot continue (see `resumes`) is left alone with
   * `OtherDefinition`. One whose cancel was requested is handed to any caller, to
   * close it. The same key with another fingerprint is `KeyMismatch`. A claim made
   * here is an attempt, and so is a fresh run.
   */
  readonly begin: (
    input: BeginInput
  ) => Effect.Effect<
    Begun | Resumed | Replayed,
    RunExists | AgentBusy | KeyMismatch | OtherDefinition | StoreError
  >

  /** Appends what is new and renews the lease, in one statement. Updates only: it never creates a run. */
  readonly save: (lease: Lease, delta: Delta) => Effect.Effect<Saved, Fenced | Gone | Conflict | StoreError>

  /** Deletes the checkpoint and records the run, atomically. The idempotency key goes with the record. */
  readonly settle: (lease: Lease, run: AgentRun) => Effect.Effect<void, Fenced | Gone | StoreError>

  /**
   * Ends the lease now and for good, and keeps the checkpoint: another process may
   * continue at once. Later writes and renewals of this lease are `Fenced`.
   */
  readonly release: (
    lease: Lease,
    reason?: string,
    options?: ReleaseOptions
  ) => Effect.Effect<void, Fenced | Gone | StoreError>

  /**
   * Renews many leases in one statement; the answers are in the order of the leases. A part of the store that
   * does not answer within an eighth of the time (half a second at least) is `unknown`.
   */
  readonly renew: (
    leases: ReadonlyArray<Lease>,
    ttl: Duration.Duration
  ) => Effect.Effect<ReadonlyArray<Renewal>, StoreError>

  /** Claims one run whose lease has expired, also an exhausted one: somebody asked for it by name. */
  readonly claim: (
    runId: RunId,
    owner: string,
    ttl: Duration.Duration
  ) => Effect.Effect<Resumed, RunNotFound | LeaseHeld | StoreError>

  /**
   * Claims up to `limit` runs whose lease has expired, longest first. Never an exhausted one, never one twice. Damaged
   * ones are claimed too, and left out with a warning in the log; the answer fails when there are no others.
   */
  readonly claimNext: (
    owner: string,
    ttl: Duration.Duration,
    limit: number,
    filter?: ClaimFilter
  ) => Effect.Effect<ReadonlyArray<Resumed>, StoreError>

  /** Asks the owner of a run in flight to stop; it learns of it with its next save or renewal. */
  readonly requestCancel: (runId: RunId) => Effect.Effect<void, RunNotFound | StoreError>

  /** Reads the checkpoint of a run in flight without claiming it. */
  readonly load: (runId: RunId) => Effect.Effect<RunCheckpoint, RunNotFound | StoreError>

  /**
   * Lists runs in flight by their heads, without messages; those whose lease ended first come first. A head of which
   * nothing can be read is left out with a warning in the log.
   */
  readonly listInterrupted: (
    filter?: InterruptedFilter,
    page?: PageRequest
  ) => Effect.Effect<Page<RunInFlight>, StoreError>

  /** Deletes the checkpoint without recording the run. */
  readonly delete: (lease: Lease) => Effect.Effect<void, Fenced | Gone | StoreError>

  /** Succeeds when the store answers: for readiness probes. */
  readonly ping: Effect.Effect<void, StoreError>
}>()("@everbeat/core/CheckpointStore") {}
