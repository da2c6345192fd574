/** The checkpointer: a lease, a saver for what is new, and an end. */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { Json } from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { type AgentRun, type Attempt, type Idempotency, metaOf, type RunMeta } from "../../AgentRun.ts"
import type { Checkpointer, EndOptions, Granted, MakeOptions, Meta, Options, WriteError } from "../../Checkpointer.ts"
import { type Begun, CheckpointStore, type ReleaseOptions, type Resumed } from "../../CheckpointStore.ts"
import type { Lease } from "../../Lease.ts"
import { json, type MessageCodec, type MessageUnreadable } from "../../MessageCodec.ts"
import * as RunId from "../../RunId.ts"
import { RunStore } from "../../RunStore.ts"
import { Gone, type LeaseHeld, type RunExists, RunNotFound, type StoreError } from "../../StoreError.ts"
import { holdTimes } from "../holdTimes.ts"
import { History } from "./history.ts"
import { type Hub, joinHub } from "./hub.ts"
import { makePacking, type Packing } from "./packing.ts"
import { advance, empty, type Progress, restore, stateOf } from "./progress.ts"
import { Saver } from "./saver.ts"
import { compose, settle } from "./settle.ts"

type Store = CheckpointStore["Service"]

interface Coded<M> {
  readonly codec?: MessageCodec<M> | undefined
}

export const make = <M = Json>(
  options: MakeOptions & Coded<M>
): Effect.Effect<Checkpointer<M>, RunExists | StoreError, Scope.Scope> =>
  // Uninterruptible: a lease that the store granted must not be lost before the scope knows of it.
  Effect.uninterruptible(Effect.gen(function*() {
    const { begun, maxAttempts = 3 } = options
    const meta = fullMeta(options.meta, begun?.answer.lease.runId)
    const startedAt = yield* now
    const store = yield* storeOf(options)
    const origin = { meta, startedAt, idempotency: options.idempotency }
    if (store === undefined) return detached<M>({ ...origin, attempts: [] })
    const hub = yield* hubOf(store, options)
    const packing = yield* makePacking(codecOf(options), meta.runId)
    const askedAt = begun?.askedAt ?? hub.watch.now()
    const answer = begun?.answer ?? (yield* begin(hub, meta, maxAttempts, options.meta.runId === undefined))
    const { lease } = answer
    return yield* attach(options, {
      hub,
      packing,
      lease,
      askedAt,
      history: new History(packing, options.verify ?? "identity"),
      state: empty,
      resumed: false,
      origin: { ...origin, attempts: [{ number: 1, owner: lease.owner, fence: lease.fence, startedAt }] }
    })
  }))

/** Begins a run. When its id is fresh, an answer that was lost is looked for: the run would be nobody's otherwise. */
const begin = (
  { owner, store, ttl }: Hub,
  meta: RunMeta,
  maxAttempts: number,
  isFresh: boolean
): Effect.Effect<Begun, RunExists | StoreError> =>
  store.begin({ meta, owner, ttl, maxAttempts, exclusive: false, resumes: "same-name" }).pipe(
    Effect.catchTags({
      AgentBusy: Effect.die, // neither exclusive
      KeyMismatch: Effect.die, // nor with a key
      OtherDefinition: Effect.die,
      StoreError: (error) =>
        isFresh && error.isRetryable
          ? Effect.flatMap(Effect.mapError(store.load(meta.runId), () => error), ({ attempts: [first, ...more] }) =>
            first?.owner === owner && more.length === 0
              ? Effect.succeed<Begun>({ _tag: "Begun", lease: { runId: meta.runId, owner, fence: first.fence } })
              : Effect.fail(error))
          : Effect.fail(error)
    }),
    Effect.flatMap((answer) => answer._tag === "Begun" ? Effect.succeed(answer) : Effect.die(answer)) // same
  )

export const resume = <M = Json>(
  options: Options & Coded<M> & { readonly resumed: Granted<Resumed> }
): Effect.Effect<Checkpointer<M>, MessageUnreadable | StoreError, Scope.Scope> =>
  Effect.uninterruptible(Effect.gen(function*() {
    const { answer, askedAt } = options.resumed
    const store = yield* storeOf(options)
    if (store === undefined) return detached<M>(originOf(answer))
    return yield* continued(options, yield* hubOf(store, options), answer, askedAt)
  }))

export const claim = <M = Json>(
  options: Options & Coded<M> & { readonly runId: RunId.RunId }
): Effect.Effect<Checkpointer<M>, RunNotFound | LeaseHeld | MessageUnreadable | StoreError, Scope.Scope> =>
  Effect.uninterruptible(Effect.gen(function*() {
    const { runId } = options
    const store = yield* storeOf(options)
    if (store === undefined) return yield* new RunNotFound({ runId })
    const hub = yield* hubOf(store, options)
    const askedAt = hub.watch.now()
    return yield* continued(options, hub, yield* hub.store.claim(runId, hub.owner, hub.ttl), askedAt)
  }))

// The codec of JSON is the one that is meant where the caller's type says nothing else.
const codecOf = <M>({ codec }: Coded<M>): MessageCodec<M> => codec ?? (json as unknown as MessageCodec<M>)

const storeOf = (options: Options): Effect.Effect<Store | undefined> =>
  options.store === undefined
    ? Effect.map(Effect.serviceOption(CheckpointStore), Option.getOrUndefined)
    : Effect.succeed(options.store)

const hubOf = (store: Store, options: Options) =>
  Effect.suspend(() => joinHub(store, holdTimes("Checkpointer", options)))

const fullMeta = ({ definition, kind, runId, ...rest }: Meta, begun: RunId.RunId | undefined): RunMeta => ({
  ...rest,
  runId: begun ?? runId ?? RunId.make(rest.agentName),
  kind: kind ?? "agent",
  definition: definition ?? { name: rest.agentName, hash: "" }
})

const now = Effect.map(Clock.Clock, (clock) => DateTime.makeUnsafe(clock.currentTimeMillisUnsafe()))

/** What the record of the run takes over. */
interface Origin {
  readonly meta: RunMeta
  readonly startedAt: DateTime.Utc
  readonly attempts: ReadonlyArray<Attempt>
  readonly idempotency: Idempotency | undefined
}

const originOf = ({ checkpoint, idempotency }: Resumed): Origin => ({
  meta: metaOf(checkpoint),
  startedAt: checkpoint.startedAt,
  attempts: checkpoint.attempts,
  idempotency
})

/** The three ways to end a run, each by writing its record. */
const endings = <E>(origin: Origin, write: (run: AgentRun) => Effect.Effect<AgentRun, E>) => {
  const end = (options: EndOptions = {}, failure?: { readonly error: unknown }, cancelled = false) =>
    Effect.flatMap(now, (finishedAt) => {
      const { result, summary, touchedIssueUrls = [], warnings = [] } = options
      return write(compose({ ...origin, finishedAt, cancelled, failure, summary, warnings, touchedIssueUrls, result }))
    })
  return {
    complete: (options?: EndOptions) => end(options),
    fail: (error: unknown, options?: EndOptions) => end(options, { error }),
    cancel: (options?: EndOptions) => end(options, undefined, true)
  }
}

/** Without a store: every call is a clean no-op. */
const detached = <M>(origin: Origin): Checkpointer<M> => ({
  runId: origin.meta.runId,
  lease: undefined,
  resumed: undefined,
  save: () => Effect.void,
  flush: Effect.succeed({ position: 0, cancelRequested: false }),
  ...endings(origin, Effect.succeed),
  release: () => Effect.void,
  stopped: Effect.never,
  guard: (effect) => effect
})

const continued = <M>(options: Options & Coded<M>, hub: Hub, answer: Resumed, askedAt: number) =>
  Effect.gen(function*() {
    const { checkpoint, lease } = answer
    const packing = yield* makePacking(codecOf(options), lease.runId)
    const history = new History(packing, options.verify ?? "identity")
    const state = yield* restore(history, packing, checkpoint)
    return { packing, history, state }
  }).pipe(
    // Somebody whose version or keys can read it may continue it at once.
    Effect.tapError((error) => Effect.ignore(hub.store.release(answer.lease, error._tag, { unstarted: true }))),
    Effect.flatMap((read) =>
      attach(options, { ...read, hub, lease: answer.lease, askedAt, resumed: true, origin: originOf(answer) })
    )
  )

interface Attached<M> {
  readonly hub: Hub
  readonly packing: Packing<M>
  readonly history: History<M>
  readonly lease: Lease
  readonly askedAt: number
  readonly state: Progress<M>
  readonly resumed: boolean
  readonly origin: Origin
}

const attach = Effect.fnUntraced(function*<M>(
  options: Options,
  { askedAt, history, hub, lease, origin, packing, resumed, state }: Attached<M>
): Effect.fn.Return<Checkpointer<M>, never, Scope.Scope> {
  const { runId } = lease
  const runs = options.runs ?? Option.getOrUndefined(yield* Effect.serviceOption(RunStore))
  const saver = new Saver<M>({
    hub,
    lease,
    askedAt,
    context: yield* Effect.context<never>(),
    packing,
    history,
    throttleMillis: Duration.toMillis(options.throttle ?? 0),
    stopOnFailure: options.onStoreFailure === "stop",
    state
  })
  const ended = Effect.suspend(() => (saver.failure === undefined ? Effect.void : Effect.fail(saver.failure)))
  /** One update at a time: an older one must not overtake a newer one while it is encoded. */
  const inOrder = Semaphore.makeUnsafe(1)
  let settling = false
  const tries = { ambiguous: false }

  /** A lost lease may be the sign that a try to settle went through: the record says. */
  const mayEnd = Effect.suspend(() => tries.ambiguous && saver.failure?._tag === "LeaseLost" ? Effect.void : ended)

  const write = (run: AgentRun): Effect.Effect<AgentRun, WriteError> =>
    Effect.uninterruptible(Effect.suspend((): Effect.Effect<AgentRun, WriteError> => {
      if (settling) return Effect.fail(new Gone({ runId }))
      settling = true
      return saver.exclusively(Effect.andThen(mayEnd, settle(hub.store, runs, lease, run, tries))).pipe(
        Effect.tap(() => Effect.sync(() => saver.end(new Gone({ runId })))),
        Effect.tapError((error) => Effect.sync(() => error._tag === "LeaseLost" && saver.end(error))),
        Effect.ensuring(Effect.sync(() => {
          settling = false
        }))
      )
    }))

  const release = (reason: string, options?: ReleaseOptions): Effect.Effect<void> =>
    Effect.uninterruptible(Effect.suspend(() => {
      if (saver.failure !== undefined) return Effect.void
      return Effect.ignore(saver.flush(hub.storeMillis)).pipe(
        Effect.andThen(Effect.sync(() => saver.end(saver.lost()))),
        Effect.andThen(Effect.ignore(hub.store.release(lease, reason, options)))
      )
    }))

  /**
   * What comes after it must not be done by an owner whose lease has ended: the answer may have waited for a process that
   * was frozen, and come before the timer of the lease.
   */
  const flush: Checkpointer<M>["flush"] = Effect.flatMap(
    Effect.exit(saver.flush()),
    (exit) => saver.failure !== undefined || hub.keeper.holds(lease, hub.watch.now()) ? exit : Effect.fail(saver.lost())
  )

  yield* Effect.addFinalizer((exit) =>
    Effect.ensuring(
      release(Exit.isSuccess(exit) ? "closed" : Exit.hasInterrupts(exit) ? "interrupted" : "failed"),
      Effect.sync(() => saver.abandon())
    )
  )

  return {
    runId,
    lease,
    resumed: resumed ? stateOf(state) : undefined,
    save: (update, { deferred = false } = {}) =>
      Effect.andThen(
        ended,
        inOrder.withPermit(
          Effect.flatMap(
            Effect.suspend(() => advance(history, packing, saver.newest, update)),
            (next) => Effect.andThen(ended, Effect.sync(() => saver.offer(next, deferred)))
          )
        )
      ),
    flush,
    ...endings(origin, write),
    release,
    stopped: saver.stopping,
    guard: (effect) => Effect.raceFirst(effect, saver.stopping)
  }
})
