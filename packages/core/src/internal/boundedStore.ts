/**
 * A store that does not answer must hold up nobody: an operation without an
 * answer ends as a `StoreError` with reason `timeout`, its outcome unknown. A
 * store that throws, dies or interrupts itself is one that fails.
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type { CheckpointStore, Delta, Saved } from "../CheckpointStore.ts"
import type { Lease } from "../Lease.ts"
import type { RunStore } from "../RunStore.ts"
import { type Conflict, type Fenced, type Gone, StoreError } from "../StoreError.ts"
import { launch, type Limit, limit } from "./launch.ts"
import type { Watch } from "./watch.ts"

const guarded = <A, E>(operation: string, call: () => Effect.Effect<A, E>): Effect.Effect<A, E | StoreError> =>
  Effect.catchCause(Effect.suspend(call), (cause): Effect.Effect<never, E | StoreError> =>
    Cause.hasFails(cause)
      ? Effect.failCause(cause)
      : Effect.fail(new StoreError({ operation, reason: "unknown", detail: "the store threw", cause })))

const limitOf = (watch: Watch, millis: number, operation: string): Limit<StoreError> => ({
  watch,
  millis,
  graceMillis: 0,
  onLimit: () => new StoreError({ operation, reason: "timeout", detail: `no answer within ${millis} ms` })
})

export const bounded = <A, E>(
  watch: Watch,
  millis: number,
  operation: string,
  call: () => Effect.Effect<A, E>
): Effect.Effect<A, E | StoreError> => limit(guarded(operation, call), limitOf(watch, millis, operation))

/** How a save ended. */
export type SaveExit = Exit.Exit<Saved, Fenced | Gone | Conflict | StoreError>

/** Begins a save on a fiber of its own: who waits for it needs none. */
export type BeginSave = (
  context: Context.Context<never>,
  lease: Lease,
  delta: Delta,
  onEnd: (exit: SaveExit) => void
) => void

export const beginSaves = (store: CheckpointStore["Service"], watch: Watch, millis: number): BeginSave => {
  const limit = limitOf(watch, millis, "save")
  return (context, lease, delta, onEnd) =>
    void launch(context, guarded("save", () => store.save(lease, delta)), limit, onEnd)
}

type Bound = <A, E>(operation: string, call: () => Effect.Effect<A, E>) => Effect.Effect<A, E | StoreError>

/** Every operation of the store, bounded. */
export const boundCheckpoints = (
  store: CheckpointStore["Service"],
  watch: Watch,
  millis: number
): CheckpointStore["Service"] => {
  const bound: Bound = (operation, call) => bounded(watch, millis, operation, call)
  return {
    begin: (input) => bound("begin", () => store.begin(input)),
    save: (lease, delta) => bound("save", () => store.save(lease, delta)),
    settle: (lease, run) => bound("settle", () => store.settle(lease, run)),
    release: (...input) => bound("release", () => store.release(...input)),
    renew: (leases, ttl) => bound("renew", () => store.renew(leases, ttl)),
    claim: (runId, owner, ttl) => bound("claim", () => store.claim(runId, owner, ttl)),
    claimNext: (...input) => bound("claimNext", () => store.claimNext(...input)),
    requestCancel: (runId) => bound("requestCancel", () => store.requestCancel(runId)),
    load: (runId) => bound("load", () => store.load(runId)),
    listInterrupted: (...input) => bound("listInterrupted", () => store.listInterrupted(...input)),
    delete: (lease) => bound("delete", () => store.delete(lease)),
    ping: bound("ping", () => store.ping)
  }
}

/** What the engine asks of the records, bounded. */
export const boundRuns = (store: RunStore["Service"], watch: Watch, millis: number): RunStore["Service"] => ({
  ...store,
  get: (runId) => bounded(watch, millis, "get", () => store.get(runId))
})
