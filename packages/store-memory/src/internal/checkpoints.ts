import type { AgentRun, Attempt } from "@everbeat/core/AgentRun"
import type {
  BeginInput,
  CheckpointStore,
  ClaimFilter,
  Delta,
  InterruptedFilter,
  PageRequest,
  Replayed,
  Resumed
} from "@everbeat/core/CheckpointStore"
import type { Lease } from "@everbeat/core/Lease"
import type { RunId } from "@everbeat/core/RunId"
import {
  AgentBusy,
  Conflict,
  Fenced,
  Gone,
  KeyMismatch,
  LeaseHeld,
  OtherDefinition,
  RunExists,
  RunNotFound,
  type StoreError
} from "@everbeat/core/StoreError"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as State from "./state.ts"

type Service = CheckpointStore["Service"]

const cursorPattern = /^\d{16} [0-9a-f-]{36}$/

/** A released lease is gone for good: a save or renewal that was under way must not bring it back. */
const holds = (head: State.Head, lease: Lease): boolean =>
  head.fence === lease.fence && head.owner === lease.owner && head.released === undefined

/** The last instant that a date can tell: an endless lease still has an end that can be listed. */
const lastInstant = 8_640_000_000_000_000

const leaseEnd = (now: number, ttl: Duration.Duration): number => Math.min(lastInstant, now + Duration.toMillis(ttl))

/** `now` is the store's clock; `onSettled` is called after a run was recorded. */
export const make = (
  state: State.State,
  now: Effect.Effect<number>,
  onSettled: (run: AgentRun, now: number) => void
): Service => {
  /** One transition: nothing else runs between its reads and its writes. */
  const transition = <A, E>(f: (now: number) => Effect.Effect<A, E>): Effect.Effect<A, E> => Effect.flatMap(now, f)

  /** The head that a lease may write. */
  const guarded = <A, E>(
    lease: Lease,
    f: (head: State.Head, now: number) => Effect.Effect<A, E>
  ): Effect.Effect<A, E | Fenced | Gone> =>
    transition((now): Effect.Effect<A, E | Fenced | Gone> => {
      const head = state.heads.get(lease.runId)
      if (head === undefined) return Effect.fail(new Gone({ runId: lease.runId }))
      if (!holds(head, lease)) {
        return Effect.fail(new Fenced({ runId: lease.runId }))
      }
      return f(head, now)
    })

  /** Hands an interrupted run to a new owner, also one that cannot be read: that is an attempt at it as well. */
  const take = (
    operation: string,
    head: State.Head,
    owner: string,
    ttl: Duration.Duration,
    now: number
  ): Result.Result<Resumed, StoreError> => {
    const exhausted = State.isExhausted(head)
    const ended: Attempt["end"] = head.released === undefined ? "expired" : "released"
    const last = head.attempts.at(-1)
    const closed = last?.end === undefined // else nothing was run since
      ? {
        endedAt: DateTime.makeUnsafe(head.leaseUntil),
        end: ended,
        ...(head.released === undefined || head.released === "" ? undefined : { reason: head.released })
      }
      : undefined
    head.owner = owner
    head.fence++
    head.attempts = [
      ...head.attempts.slice(0, -1),
      ...(last === undefined ? [] : [{ ...last, ...closed }]),
      { number: head.attempts.length + 1, owner, fence: head.fence, startedAt: DateTime.makeUnsafe(now) }
    ]
    head.stalled++
    head.released = undefined
    head.leaseUntil = leaseEnd(now, ttl)
    const damage = State.damageOf(operation, head)
    return damage === undefined
      ? Result.succeed({
        _tag: "Resumed",
        lease: { runId: head.meta.runId, owner, fence: head.fence },
        checkpoint: State.toCheckpoint(head, now),
        exhausted,
        idempotency: head.idempotency
      })
      : Result.fail(damage)
  }

  /** What stands in the way of a new run: the run of its key, or the one in flight of its agent. */
  const begin = (input: BeginInput) =>
    transition((now): ReturnType<Service["begin"]> => {
      const { exclusive, idempotency, meta, owner, ttl } = input
      const { agentName, runId } = meta
      const keyed = idempotency && state.keys.get(State.keyOf(agentName, idempotency.key))
      if (idempotency !== undefined && keyed !== undefined) {
        const stored = state.runs.get(keyed)
        const known = stored?.idempotency ?? state.heads.get(keyed)?.idempotency
        if (known?.fingerprint !== idempotency.fingerprint) {
          return Effect.fail(new KeyMismatch({ key: idempotency.key, runId: keyed }))
        }
        if (stored !== undefined) return Effect.succeed<Replayed>({ _tag: "Replayed", run: stored })
      }
      const inFlight = keyed ?? (exclusive ? state.guards.get(agentName) : undefined)
      const head = inFlight && state.heads.get(inFlight)
      if (head !== undefined) {
        const retryAfterMillis = Math.max(0, head.leaseUntil - now)
        const sameKey = idempotency === undefined || idempotency.key === head.idempotency?.key
        if (retryAfterMillis > 0 || !(sameKey || head.cancelRequested)) {
          return Effect.fail(new AgentBusy({ runId: head.meta.runId, retryAfterMillis }))
        }
        const { definition } = head.meta
        const same = definition.name === meta.definition.name &&
          (input.resumes === "same-name" || definition.hash === meta.definition.hash)
        return same || head.cancelRequested
          ? Effect.fromResult(take("begin", head, owner, ttl, now))
          : Effect.fail(new OtherDefinition({ runId: head.meta.runId, name: definition.name }))
      }
      if (state.heads.has(runId) || state.runs.has(runId)) return Effect.fail(new RunExists({ runId }))
      const fence = 1
      state.heads.set(runId, {
        meta: meta.payload === undefined ? { ...meta } : { ...meta, payload: structuredClone(meta.payload) },
        exclusive,
        idempotency,
        maxAttempts: input.maxAttempts,
        startedAt: now,
        attempts: [{ number: 1, owner, fence, startedAt: DateTime.makeUnsafe(now) }],
        owner,
        fence,
        leaseUntil: leaseEnd(now, ttl),
        released: undefined,
        stalled: 1,
        cancelRequested: false,
        updatedAt: now,
        rows: [],
        segments: [],
        iteration: 0,
        phase: "",
        completedPhases: [],
        notes: undefined,
        workspace: undefined
      })
      state.order.add(runId)
      if (exclusive) state.guards.set(agentName, runId)
      if (idempotency !== undefined) state.keys.set(State.keyOf(agentName, idempotency.key), runId)
      return Effect.succeed({ _tag: "Begun", lease: { runId, owner, fence } })
    })

  const save = (lease: Lease, delta: Delta): ReturnType<Service["save"]> =>
    guarded(lease, (head, now) => {
      if (delta.position !== head.rows.length) {
        return Effect.fail(new Conflict({ runId: lease.runId, position: head.rows.length }))
      }
      const changed = delta.rows.length > 0 ||
        (delta.notes !== undefined && delta.notes !== head.notes) ||
        (delta.workspace !== undefined && delta.workspace !== head.workspace)
      if (changed) head.stalled = 0
      for (const row of delta.rows) head.rows.push(row)
      head.segments = delta.segments.map(([from, to]) => [from, to])
      head.iteration = delta.iteration ?? head.iteration
      head.phase = delta.phase ?? head.phase
      if (delta.completedPhases !== undefined) head.completedPhases = [...delta.completedPhases]
      head.notes = delta.notes ?? head.notes
      head.workspace = delta.workspace ?? head.workspace
      head.leaseUntil = leaseEnd(now, delta.ttl)
      head.updatedAt = now
      return Effect.succeed({ position: head.rows.length, cancelRequested: head.cancelRequested })
    })

  const renew: Service["renew"] = (leases, ttl) =>
    transition((now) =>
      Effect.succeed(leases.map(({ fence, owner, runId }) => {
        const head = state.heads.get(runId)
        if (head === undefined) return { runId, state: "gone", cancelRequested: false } as const
        if (!holds(head, { runId, fence, owner })) {
          return { runId, state: "fenced", cancelRequested: false } as const
        }
        head.leaseUntil = leaseEnd(now, ttl)
        return { runId, state: "renewed", cancelRequested: head.cancelRequested } as const
      }))
    )

  const claim = (runId: RunId, owner: string, ttl: Duration.Duration) =>
    transition((now): ReturnType<Service["claim"]> => {
      const head = state.heads.get(runId)
      if (head === undefined) return Effect.fail(new RunNotFound({ runId }))
      return head.leaseUntil > now
        ? Effect.fail(new LeaseHeld({ runId, retryAfterMillis: head.leaseUntil - now }))
        : Effect.fromResult(take("claim", head, owner, ttl, now))
    })

  const byLease = (a: State.Head, b: State.Head): number =>
    a.leaseUntil - b.leaseUntil || (a.meta.runId < b.meta.runId ? -1 : 1)

  const claimNext = (owner: string, ttl: Duration.Duration, limit: number, filter: ClaimFilter = {}) =>
    transition((now): Effect.Effect<ReadonlyArray<Resumed>, StoreError> => {
      const free = [...state.heads.values()].filter((head) =>
        State.statusOf(head, now) === "interrupted" &&
        (filter.kind === undefined || head.meta.kind === filter.kind) &&
        (filter.roots !== true || head.meta.parentRunId === undefined) &&
        (filter.definitions === undefined || filter.definitions.includes(head.meta.definition.name))
      ).toSorted(byLease)
      const claimed: Array<Resumed> = []
      const damaged: Array<StoreError> = []
      for (const head of free) {
        if (claimed.length >= limit) break
        const taken = take("claimNext", head, owner, ttl, now)
        if (Result.isSuccess(taken)) claimed.push(taken.success)
        else damaged.push(taken.failure)
      }
      const [failure] = damaged
      if (failure === undefined) return Effect.succeed(claimed)
      return claimed.length === 0
        ? Effect.fail(failure)
        : Effect.as(Effect.logWarning("Damaged runs were left out", ...damaged.map(({ message }) => message)), claimed)
    })

  const listInterrupted = (filter: InterruptedFilter = {}, page: PageRequest = {}) =>
    transition((now) => {
      const status = filter.status ?? ["interrupted", "exhausted"]
      const heads = [...state.heads.values()].filter((head) =>
        status.includes(State.statusOf(head, now)) &&
        (filter.agentName === undefined || head.meta.agentName === filter.agentName) &&
        (filter.callerId === undefined || head.meta.callerId === filter.callerId) &&
        (filter.channelId === undefined || head.meta.channelId === filter.channelId) &&
        (filter.parentRunId === undefined || head.meta.parentRunId === filter.parentRunId) &&
        (filter.interruptedFor === undefined ||
          head.leaseUntil <= now - Duration.toMillis(filter.interruptedFor))
      ).toSorted(byLease)
      // The lease may be renewed between two pages: both parts of the order are in the cursor.
      const cursorOf = (head: State.Head): string => `${String(head.leaseUntil).padStart(16, "0")} ${head.meta.runId}`
      const { items, ...rest } = State.paginate(heads, cursorOf, (head, cursor) => cursorOf(head) > cursor, {
        ...page,
        cursor: page.cursor !== undefined && cursorPattern.test(page.cursor) ? page.cursor : undefined
      })
      return Effect.succeed({ items: items.map((head) => State.toInFlight(head, now)), ...rest })
    })

  return {
    begin,
    save,
    settle: (lease, run) =>
      guarded(lease, (head, now) => {
        const { idempotency } = head
        const recorded = idempotency === undefined || run.idempotency !== undefined ? run : { ...run, idempotency }
        State.removeHead(state, head)
        state.runs.set(run.runId, recorded)
        state.settledAt.set(run.runId, now)
        onSettled(recorded, now)
        return Effect.void
      }),
    release: (lease, reason, options) =>
      guarded(lease, (head, now) => {
        if (options?.unstarted === true && head.attempts.length > 1) {
          head.attempts = head.attempts.slice(0, -1)
          head.stalled--
        } else if (options?.shutdown === true && head.stalled === 0) {
          head.maxAttempts++
        }
        head.leaseUntil = now
        head.released = reason ?? ""
        return Effect.void
      }),
    renew,
    claim,
    claimNext,
    requestCancel: (runId) =>
      Effect.suspend(() => {
        const head = state.heads.get(runId)
        if (head === undefined) return Effect.fail(new RunNotFound({ runId }))
        head.cancelRequested = true
        return Effect.void
      }),
    load: (runId) =>
      transition((now): ReturnType<Service["load"]> => {
        const head = state.heads.get(runId)
        if (head === undefined) return Effect.fail(new RunNotFound({ runId }))
        const damage = State.damageOf("load", head)
        return damage === undefined ? Effect.succeed(State.toCheckpoint(head, now)) : Effect.fail(damage)
      }),
    listInterrupted,
    delete: (lease) =>
      guarded(lease, (head) => {
        State.dropHead(state, head)
        return Effect.void
      }),
    ping: Effect.void
  }
}
