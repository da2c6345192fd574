/** Writes the newest state of one run: one save at a time, and what comes meanwhile goes with the next one. */
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { Saved } from "../../CheckpointStore.ts"
import type { Lease } from "../../Lease.ts"
import { LeaseLost, PassCancelled } from "../../PassError.ts"
import type { RunCheckpoint } from "../../RunCheckpoint.ts"
import { type Gone, StoreError } from "../../StoreError.ts"
import type { History, Plan } from "./history.ts"
import type { Hub } from "./hub.ts"
import type { Packing } from "./packing.ts"
import { headOf, type Progress } from "./progress.ts"

/** After a failure the store is asked less and less often. */
const backoff = { first: 50, most: 1000 }
/** So often a flush tries before it says that the store failed. */
const flushTries = 3

interface Waiter {
  readonly version: number
  left: number
  readonly done: Deferred.Deferred<Saved, LeaseLost | Gone | StoreError>
}

export interface SaverSetup<M> {
  readonly hub: Hub
  readonly lease: Lease
  readonly askedAt: number
  readonly context: Context.Context<never>
  readonly packing: Packing<M>
  readonly history: History<M>
  readonly throttleMillis: number
  readonly stopOnFailure: boolean
  readonly state: Progress<M>
}

export class Saver<M> {
  /** Fails when the owner has to stop. */
  private readonly stopped = Deferred.makeUnsafe<never, LeaseLost | PassCancelled | StoreError>()
  readonly stopping = Deferred.await(this.stopped)
  newest: Progress<M>
  /** What the store has, as far as it is known. */
  private stored: Progress<M> | undefined
  private version = 0
  private durable = 0
  private ended: LeaseLost | Gone | undefined
  private paused = false
  private writing: Fiber.Fiber<unknown, unknown> | undefined
  private waiters: ReadonlyArray<Waiter> = []
  /** Saves whose outcome is unknown. */
  private ambiguous: Array<Plan> = []
  private failures = 0
  private windowEnds = -Infinity
  private retryAt = -Infinity
  private cancelRequested = false
  private disarm: () => void = () => {}
  private readonly setup: SaverSetup<M>

  constructor(setup: SaverSetup<M>) {
    this.setup = setup
    this.newest = setup.state
    this.stored = setup.state
    setup.hub.keeper.add(setup.lease, setup.askedAt, {
      onLost: () => this.end(this.lost()),
      onCancel: () => this.onCancel()
    })
  }

  /** Why nothing more is written, when that is so. */
  get failure(): LeaseLost | Gone | undefined {
    return this.ended
  }

  /** Takes over the newest state. A deferred one goes with the next write. */
  offer(progress: Progress<M>, deferred: boolean): void {
    this.newest = progress
    this.version++
    if (!deferred) this.kick()
  }

  /** Waits until the state of now is stored. Gives up after three failures of the store, or after so many milliseconds. */
  flush(withinMillis = Infinity): Effect.Effect<Saved, LeaseLost | Gone | StoreError> {
    return Effect.suspend(() => {
      if (this.ended !== undefined) return Effect.fail(this.ended)
      if (this.durable === this.version) return Effect.succeed(this.saved())
      const waiter: Waiter = { version: this.version, left: flushTries, done: Deferred.makeUnsafe() }
      this.waiters = [...this.waiters, waiter]
      this.retryAt = -Infinity // somebody waits: the first try is made now
      const detail = `not stored within ${withinMillis} ms`
      const timeout = new StoreError({ operation: "flush", reason: "timeout", detail })
      const disarm = this.setup.hub.watch.after(withinMillis, () => {
        Deferred.doneUnsafe(waiter.done, Effect.fail(timeout))
      })
      this.kick()
      return Effect.ensuring(
        Deferred.await(waiter.done),
        Effect.sync(() => {
          disarm()
          this.waiters = this.waiters.filter((other) => other !== waiter)
        })
      )
    })
  }

  /** Runs an effect while nothing is written, then goes on unless the run has ended. */
  exclusively<A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return Effect.suspend(() => {
      this.paused = true
      const under = this.writing === undefined ? Effect.void : Effect.asVoid(Fiber.await(this.writing))
      return Effect.ensuring(
        Effect.andThen(under, effect),
        Effect.sync(() => {
          this.paused = false
          this.kick()
        })
      )
    })
  }

  /** Writes nothing more. */
  end(why: LeaseLost | Gone): void {
    if (this.ended !== undefined) return
    this.ended = why
    this.disarm()
    this.setup.hub.keeper.remove(this.setup.lease)
    for (const { done } of this.waiters) Deferred.doneUnsafe(done, Effect.fail(why))
    if (why._tag === "LeaseLost") Deferred.doneUnsafe(this.stopped, Effect.fail(why))
  }

  lost(): LeaseLost {
    return new LeaseLost({ runId: this.setup.lease.runId })
  }

  private onCancel(): void {
    this.cancelRequested = true
    Deferred.doneUnsafe(this.stopped, Effect.fail(new PassCancelled({ runId: this.setup.lease.runId })))
  }

  private saved(): Saved {
    return { position: this.setup.history.position, cancelRequested: this.cancelRequested }
  }

  /** Starts to write when there is something to write and its time has come; else sees to it that it is called then. */
  private kick(): void {
    if (this.writing !== undefined || this.paused || this.ended !== undefined) return
    this.disarm()
    if (this.durable === this.version) return
    const { watch } = this.setup.hub
    const now = watch.now()
    const at = Math.max(this.retryAt, this.waiters.length > 0 ? -Infinity : this.windowEnds)
    if (at > now) {
      this.disarm = watch.after(at - now, () => this.kick())
      return
    }
    const { newest, version } = this
    const fiber = Effect.runForkWith(this.setup.context)(this.write(newest))
    this.writing = fiber
    fiber.addObserver((exit) => {
      this.writing = undefined
      if (Exit.isSuccess(exit)) this.succeeded(exit.value, newest, version, now)
      else this.failed(exit)
      this.kick()
    })
  }

  private succeeded(plan: Plan, progress: Progress<M>, version: number, startedAt: number): void {
    this.setup.history.commit(plan, this.newest.known)
    this.stored = progress
    this.durable = version
    this.ambiguous = []
    this.failures = 0
    this.retryAt = -Infinity
    this.windowEnds = startedAt + this.setup.throttleMillis
    for (const waiter of this.waiters) {
      if (waiter.version <= version) Deferred.doneUnsafe(waiter.done, Effect.succeed(this.saved()))
    }
    this.waiters = this.waiters.filter((waiter) => waiter.version > version)
  }

  private failed(exit: Exit.Failure<Plan, LeaseLost | StoreError>): void {
    const error = Exit.findErrorOption(exit)
    if (error._tag === "Some" && error.value._tag === "LeaseLost") return this.end(error.value)
    const failure = error._tag === "Some" && error.value._tag === "StoreError"
      ? error.value
      : new StoreError({ operation: "save", reason: "unknown", detail: "the save did not end", cause: exit.cause })
    this.retryAt = this.setup.hub.watch.now() + Math.min(backoff.most, backoff.first * 2 ** this.failures++)
    for (const waiter of this.waiters) {
      if (--waiter.left <= 0) Deferred.doneUnsafe(waiter.done, Effect.fail(failure))
    }
    this.waiters = this.waiters.filter(({ left }) => left > 0)
    if (this.setup.stopOnFailure && this.failures >= flushTries) {
      Deferred.doneUnsafe(this.stopped, Effect.fail(failure))
    }
  }

  private readonly write = (progress: Progress<M>): Effect.Effect<Plan, LeaseLost | StoreError> =>
    Effect.gen({ self: this }, function*() {
      const { history, hub, lease, packing } = this.setup
      // A save that was given up may still reach the store. Its row number is then taken, so that it cannot undo a
      // later save: for that, the later one must have a row of its own.
      const padding = this.ambiguous.length > 0
      const plan = yield* history.plan(progress.known, padding)
      // Nor is it known which of its fields the store has.
      const head = yield* headOf(packing, progress, padding ? undefined : this.stored)
      const { position, rows, segments } = plan
      const { cancelRequested } = yield* Effect.tapError(
        hub.store.save(lease, { ...head, position, rows, segments, ttl: hub.ttl }),
        (error) =>
          Effect.sync(() => {
            if (error._tag === "StoreError" && error.reason !== "refused") this.ambiguous.push(plan)
          })
      )
      if (cancelRequested) this.onCancel()
      return plan
    }).pipe(
      Effect.catchTags({
        Conflict: () => this.readBack(progress),
        Fenced: () => Effect.fail(this.lost()),
        Gone: () => Effect.fail(this.lost()),
        // What is encoded here was encoded before: only a message that was changed in place can fail now.
        Unencodable: (error) => Effect.fail(refused(error.message)),
        MessageTooLarge: (error) => Effect.fail(refused(error.message))
      })
    )

  /** Another save has taken the row. It is one of ours whose answer was lost, or this is not our run any more. */
  private readonly readBack = (progress: Progress<M>): Effect.Effect<Plan, LeaseLost | StoreError> =>
    Effect.flatMap(
      Effect.catchTag(this.setup.hub.store.load(this.setup.lease.runId), "RunNotFound", () => Effect.fail(this.lost())),
      (checkpoint) => {
        const mine = checkpoint.attempts.at(-1)?.fence === this.setup.lease.fence
          ? this.ambiguous.find((plan) => isApplied(plan, checkpoint))
          : undefined
        if (mine === undefined) return Effect.fail(this.lost())
        this.setup.history.commit(mine, this.newest.known)
        this.ambiguous = []
        this.stored = undefined // which of our tries set the other fields is not known: all are written again
        return this.write(progress)
      }
    )
}

const refused = (detail: string): StoreError => new StoreError({ operation: "save", reason: "refused", detail })

const isApplied = (plan: Plan, checkpoint: RunCheckpoint): boolean => {
  if (plan.position + plan.rows.length !== checkpoint.position) return false
  if (JSON.stringify(plan.segments) !== JSON.stringify(checkpoint.segments)) return false
  let at = 0
  for (const [from, to] of checkpoint.segments) {
    for (let row = from; row < to; row++) {
      const text = checkpoint.messages[at++]
      if (row >= plan.position && text !== plan.rows[row - plan.position]) return false
    }
  }
  return true
}
