/**
 * An agent that does what a test has written down, for tests of what is around
 * agents: hosts, alerts, dashboards, recovery.
 *
 * @since 0.1.0
 */
import { type Agent, agent, type AgentOptions } from "@everbeat/core/promise/Agent"
import { type Json, json } from "@everbeat/core/promise/Json"
import { hang } from "./internal/script.ts"

/**
 * One turn: a message, a call of a tool, a warning, a URL that is touched, an
 * error that ends the attempt, or `"hang"`: nothing, until the attempt is
 * stopped.
 *
 * @category models
 * @since 0.1.0
 */
export type Turn =
  | { readonly say: string }
  | { readonly tool: string; readonly run?: ((signal: AbortSignal) => unknown) | undefined }
  | { readonly warn: string }
  | { readonly touch: string }
  | { readonly fail: unknown }
  | "hang"

/**
 * What an agent of this module is given beside its turns: the options of an
 * agent that are not about its loop.
 *
 * @category models
 * @since 0.1.0
 */
export type Options = Pick<
  AgentOptions<string, Json>,
  "backoff" | "checkpoint" | "grace" | "maxAttempts" | "resumeOn" | "timeout" | "version" | "workspace"
>

/**
 * Creates an agent from its turns. It answers its messages.
 *
 * **Details**
 *
 * Each turn is a message and an iteration, and is durable when the next one
 * starts. A resumed attempt goes on with the turn after the last one that was
 * stored; one that failed, or hung, counts as done, so that the next attempt gets
 * past it.
 *
 * **Example** (An agent that fails once)
 *
 * ```ts
 * import { ScriptedAgent, TestEverbeat } from "@everbeat/store-memory/testing"
 *
 * const turns: ReadonlyArray<ScriptedAgent.Turn> = [{ say: "hello" }, "hang", { tool: "close_issue" }]
 * const coder = ScriptedAgent.make("coder", turns, { timeout: "1 minute" })
 * await using test = TestEverbeat.make({ agents: [coder] })
 *
 * const run = await test.everbeat.agent.start("coder")
 * await test.advance("2 minutes") // its timeout, then the wait before the next attempt
 * await run.result() // => ["hello", "hang", "close_issue"]
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <const Name extends string>(
  name: Name,
  turns: ReadonlyArray<Turn>,
  options: Options = {}
): Agent<Name, string, ReadonlyArray<string>> =>
  agent(name, {
    ...options,
    message: json<string>(),
    run: async (ctx) => {
      const messages = [...(ctx.resume?.messages ?? [])]
      const save = async (): Promise<void> => {
        await ctx.checkpoint.save({ messages: [...messages], iteration: messages.length })
        await ctx.checkpoint.flush()
      }
      const play = async (turn: Turn, index: number): Promise<void> => {
        messages.push(labelOf(turn))
        if (turn === "hang" || "fail" in turn) await save()
        if (turn === "hang") await hang(ctx.signal)
        else if ("fail" in turn) throw turn.fail
        else if ("warn" in turn) ctx.warn("scripted", turn.warn)
        else if ("touch" in turn) ctx.touch(turn.touch)
        else if ("tool" in turn) {
          const { run = () => undefined, tool } = turn
          await ctx.checkpoint.tool({ id: `${tool}-${index}`, name: tool }, run)
        }
        await save()
      }
      for (const [index, turn] of turns.entries()) {
        // oxlint-disable-next-line eslint/no-await-in-loop -- turns have an order
        if (index >= messages.length) await play(turn, index)
      }
      return messages
    }
  })

// internal

const labelOf = (turn: Turn): string => {
  if (turn === "hang") return turn
  if ("say" in turn) return turn.say
  if ("tool" in turn) return turn.tool
  if ("warn" in turn) return turn.warn
  return "touch" in turn ? turn.touch : "fail"
}
