/**
 * A model that answers what a test has written down.
 *
 * @since 0.1.0
 */
import { answerOf } from "./internal/script.ts"

/**
 * One answer: a value, an error that is thrown, or a function that is asked.
 * `"hang"` never answers; it rejects when the signal aborts.
 *
 * @category models
 * @since 0.1.0
 */
export type Turn<Asked, Answer> =
  | { readonly answer: Answer }
  | { readonly fail: unknown }
  | { readonly ask: (asked: Asked, signal: AbortSignal | undefined) => Answer | PromiseLike<Answer> }
  | "hang"

/**
 * A model, and what it was asked.
 *
 * @category models
 * @since 0.1.0
 */
export interface ScriptedModel<Asked, Answer> {
  /** Plays the next turn. Rejects when there is none left: the code under test asked more often than expected. */
  readonly ask: (asked: Asked, signal?: AbortSignal) => Promise<Answer>
  /** Copies of what was asked, in order. */
  readonly asked: ReadonlyArray<Asked>
  /** How many turns are left. */
  readonly left: () => number
}

/**
 * Creates a model from its answers.
 *
 * **Example** (A model that is down once)
 *
 * ```ts
 * import { ScriptedModel } from "@everbeat/store-memory/testing"
 *
 * const model = ScriptedModel.make<ReadonlyArray<string>, string>([{ fail: new Error("overloaded") }, { answer: "done" }])
 *
 * await model.ask(["hello"]).catch((error: Error) => error.message) // => "overloaded"
 * await model.ask(["hello"]) // => "done"
 * model.asked // => [["hello"], ["hello"]]
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <Asked, Answer>(turns: ReadonlyArray<Turn<Asked, Answer>>): ScriptedModel<Asked, Answer> => {
  const asked: Array<Asked> = []
  const ask = async (question: Asked, signal?: AbortSignal): Promise<Answer> => {
    const turn = turns[asked.length]
    // What was asked, and not what the caller makes of it afterwards.
    asked.push(structuredClone(question))
    if (turn !== undefined) return answerOf(turn, question, signal)
    throw new Error(
      `The scripted model was asked ${asked.length} times and has ${turns.length} turns. Add one, or look why it was asked again.`
    )
  }
  return { ask, asked, left: () => Math.max(0, turns.length - asked.length) }
}
