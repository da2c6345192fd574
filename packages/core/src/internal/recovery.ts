/** Claims interrupted runs on a poll and hands each to whoever runs its kind. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import type * as Agent from "../Agent.ts"
import { UnknownDefinition } from "../AgentError.ts"
import { isSettled, type RunInFlight } from "../AgentRun.ts"
import type { AgentSupervisor } from "../AgentSupervisor.ts"
import type { Granted } from "../Checkpointer.ts"
import type { CheckpointStore, Resumed } from "../CheckpointStore.ts"
import type * as Heartbeat from "../Heartbeat.ts"
import { HeartbeatEngine } from "../HeartbeatEngine.ts"
import type { Recovery, RecoveryReport } from "../Recovery.ts"
import type { RunId } from "../RunId.ts"
import type { RunStore } from "../RunStore.ts"

interface Settings {
  readonly agents: ReadonlyArray<Agent.Any>
  readonly heartbeats: ReadonlyArray<Heartbeat.Any>
  readonly concurrency: number
  readonly pollMillis: number
  readonly maxPollMillis: number
  readonly reportMillis: number
}

const byName = <A extends { readonly name: string }>(all: ReadonlyArray<A>, what: string): ReadonlyMap<string, A> => {
  const map = new Map(all.map((one) => [one.name, one]))
  if (map.size < all.length) throw new TypeError(`Recovery: two ${what} have the same name`)
  return map
}
