/** One tool call: recorded before it starts and after it ended, and answered to the model. */
import type { AgentContext } from "@everbeat/core/AgentContext"
import type { SaveError, WriteError } from "@everbeat/core/Checkpointer"
import * as AiError from "effect/ai/AiError"
import * as Prompt from "effect/ai/Prompt"
import * as Tool from "effect/ai/Tool"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"

type Handled = Tool.HandlerResult<Tool.Any>

/**
 * A toolkit whose types are put aside: which tool is called is known when the model says so. `Options` has given the
 * error and the services of all tools to the caller.
 */
export interface Handlers<E, R> {
  readonly tools: Readonly<Record<string, Tool.Any>>
  readonly handle: (
    name: string,
    params: unknown,
    id: string
  ) => Effect.Effect<Stream.Stream<Handled, E | AiError.AiError, R>, E | AiError.AiError, R>
}

/** What the loop was told about its tools. */
export interface Policy<E, R> {
  readonly mutates?: ((tool: Tool.Any) => boolean | undefined) | undefined
  readonly approve?: ((call: Prompt.ToolCallPart) => Effect.Effect<boolean, E, R>) | undefined
}

/** What the model is told of a call that failed; the record says the same. */
class Told extends Error {
  readonly part: Prompt.ToolResultPart
  constructor(part: Prompt.ToolResultPart, message: string) {
    super(message)
    this.part = part
  }
}

/** A call that is answered without running anything. */
export const unanswered = (call: Prompt.ToolCallPart, type: string, reason: string): Prompt.ToolResultPart =>
  failure(call, { type, reason })

/** Answers a call of the model. */
export const answer = Effect.fnUntraced(function*<E, R, AE, AR>(
  ctx: AgentContext<Prompt.Message>,
  handlers: Handlers<E, R>,
  policy: Policy<AE, AR>,
  call: Prompt.ToolCallPart,
  messages: ReadonlyArray<Prompt.Message>
): Effect.fn.Return<Prompt.ToolResultPart, E | AE | AiError.AiError | SaveError | WriteError, R | AR> {
  const { id, name } = call
  const tool = Object.hasOwn(handlers.tools, name) ? handlers.tools[name] : undefined
  if (tool === undefined) {
    const known = Object.keys(handlers.tools).join(", ")
    return unanswered(call, "unknown-tool", `There is no tool ${name}. The tools are: ${known}`)
  }
  if (yield* needsApproval(tool, call, messages)) {
    const approved = policy.approve === undefined ? false : yield* policy.approve(call)
    if (!approved) return unanswered(call, "execution-denied", "A person has to approve this call, and did not.")
  }
  const mutates = policy.mutates?.(tool) ?? !Context.get(tool.annotations, Tool.Readonly)
  let part: Prompt.ToolResultPart | undefined
  const executed = Effect.flatMap(execute(handlers, call), (done) => {
    if (done.isFailure) return Effect.fail(new Told(done, textOf(done.result)))
    part = done
    return Effect.succeed(done.result)
  })
  return yield* ctx.checkpoint.tool({ id, name, mutates }, executed).pipe(
    Effect.map((result) =>
      part ?? Prompt.toolResultPart({ id, name, result, isFailure: false, providerExecuted: false })
    ),
    Effect.catchIf((error) => error instanceof Told, ({ part }) => Effect.succeed(part))
  )
})

// internal

const execute = <E, R>({ handle }: Handlers<E, R>, call: Prompt.ToolCallPart) =>
  Effect.flatMap(handle(call.name, call.params, call.id), (results) =>
    // What a tool tells meanwhile is for those who watch, not for the model.
    Stream.runLast(Stream.filter(results, ({ preliminary }) => !preliminary))).pipe(
      Effect.flatMap(Option.match({
        onNone: () => Effect.die(new Error(`The tool ${call.name} ended without a result.`)),
        onSome: Effect.succeed
      })),
      Effect.map((handled) => resultOf(call, handled)),
      Effect.catch((error) => {
        const told = toldOf(error)
        return told === undefined ? Effect.fail(error) : Effect.succeed(failure(call, told))
      })
    )

/** Mistakes of the model, and results that have no text: what the model can do something about. */
const toldOf = (error: unknown): string | undefined => {
  if (!AiError.isAiError(error)) return undefined
  switch (error.reason._tag) {
    case "ToolParameterValidationError":
      return error.reason.message
    case "ToolResultEncodingError":
      return lost
    default:
      return undefined
  }
}

/** The effect of the call is there all the same. */
const lost =
  "The call has ended, but its result cannot be written down. Check the current state before calling this again."

const failure = ({ id, name }: Prompt.ToolCallPart, result: unknown): Prompt.ToolResultPart =>
  Prompt.toolResultPart({ id, name, result, isFailure: true, providerExecuted: false })

const resultOf = (call: Prompt.ToolCallPart, handled: Handled): Prompt.ToolResultPart => {
  const { encodedResult, isFailure, modelOutput } = handled
  const result = plain(encodedResult)
  if (result === undefined) return failure(call, lost)
  return Prompt.toolResultPart({
    id: call.id,
    name: call.name,
    result,
    isFailure,
    providerExecuted: false,
    ...(modelOutput === undefined ? undefined : { modelOutput })
  })
}

/** A result as a provider will write it. `undefined`: it cannot be written. */
const plain = (value: unknown): Schema.Json | undefined => {
  if (value === undefined) return null
  if (Schema.is(Schema.Json)(value)) return value
  try {
    return JSON.parse(JSON.stringify(value))
  } catch {
    return undefined
  }
}

const textOf = (result: unknown): string => typeof result === "string" ? result : JSON.stringify(result)

/** As `LanguageModel` does it when it runs the tools itself: what it cannot ask needs no approval. */
const needsApproval = (
  { needsApproval, parametersSchema }: Tool.Any,
  { id, params }: Prompt.ToolCallPart,
  messages: ReadonlyArray<Prompt.Message>
): Effect.Effect<boolean> => {
  if (typeof needsApproval !== "function") return Effect.succeed(needsApproval ?? false)
  // The services of its parameters are among those of the tool.
  const decoded = Schema.decodeUnknownEffect(parametersSchema)(params) as Effect.Effect<never, Schema.SchemaError>
  return decoded.pipe(
    Effect.flatMap((input) => {
      const needed = needsApproval(input, { toolCallId: id, messages })
      return Effect.isEffect(needed) ? needed : Effect.succeed(needed)
    }),
    Effect.orElseSucceed(() => false)
  )
}
