/** Stands between the engines and a store, changes nothing, and writes down what the store acknowledged. */
import type { CheckpointStore, Lease, RunCheckpoint, StoreError } from "@everbeat/core"
import { Effect } from "effect"
import { createHash } from "node:crypto"
import { type Entry, type Journal, micros, type RowSeen } from "./journal.ts"

type Store = CheckpointStore.CheckpointStore["Service"]
type Failure = { readonly _tag: string; readonly reason?: string; readonly position?: number }

export const digest = (text: string): string => createHash("sha256").update(text).digest("base64url").slice(0, 12)

/** Messages of agents are in an envelope that is no JSON. */
const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The outcome of a step is a row that names it. */
const seen = (text: string, row: number): RowSeen => {
  const value = parsed(text)
  const field = (name: string): unknown =>
    typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined
  const name = field("name")
  return typeof name === "string" && typeof field("list") === "string"
    ? { row, digest: digest(text), step: { name, startedAt: String(field("startedAt")) } }
    : { row, digest: digest(text) }
}

const history = ({ messages, segments }: RunCheckpoint.RunCheckpoint): ReadonlyArray<RowSeen> => {
  const numbers = segments.flatMap(([from, to]) => Array.from({ length: to - from }, (_, index) => from + index))
  return messages.map((text, index) => seen(text, numbers[index] ?? -1))
}

export const witness = (store: Store, journal: Journal): Store => {
  const granted = (
    how: "begin" | "claim" | "claimNext",
    t0: number,
    { checkpoint, exhausted, idempotency, lease }: CheckpointStore.Resumed
  ): Entry => ({
    e: "granted",
    how,
    t0,
    ...lease,
    run: lease.runId,
    kind: checkpoint.kind,
    agent: checkpoint.agentName,
    key: idempotency?.key,
    exhausted,
    position: checkpoint.position,
    iteration: checkpoint.iteration,
    rows: history(checkpoint)
  })

  /** A call that writes under a lease: what it was answered is written down before anybody hears of it. */
  const watched = <A, E extends Failure>(
    op: string,
    lease: Lease.Lease,
    call: Effect.Effect<A, E>,
    answered: (value: A, of: { run: string; owner: string; fence: number; t0: number }) => Entry
  ): Effect.Effect<A, E> =>
    Effect.suspend(() => {
      const t0 = micros()
      const of = { run: lease.runId, owner: lease.owner, fence: lease.fence, t0 }
      if (op === "settle" || op === "release" || op === "delete") journal.write({ e: "asked", op, ...of })
      return call.pipe(
        Effect.tap((value) => Effect.sync(() => journal.write(answered(value, of)))),
        Effect.tapError((error) => Effect.sync(() => journal.write(denied(op, of, error)))),
        // Whoever called has lost patience.
        Effect.onInterrupt(() => Effect.sync(() => journal.write({ e: "unanswered", op, why: "interrupted", ...of })))
      )
    })

  const denied = (
    op: string,
    of: { run: string; owner: string; fence: number; t0: number },
    { _tag, position, reason }: Failure
  ): Entry =>
    _tag === "StoreError"
      ? { e: "unanswered", op, why: reason ?? "unknown", ...of }
      : { e: "refused", op, why: _tag, position, ...of }

  const unanswered = (op: string, run: string, t0: number) => (error: StoreError.StoreError | Failure) =>
    Effect.sync(() => {
      if (error._tag === "StoreError") {
        journal.write({ e: "unanswered", op, why: error.reason ?? "unknown", run, fence: 0, t0 })
      }
    })

  return {
    ...store,
    begin: (input) =>
      Effect.suspend(() => {
        const t0 = micros()
        return store.begin(input).pipe(
          Effect.tap((answer) =>
            Effect.sync(() => {
              if (answer._tag === "Resumed") journal.write(granted("begin", t0, answer))
              if (answer._tag !== "Begun") return
              journal.write({
                e: "granted",
                how: "begun",
                t0,
                ...answer.lease,
                run: answer.lease.runId,
                kind: input.meta.kind,
                agent: input.meta.agentName,
                key: input.idempotency?.key,
                exhausted: false,
                position: 0,
                iteration: 0,
                rows: []
              })
            })
          ),
          Effect.tapError(unanswered("begin", input.meta.runId, t0))
        )
      }),
    claim: (runId, owner, ttl) =>
      Effect.suspend(() => {
        const t0 = micros()
        return store.claim(runId, owner, ttl).pipe(
          Effect.tap((answer) => Effect.sync(() => journal.write(granted("claim", t0, answer)))),
          Effect.tapError(unanswered("claim", runId, t0))
        )
      }),
    claimNext: (...input) =>
      Effect.suspend(() => {
        const t0 = micros()
        return store.claimNext(...input).pipe(
          Effect.tap((answers) =>
            Effect.sync(() => {
              if (answers.length > 0) journal.write(...answers.map((answer) => granted("claimNext", t0, answer)))
            })
          ),
          Effect.tapError(unanswered("claimNext", "", t0))
        )
      }),
    save: (lease, delta) =>
      watched("save", lease, store.save(lease, delta), ({ position }, of) => ({
        e: "saved",
        ...of,
        position,
        iteration: delta.iteration,
        rows: delta.rows.map((text, index) => seen(text, delta.position + index))
      })),
    settle: (lease, run) =>
      watched("settle", lease, store.settle(lease, run), (_, of) => ({ e: "settled", ...of, status: run.status })),
    release: (lease, reason, options) =>
      watched("release", lease, store.release(lease, reason, options), (_, of) => ({ e: "released", ...of })),
    delete: (lease) => watched("delete", lease, store.delete(lease), (_, of) => ({ e: "deleted", ...of })),
    renew: (leases, ttl) =>
      Effect.suspend(() => {
        const t0 = micros()
        return Effect.tap(store.renew(leases, ttl), (renewals) =>
          Effect.sync(() => {
            const entries = renewals.flatMap(({ state }, index): ReadonlyArray<Entry> => {
              const lease = leases[index]
              if (lease === undefined || state === "unknown") return []
              const of = { run: lease.runId, owner: lease.owner, fence: lease.fence, t0 }
              return [
                state === "renewed" ? { e: "renewed", ...of } : { e: "refused", op: "renew", why: state, ...of }
              ]
            })
            if (entries.length > 0) journal.write(...entries)
          }))
      })
  }
}
