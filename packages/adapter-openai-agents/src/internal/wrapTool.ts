/** The tools of an agent: what is begun and how it ends is recorded around them. */
import { type FunctionTool, type Tool, ToolTimeoutError } from "@openai/agents"
import type { State } from "./state.ts"

type Invoke = FunctionTool["invoke"]
type Details = Parameters<Invoke>[2]

/** Whether a tool changes anything; `undefined` leaves it to the default, which is that it does. */
export type Mutates = (name: string) => boolean | undefined

/** Those that run in this process and do not tell their call: what they do cannot be recorded. */
const isUntracked = (tool: Tool): boolean =>
  tool.type === "computer" || tool.type === "apply_patch" ||
  (tool.type === "shell" && "shell" in tool && tool.shell !== undefined)

export const wrapTool = (state: State, mutates: Mutates | undefined) => {
  // The SDK knows a tool by its `invoke`: the same tool is wrapped once.
  const wrapped = new WeakMap<Tool, Tool>()
  return (tool: Tool): Tool => {
    if (isUntracked(tool)) {
      throw new TypeError(
        `OpenAIAgents.loop: the ${tool.type} tool "${tool.name}" runs in this process without the id of its call, so `
          + "that it cannot be recorded. Make a function tool of it."
      )
    }
    if (tool.type !== "function") return tool
    const known = wrapped.get(tool)
    if (known !== undefined) return known
    const changes = mutates?.(tool.name) ?? true
    const invoke: Invoke = (runContext, input, details) =>
      track(
        state,
        changes,
        tool,
        (signal) => stoppable(state, tool, details, signal, (details) => tool.invoke(runContext, input, details)),
        details
      )
    const made = copyWith(tool, { invoke })
    wrapped.set(tool, made)
    return made
  }
}

// internal

/** With all that the SDK keeps on it, also under symbols. */
const copyWith = <T extends object>(original: T, changes: Partial<T>): T =>
  // The descriptors are those of the original.
  Object.assign(
    Object.create(Object.getPrototypeOf(original), Object.getOwnPropertyDescriptors(original)) as T,
    changes
  )

/**
 * Why a tool is told to stop. The SDK makes a text of what a tool throws, which could not be told from a result; what is
 * thrown by a tool whose time is up it throws on, and it knows that by this class. Tools know an abort by its name.
 */
class Stopped extends ToolTimeoutError {
  override readonly name = "AbortError"
  override readonly message = "It was stopped: by its limit, a cancel or a shutdown."

  constructor(toolName: string, cause: unknown) {
    super({ toolName, timeoutMs: 0 })
    this.cause = cause
  }
}

/** Calls the tool with a signal that aborts when the loop or the SDK stops it. */
const stoppable = async (
  state: State,
  { name }: FunctionTool,
  details: Details,
  signal: AbortSignal,
  call: (details: Details) => Promise<unknown>
): Promise<unknown> => {
  if (details === undefined) return call(undefined)
  const all = AbortSignal.any([signal, state.signal, ...(details.signal === undefined ? [] : [details.signal])])
  const own = new AbortController()
  // The reasons of the SDK it knows itself.
  const stop = (): void =>
    own.abort(signal.aborted || state.signal.aborted ? new Stopped(name, all.reason) : all.reason)
  if (all.aborted) stop()
  else all.addEventListener("abort", stop, { once: true })
  try {
    return await call(copyWith(details, { signal: own.signal }))
  } finally {
    all.removeEventListener("abort", stop)
  }
}

/** As a resumed model is told of a call that was interrupted. */
const outcomeUnknown = "INTERRUPTED: outcome unknown. Check the current state before calling this again."

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener("abort", () => resolve(), { once: true })
  })

/** What the model can be told. Of anything else the SDK would make `[object Object]`. */
const writable = (output: unknown): unknown => {
  try {
    JSON.stringify(output)
    return output
  } catch {
    return "The call has ended, but its result cannot be written down. Check the current state before calling this again."
  }
}

/** Settles as the tool does, or with the reason why the loop stops. */
const track = async (
  state: State,
  mutates: boolean,
  { name }: FunctionTool,
  run: (signal: AbortSignal) => Promise<unknown>,
  details: Details
): Promise<string> => {
  state.throwIfFailed()
  const id = details?.toolCall?.callId
  // Only the SDK calls tools with a call.
  if (id === undefined) return run(state.signal) as Promise<string>
  const isStopped = () => state.signal.aborted || details?.signal?.aborted === true
  let running: Promise<unknown> | undefined
  let own: { readonly error: unknown } | undefined
  let interrupt = (_error: unknown): void => {}
  const interrupted = new Promise<never>((_, reject) => (interrupt = reject))
  const reason = (): unknown => state.signal.aborted ? state.signal.reason : details?.signal?.reason
  /** Whether it took effect nobody knows. */
  const unknown = async (signal: AbortSignal): Promise<never> => {
    interrupt(reason())
    // The attempt ends: its calls are interrupted, and the record of one that was says just that.
    if (state.context.signal.aborted) await aborted(signal)
    // The SDK alone stopped it: a call beside it failed the run, or it took too long.
    throw new Error(outcomeUnknown)
  }

  const body = async (signal: AbortSignal): Promise<unknown> => {
    if (isStopped()) throw (own = { error: reason() }).error
    let output: unknown
    try {
      running = run(signal)
      output = await running
    } catch (error) {
      if (isStopped()) return unknown(signal)
      own = { error }
      throw error
    }
    return writable(output) // also of one that was told to stop: it has ended, and well
  }

  try {
    // The SDK makes of it what the model is told, whatever it is.
    return await Promise.race([state.context.checkpoint.tool({ id, name, mutates }, body), interrupted]) as string
  } catch (error) {
    // A tool that does not listen to its signal is not left behind: the run waits for it, as long as it may.
    await running?.catch(() => {})
    if ((own !== undefined && Object.is(own.error, error)) || isStopped()) throw error
    throw state.fail(error)
  }
}
