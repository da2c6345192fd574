/**
 * The agent loop of `effect/ai`, made durable.
 *
 * {@link options} is what an agent has to know of the messages, and {@link loop}
 * is its `run`: the model is asked with `disableToolCallResolution`, and each of
 * its calls goes through `ctx.checkpoint.tool`.
 *
 * @since 0.1.0
 */
import type { AgentContext } from "@everbeat/core/AgentContext"
import type { SaveError, WriteError } from "@everbeat/core/Checkpointer"
import type * as Continuation from "@everbeat/core/Continuation"
import * as MessageCodec from "@everbeat/core/MessageCodec"
import type * as Transcript from "@everbeat/core/Transcript"
import type * as AiError from "effect/ai/AiError"
import type * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import type * as Response from "effect/ai/Response"
import type * as Tool from "effect/ai/Tool"
import type * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { run } from "./internal/loop.ts"
import { planOf } from "./internal/plan.ts"
import { adapter } from "./internal/transcript.ts"

/**
 * What tool calls and results are in the messages of `effect/ai`. Calls that the
 * provider executes itself are left alone.
 *
 * @category constants
 * @since 0.1.0
 */
export const transcript: Transcript.Adapter<Prompt.Message> = adapter

/**
 * Creates a codec of the messages of `effect/ai`.
 *
 * **Details**
 *
 * Bytes and URLs of files come back as they were.
 *
 * **Example** (Compressing what is long)
 *
 * ```ts
 * import { EffectAi } from "@everbeat/adapter-effect-ai"
 *
 * const options = { ...EffectAi.options, message: EffectAi.message({ compressAbove: 4096 }) }
 * options.message.compressAbove // => 4096
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const message = (options?: MessageCodec.Options): MessageCodec.MessageCodec<Prompt.Message> =>
  MessageCodec.make(Prompt.Message, options)

/**
 * Options of an agent whose messages are those of `effect/ai`.
 *
 * @category models
 * @since 0.1.0
 */
export interface AgentOptions {
  readonly message: MessageCodec.MessageCodec<Prompt.Message>
  readonly transcript: Transcript.Adapter<Prompt.Message>
  /** A resumed loop goes on with the whole conversation. */
  readonly continuation: Continuation.Options<Prompt.Message>
}

/**
 * Options of an agent whose messages are those of `effect/ai`: spread them, then
 * add your own.
 *
 * @category constants
 * @since 0.1.0
 */
export const options: AgentOptions = { message: message(), transcript, continuation: { policy: "transcript" } }

/**
 * Error returned when the model still calls tools after the last iteration that
 * the run was given, over all of its attempts.
 *
 * @category errors
 * @since 0.1.0
 */
export class IterationsExhausted
  extends Schema.TaggedError<IterationsExhausted>("@everbeat/adapter-effect-ai/IterationsExhausted")(
    "IterationsExhausted",
    { maxIterations: Schema.Int }
  )
{
  override get message(): string {
    return `The model was asked ${this.maxIterations} times and had still not finished.`
  }
  get hint(): string {
    return "Raise maxIterations, or ask for less in one run."
  }
}

/**
 * A part of an answer while it comes in.
 *
 * @category models
 * @since 0.1.0
 */
export type StreamPart<Tools extends Record<string, Tool.Any>> = Response.StreamPart<Tools, "deferred">

/**
 * Options of {@link loop}.
 *
 * @category models
 * @since 0.1.0
 */
export interface LoopOptions<in out Tools extends Record<string, Tool.Any>, out TE, out TR, out E, out R> {
  /** The tools with their handlers, or the toolkit whose handlers are in the context. */
  readonly toolkit: Toolkit.WithHandler<Tools> | Effect.Effect<Toolkit.WithHandler<Tools>, TE, TR>
  /** Told to the model before the conversation at every turn, and not saved. */
  readonly system?: string | undefined
  /**
   * What the conversation begins with.
   *
   * @default the prompt of the run
   */
  readonly prompt?: Prompt.RawInput | undefined
  /**
   * How often the model is asked, over all attempts of the run.
   *
   * @default 20
   */
  readonly maxIterations?: number | undefined
  /**
   * How many calls of one turn run at a time.
   *
   * @default 4
   */
  readonly concurrency?: number | "unbounded" | undefined
  /**
   * Whether a tool changes anything outside the conversation. `undefined` leaves it to the annotation.
   *
   * @default true, unless the tool is annotated with `Tool.Readonly`
   */
  readonly mutates?: ((tool: Tools[keyof Tools]) => boolean | undefined) | undefined
  /**
   * Asks a person about a call whose tool has `needsApproval`.
   *
   * @default nobody is asked, and the model is told that the call was denied
   */
  readonly approve?: ((call: Prompt.ToolCallPart) => Effect.Effect<boolean, E, R>) | undefined
  readonly toolChoice?: LanguageModel.ToolChoice<Tools[keyof Tools]["name"]> | undefined
  /** Streams the answers: called for each part as it comes in. What it sees is not saved yet. */
  readonly onPart?: ((part: StreamPart<Tools>) => Effect.Effect<unknown, E, R>) | undefined
}

/**
 * How a run ended.
 *
 * @category models
 * @since 0.1.0
 */
export interface Result {
  /** The last word of the model. */
  readonly text: string
  readonly messages: ReadonlyArray<Prompt.Message>
  /** How often the model was asked, over all attempts. */
  readonly iterations: number
}

/**
 * What can go wrong: the provider, a tool whose `failureMode` is `error`, the
 * checkpoint, or the budget.
 *
 * @category utility types
 * @since 0.1.0
 */
export type LoopError<Tools extends Record<string, Tool.Any>> =
  | AiError.AiError
  | Tool.HandlerError<Tools[keyof Tools]>
  | IterationsExhausted
  | SaveError
  | WriteError

/**
 * What a loop needs: the model, and what the tools need.
 *
 * @category utility types
 * @since 0.1.0
 */
export type LoopServices<Tools extends Record<string, Tool.Any>> =
  | LanguageModel.LanguageModel
  | Tool.HandlerServices<Tools[keyof Tools]>
  | Tool.ParametersEncodingServices<Tools[keyof Tools]>

/**
 * Asks the model and runs its tools until it has nothing more to do: the `run`
 * of an agent.
 *
 * **Details**
 *
 * The conversation is saved before the model is asked, when it has answered, and
 * when its calls have ended. A call of a tool that changes something starts when
 * the answer that makes it and its own beginning are durable, and its result is
 * durable before the model is told. A tool annotated with `Tool.Readonly` waits
 * for nothing.
 *
 * A tool that fails with `failureMode: "return"` is a result for the model; one
 * with `"error"` fails the loop. A call of an unknown tool, or with parameters that
 * do not fit, is told to the model in any case. A failing save stops the loop and
 * is never told to the model: after `SaveError`, look at what a message holds;
 * after `StoreError`, another attempt goes on.
 *
 * **Gotchas**
 *
 * Interrupting a handler does not undo what it did. Such a call is told to the
 * resumed model as "outcome unknown", unless its tool is read-only.
 *
 * One loop for each run: a second one would go on with the conversation of the
 * first. For other questions, use the model itself. A `toolChoice` that forces a
 * call lets the loop end at `maxIterations` only.
 *
 * **Example** (An agent that closes an issue)
 *
 * ```ts
 * import { EffectAi } from "@everbeat/adapter-effect-ai"
 * import { Agent, AgentSupervisor } from "@everbeat/core"
 * import { MemoryStore } from "@everbeat/store-memory"
 * import { Effect, Layer, Schema, Stream } from "effect"
 * import { LanguageModel, Tool, Toolkit } from "effect/ai"
 *
 * const tools = Toolkit.make(Tool.make("close_issue", {
 *   parameters: Schema.Struct({ issue: Schema.Int }),
 *   success: Schema.String
 * }))
 * const closed: Array<number> = []
 * const handlers = tools.toLayer({
 *   close_issue: ({ issue }) => Effect.sync(() => `closed ${closed.push(issue)}`)
 * })
 * // A model for the example: it calls the tool once.
 * const model = Layer.effect(
 *   LanguageModel.LanguageModel,
 *   LanguageModel.make({
 *     generateText: ({ prompt }) =>
 *       Effect.succeed(
 *         prompt.content.some(({ role }) => role === "tool")
 *           ? [{ type: "text", text: "Closed." }]
 *           : [{ type: "tool-call", id: "c1", name: "close_issue", params: { issue: 7 } }]
 *       ),
 *     streamText: () => Stream.empty
 *   })
 * )
 *
 * const closer = Agent.make("closer", {
 *   ...EffectAi.options,
 *   result: Schema.String,
 *   run: (ctx) => Effect.map(EffectAi.loop(ctx, { toolkit: tools }), ({ text }) => text)
 * })
 *
 * const live = Layer.mergeAll(handlers, model, Layer.provideMerge(AgentSupervisor.layer, MemoryStore.layer))
 * const run = Effect.flatMap(Agent.start(closer, { prompt: "Close issue 7." }), (handle) => handle.result)
 * await Effect.runPromise(Effect.provide(run, live)) // => "Closed."
 * closed // => [7]
 * ```
 *
 * @category running
 * @since 0.1.0
 */
export const loop = <Tools extends Record<string, Tool.Any>, TE = never, TR = never, E = never, R = never>(
  ctx: AgentContext<Prompt.Message>,
  options: LoopOptions<Tools, TE, TR, E, R>
): Effect.Effect<Result, LoopError<Tools> | TE | E, LoopServices<Tools> | TR | R> =>
  Effect.gen(function*() {
    const plan = yield* planOf(options)
    const { exhausted, ...result } = yield* run(ctx, plan)
    return exhausted ? yield* new IterationsExhausted({ maxIterations: plan.maxIterations }) : result
  })
