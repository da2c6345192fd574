/** What a loop knows: the conversation, how many answers it had, and why it has to stop. */
import type { ModelMessage } from "ai"
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

  /** The conversation as the SDK is about to send it. */
  async prepared(messages: ReadonlyArray<ModelMessage>): Promise<void> {
    this.isPrepared = true
    if (this.replay !== undefined) return // what is stored is ahead of it
    this.history = [...messages]
    await this.recorded(() => this.context.checkpoint.save({ messages: this.history }))
  }

  /** The answer that need not be asked for. */
  takeReplay(): Replay | undefined {
    this.throwIfFailed()
    if (!this.isPrepared) throw this.fail(new Error(misuse))
    const { replay } = this
    this.replay = undefined
    if (replay?.finishReason === "tool-calls") this.tellLimit()
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
    this.tellLimit()
    return true
  }

  private tellLimit(): void {
    if (this.isLimitTold) return
    this.isLimitTold = true
    this.context.warn("IterationLimit", `The loop was stopped after ${this.iteration} answers of the model.`, {
      hint: "Raise maxIterations of AiSdk.loop, or look why the model does not come to an end."
    })
  }
}
