/** Both services on one state and one clock. */
import type { CheckpointStore } from "@everbeat/core/CheckpointStore"
import type { RunStore } from "@everbeat/core/RunStore"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Checkpoints from "./checkpoints.ts"
import * as Runs from "./runs.ts"
import { SettledQueue } from "./settledQueue.ts"
import type { State } from "./state.ts"

export interface Stores {
  readonly checkpoints: CheckpointStore["Service"]
  readonly runs: RunStore["Service"]
}

export const make = (state: State, maxRuns: number): Effect.Effect<Stores> =>
  Effect.map(Clock.Clock, (clock) => {
    // Monotonic since the store was made: a wall clock that is set back must not prolong a lease.
    const monotonicMillis = (clock: Clock.Clock) => Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)
    const origin = clock.currentTimeMillisUnsafe() - monotonicMillis(clock)
    const now = Effect.map(Clock.Clock, (clock) => origin + monotonicMillis(clock))
    const settled = new SettledQueue(state, maxRuns)
    return {
      checkpoints: Checkpoints.make(state, now, (run, now) => settled.add(run, now)),
      runs: Runs.make(state, now)
    }
  })
