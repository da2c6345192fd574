/**
 * Conversations that were cut off, made fit to be sent to a model again.
 *
 * Every provider refuses a conversation in which a tool call has no result, has
 * two, or has it in the wrong place: that is how a run looks when it was
 * interrupted in the middle of a tool. {@link repair} answers such calls with
 * what is known of them. It works on any message type, through an
 * {@link Adapter}; {@link chat} is the one of the plain {@link Message} of this
 * module.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as internal from "./internal/continuation/repair.ts"

/**
 * A tool call that a message makes. `input` is only shown.
 *
 * @category models
 * @since 0.1.0
 */
export interface Call {
  readonly id: string
  readonly name: string
  readonly input?: Schema.Json | undefined
}

/**
 * What an answer is worth.
 *
 * **Details**
 *
 * `outcome-known`: the call had finished, its recorded result is the answer.
 * `outcome-unknown`: it had started, may change things, and nobody knows whether
 * it did. `call-again`: it had started and only reads. `not-executed`: it had
 * not started.
 *
 * @category models
 * @since 0.1.0
 */
export type How = "outcome-known" | "outcome-unknown" | "call-again" | "not-executed"

/**
 * The answer to a call that had none. `text` is for the model; `result` is the
 * recorded value, when there is one.
 *
 * @category models
 * @since 0.1.0
 */
export interface Answer extends Call {
  readonly how: How
  readonly isError: boolean
  readonly text: string
  readonly result?: Schema.Json | undefined
}

/**
 * Where a message comes from. A message that brings results of tools is `tool`,
 * whatever its provider calls it.
 *
 * @category models
 * @since 0.1.0
 */
export type Role = "system" | "user" | "assistant" | "tool"

/**
 * What has to be known of the messages of an agent loop.
 *
 * **Details**
 *
 * None of the functions may change a message: they return new ones.
 *
 * @category models
 * @since 0.1.0
 */
export interface Adapter<in out M> {
  readonly role: (message: M) => Role
  /** The text a person would read: no thinking, no images, no tool calls. Of a tool's result, what the model saw. */
  readonly text: (message: M) => string
  /** The tool calls that a message makes, in order, without those that the provider executes itself. */
  readonly calls: (message: M) => ReadonlyArray<Call>
  /** The ids of the calls whose results a message holds, in order, without those that the provider executed. */
  readonly results: (message: M) => ReadonlyArray<string>
  /** New messages that hold the answers: one for each, or one for all. Never called without an answer. */
  readonly answer: (answers: ReadonlyArray<Answer>) => ReadonlyArray<M>
  /** For messages that hold several results, or results and something else. Absent: a message holds one result. */
  readonly grouped?: Grouped<M> | undefined
}

/**
 * What has to be known of messages that hold several results.
 *
 * @category models
 * @since 0.1.0
 */
export interface Grouped<in out M> {
  /**
   * The message with the answers added: behind the results that it holds, before anything else. It is asked for the
   * message that follows the calls; `undefined` when that one cannot hold results, so that a new one is put before it.
   */
  readonly join: (message: M, answers: ReadonlyArray<Answer>) => M | undefined
  /**
   * The message with only some of its results: `keep` tells by their position in `results`. `rest` tells whether what
   * is no result is kept too. `undefined` when nothing is left.
   */
  readonly pick: (message: M, keep: (position: number) => boolean, rest: boolean) => M | undefined
}

/**
 * Schema of what a supervisor writes down about a tool call: before it starts,
 * and when it has ended.
 *
 * @category schemas
 * @since 0.1.0
 */
export const CallRecord = Schema.Struct({
  id: Schema.String,
  name: Schema.String,
  /** Whether the tool may change anything outside the conversation. */
  mutates: Schema.Boolean,
  status: Schema.Literals(["started", "done", "failed"]),
  /** Milliseconds since 1970. */
  startedAt: Schema.Finite,
  /** What the tool returned, or the error that it told the model. */
  result: Schema.optionalKey(Schema.Json),
  /** Stands in for an absent `result`. */
  detail: Schema.optionalKey(Schema.String)
})

/**
 * What is known of one tool call, in a form that a checkpoint can hold.
 *
 * @category models
 * @since 0.1.0
 */
export interface CallRecord extends Schema.Schema.Type<typeof CallRecord> {}

/**
 * What {@link repair} made of a conversation.
 *
 * @category models
 * @since 0.1.0
 */
export interface Repaired<M> {
  /** The very array that came in, when nothing had to be done. */
  readonly messages: ReadonlyArray<M>
  /** The answers that were put in, in their order. */
  readonly repaired: ReadonlyArray<Answer>
  /** The ids of results that belong to no call, or to one that has a result already. They were taken out. */
  readonly dropped: ReadonlyArray<string>
}

/**
 * Closes every tool call that has no result, so that a provider accepts the
 * conversation.
 *
 * **When to use**
 *
 * Use before a conversation that was cut off is sent to a model. A loop that
 * executes what is still to be done itself does that first.
 *
 * **Details**
 *
 * The ledger is what was recorded about calls. A call that finished is answered
 * with its recorded result. One that started is answered with an error: that the
 * outcome is unknown when it mutates, to call again when it does not. One that
 * the ledger does not know never started. Without a ledger (`undefined`) nothing is known of any
 * call, and each one that is open has an unknown outcome. The last record of an
 * id counts.
 *
 * Answers go right behind the message that makes the calls, together with the
 * results that are there. Results in a later place are moved up, those of no
 * call are dropped, and a message that makes calls is never changed. A message
 * that needs no change stays the same object, so a checkpoint writes only what is
 * new. Repairing twice is repairing once.
 *
 * **Gotchas**
 *
 * The record that a call started must be stored before the call does anything:
 * a call without a record is told to be not executed. A call whose id another
 * call of the conversation has too, or whose record has another name, and that
 * has a record at all, is taken for unknown.
 *
 * **Example** (A run that was killed in the middle of a tool)
 *
 * ```ts
 * import { Transcript } from "@everbeat/core"
 *
 * const messages: ReadonlyArray<Transcript.Message> = [
 *   { role: "user", content: "Close issue 7." },
 *   { role: "assistant", content: "", calls: [{ id: "c1", name: "close_issue", input: { issue: 7 } }] }
 * ]
 * const started: Transcript.CallRecord = { id: "c1", name: "close_issue", mutates: true, status: "started", startedAt: 0 }
 *
 * const { messages: fit, repaired } = Transcript.repair(Transcript.chat, messages, [started])
 * repaired[0]?.how // => "outcome-unknown"
 * fit[2]?.content // => "INTERRUPTED: outcome unknown. Check the current state before calling this again."
 * fit[1] === messages[1] // => true
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const repair: <M>(
  adapter: Adapter<M>,
  messages: ReadonlyArray<M>,
  ledger: ReadonlyArray<CallRecord> | undefined
) => Repaired<M> = internal.repair

/**
 * Schema of a plain chat message, for loops that have no message type of their
 * own.
 *
 * **Details**
 *
 * `calls` are those of an `assistant` message. A `tool` message holds the result
 * of the one call that `callId` names.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Message = Schema.Struct({
  role: Schema.Literals(["system", "user", "assistant", "tool"]),
  content: Schema.String,
  calls: Schema.optionalKey(Schema.Array(
    Schema.Struct({ id: Schema.String, name: Schema.String, input: Schema.optionalKey(Schema.Json) })
  )),
  callId: Schema.optionalKey(Schema.String),
  isError: Schema.optionalKey(Schema.Boolean)
})

/**
 * A plain chat message: who says what, the tools it calls, or the call it
 * answers.
 *
 * @category models
 * @since 0.1.0
 */
export interface Message extends Schema.Schema.Type<typeof Message> {}

/**
 * The adapter of the plain {@link Message}: one `tool` message for each result.
 *
 * @category constructors
 * @since 0.1.0
 */
export const chat: Adapter<Message> = {
  role: (message) => message.role,
  text: (message) => message.content,
  calls: (message) => message.role === "assistant" ? message.calls ?? [] : [],
  results: (message) => message.role === "tool" ? [message.callId ?? ""] : [],
  answer: (answers) =>
    answers.map(({ id, isError, text }) => ({
      role: "tool",
      content: text,
      callId: id,
      ...(isError ? { isError } : undefined)
    }))
}
