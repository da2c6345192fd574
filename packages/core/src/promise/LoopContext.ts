/**
 * Loops written with Promises in agents written with Effect.
 *
 * The adapters of agent loops build on it: a framework calls tools and models
 * with Promises, whoever runs the agent.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type { AgentContext as EffectAgentContext } from "../AgentContext.ts"
import type { AgentContext, Resumption } from "./AgentContext.ts"
import * as internal from "./internal/loopContext.ts"

/**
 * What a loop needs of the context of an agent, however the agent is written.
 *
 * @category models
 * @since 0.1.0
 */
export interface LoopContext<in out M>
  extends Pick<AgentContext<M>, "attempt" | "checkpoint" | "fence" | "meta" | "runId" | "signal" | "warn">
{
  readonly resume: Omit<Resumption<M>, "workspace"> | undefined
}

/**
 * Runs a loop that is written with Promises in an agent that is written with
 * Effect.
 *
 * **Details**
 *
 * An interruption aborts the signal of the context, and then waits for what runs
 * to end: as long as the `grace` of the agent. A tool that ends well meanwhile is
 * recorded; of one that throws by then the outcome is unknown. It fails with
 * whatever the Promise rejects with.
 *
 * **Example** (Awaiting a tool)
 *
 * ```ts
 * import { Agent, AgentSupervisor } from "@everbeat/core"
 * import { runLoop } from "@everbeat/core/promise/LoopContext"
 * import { MemoryStore } from "@everbeat/store-memory"
 * import { Effect, Layer, Schema } from "effect"
 *
 * const closer = Agent.make("closer", {
 *   message: Schema.String,
 *   result: Schema.String,
 *   run: (ctx) =>
 *     runLoop(ctx, async (ctx) => {
 *       const closed = await ctx.checkpoint.tool({ id: "c1", name: "close" }, async () => "closed")
 *       await ctx.checkpoint.save({ messages: [closed], iteration: 1 })
 *       return closed
 *     })
 * })
 *
 * const layer = Layer.provideMerge(AgentSupervisor.layer, MemoryStore.layer)
 * const program = Effect.flatMap(Agent.start(closer), (run) => run.result)
 * await Effect.runPromise(Effect.provide(program, layer)) // => "closed"
 * ```
 *
 * @category running
 * @since 0.1.0
 */
export const runLoop: <M, A>(
  context: EffectAgentContext<M>,
  body: (context: LoopContext<M>) => PromiseLike<A>
) => Effect.Effect<A, unknown> = internal.runLoop
