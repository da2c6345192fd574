/**
 * Who a request acts for.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Schema from "effect/Schema"

/**
 * Schema of what a token may do: `heartbeat` runs the agent's heartbeat, `read`
 * reads its runs and checkpoints, `resume` resumes, discards and cancels runs, and
 * may tell an agent what to do when it is resumed.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Scope = Schema.Literals(["heartbeat", "read", "resume"])

/**
 * What a token may do.
 *
 * @category models
 * @since 0.1.0
 */
export type Scope = typeof Scope.Type

/**
 * The agent that a verified token stands for.
 *
 * **Details**
 *
 * A principal acts for one agent. `tokenId` names the token in the records of
 * the runs that it asks for, as their `callerId`. Without `scopes` the token
 * may do everything that the API offers for its agent.
 *
 * **Gotchas**
 *
 * `tokenId` is stored and shown: never put the token itself there.
 *
 * @category models
 * @since 0.1.0
 */
export interface Principal {
  readonly agentName: string
  readonly tokenId: string
  readonly scopes?: ReadonlyArray<Scope> | undefined
}

/**
 * Service that tells a request's handler who the request acts for. Present
 * only after authentication.
 *
 * @category services
 * @since 0.1.0
 */
export class AgentPrincipal extends Context.Service<AgentPrincipal, Principal>()("@everbeat/http/AgentPrincipal") {}
