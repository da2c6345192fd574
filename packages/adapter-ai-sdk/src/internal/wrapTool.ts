/** The tools of a loop: what is begun and how it ends is recorded around them. */
import { Unencodable } from "@everbeat/core/MessageCodec"
import type { ToolExecutionOptions, ToolResultPart, ToolSet } from "ai"
import * as Result from "effect/Result"
import { record, type Showing } from "./recorded.ts"
import type { State } from "./state.ts"

type Options = ToolExecutionOptions<unknown>
type Run = () => Promise<unknown>

/** A tool, whatever it takes and gives. */
interface Tool extends Showing {
  readonly metadata?: object | undefined
  readonly execute?: ((input: unknown, options: Options) => unknown) | undefined
}

/** What the model is told by the next attempt. */
const notExecuted = "NOT EXECUTED: the loop was stopped before this call started."
const outcomeUnknown = "INTERRUPTED: outcome unknown. Check the current state before calling this again."

const flagOf = ({ metadata }: Tool): unknown => {
  const everbeat: unknown = metadata === undefined ? undefined : Reflect.get(metadata, "everbeat")
  return typeof everbeat === "object" && everbeat !== null ? Reflect.get(everbeat, "mutates") : undefined
}

/** A tool of which nothing is said may change anything. */
const mutates = (name: string, tool: Tool, ask: ((name: string) => boolean | undefined) | undefined): boolean =>
  (ask?.(name) ?? flagOf(tool)) !== false

export const wrapTools = <Tools extends ToolSet>(
  state: State,
  tools: Tools,
  ask: ((name: string) => boolean | undefined) | undefined
): Tools =>
  // Only `execute` is another one, and it takes and gives the same. Its types are those of each tool.
  Object.fromEntries(
    Object.entries(tools as unknown as Readonly<Record<string, Tool>>).map((
      [name, tool]
    ) => [name, wrapTool(state, name, tool, mutates(name, tool, ask))])
  ) as unknown as Tools

const wrapTool = (state: State, name: string, tool: Tool, changes: boolean): Tool => {
  const { execute } = tool
  if (execute === undefined) return tool
  const call = (input: unknown, options: Options, run: Run) =>
    track(state, { name, tool, changes }, input, options, run)
  const wrapped = Object.prototype.toString.call(execute) === "[object AsyncGeneratorFunction]"
    ? (input: unknown, options: Options) =>
      streamed((emit) => call(input, options, () => drain(execute(input, options), emit)))
    : (input: unknown, options: Options) => call(input, options, () => drain(execute(input, options), () => {}))
  const { toModelOutput } = tool
  if (toModelOutput === undefined) return { ...tool, execute: wrapped }
  return {
    ...tool,
    execute: wrapped,
    toModelOutput: (ended) => state.resultOf(ended.toolCallId)?.output ?? toModelOutput(ended)
  }
}

/** The end of a call as an earlier attempt saw it. */
const again = ({ output }: ToolResultPart): unknown => {
  if (!("value" in output)) throw new Error(output.reason)
  if (output.type === "error-text" || output.type === "error-json") {
    throw new Error(output.type === "error-text" ? output.value : JSON.stringify(output.value))
  }
  return output.value
}

/** Of a tool that gives one result after the other, the last one counts. */
const drain = async (result: unknown, emit: (value: unknown) => void): Promise<unknown> => {
  if (typeof result !== "object" || result === null || !(Symbol.asyncIterator in result)) return result
  let last: unknown
  // Whatever has this symbol is one.
  for await (const value of result as AsyncIterable<unknown>) {
    last = value
    emit(value)
  }
  return last
}

/** Hands on what a call emits, as it comes. */
async function* streamed(start: (emit: (value: unknown) => void) => Promise<unknown>): AsyncGenerator<unknown> {
  const waiting: Array<unknown> = []
  let wake = (): void => {}
  const state = { isOver: false }
  const over = start((value) => {
    waiting.push(value)
    wake()
  })
  const ended = () => {
    state.isOver = true
    wake()
  }
  over.then(ended, ended)
  while (!state.isOver || waiting.length > 0) {
    while (waiting.length > 0) yield waiting.shift()
    // oxlint-disable-next-line eslint/no-await-in-loop -- one value after the other
    if (!state.isOver) await new Promise<void>((resolve) => (wake = resolve))
  }
  await over
}

interface Target {
  readonly name: string
  readonly tool: Tool
  readonly changes: boolean
}

/** Settles as the tool does, or with the reason why the loop stops. */
const track = async (
  state: State,
  { changes, name, tool }: Target,
  input: unknown,
  options: Options,
  run: Run
): Promise<unknown> => {
  state.throwIfFailed()
  const { toolCallId } = options
  const known = state.resultOf(toolCallId)
  if (known !== undefined) return again(known)
  let running: Promise<unknown> | undefined
  let output: unknown
  let own: { readonly error: unknown } | undefined
  let refused: Unencodable | undefined

  const body = async (): Promise<unknown> => {
    if (state.isStopped) throw new Error(notExecuted)
    try {
      running = run()
      output = await running
    } catch (error) {
      own = { error }
      // It was told to stop because something else could not be recorded: whether it took effect nobody knows.
      throw state.isStopped ? new Error(outcomeUnknown) : error
    }
    const recorded = await record(tool, { toolCallId, input, output })
    if (Result.isSuccess(recorded)) return recorded.success
    const { detail, path } = recorded.failure
    refused = new Unencodable({
      path: [`the result of ${name} (${toolCallId})`, ...path.map(String)].join("."),
      detail
    })
    return output // it is recorded that it ended
  }

  const call = { id: toolCallId, name, mutates: changes }
  try {
    await state.context.checkpoint.tool(call, body)
  } catch (error) {
    // A tool that does not listen to its signal is not left behind: the run waits for it, as long as it may.
    await running?.catch(() => {})
    if (own !== undefined) throw own.error // whatever the record of it says: the model is told what the tool said
    throw state.fail(error)
  }
  if (refused !== undefined) throw state.fail(refused)
  return output
}
