/** What scripted models and agents have in common. */
import type { Turn } from "../ScriptedModel.ts"

/** Never resolves; rejects when the signal aborts. */
export const hang = (signal: AbortSignal | undefined): Promise<never> =>
  new Promise((_, reject) => {
    if (signal === undefined) return
    const stop = (): void => reject(signal.reason)
    if (signal.aborted) stop()
    else signal.addEventListener("abort", stop, { once: true })
  })

export const answerOf = async <Asked, Answer>(
  turn: Turn<Asked, Answer>,
  asked: Asked,
  signal: AbortSignal | undefined
): Promise<Answer> => {
  if (turn === "hang") return hang(signal)
  if ("fail" in turn) throw turn.fail
  return "ask" in turn ? turn.ask(asked, signal) : turn.answer
}
