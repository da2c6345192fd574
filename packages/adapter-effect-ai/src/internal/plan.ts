/** What the caller asked for, with its defaults, and with the types of its tools put aside. */
import type * as Tool from "effect/ai/Tool"
import * as Effect from "effect/Effect"
import type { LoopOptions } from "../EffectAi.ts"
import type { Handlers } from "./call.ts"
import type { Part, Plan } from "./loop.ts"

export const planOf = Effect.fnUntraced(function*<Tools extends Record<string, Tool.Any>, TE, TR, E, R>(
  options: LoopOptions<Tools, TE, TR, E, R>
): Effect.fn.Return<
  Plan<Tool.HandlerError<Tools[keyof Tools]>, Tool.HandlerServices<Tools[keyof Tools]>, E, R>,
  TE,
  TR
> {
  const { approve, concurrency = 4, maxIterations = 20, mutates, onPart, prompt, system, toolChoice, toolkit } = options
  const handlers = Effect.isEffect(toolkit) ? yield* toolkit : toolkit
  return {
    // Which tool is called is known when the model says so: its error and its services are one of those of all tools.
    handlers: handlers as unknown as Handlers<
      Tool.HandlerError<Tools[keyof Tools]>,
      Tool.HandlerServices<Tools[keyof Tools]>
    >,
    // They are called with nothing but tools and parts of that toolkit.
    mutates: mutates as ((tool: Tool.Any) => boolean | undefined) | undefined,
    onPart: onPart as ((part: Part) => Effect.Effect<unknown, E, R>) | undefined,
    approve,
    concurrency,
    maxIterations,
    prompt,
    system,
    toolChoice
  }
})
