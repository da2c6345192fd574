/** What the fleet and its workers tell each other. */
import type { Sabotage } from "./sabotage.ts"
import type { Skew } from "./skewedClock.ts"

export const storeNames = ["postgres", "redis"] as const
export type StoreName = (typeof storeNames)[number]

/** Where the tables or keys are. */
export const space = "chaos"

/** How a process ends that does not reach the store when it starts: somebody else has to start it again. */
export const unreachable = 75

export interface WorkerConfig {
  readonly worker: string
  readonly store: StoreName
  readonly url: string
  readonly journals: string
  readonly seed: number
  readonly leaseMillis: number
  readonly skew: Skew
  /** Connections of its pool. */
  readonly pool: number
  readonly sabotage: Sabotage | undefined
}

export type ToWorker =
  | { readonly type: "start"; readonly config: WorkerConfig }
  /** Begin nothing new. */
  | { readonly type: "quiet" }
  /** Continue by name what recovery leaves alone. */
  | { readonly type: "rescue" }

export type FromWorker =
  | { readonly type: "loaded" }
  /** All of its callers have had their last answer. */
  | { readonly type: "resting" }
  | { readonly type: "rescued"; readonly orphans: ReadonlyArray<string> }
