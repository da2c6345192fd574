/**
 * What packages that build on an instance, such as `@everbeat/http`, are given.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { AgentSupervisor } from "../AgentSupervisor.ts"
import type { CheckpointStore } from "../CheckpointStore.ts"
import type * as Heartbeat from "../Heartbeat.ts"
import type { HeartbeatEngine } from "../HeartbeatEngine.ts"
import type { RunStore } from "../RunStore.ts"

/**
 * Where an instance keeps its {@link Extension}.
 *
 * @category type ids
 * @since 0.1.0
 */
export const ExtensionTypeId = "~everbeat/core/promise/Extension"

/**
 * The inside of an instance.
 *
 * @category models
 * @since 0.1.0
 */
export interface Extension {
  /** The heartbeats of the engine, by the agents that they are given to. */
  readonly heartbeats: Readonly<Record<string, Heartbeat.Any<never>>>
  /** The services of the runtime, built with the first use. They belong to the instance. */
  readonly services: Effect.Effect<
    Context.Context<AgentSupervisor | CheckpointStore | HeartbeatEngine | RunStore>,
    unknown
  >
  /** Calls a function before the instance drains, with its grace in milliseconds. Returns how to take that back. */
  readonly onDispose: (dispose: (graceMs: number) => Promise<void>) => () => void
}

/**
 * An instance with an inside.
 *
 * @category models
 * @since 0.1.0
 */
export interface Extensible {
  readonly [ExtensionTypeId]: Extension
}
