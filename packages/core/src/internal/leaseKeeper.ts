import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { CheckpointStore } from "../CheckpointStore.ts"
import type { Lease } from "../Lease.ts"
import type { RunId } from "../RunId.ts"
import type { Watch } from "./watch.ts"

interface Held {
  readonly lease: Lease
  /** Monotonic milliseconds at which the owner must have stopped. */
  deadline: number
  readonly onLost: () => void
  readonly onCancel: () => void
}

export interface KeeperSetup {
  readonly store: CheckpointStore["Service"]
  readonly ttl: Duration.Duration
  readonly watch: Watch
  readonly fork: (effect: Effect.Effect<void>) => void
}

/**
 * Renews every lease of this process in one call, each third of the lease. An
 * owner that could not renew is stopped a tenth of the lease before it ends,
 * by the local monotonic clock counted from before the lease was asked for: by
 * the time another process may claim the run, this one has let go.
 *
 * It sleeps while there is nothing to renew, and the first lease after that
 * wakes it, so passes that end at once cost no timer each.
 */
export class LeaseKeeper {
  private readonly held = new Map<RunId, Held>()
  private readonly ttlMillis: number
  private renewing = false
  private nextRenewal = 0
  private disarm: (() => void) | undefined
  private readonly setup: KeeperSetup

  constructor(setup: KeeperSetup) {
    this.setup = setup
    this.ttlMillis = Duration.toMillis(setup.ttl)
  }

  /** `askedAt` is the monotonic time before the lease was asked for. */
  add(lease: Lease, askedAt: number, on: { readonly onLost: () => void; readonly onCancel: () => void }): void {
    this.held.set(lease.runId, { lease, deadline: this.deadlineFrom(askedAt), ...on })
    if (this.disarm !== undefined) return
    this.nextRenewal = this.setup.watch.now() + this.ttlMillis / 3
    this.arm()
  }

  /** Forgets a lease: no renewal that starts from now on asks for it. */
  remove(lease: Lease): void {
    if (this.held.get(lease.runId)?.lease.fence === lease.fence) this.held.delete(lease.runId)
  }

  private deadlineFrom(askedAt: number): number {
    return askedAt + this.ttlMillis * 0.9
  }

  /** Sleeps until the next renewal or deadline. While a renewal is under way, its answer arms again. */
  private arm(): void {
    this.disarm?.()
    this.disarm = undefined
    if (this.held.size === 0) return
    let wake = this.renewing ? Infinity : this.nextRenewal
    for (const { deadline } of this.held.values()) wake = Math.min(wake, deadline)
    this.disarm = this.setup.watch.after(Math.max(0, wake - this.setup.watch.now()), () => this.tick())
  }

  private tick(): void {
    const now = this.setup.watch.now()
    for (const [runId, held] of this.held) {
      if (held.deadline > now) continue
      this.held.delete(runId)
      held.onLost()
    }
    if (now >= this.nextRenewal && !this.renewing && this.held.size > 0) this.renew(now)
    this.arm()
  }

  /** On a fiber of its own: a store that does not answer must not hold up the deadlines. */
  private renew(askedAt: number): void {
    const asked = [...this.held.values()]
    this.renewing = true
    this.nextRenewal = askedAt + this.ttlMillis / 3
    this.setup.fork(
      this.setup.store.renew(asked.map(({ lease }) => lease), this.setup.ttl).pipe(
        Effect.match({
          onSuccess: (renewals) =>
            renewals.forEach((renewal, index) => {
              const held = asked[index]
              if (held === undefined || this.held.get(renewal.runId) !== held) return
              if (renewal.state === "renewed") {
                held.deadline = this.deadlineFrom(askedAt)
                if (renewal.cancelRequested) held.onCancel()
              } else {
                this.held.delete(renewal.runId)
                held.onLost()
              }
            }),
          // The deadline decides when to give up; until then the store is asked more often.
          onFailure: () => {
            this.nextRenewal = this.setup.watch.now() + this.ttlMillis / 12
          }
        }),
        Effect.ensuring(Effect.sync(() => {
          this.renewing = false
          this.arm()
        }))
      )
    )
  }
}
