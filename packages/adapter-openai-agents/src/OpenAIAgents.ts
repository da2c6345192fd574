/**
 * Agents of the OpenAI Agents SDK, made durable.
 *
 * {@link options} are those of an agent whose messages are items of the SDK;
 * {@link loop} runs an `Agent` of the SDK: each answer of its model is saved
 * before anybody acts on it, and each call of a tool is recorded before it
 * starts and after it ended. An attempt that follows goes on with the same
 * conversation.
 *
 * @since 0.1.0
 */
import type { AgentContext as EffectAgentContext } from "@everbeat/core/AgentContext"
import type * as Continuation from "@everbeat/core/Continuation"
import type * as MessageCodec from "@everbeat/core/MessageCodec"
import type { AgentContext, Resumption } from "@everbeat/core/promise/AgentContext"
import { runLoop } from "@everbeat/core/promise/LoopContext"
import type * as Transcript from "@everbeat/core/Transcript"
import type {
  Agent,
  AgentInputItem,
  NonStreamRunOptions,
  Runner,
  RunResult,
  RunStreamEvent,
  RunToolApprovalItem,
  StreamedRunResult
} from "@openai/agents"
import type * as Effect from "effect/Effect"
import * as internalLoop from "./internal/loop.ts"
import * as internalMessage from "./internal/message.ts"
import * as internalTranscript from "./internal/transcript.ts"

/**
 * What a loop needs of the context of an agent.
 *
 * @category models
 * @since 0.1.0
 */
export interface Context
  extends Pick<AgentContext<Message>, "attempt" | "checkpoint" | "fence" | "meta" | "runId" | "signal" | "warn">
{
  readonly resume: Omit<Resumption<Message>, "workspace"> | undefined
}

/**
 * What one side said without a break: an answer of the model with all of its
 * calls, the results of those calls, or one item of the user.
 *
 * @category models
 * @since 0.1.0
 */
export type Message = ReadonlyArray<AgentInputItem>

/**
 * Creates a codec of the messages.
 *
 * **Details**
 *
 * A stored message that this version of the SDK does not accept is
 * `MessageUnreadable`: the checkpoint is left untouched, for a version that does.
 *
 * **Example** (Compressing what is long)
 *
 * ```ts
 * import { OpenAIAgents } from "@everbeat/adapter-openai-agents"
 *
 * const options = { ...OpenAIAgents.options, message: OpenAIAgents.message({ compressAbove: 4096 }) }
 * options.message.compressAbove // => 4096
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const message: (options?: MessageCodec.Options) => MessageCodec.MessageCodec<Message> = internalMessage.codec

/**
 * What Everbeat has to know of the messages, so that no conversation with an
 * open `function_call` is sent to a provider.
 *
 * @category constants
 * @since 0.1.0
 */
export const transcript: Transcript.Adapter<Message> = internalTranscript.transcript

/**
 * Options of an agent whose messages are those of the Agents SDK.
 *
 * @category models
 * @since 0.1.0
 */
export interface AgentOptions {
  readonly message: MessageCodec.MessageCodec<Message>
  readonly transcript: Transcript.Adapter<Message>
  /** A resumed loop goes on with the whole conversation. */
  readonly continuation: Continuation.Options<Message>
}

/**
 * Options of an agent whose messages are those of the Agents SDK: spread them,
 * then add your own.
 *
 * @category constants
 * @since 0.1.0
 */
export const options: AgentOptions = {
  message: message(),
  transcript,
  continuation: { policy: "transcript" }
}

/**
 * Options of a loop.
 *
 * @category models
 * @since 0.1.0
 */
// As the SDK declares the agents that it runs.
// oxlint-disable-next-line typescript/no-explicit-any
export interface LoopOptions<TContext, TAgent extends Agent<any, any>> {
  /** The agent to begin with. It is not changed: copies of it and of those it hands over to are run. */
  readonly agent: TAgent
  /**
   * What a run begins with. Not used by an attempt that goes on with a saved conversation.
   *
   * @default the prompt of the run, as the user's
   */
  readonly input?: string | ReadonlyArray<AgentInputItem> | undefined
  /**
   * Runs the agent. Give yours when it has guardrails or a model provider, or to export traces.
   *
   * @default a new one that exports no traces
   */
  readonly runner?: Runner | undefined
  /**
   * Answers of the model at most, over all attempts of the run. One that needs more rejects with `MaxTurnsExceededError`.
   *
   * @default 10
   */
  readonly maxTurns?: number | undefined
  /**
   * Whether a tool changes anything outside the conversation. Of a call to one that does, the intent is durable before
   * it starts, and the outcome before the loop goes on.
   *
   * @default `true` for each tool
   */
  readonly mutates?: ((name: string) => boolean | undefined) | undefined
  /**
   * Asks a person about a call whose tool has `needsApproval`.
   *
   * @default nobody is asked, and the call is rejected
   */
  readonly approve?: ((item: RunToolApprovalItem) => boolean | PromiseLike<boolean>) | undefined
  /** Streams the answers: called for each event as it comes in. What it sees may not be saved yet. */
  readonly onEvent?: ((event: RunStreamEvent) => unknown) | undefined
  /** Further options of `run`. History is kept by the checkpoint, so there is no session and no conversation id. */
  readonly run?:
    | Omit<
      NonStreamRunOptions<TContext, TAgent>,
      | "conversationId"
      | "maxTurns"
      | "previousResponseId"
      | "session"
      | "sessionInputCallback"
      | "signal"
      | "stream"
    >
    | undefined
}

/**
 * Runs an agent of the SDK until it has a final output, from where the attempt
 * before was stopped.
 *
 * **Details**
 *
 * The conversation is saved before each question to the model, and each answer
 * when it is complete, with the ids of its calls; a stream that breaks off
 * leaves nothing. Function tools, those of MCP servers included, are wrapped in
 * `ctx.checkpoint.tool`. An agent that is a tool of another one (`asTool`) counts
 * as one call. After a hand-over a resumed run begins with the agent that had it.
 *
 * A call that had ended is answered with its result, one that may have taken
 * effect with an error that says so, and neither is executed again. When the
 * last answer was saved and the end of the run was not, that answer is given
 * again without asking the model.
 *
 * When something cannot be recorded (with `onStoreFailure: "stop"` the store's
 * failure; a lost lease), the run is stopped and rejects with that error. The
 * model is never told of it. Let it reject: the supervisor knows what to do.
 *
 * **Gotchas**
 *
 * Computer, shell and apply-patch tools that run in this process are refused
 * with a `TypeError`: they are not told their call, so it cannot be recorded.
 *
 * One loop for each run: a second one would go on with the conversation of the
 * first.
 *
 * **Example** (An agent that closes an issue)
 *
 * ```ts
 * import { OpenAIAgents } from "@everbeat/adapter-openai-agents"
 * import { Agent, AgentSupervisor } from "@everbeat/core"
 * import { MemoryStore } from "@everbeat/store-memory"
 * import { Agent as OpenAIAgent, tool } from "@openai/agents"
 * import { assistantMessage, functionCall, ScriptedModel } from "@openai/agents/testing"
 * import { Effect, Layer, Schema } from "effect"
 * import { z } from "zod"
 *
 * // In place of a model of a provider: it calls a tool, and then is done.
 * const model = new ScriptedModel([
 *   [functionCall("close", { issue: 7 }, { callId: "c1" })],
 *   [assistantMessage("Closed.")]
 * ])
 * const close = tool({
 *   name: "close",
 *   description: "Closes an issue.",
 *   parameters: z.object({ issue: z.number() }),
 *   execute: ({ issue }) => `#${issue} is closed`
 * })
 * const agent = new OpenAIAgent({ name: "closer", instructions: "You close issues.", model, tools: [close] })
 *
 * const closer = Agent.make("closer", {
 *   ...OpenAIAgents.options,
 *   result: Schema.String,
 *   run: (ctx) =>
 *     OpenAIAgents.run(ctx, async (ctx) => {
 *       const { finalOutput } = await OpenAIAgents.loop(ctx, { agent })
 *       return String(finalOutput)
 *     })
 * })
 *
 * const layer = Layer.provideMerge(AgentSupervisor.layer, MemoryStore.layer)
 * const program = Effect.flatMap(Agent.start(closer, { prompt: "Close issue 7." }), (run) => run.result)
 * await Effect.runPromise(Effect.provide(program, layer)) // => "Closed."
 * ```
 *
 * @category running
 * @since 0.1.0
 */
// As the SDK declares the agents that it runs.
// oxlint-disable-next-line typescript/no-explicit-any
export const loop: <TAgent extends Agent<any, any>, TContext = undefined>(
  context: Context,
  options: LoopOptions<TContext, TAgent>
) => Promise<RunResult<TContext, TAgent> | StreamedRunResult<TContext, TAgent>> = internalLoop.run

/**
 * Runs a loop that is written with Promises in an agent that is written with
 * Effect.
 *
 * **Details**
 *
 * An interruption aborts the signal of the context, and then waits for what runs
 * to end: as long as the `grace` of the agent. A tool that ends well meanwhile is
 * recorded. It fails with whatever the Promise rejects with.
 *
 * @category running
 * @since 0.1.0
 */
export const run: <A>(
  context: EffectAgentContext<Message>,
  body: (context: Context) => PromiseLike<A>
) => Effect.Effect<A, unknown> = runLoop
