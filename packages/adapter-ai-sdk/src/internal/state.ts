/** What a loop knows: the conversation, how many answers it had, and why it has to stop. */
import type { AssistantModelMessage, ModelMessage, ToolResultPart } from "ai"
import type { Context } from "../AiSdk.ts"
import { messageOf } from "./content.ts"
import type { Content, FinishReason } from "./model.ts"
import { finishedBy, type Replay, type Start } from "./start.ts"

/** What such an answer holds is not all that the model had to say. */
const unfinished: ReadonlySet<FinishReason> = new Set(["error", "interrupted"])

const misuse = "The model of a durable loop was called without its prepareStep. Give the loop to one generateText, "
  + "streamText or ToolLoopAgent with all of its fields, pass a prepareStep of yours to AiSdk.loop, and use the model "
  + "itself for other calls."

export class State {
  readonly context: Context
  readonly maxIterations: number
  readonly signal: AbortSignal
  iteration: number
  private history: ReadonlyArray<ModelMessage>
  private replay: Replay | undefined
  /** The stored message that the SDK has made anew, and its place. */
  private replayed: { readonly at: number; readonly message: AssistantModelMessage } | undefined
  private readonly results: ReadonlyMap<string, ToolResultPart>
  /** Whether the history is what the model is about to be asked. */
  private isPrepared = false
  private isLimitTold = false
  private failure: { readonly error: unknown } | undefined
  private readonly stop = new AbortController()

  constructor(context: Context, { iteration, messages, replay }: Start, maxIterations: number) {
    this.context = context
    this.maxIterations = maxIterations
    this.iteration = iteration
    this.history = messages
    this.replay = replay
    this.results = replay?.results ?? new Map()
    this.signal = AbortSignal.any([context.signal, this.stop.signal])
  }

  /** Stops the loop: what it does next would not be recorded. */
  fail(error: unknown): unknown {
    const { signal } = this.context
    if (signal.aborted) return signal.reason // that is why it failed
    this.failure ??= { error }
    this.stop.abort(error)
    return error
  }

  /** Whether it was stopped because something could not be recorded. */
  get isStopped(): boolean {
    return this.failure !== undefined
  }

  throwIfFailed(): void {
    if (this.failure !== undefined) throw this.failure.error
    this.context.signal.throwIfAborted()
  }

  private async recorded(save: () => Promise<void>): Promise<void> {
    try {
      await save()
    } catch (error) {
      throw this.fail(error)
    }
  }

  /** What an earlier attempt answered a call with, of those that are made again. */
  resultOf(toolCallId: string): ToolResultPart | undefined {
    return this.results.get(toolCallId)
  }

  /** What is stored in place of what the SDK made of an answer that was given again. */
  restored(messages: ReadonlyArray<ModelMessage>): Array<ModelMessage> {
    const { replayed } = this
    if (replayed === undefined) return [...messages]
    return messages.map((message, at) => {
      if (at === replayed.at && message.role === "assistant") return replayed.message
      if (at !== replayed.at + 1 || message.role !== "tool") return message
      const content = message.content.map((part) =>
        part.type === "tool-result" ? this.results.get(part.toolCallId) ?? part : part
      )
      return { ...message, content }
    })
  }

  /** The conversation as the SDK is about to send it. */
  async prepared(messages: ReadonlyArray<ModelMessage>): Promise<void> {
    this.isPrepared = true
    this.replayed = undefined // the SDK goes on with what it was given
    this.history = [...messages]
    if (this.replay !== undefined) return // what is stored is ahead of it
    await this.recorded(() => this.context.checkpoint.save({ messages: this.history }))
  }

  /** Called before a question to the model: the answer that need not be asked for. */
  takeReplay(): Replay | undefined {
    this.throwIfFailed()
    if (!this.isPrepared) throw this.fail(new Error(misuse))
    const { replay } = this
    if (replay === undefined) return undefined
    this.isPrepared = false
    this.replay = undefined
    this.replayed = { at: this.history.length, message: replay.message }
    return replay
  }

  async answered(content: ReadonlyArray<Content>, reason: FinishReason): Promise<void> {
    this.isPrepared = false
    if (unfinished.has(reason)) return
    const message = messageOf(content)
    const iteration = this.iteration + 1
    const messages = message === undefined ? this.history : [...this.history, finishedBy(message, reason)]
    await this.recorded(() => this.context.checkpoint.save({ messages, iteration }))
    this.history = messages
    this.iteration = iteration
  }

  /** Asked when the loop would go on. */
  isOver(): boolean {
    this.throwIfFailed()
    if (this.iteration < this.maxIterations) return false
    if (!this.isLimitTold) {
      this.isLimitTold = true
      this.context.warn("IterationLimit", `The loop was stopped after ${this.iteration} answers of the model.`, {
        hint: "Raise maxIterations of AiSdk.loop, or look why the model does not come to an end."
      })
    }
    return true
  }
}
