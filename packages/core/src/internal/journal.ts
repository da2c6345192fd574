import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schedule from "effect/Schedule"
import type { CheckpointStore, Delta, Saved } from "../CheckpointStore.ts"
import type { Lease } from "../Lease.ts"
import { LeaseLost } from "../PassError.ts"
import type { StoreError } from "../StoreError.ts"
import type { BeginSave, SaveExit } from "./boundedStore.ts"
import { encode, type Ended } from "./outcome.ts"
import type { Meters } from "./passTelemetry.ts"
import type { Timers } from "./watch.ts"

/** An outcome is written so long after it came, at the latest. */
const coalesceMillis = 100

/** The second try of a save waits so long, the third twice as long. */
const retryDelay = Duration.millis(50)

const encoder = new TextEncoder()

export interface JournalSetup {
  readonly store: CheckpointStore["Service"]
  readonly beginSave: BeginSave
  readonly lease: Lease
  readonly ttl: Duration.Duration
  readonly watch: Timers
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
  private saving = false
  /** Whether a `sync` outcome is in the save under way, whoever asked for it. */
  private savingUrgent = false
  /** Who waits until nothing is being written. */
  private waiting: Array<() => void> = []
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
    return (this.urgent || this.savingUrgent) && this.failures === 0
  }

  /** Writes what is pending now. What went wrong was reported to the setup when `done` is called. */
  flush(done: () => void = () => {}): void {
    this.waiting.push(done)
    if (!this.saving) this.write()
  }

  /** Writes what is pending with one try, for a shutdown that must not take long. */
  readonly flushOnce: Effect.Effect<void> = Effect.callback((resume) => {
    this.urgent = false
    this.flush(() => resume(Effect.void))
  })

  /** Stops writing: the record of the run carries the rest. Answers with the end of a save under way. */
  close(): Effect.Effect<void> | undefined {
    this.closed = true
    this.scheduled?.()
    return this.saving ? Effect.callback((resume) => void this.waiting.push(() => resume(Effect.void))) : undefined
  }

  /** Sees to it that what is pending is written in time. For passes that go on: one that ends now needs no timer. */
  schedule(): void {
    if (this.closed || this.scheduled !== undefined || this.pending.length === 0) return
    // After a failure the store is asked less and less often, up to once a second.
    const millis = Math.min(1000, coalesceMillis * 2 ** this.failures)
    const cancel = this.setup.watch.after(millis, () => {
      this.scheduled = undefined
      this.flush()
    })
    this.scheduled = () => {
      this.scheduled = undefined
      cancel()
    }
  }

  private write(): void {
    this.scheduled?.()
    if (this.pending.length === 0 || this.closed) return this.rest()
    this.saving = true
    const batch = this.pending
    const { urgent } = this
    this.pending = []
    this.urgent = false
    this.savingUrgent = urgent
    const rows = batch.map((ended) => encode(this.setup.list, ended))
    const bytes = rows.reduce((sum, row) => sum + encoder.encode(row).length, 0)
    const { beginSave, context, lease, meters, watch } = this.setup
    const from = watch.now()
    const end = (exit: Exit.Exit<Saved, StoreError | LeaseLost>): void => {
      const failure = Exit.findErrorOption(exit)
      const failed = failure._tag === "Some" && failure.value._tag === "StoreError" ? failure.value : undefined
      const lost = Exit.isFailure(exit) && failed === undefined
      meters.saved(lost ? "lost" : failed === undefined ? "ok" : "failed", bytes, watch.now() - from, context)
      this.saving = false
      this.savingUrgent = false
      if (Exit.isSuccess(exit)) {
        this.failures = 0
        // A store without types may answer nothing: to throw here would reach its caller, and the pass would hang.
        if (exit.value?.cancelRequested) this.setup.onCancel()
        return this.write() // what came meanwhile
      }
      this.failures++
      this.pending = [...batch, ...this.pending]
      if (!this.closed) { // else the record of the run carries them
        if (failed === undefined) this.setup.onLost()
        else {
          if (urgent || this.setup.strict) this.setup.onFailure(failed)
          this.schedule()
        }
      }
      this.rest()
    }
    const tries = urgent && this.failures === 0 ? 3 : 1
    beginSave(context, lease, this.delta(rows), (exit) => {
      if (Exit.isSuccess(exit)) {
        this.stored(batch, rows, rows.length)
        end(Exit.succeed(exit.value))
      } else {
        Effect.runForkWith(context)(this.recover(exit, batch, rows, tries)).addObserver(end)
      }
    })
  }

  private rest(): void {
    const { waiting } = this
    this.waiting = []
    for (const done of waiting) done()
  }

  private delta(rows: ReadonlyArray<string>): Delta {
    return {
      position: this.position,
      rows: [...rows],
      segments: [[0, this.position + rows.length]],
      iteration: this.count + rows.length,
      ttl: this.setup.ttl
    }
  }

  /** Takes note of rows that the store has: they are taken out of the batch, also when the rest fails. */
  private stored(batch: Array<Ended>, rows: Array<string>, count: number): void {
    rows.splice(0, count)
    batch.splice(0, count)
    this.position += count
    this.count += count
  }

  /** Goes on after a first try of a save that did not succeed. */
  private recover(
    first: SaveExit,
    batch: Array<Ended>,
    rows: Array<string>,
    tries: number
  ): Effect.Effect<Saved, StoreError | LeaseLost> {
    const { lease, store } = this.setup
    const lost = Effect.suspend(() => Effect.fail(new LeaseLost({ runId: lease.runId })))
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
        this.stored(batch, rows, count)
        return rows.length === 0 ? Effect.succeed({ position, cancelRequested }) : Effect.suspend(() => write)
      }
    )
    const judged = (save: ReturnType<typeof store.save>) =>
      Effect.catchTags(save, { Conflict: () => compare, Fenced: () => lost, Gone: () => lost })
    const write: Effect.Effect<Saved, StoreError | LeaseLost> = Effect.suspend(() =>
      judged(Effect.tap(
        store.save(lease, this.delta(rows)),
        () => Effect.sync(() => this.stored(batch, rows, rows.length))
      ))
    )
    const begun = judged(first)
    if (tries === 1) return begun
    return Effect.catch(begun, (error) => {
      if (error._tag !== "StoreError" || !error.isRetryable) return Effect.fail(error)
      return Effect.retry(Effect.delay(write, retryDelay), {
        times: tries - 2,
        schedule: Schedule.spaced(retryDelay),
        while: (error) => error._tag === "StoreError" && error.isRetryable
      })
    })
  }
}
