import type * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { Agent } from "../../Agent.ts"
import type { ChildOptions } from "../../AgentContext.ts"
import type { AgentStartError } from "../../AgentError.ts"
import type { AgentHandle } from "../../AgentHandle.ts"
import type { Idempotency, RunMeta } from "../../AgentRun.ts"
import type { AgentEvent } from "../../AgentSupervisor.ts"
import type { CheckpointStore } from "../../CheckpointStore.ts"
import type { RunStore } from "../../RunStore.ts"
import type { Workspace } from "../../Workspace.ts"
import type { Hub } from "../checkpointer/hub.ts"
import type { ActiveRun, Stoppable } from "./activeRun.ts"
import type { Definition } from "./definition.ts"
import type { Gauge } from "./telemetry.ts"

/** What all runs of a supervisor share. */
export interface Runtime {
  readonly hub: Hub
  /** As it was given: the hub's is bounded in time. */
  readonly store: CheckpointStore["Service"]
  readonly runs: RunStore["Service"]
  readonly gauge: Gauge
  readonly publish: (event: AgentEvent) => void
  /** Starts a run for another one. `adopt` is told which it is when it runs here, whatever interrupts the caller. */
  readonly startChild: <Name extends string, M, A, E, R>(
    parent: RunMeta,
    agent: Agent<Name, M, A, E, R>,
    options: ChildOptions,
    adopt: (child: Stoppable) => void
  ) => Effect.Effect<AgentHandle<A, E>, AgentStartError, R>
}

/** A run, as long as this process has it. */
export interface Task<in out M, in out A, in out E, R> {
  readonly definition: Definition<M, A, E, R>
  readonly run: ActiveRun<A, E>
  readonly meta: RunMeta
  readonly idempotency: Idempotency | undefined
  readonly context: Context.Context<R>
  readonly workspace: Workspace["Service"] | undefined
  readonly cwd: string | undefined
  readonly followUp: string | undefined
}
