/** Puts the parts of a loop together. */
import type { StopCondition, ToolSet } from "ai"
import type { Context, Loop, LoopOptions } from "../AiSdk.ts"
import { startOf } from "./start.ts"
import { State } from "./state.ts"
import { wrapModel } from "./wrapModel.ts"
import { wrapTools } from "./wrapTool.ts"

const defaultMaxIterations = 20

const limitOf = (maxIterations = defaultMaxIterations): number => {
  if (Number.isSafeInteger(maxIterations) && maxIterations >= 1) return maxIterations
  throw new TypeError(`AiSdk.loop: maxIterations must be a whole number of at least 1, not ${String(maxIterations)}`)
}

const listOf = <A>(given: A | ReadonlyArray<A> | undefined): ReadonlyArray<A> =>
  // `isArray` does not know of readonly ones.
  given === undefined ? [] : Array.isArray(given) ? given : [given as A]

export const make = <Tools extends ToolSet = {}>(context: Context, options: LoopOptions<Tools>): Loop<Tools> => {
  const { model, mutates, prepareStep, stopWhen } = options
  const maxIterations = limitOf(options.maxIterations)
  const start = startOf(context, options.messages, maxIterations)
  const state = new State(context, start, maxIterations)
  const conditions = listOf<StopCondition<Tools>>(stopWhen)
  // Without tools there are none that its type could name.
  const tools = wrapTools(state, options.tools ?? ({} as Tools), mutates)
  return {
    model: wrapModel(state, model),
    tools,
    messages: start.messages,
    prepareStep: async (step) => {
      state.throwIfFailed()
      const restored = state.restored(step.messages)
      const prepared = await prepareStep?.({ ...step, messages: restored })
      const messages = prepared?.messages ?? restored
      await state.prepared(messages)
      return {
        ...prepared,
        messages,
        ...(prepared?.model === undefined ? undefined : { model: wrapModel(state, prepared.model) })
      }
    },
    stopWhen: [() => state.isOver(), ...conditions],
    abortSignal: state.signal
  }
}
