/** What all checkpointers of this process share on one store: an owner, and the keeper that passes use, too. */
import type * as Clock from "effect/Clock"
import { uuidV7Unsafe } from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { CheckpointStore } from "../../CheckpointStore.ts"
import { boundCheckpoints } from "../boundedStore.ts"
import type { HoldTimes } from "../holdTimes.ts"
import type { LeaseHolding } from "../leaseKeeper.ts"
import { joinKeeper, type SharedKeeper } from "../sharedKeeper.ts"
import type { Watch } from "../watch.ts"

export interface Hub extends HoldTimes {
  readonly owner: string
  readonly clock: Clock.Clock
  readonly watch: Watch
  readonly store: CheckpointStore["Service"]
  readonly keeper: LeaseHolding
}

const owners = new WeakMap<SharedKeeper, string>()

const ownerOf = (shared: SharedKeeper): string => {
  let owner = owners.get(shared)
  if (owner === undefined) owners.set(shared, owner = uuidV7Unsafe())
  return owner
}

/** The hub of this store, clock and lease time, until the scope closes. */
export const joinHub = (
  store: CheckpointStore["Service"],
  { storeMillis, ttl }: HoldTimes
): Effect.Effect<Hub, never, Scope.Scope> =>
  Effect.map(joinKeeper(store, ttl), (shared) => {
    const { clock, keeper, watch } = shared
    return {
      owner: ownerOf(shared),
      clock,
      watch,
      ttl,
      storeMillis,
      store: boundCheckpoints(store, watch, storeMillis),
      keeper: keeper.within(storeMillis)
    }
  })
