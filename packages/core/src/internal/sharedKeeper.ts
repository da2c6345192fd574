/** One lease keeper for a store in this process: passes and checkpointers renew their leases in the same call. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { CheckpointStore } from "../CheckpointStore.ts"
import { LeaseKeeper } from "./leaseKeeper.ts"
import { Watch } from "./watch.ts"

export interface SharedKeeper {
  readonly clock: Clock.Clock
  /** Its timers, which end with the last user. */
  readonly watch: Watch
  readonly keeper: LeaseKeeper
}

interface Entry extends SharedKeeper {
  readonly ttl: Duration.Duration
  readonly stop: () => void
  users: number
}

const entries = new WeakMap<CheckpointStore["Service"], Set<Entry>>()

const open = (store: CheckpointStore["Service"], clock: Clock.Clock, ttl: Duration.Duration): Entry => {
  // Nothing else of the first user's context: it would be kept alive by the others.
  const context = Context.make(Clock.Clock, clock)
  const watch = new Watch(clock, context)
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
    clock,
    watch,
    keeper,
    ttl,
    stop: () => {
      for (const stop of [...background]) stop()
      watch.close()
    },
    users: 0
  }
}

/** Joins the keeper of this store, clock and lease time, and leaves it when the scope closes. */
export const joinKeeper = (
  store: CheckpointStore["Service"],
  ttl: Duration.Duration
): Effect.Effect<SharedKeeper, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.map(Clock.Clock, (clock) => {
      let shared = entries.get(store)
      if (shared === undefined) entries.set(store, shared = new Set())
      let found = [...shared].find((entry) => entry.clock === clock && Duration.equals(entry.ttl, ttl))
      if (found === undefined) shared.add(found = open(store, clock, ttl))
      found.users++
      return found
    }),
    (found) =>
      Effect.sync(() => {
        if (--found.users > 0) return
        entries.get(store)?.delete(found)
        found.stop()
      })
  )
