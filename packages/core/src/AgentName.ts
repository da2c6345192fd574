/**
 * Names of agents.
 *
 * An agent's name is part of the address of its heartbeat
 * (`/api/agents/{agentName}/heartbeat`) and the scope of single flight and of
 * idempotency keys, so it is short, case-sensitive and safe in a URL.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * Schema of an agent's name: 1 to 128 ASCII letters, digits, `.`, `_` and `-`,
 * starting with a letter or a digit.
 *
 * **Example** (Checking a name)
 *
 * ```ts
 * import { AgentName } from "@everbeat/core"
 *
 * AgentName.isAgentName("triage") // => true
 * AgentName.isAgentName("../etc") // => false
 * ```
 *
 * @category schemas
 * @since 0.1.0
 */
export const AgentName = Schema.String.check(
  Schema.isPattern(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/u, {
    description: "1 to 128 letters, digits, '.', '_' or '-', starting with a letter or a digit"
  })
).pipe(Schema.brand("@everbeat/core/AgentName"))

/**
 * A valid agent's name.
 *
 * @category models
 * @since 0.1.0
 */
export type AgentName = typeof AgentName.Type

/**
 * Creates an agent's name and throws when the text is not one.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (name: string): AgentName => AgentName.make(name)

/**
 * Returns `true` when the value is a valid agent's name.
 *
 * @category guards
 * @since 0.1.0
 */
export const isAgentName: (u: unknown) => u is AgentName = Schema.is(AgentName)
