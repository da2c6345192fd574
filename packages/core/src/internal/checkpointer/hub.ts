/** What all checkpointers of this process share on one store: an owner, its timers, and the renewal of the leases. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import { uuidV7Unsafe } from "effect/crypto/SecureRandom"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { CheckpointStore } from "../../CheckpointStore.ts"
import { boundCheckpoints } from "../boundedStore.ts"
import { LeaseKeeper } from "../leaseKeeper.ts"
import { Watch } from "../watch.ts"

export interface Hub {
  readonly owner: string
  readonly clock: Clock.Clock
  readonly watch: Watch
  readonly ttl: Duration.Duration
  readonly storeMillis: number
  readonly store: CheckpointStore["Service"]
  readonly keeper: LeaseKeeper
}

interface Shared {
  readonly hub: Hub
  readonly stop: () => void
  users: number
}

const hubs = new WeakMap<CheckpointStore["Service"], Set<Shared>>()

const open = (
  checkpoints: CheckpointStore["Service"],
  clock: Clock.Clock,
  ttl: Duration.Duration,
  storeMillis: number
): Shared => {
  // Nothing of the first user's context: it would be kept alive by the others.
  const context = Context.make(Clock.Clock, clock)
  const watch = new Watch(clock, context)
  const store = boundCheckpoints(checkpoints, watch, storeMillis)
  const background = new Set<() => void>()
  const keeper = new LeaseKeeper({
    store,
    ttl,
    watch,
    fork: (effect) => {
      const fiber = Effect.runForkWith(context)(effect)
      const stop = () => fiber.interruptUnsafe()
      background.add(stop)
      fiber.addObserver(() => background.delete(stop))
    }
  })
  return {
    hub: { owner: uuidV7Unsafe(), clock, watch, ttl, storeMillis, store, keeper },
    stop: () => {
      for (const stop of [...background]) stop()
      watch.close()
    },
    users: 0
  }
}

/** Joins the hub of this store, clock and lease time, and leaves it when the scope closes. */
export const joinHub = (
  store: CheckpointStore["Service"],
  ttl: Duration.Duration,
  storeMillis: number
): Effect.Effect<Hub, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.map(Clock.Clock, (clock) => {
        let shared = hubs.get(store)
        if (shared === undefined) hubs.set(store, shared = new Set())
        let found = [...shared].find(({ hub }) =>
          hub.clock === clock && hub.storeMillis === storeMillis && Duration.equals(hub.ttl, ttl)
        )
        if (found === undefined) shared.add(found = open(store, clock, ttl, storeMillis))
        found.users++
        return found
      }),
      (found) =>
        Effect.sync(() => {
          if (--found.users > 0) return
          hubs.get(store)?.delete(found)
          found.stop()
        })
    ),
    ({ hub }) => hub
  )
