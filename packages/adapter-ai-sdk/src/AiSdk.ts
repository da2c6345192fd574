/**
 * Loops of the Vercel AI SDK as agents that survive.
 *
 * {@link options} are those of an agent whose messages are `ModelMessage`s;
 * {@link loop} makes of a model and its tools what `generateText`, `streamText`
 * and `ToolLoopAgent` take. Each answer of the model is saved when it is
 * complete, and each call of a tool is recorded before it starts and after it
 * ended: an attempt that follows goes on with the same conversation.
 *
 * @since 0.1.0
 */
import type { AgentContext as EffectAgentContext } from "@everbeat/core/AgentContext"
import type * as Continuation from "@everbeat/core/Continuation"
import type * as MessageCodec from "@everbeat/core/MessageCodec"
import type { AgentContext, Resumption } from "@everbeat/core/promise"
import { runLoop } from "@everbeat/core/promise/LoopContext"
import type * as Transcript from "@everbeat/core/Transcript"
import type { LanguageModel, ModelMessage, PrepareStepFunction, StopCondition, ToolSet } from "ai"
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
  extends Pick<AgentContext<ModelMessage>, "attempt" | "checkpoint" | "fence" | "runId" | "signal" | "warn">
{
  readonly meta: { readonly prompt?: string | undefined }
  readonly resume: Omit<Resumption<ModelMessage>, "workspace"> | undefined
}

/**
 * Creates a codec of the messages of the AI SDK.
 *
 * **Details**
 *
 * Bytes (`Uint8Array`, `ArrayBuffer`), `URL` and `Date` come back as they were, a
 * field that is `undefined` as absent. Anything else that JSON has no form for
 * is `Unencodable`, with the path to it. Signatures of reasoning and other
 * `providerOptions` are kept as they are.
 *
 * A stored message that this version of the AI SDK does not accept is
 * `MessageUnreadable`: the checkpoint is left untouched, for a version that does.
 *
 * **Example** (Compressing what is long)
 *
 * ```ts
 * import { AiSdk } from "@everbeat/adapter-ai-sdk"
 *
 * const options = { ...AiSdk.options, message: AiSdk.message({ compressAbove: 4096 }) }
 * options.message.compressAbove // => 4096
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const message: (options?: MessageCodec.Options) => MessageCodec.MessageCodec<ModelMessage> =
  internalMessage.codec

/**
 * What Everbeat has to know of the messages of the AI SDK, so that no
 * conversation with an open call is sent to a provider.
 *
 * **Details**
 *
 * Calls that a provider executes itself, requests for approval and reasoning
 * are left alone. A message that makes calls is never changed.
 *
 * @category constants
 * @since 0.1.0
 */
export const transcript: Transcript.Adapter<ModelMessage> = internalTranscript.transcript

/**
 * Options of an agent whose messages are those of the AI SDK.
 *
 * @category models
 * @since 0.1.0
 */
export interface AgentOptions {
  readonly message: MessageCodec.MessageCodec<ModelMessage>
  readonly transcript: Transcript.Adapter<ModelMessage>
  /** The tools of a loop record all of their calls. */
  readonly recordsCalls: true
  /** A resumed loop goes on with the whole conversation. */
  readonly continuation: Continuation.Options<ModelMessage>
}

/**
 * Options of an agent whose messages are those of the AI SDK: spread them, then
 * add your own.
 *
 * @category constants
 * @since 0.1.0
 */
export const options: AgentOptions = {
  message: message(),
  transcript,
  recordsCalls: true,
  continuation: { policy: "transcript" }
}

/**
 * Options of a loop.
 *
 * @category models
 * @since 0.1.0
 */
export interface LoopOptions<Tools extends ToolSet> {
  /** A model, or its name for the default provider of the AI SDK. */
  readonly model: LanguageModel
  readonly tools?: Tools | undefined
  /**
   * What a run begins with. Not used by an attempt that goes on with a saved conversation.
   *
   * @default the prompt of the run, as the user's
   */
  readonly messages?: ReadonlyArray<ModelMessage> | undefined
  /**
   * Answers of the model at most, over all attempts of the run. A loop that reaches it ends with finish reason
   * `tool-calls`, and the run records the warning `IterationLimit`.
   *
   * @default 20
   */
  readonly maxIterations?: number | undefined
  /** Further conditions to stop. They are asked about the steps of this attempt alone. */
  readonly stopWhen?: StopCondition<NoInfer<Tools>> | ReadonlyArray<StopCondition<NoInfer<Tools>>> | undefined
  /** As in `generateText`. What it makes of the messages is what is saved. */
  readonly prepareStep?: PrepareStepFunction<NoInfer<Tools>> | undefined
  /**
   * Whether a tool changes anything outside the conversation; `undefined` leaves the decision to
   * `metadata: { everbeat: { mutates: false } }` of the tool. Of a call to one that does, the intent is durable before it
   * starts, and the outcome before the loop goes on.
   *
   * @default `true` for each tool
   */
  readonly mutates?: ((name: string) => boolean | undefined) | undefined
}

/**
 * A loop: the settings of `generateText`, `streamText` or a `ToolLoopAgent`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Loop<Tools extends ToolSet> {
  /** Saves each answer before anybody acts on it. */
  readonly model: Exclude<LanguageModel, string>
  /** Record what is begun and how it ends. */
  readonly tools: Tools
  /** What to begin, or to go on with. */
  readonly messages: Array<ModelMessage>
  /** Saves the conversation as it is sent. */
  readonly prepareStep: PrepareStepFunction<Tools>
  readonly stopWhen: Array<StopCondition<Tools>>
  /** Aborts with the attempt, and when something could not be recorded: then the reason is the error. */
  readonly abortSignal: AbortSignal
}

/**
 * Makes a loop durable: what it returns is given to `generateText`,
 * `streamText` or a `ToolLoopAgent`, with all of its fields.
 *
 * **Details**
 *
 * The conversation is saved before each question to the model, and each answer
 * when it is complete, with the ids of its calls; a stream that breaks off
 * leaves nothing. Calls are wrapped in `ctx.checkpoint.tool`.
 *
 * An attempt that follows goes on with the saved conversation. A call that had
 * ended is answered with its result, one that may have taken effect with an
 * error that says so, and neither is executed again. When the last answer of
 * the model was saved and the end of the run was not, that answer is given again
 * without asking the model.
 *
 * When something cannot be recorded (with `onStoreFailure: "stop"` the store's
 * failure; a message or a result that JSON cannot hold; a lost lease), the loop
 * is aborted and rejects with that error. The model is never told of it. Let it
 * reject: the supervisor knows what to do.
 *
 * **Gotchas**
 *
 * One loop for each run: a second one would go on with the conversation of the
 * first. Call other models, or the model itself for other things, without it.
 *
 * A `toolChoice` that forces a call refuses an answer that is given again.
 *
 * **Example** (An agent that closes an issue)
 *
 * ```ts
 * import { AiSdk } from "@everbeat/adapter-ai-sdk"
 * import { Agent, AgentSupervisor } from "@everbeat/core"
 * import { MemoryStore } from "@everbeat/store-memory"
 * import { generateText, tool } from "ai"
 * import { MockLanguageModelV4 } from "ai/test"
 * import { Effect, Layer, Schema } from "effect"
 * import { z } from "zod"
 *
 * // In place of a model of a provider: it calls a tool, and then is done.
 * const usage = {
 *   inputTokens: { total: 1, noCache: 1, cacheRead: undefined, cacheWrite: undefined },
 *   outputTokens: { total: 1, text: 1, reasoning: undefined }
 * }
 * const model = new MockLanguageModelV4({
 *   doGenerate: [
 *     {
 *       content: [{ type: "tool-call", toolCallId: "c1", toolName: "close", input: `{"issue":7}` }],
 *       finishReason: { unified: "tool-calls", raw: undefined },
 *       usage,
 *       warnings: []
 *     },
 *     {
 *       content: [{ type: "text", text: "Closed." }],
 *       finishReason: { unified: "stop", raw: undefined },
 *       usage,
 *       warnings: []
 *     }
 *   ]
 * })
 * const close = tool({ inputSchema: z.object({ issue: z.number() }), execute: ({ issue }) => `#${issue} is closed` })
 *
 * const closer = Agent.make("closer", {
 *   ...AiSdk.options,
 *   result: Schema.String,
 *   run: (ctx) =>
 *     AiSdk.run(ctx, async (ctx) => {
 *       const loop = AiSdk.loop(ctx, { model, tools: { close } })
 *       const { text } = await generateText({ ...loop, instructions: "You close issues." })
 *       return text
 *     })
 * })
 *
 * const layer = Layer.provideMerge(AgentSupervisor.layer, MemoryStore.layer)
 * const program = Effect.flatMap(Agent.start(closer, { prompt: "Close issue 7." }), (run) => run.result)
 * await Effect.runPromise(Effect.provide(program, layer)) // => "Closed."
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const loop: {
  <Tools extends ToolSet>(context: Context, options: LoopOptions<Tools> & { readonly tools: Tools }): Loop<Tools>
  (context: Context, options: LoopOptions<{}> & { readonly tools?: undefined }): Loop<{}>
} = internalLoop.make

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
  context: EffectAgentContext<ModelMessage>,
  body: (context: Context) => PromiseLike<A>
) => Effect.Effect<A, unknown> = runLoop
