import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schedule from "effect/Schedule"
import type { CheckpointStore } from "../CheckpointStore.ts"
import type { Lease } from "../Lease.ts"
import { LeaseLost } from "../PassError.ts"
import type { StoreError } from "../StoreError.ts"
import { encode, type Ended } from "./outcome.ts"
import type { Meters } from "./passTelemetry.ts"
import type { Watch } from "./watch.ts"

/** An outcome is written so long after it came, at the latest. */
const coalesceMillis = 100

/** The second try of a save waits so long, the third twice as long. */
const retryDelay = Duration.millis(50)

const encoder = new TextEncoder()

export interface JournalSetup {
  readonly store: CheckpointStore["Service"]
  readonly lease: Lease
  readonly ttl: Duration.Duration
  readonly watch: Watch
  readonly context: Context.Context<never>
  readonly meters: Meters
  /** The next free row. */
  readonly position: number
  /** Hash of the step list that the outcomes belong to. */
  readonly list: string
  /** Whether the pass stops when an outcome cannot be saved: then coalesced ones are reported too. */
  readonly strict: boolean
  /** Outcomes that earlier attempts recorded. */
  readonly recorded: number
  readonly onCancel: () => void
  readonly onLost: () => void
  /** The store failed where an outcome had to be durable. */
  readonly onFailure: (error: StoreError) => void
}

/**
 * Writes the outcomes of one pass: at most one save at a time, and what comes
 * meanwhile goes with the next one. Outcomes that the store did not take stay
 * pending, and go with the record of the run at the latest.
 */
export class Journal {
  private pending: Array<Ended> = []
  private urgent = false
  private scheduled: (() => void) | undefined
  private saving: Promise<void> | undefined
  private failures = 0
  private position: number
  private count: number
  private closed = false
  private readonly setup: JournalSetup

  constructor(setup: JournalSetup) {
    this.setup = setup
    this.position = setup.position
    this.count = setup.recorded
  }

  /** Takes an outcome. A `sync` one must be durable before the next step starts. */
  add(ended: Ended, sync: boolean): void {
    this.pending.push(ended)
    if (sync) this.urgent = true
  }

  /**
   * Whether an outcome must be written before another step may start. While the store is known to fail, which was
   * reported, it does not hold up each step anew: the outcomes follow when it is back.
   */
  get mustFlush(): boolean {
    return this.urgent && this.failures === 0
  }

  /** Writes what is pending now. Never rejects: what went wrong was reported to the setup. */
  flush(): Promise<void> {
    return (this.saving ??= this.write().finally(() => {
      this.saving = undefined
    }))
  }

  /** Writes what is pending with one try, for a shutdown that must not take long. */
  flushOnce(): Promise<void> {
    this.urgent = false
    return this.flush()
  }

  /** Stops writing: the record of the run carries the rest. Waits for a save under way. */
  close(): Promise<void> | undefined {
    this.closed = true
    this.scheduled?.()
    return this.saving
  }

  /** Sees to it that what is pending is written in time. For passes that go on: one that ends now needs no timer. */
  schedule(): void {
    if (this.closed || this.scheduled !== undefined || this.pending.length === 0) return
    // After a failure the store is asked less and less often, up to once a second.
    const millis = Math.min(1000, coalesceMillis * 2 ** this.failures)
    const cancel = this.setup.watch.after(millis, () => {
      this.scheduled = undefined
      void this.flush()
    })
    this.scheduled = () => {
      this.scheduled = undefined
      cancel()
    }
  }

  private async write(): Promise<void> {
    this.scheduled?.()
    if (this.pending.length === 0 || this.closed) return
    const batch = this.pending
    const { urgent } = this
    this.pending = []
    this.urgent = false
    const rows = batch.map((ended) => encode(this.setup.list, ended))
    const bytes = rows.reduce((sum, row) => sum + encoder.encode(row).length, 0)
    const { context, meters, watch } = this.setup
    const from = watch.now()
    const exit = await Effect.runPromiseExitWith(context)(this.save(batch, rows, urgent && this.failures === 0 ? 3 : 1))
    const failure = Exit.findErrorOption(exit)
    const failed = failure._tag === "Some" && failure.value._tag === "StoreError" ? failure.value : undefined
    const lost = Exit.isFailure(exit) && failed === undefined
    meters.saved(lost ? "lost" : failed === undefined ? "ok" : "failed", bytes, watch.now() - from, context)
    if (Exit.isSuccess(exit)) {
      this.failures = 0
      return this.write() // what came meanwhile
    }
    this.failures++
    this.pending = [...batch, ...this.pending]
    if (this.closed) return // the record of the run carries them
    if (failed === undefined) return this.setup.onLost()
    if (urgent || this.setup.strict) this.setup.onFailure(failed)
    this.schedule()
  }

  /** Saves a batch; what the store has is taken out of it, also when the rest fails. */
  private save(
    batch: Array<Ended>,
    rows: Array<string>,
    tries: number
  ): Effect.Effect<void, StoreError | LeaseLost> {
    const { lease, store, ttl } = this.setup
    const lost = Effect.suspend(() => Effect.fail(new LeaseLost({ runId: lease.runId })))
    /** Takes note of rows that the store has. */
    const stored = (count: number): void => {
      rows.splice(0, count)
      batch.splice(0, count)
      this.position += count
      this.count += count
    }
    /**
     * The save does not start at the next free row. An earlier one, whose answer was lost, has gone through: then the
     * rows there are the first of ours, and only the rest is to be written.
     */
    const compare = Effect.flatMap(
      Effect.catchTag(store.load(lease.runId), "RunNotFound", () => lost),
      ({ cancelRequested, messages, position }) => {
        const count = position - this.position
        const mine = count > 0 && count <= rows.length &&
          messages.slice(-count).every((row, index) => row === rows[index])
        if (!mine) return lost
        stored(count)
        return rows.length === 0 ? Effect.succeed({ cancelRequested }) : Effect.suspend(() => write)
      }
    )
    const write: Effect.Effect<{ readonly cancelRequested: boolean }, StoreError | LeaseLost> = Effect.suspend(() =>
      store.save(lease, {
        position: this.position,
        rows: [...rows],
        segments: [[0, this.position + rows.length]],
        iteration: this.count + rows.length,
        ttl
      })
    ).pipe(
      Effect.tap(() => Effect.sync(() => stored(rows.length))),
      Effect.catchTags({ Conflict: () => compare, Fenced: () => lost, Gone: () => lost })
    )
    return Effect.map(
      tries === 1 ? write : Effect.catch(write, (error) => {
        if (error._tag !== "StoreError" || !error.isRetryable) return Effect.fail(error)
        return Effect.retry(Effect.delay(write, retryDelay), {
          times: tries - 2,
          schedule: Schedule.spaced(retryDelay),
          while: (error) => error._tag === "StoreError" && error.isRetryable
        })
      }),
      ({ cancelRequested }) => {
        if (cancelRequested) this.setup.onCancel()
      }
    )
  }
}
