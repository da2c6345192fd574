import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type { CheckpointStore } from "../CheckpointStore.ts"
import type { RunStore } from "../RunStore.ts"
import { StoreError } from "../StoreError.ts"
import { limit } from "./launch.ts"
import type { Watch } from "./watch.ts"

type Bound = <A, E>(operation: string, call: () => Effect.Effect<A, E>) => Effect.Effect<A, E | StoreError>

/**
 * A store that does not answer must hold up nobody: an operation without an
 * answer ends as a `StoreError` with reason `timeout`, its outcome unknown. A
 * store that throws, dies or interrupts itself is one that fails.
 */
const bound = (watch: Watch, millis: number): Bound => <A, E>(operation: string, call: () => Effect.Effect<A, E>) =>
  limit(
    watch,
    Effect.catchCause(Effect.suspend(call), (cause): Effect.Effect<never, E | StoreError> =>
      Cause.hasFails(cause)
        ? Effect.failCause(cause)
        : Effect.fail(new StoreError({ operation, reason: "unknown", detail: "the store threw", cause }))),
    millis,
    0,
    () => new StoreError({ operation, reason: "timeout", detail: `no answer within ${millis} ms` })
  )

/** The operations that the engine calls, bounded. */
export const boundCheckpoints = (
  store: CheckpointStore["Service"],
  watch: Watch,
  millis: number
): CheckpointStore["Service"] => {
  const bounded = bound(watch, millis)
  return {
    ...store,
    begin: (input) => bounded("begin", () => store.begin(input)),
    save: (lease, delta) => bounded("save", () => store.save(lease, delta)),
    settle: (lease, run) => bounded("settle", () => store.settle(lease, run)),
    release: (lease, reason, options) => bounded("release", () => store.release(lease, reason, options)),
    renew: (leases, ttl) => bounded("renew", () => store.renew(leases, ttl)),
    load: (runId) => bounded("load", () => store.load(runId))
  }
}

export const boundRuns = (store: RunStore["Service"], watch: Watch, millis: number): RunStore["Service"] => {
  const bounded = bound(watch, millis)
  return { ...store, get: (runId) => bounded("get", () => store.get(runId)) }
}
