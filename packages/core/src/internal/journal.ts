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
import type { Watch } from "./watch.ts"

/** An outcome is written so long after it came, at the latest. */
const coalesceMillis = 100

export interface JournalSetup {
  readonly store: CheckpointStore["Service"]
  readonly lease: Lease
  readonly ttl: Duration.Duration
  readonly watch: Watch
  readonly context: Context.Context<never>
  /** The next free row. */
  readonly position: number
  /** The row at which the history of this pass begins: rows before it belong to another step list. */
  readonly base: number
  /** Outcomes that earlier attempts recorded. */
  readonly recorded: number
  readonly onCancel: () => void
  readonly onLost: () => void
  /** The store failed for good at a point where an outcome had to be durable. */
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

  /** Whether an outcome must be written before another step may start. */
  get mustFlush(): boolean {
    return this.urgent
  }

  /** Writes what is pending now, with retries. Never rejects: what went wrong was reported to the setup. */
  flush(): Promise<void> {
    return (this.saving ??= this.write(3).finally(() => {
      this.saving = undefined
    }))
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
      if (this.saving === undefined) {
        this.saving = this.write(1).finally(() => {
          this.saving = undefined
        })
      }
    })
    this.scheduled = () => {
      this.scheduled = undefined
      cancel()
    }
  }

  private async write(tries: number): Promise<void> {
    this.scheduled?.()
    while (this.pending.length > 0 && !this.closed) {
      const batch = this.pending
      const urgent = this.urgent
      this.pending = []
      this.urgent = false
      const exit = await Effect.runPromiseExitWith(this.setup.context)(this.save(batch, tries))
      if (Exit.isSuccess(exit)) {
        this.failures = 0
        continue
      }
      this.failures++
      this.pending = [...batch, ...this.pending]
      if (this.closed) return // the record of the run carries them
      const failure = Exit.findErrorOption(exit)
      if (failure._tag === "Some" && failure.value._tag === "StoreError") {
        // Going on without durability was reported: the same outcomes do not hold up each following step.
        if (urgent) this.setup.onFailure(failure.value)
        this.schedule()
      } else this.setup.onLost()
      return
    }
  }

  private save(batch: ReadonlyArray<Ended>, tries: number): Effect.Effect<void, StoreError | LeaseLost> {
    const { base, lease, store, ttl } = this.setup
    const rows = batch.map(encode)
    const position = this.position
    const next = position + rows.length
    const lost = Effect.fail(new LeaseLost({ runId: lease.runId }))
    return store.save(lease, {
      position,
      rows,
      segments: [[base, next]],
      iteration: this.count + rows.length,
      ttl
    }).pipe(
      Effect.map((saved) => saved.cancelRequested),
      // An earlier try of this save may have gone through although its answer was lost: then the rows are there.
      Effect.catchTag("Conflict", () =>
        store.load(lease.runId).pipe(
          Effect.catchTag("RunNotFound", () => lost),
          Effect.flatMap((stored) => {
            const tail = stored.messages.slice(-rows.length)
            const mine = stored.position === next && rows.every((row, index) => tail[index] === row)
            return mine ? Effect.succeed(stored.cancelRequested) : lost
          })
        )),
      Effect.catchTags({ Fenced: () => lost, Gone: () => lost }),
      Effect.retry({
        times: tries - 1,
        schedule: Schedule.exponential("50 millis"),
        while: (error) => error._tag === "StoreError" && error.isRetryable
      }),
      Effect.map((cancel) => {
        this.position = next
        this.count += rows.length
        if (cancel) this.setup.onCancel()
      })
    )
  }
}
