/** What a loop knows: the conversation, how often the model was asked, and why it has to stop. */
import type { AgentInputItem } from "@openai/agents"
import type { Context, Message } from "../OpenAIAgents.ts"
import type { Start } from "./start.ts"
import { grouped } from "./transcript.ts"

export class State {
  readonly context: Context
  readonly signal: AbortSignal
  iteration: number
  private history: ReadonlyArray<Message>
  private replay: Message | undefined
  private failure: { readonly error: unknown } | undefined
  private readonly stop = new AbortController()

  constructor(context: Context, { iteration, messages, replay }: Start) {
    this.context = context
    this.iteration = iteration
    this.history = messages
    this.replay = replay
    this.signal = AbortSignal.any([context.signal, this.stop.signal])
  }

  /** Stops the loop: what it does next would not be recorded. Answers the error to end with. */
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

  private async save(messages: ReadonlyArray<Message>, iteration = this.iteration): Promise<void> {
    try {
      await this.context.checkpoint.save({ messages, iteration })
    } catch (error) {
      throw this.fail(error)
    }
    this.history = messages
    this.iteration = iteration
  }

  /** The conversation as it is about to be sent. */
  async asked(items: ReadonlyArray<AgentInputItem>): Promise<void> {
    this.throwIfFailed()
    if (this.replay !== undefined) return // what is stored is ahead of it
    await this.save(this.known(grouped(items)))
  }

  /** The answer that need not be asked for. */
  takeReplay(): Message | undefined {
    const { replay } = this
    this.replay = undefined
    return replay
  }

  async answered(items: ReadonlyArray<AgentInputItem>): Promise<void> {
    if (items.length === 0) return
    await this.save([...this.history, ...grouped(items)], this.iteration + 1)
  }

  /** The SDK copies items each time; what is stored already is recognised by its identity. */
  private known(messages: ReadonlyArray<Message>): ReadonlyArray<Message> {
    return messages.map((message, at) => {
      const before = this.history[at]
      return before !== undefined && JSON.stringify(before) === JSON.stringify(message) ? before : message
    })
  }
}
