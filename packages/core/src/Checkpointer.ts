/**
 * The handle with which an agent saves its own progress, and by which another
 * process continues it.
 *
 * A checkpointer holds the lease of one run for the lifetime of a scope. `save`
 * hands over the newest state and returns; a saver writes what is new of it,
 * one write at a time, and collapses what comes meanwhile. `flush` waits until
 * the newest state is stored. Without a store it does nothing.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type { Json } from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { AgentRun, Idempotency, RunMeta } from "./AgentRun.ts"
import type { Begun, CheckpointStore, ReleaseOptions, Resumed, Saved } from "./CheckpointStore.ts"
import * as internal from "./internal/checkpointer/checkpointer.ts"
import type { Lease } from "./Lease.ts"
import type { MessageCodec, MessageTooLarge, MessageUnreadable, Unencodable } from "./MessageCodec.ts"
import type { LeaseLost, PassCancelled } from "./PassError.ts"
import type { RunId } from "./RunId.ts"
import type { RunStore } from "./RunStore.ts"
import type { Gone, LeaseHeld, RunExists, RunNotFound, StoreError } from "./StoreError.ts"

/**
 * The progress of a run.
 *
 * **Gotchas**
 *
 * A saved message is recognised by its identity and taken for unchanged: make a
 * new object instead of changing one in place, or set `verify: "hash"`.
 *
 * @category models
 * @since 0.1.0
 */
export interface State<out M> {
  readonly messages: ReadonlyArray<M>
  /** A whole number. */
  readonly iteration: number
  /** `""` when there is none. */
  readonly phase: string
  readonly completedPhases: ReadonlyArray<string>
  readonly notes: string
  readonly workspace: string
}

/**
 * What changed. An absent field stays as it was. `messages` is the whole
 * history: what is new in it is found out.
 *
 * @category models
 * @since 0.1.0
 */
export type Update<M> = { readonly [Key in keyof State<M>]?: State<M>[Key] | undefined }

/**
 * What the run is about. Only `agentName` must be given.
 *
 * @category models
 * @since 0.1.0
 */
export interface Meta extends Omit<RunMeta, "runId" | "kind" | "definition"> {
  readonly runId?: RunId | undefined
  readonly kind?: RunMeta["kind"] | undefined
  readonly definition?: RunMeta["definition"] | undefined
}

/**
 * Options of every checkpointer.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Absent: the `CheckpointStore` of the context; when it has none, nothing is kept. */
  readonly store?: CheckpointStore["Service"] | undefined
  /** Confirms a settlement whose answer was lost. Absent: the `RunStore` of the context, when it has one. */
  readonly runs?: RunStore["Service"] | undefined
  /**
   * How far apart writes are at least. The first save of a window is written at once, the newest state of the others
   * when the window ends. A window begins with a write that succeeded, and `flush` does not wait for its end.
   *
   * @default 0
   */
  readonly throttle?: Duration.Input | undefined
  /**
   * Whether the run goes on while the store fails. With `"stop"`, three failures in a row end it through `stopped`.
   *
   * @default "continue"
   */
  readonly onStoreFailure?: "continue" | "stop" | undefined
  /**
   * How a saved message is recognised. `"hash"` encodes all at every save: it finds what was changed in place.
   *
   * @default "identity"
   */
  readonly verify?: "identity" | "hash" | undefined
  /**
   * How long the lease lives without renewal, which is due at a third. An owner that fails to is stopped before its end.
   *
   * @default "30 seconds"
   */
  readonly leaseTtl?: Duration.Input | undefined
  /**
   * How long one operation of the store, and the flush when the scope closes, may take before it counts as failed.
   *
   * @default "5 seconds"
   */
  readonly storeTimeout?: Duration.Input | undefined
}

/**
 * Options of a new run.
 *
 * @category models
 * @since 0.1.0
 */
export interface MakeOptions extends Options {
  readonly meta: Meta
  /**
   * Attempts after which the run is exhausted.
   *
   * @default 3
   */
  readonly maxAttempts?: number | undefined
  /** A run that was begun in the store already: its lease, and when it was asked for. */
  readonly begun?: Granted<Begun> | undefined
  /** The key under which `begun` was begun: it goes with the record. */
  readonly idempotency?: Idempotency | undefined
}

/**
 * A lease that a store granted. `askedAt`: Effect's monotonic clock before it was asked, in milliseconds.
 *
 * @category models
 * @since 0.1.0
 */
export interface Granted<out A> {
  readonly answer: A
  readonly askedAt: number
}

/**
 * When a saved state is written.
 *
 * @category models
 * @since 0.1.0
 */
export interface SaveOptions {
  /**
   * Only encodes the state: it is written with the next one that is not deferred, by `flush`, and when the run is let go.
   *
   * @default false
   */
  readonly deferred?: boolean | undefined
}

/**
 * What the record of a run says beside its messages.
 *
 * @category models
 * @since 0.1.0
 */
export interface EndOptions {
  readonly summary?: string | undefined
  /** Values, as in `Step.warn`. A run with warnings ends as `warning`. */
  readonly warnings?: ReadonlyArray<unknown> | undefined
  readonly touchedIssueUrls?: ReadonlyArray<string> | undefined
  /** What the run answered. Kept with the record. */
  readonly result?: Json | undefined
}

/**
 * Why a save was not taken.
 *
 * @category errors
 * @since 0.1.0
 */
export type SaveError = Unencodable | MessageTooLarge | LeaseLost | Gone

/**
 * Why a flush or the end of a run did not go through.
 *
 * @category errors
 * @since 0.1.0
 */
export type WriteError = LeaseLost | Gone | StoreError

/**
 * Why an owner has to stop. A `StoreError` only with `onStoreFailure: "stop"`.
 *
 * @category errors
 * @since 0.1.0
 */
export type Stopped = LeaseLost | PassCancelled | StoreError

/**
 * The handle of one run.
 *
 * @category models
 * @since 0.1.0
 */
export interface Checkpointer<in out M> {
  readonly runId: RunId
  /** Absent without a store. Its fence is a token for external systems. */
  readonly lease: Lease | undefined
  /** What an earlier attempt had saved, when this one continues it. */
  readonly resumed: State<M> | undefined

  /**
   * Hands over the newest state and returns when it is encoded, before it is written. A failure leaves the state before
   * it in place. During an outage of the store the newest state stays pending.
   */
  readonly save: (update: Update<M>, options?: SaveOptions) => Effect.Effect<void, SaveError>

  /**
   * Succeeds when everything saved before is durable and the lease still lives. Call it before what cannot be undone. After
   * three failures in a row it says that the store failed; the state stays pending all the same. `LeaseLost`: stop, another
   * process may go on with the run; what was saved may be durable all the same.
   */
  readonly flush: Effect.Effect<Saved, WriteError>

  /**
   * Ends the run as `ok` or `warning`: records it and clears its checkpoint, atomically. Every end may be repeated after
   * a `StoreError`, and answers the record that is stored: also that of an earlier try whose answer was lost.
   */
  readonly complete: (options?: EndOptions) => Effect.Effect<AgentRun, WriteError>

  /** Ends the run as `error`, with the value or the `Cause` of a fiber as its errors. */
  readonly fail: (error: unknown, options?: EndOptions) => Effect.Effect<AgentRun, WriteError>

  /** Ends the run as `cancelled`. */
  readonly cancel: (options?: EndOptions) => Effect.Effect<AgentRun, WriteError>

  /**
   * Hands the run over: writes the newest state, keeps the checkpoint and ends the lease, so that somebody continues at
   * once. `reason` goes into the attempt, unless nothing was run in it. Never fails: when the store does not answer, the
   * lease ends by itself.
   */
  readonly release: (reason: string, options?: ReleaseOptions) => Effect.Effect<void>

  /** Fails when the owner has to stop. After a cancellation the run is still ours: `cancel` it. */
  readonly stopped: Effect.Effect<never, Stopped>

  /** Runs an effect, and interrupts it when the owner has to stop. */
  readonly guard: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | Stopped, R>
}

/**
 * Begins a run and holds its lease until the scope closes.
 *
 * **Details**
 *
 * A scope that closes before `complete`, `fail` or `cancel` writes the newest
 * state, releases the lease and leaves the checkpoint, so that another process
 * continues at once. Without a `codec` messages are JSON values.
 *
 * While the store fails, the newest state is pending. After an outage longer
 * than the lease, the lease is lost.
 *
 * **Gotchas**
 *
 * The codec's encryption covers messages, notes and workspace. What `meta`, the
 * phases and the record say is stored as it is.
 *
 * **Example** (Saving progress)
 *
 * ```ts
 * import { AgentName, Checkpointer } from "@everbeat/core"
 * import { MemoryStore } from "@everbeat/store-memory"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const checkpointer = yield* Checkpointer.make({ meta: { agentName: AgentName.make("triage") } })
 *   yield* checkpointer.save({ messages: [{ role: "user", content: "Hello" }], iteration: 1 })
 *   const { position } = yield* checkpointer.flush
 *   const run = yield* checkpointer.complete({ summary: "Said hello" })
 *   return [position, run.status]
 * })
 *
 * await Effect.runPromise(Effect.scoped(program).pipe(Effect.provide(MemoryStore.layer))) // => [1, "ok"]
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: {
  (options: MakeOptions): Effect.Effect<Checkpointer<Json>, RunExists | StoreError, Scope.Scope>
  <M>(
    options: MakeOptions & { readonly codec: MessageCodec<M> }
  ): Effect.Effect<Checkpointer<M>, RunExists | StoreError, Scope.Scope>
} = internal.make

/**
 * Continues a run that the store handed out: what `begin`, `claim` or
 * `claimNext` answered.
 *
 * **Details**
 *
 * The first save writes only what is new. When the checkpoint cannot be read,
 * the lease is released and the checkpoint left untouched.
 *
 * @category constructors
 * @since 0.1.0
 */
export const resume: {
  (
    options: Options & { readonly resumed: Granted<Resumed> }
  ): Effect.Effect<Checkpointer<Json>, MessageUnreadable | StoreError, Scope.Scope>
  <M>(
    options: Options & { readonly resumed: Granted<Resumed>; readonly codec: MessageCodec<M> }
  ): Effect.Effect<Checkpointer<M>, MessageUnreadable | StoreError, Scope.Scope>
} = internal.resume

/**
 * Claims an interrupted run and continues it. Without a store none is known.
 *
 * @category constructors
 * @since 0.1.0
 */
export const claim: {
  (
    options: Options & { readonly runId: RunId }
  ): Effect.Effect<Checkpointer<Json>, RunNotFound | LeaseHeld | MessageUnreadable | StoreError, Scope.Scope>
  <M>(
    options: Options & { readonly runId: RunId; readonly codec: MessageCodec<M> }
  ): Effect.Effect<Checkpointer<M>, RunNotFound | LeaseHeld | MessageUnreadable | StoreError, Scope.Scope>
} = internal.claim
