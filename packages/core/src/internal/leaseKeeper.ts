import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { CheckpointStore } from "../CheckpointStore.ts"
import type { Lease } from "../Lease.ts"
import type { RunId } from "../RunId.ts"
import { bounded } from "./boundedStore.ts"
import type { Watch } from "./watch.ts"

/** What an owner is told of its lease. */
export interface Told {
  readonly onLost: () => void
  readonly onCancel: () => void
}

interface Held extends Told {
  readonly lease: Lease
  /** Monotonic milliseconds at which the owner must have stopped. */
  deadline: number
  readonly storeMillis: number
}

/** The leases of one user of a keeper. */
export interface LeaseHolding {
  /** `askedAt` is the monotonic time before the lease was asked for. */
  readonly add: (lease: Lease, askedAt: number, told: Told) => void
  /** Forgets a lease: no renewal that starts from now on asks for it. */
  readonly remove: (lease: Lease) => void
  /**
   * Whether the owner may begin something at this monotonic time. After a freeze of the process, what it waited for may
   * come before the timer of its lease: then it is told now that the lease is lost.
   */
  readonly holds: (lease: Lease, now: number) => boolean
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
  private wake = Infinity
  private disarm: (() => void) | undefined
  private readonly setup: KeeperSetup

  constructor(setup: KeeperSetup) {
    this.setup = setup
    this.ttlMillis = Duration.toMillis(setup.ttl)
  }

  /**
   * For a user that waits so long for the store: a renewal waits as long as the most patient of its leases, and for a
   * quarter of the lease at least. Nobody waits for it, and who gives up early does not hear what the store knows of
   * the other leases when a part of it is down.
   */
  within(storeMillis: number): LeaseHolding {
    return {
      add: (lease, askedAt, told) => this.add({ lease, deadline: this.deadlineFrom(askedAt), storeMillis, ...told }),
      remove: (lease) => {
        if (this.held.get(lease.runId)?.lease.fence === lease.fence) this.held.delete(lease.runId)
      },
      holds: (lease, now) => {
        const held = this.held.get(lease.runId)
        if (held?.lease.fence !== lease.fence) return false
        if (held.deadline > now) return true
        this.held.delete(lease.runId)
        held.onLost()
        return false
      }
    }
  }

  private add(held: Held): void {
    const { fence, runId } = held.lease
    const other = this.held.get(runId)
    // Another owner in this process: whoever has the older fence has lost the run.
    if (other !== undefined && other.lease.fence > fence) return held.onLost()
    this.held.set(runId, held)
    if (other !== undefined && other.lease.fence < fence) other.onLost()
    if (this.disarm === undefined) this.nextRenewal = this.setup.watch.now() + this.ttlMillis / 3
    else if (held.deadline >= this.wake) return
    this.arm() // also for a lease whose answer came so late that it ends before the next renewal
  }

  private deadlineFrom(askedAt: number): number {
    return askedAt + this.ttlMillis * 0.9
  }

  /** Sleeps until the next renewal or deadline. While a renewal is under way, its answer arms again. */
  private arm(): void {
    this.disarm?.()
    this.disarm = undefined
    if (this.held.size === 0) return
    this.wake = this.renewing ? Infinity : this.nextRenewal
    for (const { deadline } of this.held.values()) this.wake = Math.min(this.wake, deadline)
    this.disarm = this.setup.watch.after(Math.max(0, this.wake - this.setup.watch.now()), () => this.tick())
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
    const { fork, store, ttl, watch } = this.setup
    const asked = [...this.held.values()]
    const leases = asked.map(({ lease }) => lease)
    const patience = asked.reduce((most, { storeMillis }) => Math.max(most, storeMillis), this.ttlMillis / 4)
    // The deadline decides when to give up; until then the store is asked more often.
    const askAgainSoon = (): void => {
      this.nextRenewal = watch.now() + this.ttlMillis / 12
    }
    this.renewing = true
    this.nextRenewal = askedAt + this.ttlMillis / 3
    fork(
      bounded(watch, patience, "renew", () => store.renew(leases, ttl)).pipe(
        Effect.match({
          onSuccess: (renewals) =>
            renewals.forEach((renewal, index) => {
              const held = asked[index]
              if (held === undefined || this.held.get(renewal.runId) !== held) return
              if (renewal.state === "renewed") {
                held.deadline = this.deadlineFrom(askedAt)
                if (renewal.cancelRequested) held.onCancel()
              } else if (renewal.state === "unknown") {
                askAgainSoon()
              } else {
                this.held.delete(renewal.runId)
                held.onLost()
              }
            }),
          onFailure: askAgainSoon
        }),
        Effect.ensuring(Effect.sync(() => {
          this.renewing = false
          this.arm()
        }))
      )
    )
  }
}
