import type { AgentRun } from "@everbeat/core/AgentRun"
import { CheckpointStore } from "@everbeat/core/CheckpointStore"
import type { Lease } from "@everbeat/core/Lease"
import { RunStore } from "@everbeat/core/RunStore"
import { Gone, type StoreError } from "@everbeat/core/StoreError"
import { MemoryStore } from "@everbeat/store-memory"
import { Clock, Duration, Effect, Layer } from "effect"

type Checkpoints = CheckpointStore["Service"]
type Runs = RunStore["Service"]

/** The memory store with one thing broken. */
const broken = (breaks: {
  readonly checkpoints?: (good: Checkpoints) => Partial<Checkpoints>
  readonly runs?: (good: Runs) => Partial<Runs>
}): Layer.Layer<CheckpointStore | RunStore> =>
  Layer.unwrap(Effect.map(MemoryStore.make(), ({ checkpoints, runs }) =>
    Layer.merge(
      Layer.succeed(CheckpointStore, { ...checkpoints, ...breaks.checkpoints?.(checkpoints) }),
      Layer.succeed(RunStore, { ...runs, ...breaks.runs?.(runs) })
    )))

/** The lease that the store would accept: what a store without a fence does. */
const newest = (store: Checkpoints, lease: Lease): Effect.Effect<Lease, Gone | StoreError> =>
  store.load(lease.runId).pipe(
    Effect.map(({ attempts }) => {
      const last = attempts.at(-1)
      return last === undefined ? lease : { runId: lease.runId, owner: last.owner, fence: last.fence }
    }),
    Effect.catchTag("RunNotFound", ({ runId }) => Effect.fail(new Gone({ runId })))
  )

/** Settles in two places that are not one transition: the record, and later the checkpoint. */
const torn = (): Layer.Layer<CheckpointStore | RunStore> => {
  const records = new Map<string, AgentRun>()
  return broken({
    checkpoints: () => ({
      settle: (_, run) =>
        Effect.sync(() => {
          records.set(run.runId, run)
        })
    }),
    runs: (good) => ({
      get: (runId) => {
        const run = records.get(runId)
        return run === undefined ? good.get(runId) : Effect.succeed(run)
      }
    })
  })
}

/** Keeps rows by their number alone: what comes second under a number is not written. */
const sharedRows = (): Layer.Layer<CheckpointStore | RunStore> => {
  const rows = new Map<number, string>()
  return broken({
    checkpoints: (good) => ({
      save: (lease, delta) => {
        delta.rows.forEach((row, at) => {
          if (!rows.has(delta.position + at)) rows.set(delta.position + at, row)
        })
        return good.save(lease, delta)
      },
      load: (runId) =>
        Effect.map(good.load(runId), (checkpoint) => ({
          ...checkpoint,
          messages: checkpoint.segments.flatMap(([from, to]) =>
            Array.from({ length: to - from }, (_, at) => rows.get(from + at) ?? "")
          )
        }))
    })
  })
}

/** Begins a run again that a late save is for. */
const resurrecting = (good: Checkpoints): Partial<Checkpoints> => {
  const inputs = new Map<string, Parameters<Checkpoints["begin"]>[0]>()
  return {
    begin: (input) => {
      inputs.set(input.meta.runId, input)
      return good.begin(input)
    },
    save: (lease, delta) =>
      Effect.catchTag(good.save(lease, delta), "Gone", (gone) => {
        const input = inputs.get(lease.runId)
        if (input === undefined) return Effect.fail(gone)
        return Effect.as(Effect.mapError(good.begin({ ...input, owner: lease.owner }), () => gone), {
          position: delta.position + delta.rows.length,
          cancelRequested: false
        })
      })
  }
}

/** What is broken, how, and one case that must notice. Others may as well. */
export const mutants: ReadonlyArray<
  readonly [what: string, layer: Layer.Layer<CheckpointStore | RunStore>, noticed: string]
> = [
  [
    "ignores the fence on save",
    broken({
      checkpoints: (good) => ({
        save: (lease, delta) => Effect.flatMap(newest(good, lease), (lease) => good.save(lease, delta))
      })
    }),
    "rejects a save from a fenced owner"
  ],
  [
    "ignores the fence on settle",
    broken({
      checkpoints: (good) => ({
        settle: (lease, run) => Effect.flatMap(newest(good, lease), (lease) => good.settle(lease, run))
      })
    }),
    "rejects a settle from a fenced owner"
  ],
  [
    "ignores the fence on delete",
    broken({
      checkpoints: (good) => ({
        delete: (lease) => Effect.flatMap(newest(good, lease), (lease) => good.delete(lease))
      })
    }),
    "rejects a delete from a fenced owner"
  ],
  [
    "accepts a save at any position",
    broken({
      checkpoints: (good) => ({
        save: (lease, delta) =>
          Effect.catchTag(good.save(lease, delta), "Conflict", ({ position }) =>
            good.save(lease, {
              ...delta,
              position,
              segments: [[0, position + delta.rows.length]]
            }))
      })
    }),
    "answers Conflict to a save that is delivered twice and keeps its rows once"
  ],
  [
    "checks the position before it writes, not with it",
    broken({
      checkpoints: (good) => ({
        save: (lease, delta) =>
          Effect.gen(function*() {
            const seen = yield* Effect.option(good.load(lease.runId))
            yield* Effect.yieldNow
            if (seen._tag === "None" || seen.value.position !== delta.position) return yield* good.save(lease, delta)
            const now = yield* Effect.option(good.load(lease.runId))
            const position = now._tag === "None" ? 0 : now.value.position
            return yield* good.save(lease, { ...delta, position, segments: [[0, position + delta.rows.length]] })
          })
      })
    }),
    "lets exactly one of many concurrent saves at one position win"
  ],
  [
    "clears absent fields on save",
    broken({
      checkpoints: (good) => ({ save: (lease, delta) => good.save(lease, { notes: "", phase: "", ...delta }) })
    }),
    "leaves absent fields unchanged"
  ],
  [
    "does not renew the lease on save",
    broken({
      checkpoints: (good) => ({
        save: (lease, delta) =>
          Effect.gen(function*() {
            const { leaseUntil, updatedAt } = yield* Effect.orDie(good.load(lease.runId))
            const millis = leaseUntil.epochMilliseconds - updatedAt.epochMilliseconds
            return yield* good.save(lease, { ...delta, ttl: Duration.millis(Math.max(0, millis)) })
          })
      })
    }),
    "renews the lease"
  ],
  [
    "records a run and leaves it in flight",
    torn(),
    "records the run and deletes its checkpoint"
  ],
  [
    "never ends a lease early",
    broken({ checkpoints: () => ({ release: () => Effect.void }) }),
    "hands a released run over at once"
  ],
  [
    "forgets why an attempt was released",
    broken({ checkpoints: (good) => ({ release: (lease) => good.release(lease) }) }),
    "says that an attempt was released, and why"
  ],
  [
    "answers renewals in the order of the ids",
    broken({
      checkpoints: (good) => ({
        renew: (leases, ttl) => good.renew(leases.toSorted((a, b) => (a.runId < b.runId ? -1 : 1)), ttl)
      })
    }),
    "answers in the order of the leases, each with its own state"
  ],
  [
    "guards no agent",
    broken({ checkpoints: (good) => ({ begin: (input) => good.begin({ ...input, exclusive: false }) }) }),
    "lets exactly one of many concurrent callers begin for an agent"
  ],
  [
    "ignores idempotency keys",
    broken({
      checkpoints: (good) => ({ begin: (input) => good.begin({ ...input, idempotency: undefined }) })
    }),
    "replays the record of a settled run for the same key"
  ],
  [
    "ignores the fingerprint of a key",
    broken({
      checkpoints: (good) => ({
        begin: (input) =>
          good.begin({
            ...input,
            idempotency: input.idempotency && { key: input.idempotency.key, fingerprint: "same" }
          })
      })
    }),
    "refuses the key of a run in flight with another payload"
  ],
  [
    "claims exhausted runs unasked",
    broken({
      checkpoints: (good) => ({
        begin: (input) => good.begin({ ...input, maxAttempts: 1_000 })
      })
    }),
    "never claims an exhausted run unasked"
  ],
  [
    "ignores the limit of a sweep",
    broken({
      checkpoints: (good) => ({ claimNext: (owner, ttl, _, filter) => good.claimNext(owner, ttl, 1_000, filter) })
    }),
    "claims those first whose lease ended first, and no more than the limit"
  ],
  [
    "lists running runs unasked",
    broken({
      checkpoints: (good) => ({
        listInterrupted: (filter, page) =>
          good.listInterrupted({ status: ["running", "interrupted", "exhausted"], ...filter }, page)
      })
    }),
    "lists interrupted and exhausted runs, not those that run"
  ],
  [
    "reads whole checkpoints for a list",
    broken({
      checkpoints: (good) => ({
        listInterrupted: (filter, page) =>
          Effect.flatMap(good.listInterrupted(filter, page), ({ items, ...rest }) =>
            Effect.map(
              Effect.forEach(items, ({ runId }) => Effect.orDie(good.load(runId))),
              (items) => ({ items, ...rest })
            ))
      })
    }),
    "reads heads only: no message, no notes, no files"
  ],
  [
    "loses NUL",
    broken({
      checkpoints: (good) => ({
        save: (lease, delta) =>
          good.save(lease, { ...delta, rows: delta.rows.map((row) => row.replaceAll("\u0000", "")) })
      })
    }),
    "keeps NUL in every text of a checkpoint"
  ],
  [
    "forgets a cancellation",
    broken({ checkpoints: () => ({ requestCancel: () => Effect.void }) }),
    "tells the owner about a cancellation at the next save and at the next renewal"
  ],
  [
    "lists by offset",
    broken({
      runs: (good) => ({
        list: (filter, page = {}) =>
          Effect.map(good.list(filter, { limit: 10_000 }), ({ items }) => {
            const start = Number(page.cursor ?? 0) || 0
            const end = start + (page.limit ?? 50)
            return end < items.length
              ? { items: items.slice(start, end), next: String(end) }
              : { items: items.slice(start, end) }
          })
      })
    }),
    "keeps pages stable while runs are added, settled and deleted"
  ],
  [
    "loses the payload of a record",
    broken({
      runs: (good) => ({
        get: (runId) => Effect.map(good.get(runId), ({ payload: _, ...run }) => run)
      })
    }),
    "reads every field of a record back exactly"
  ],
  [
    "prunes more than a batch",
    broken({ runs: (good) => ({ prune: ({ batch: _, ...rules }) => good.prune(rules) }) }),
    "deletes no more than a batch with one call, and says how many"
  ],
  [
    "erases nothing and says nothing",
    broken({ runs: () => ({ erase: () => Effect.succeed(0) }) }),
    "erases every settled run of an agent and of no other"
  ],
  [
    "keeps rows of runs by their number alone",
    sharedRows(),
    "lets two forks of one run keep their own messages"
  ],
  [
    "brings a run back with a late save",
    broken({ checkpoints: resurrecting }),
    "brings nothing back with a late save after the run was deleted or settled"
  ],
  [
    "counts leases by the clock of the caller",
    broken({
      checkpoints: (good) => ({
        begin: (input) =>
          Effect.flatMap(Clock.currentTimeMillis, (now) =>
            Effect.flatMap(Clock.monotonicTimeNanos, (nanos) => {
              const ahead = now - Number(nanos / 1_000_000n)
              return good.begin({ ...input, ttl: Duration.sum(input.ttl, Duration.millis(Math.max(0, ahead))) })
            }))
      })
    }),
    "takes no notice of a caller whose clock is ahead"
  ],
  [
    "reads no more than so many rows",
    broken({
      checkpoints: (good) => ({
        load: (runId) =>
          Effect.map(good.load(runId), (checkpoint) => ({
            ...checkpoint,
            messages: checkpoint.messages.slice(0, 65_535)
          }))
      })
    }),
    "keeps a hundred thousand rows, and two more"
  ],
  [
    "takes texts for equal that look alike",
    broken({
      checkpoints: (good) => ({
        begin: (input) => {
          const { callerId, ...meta } = input.meta
          return good.begin({
            ...input,
            meta: callerId === undefined ? meta : { ...meta, callerId: callerId.normalize() }
          })
        }
      })
    }),
    "takes a caller and a channel for texts, not for patterns"
  ]
]
