/**
 * What a resumed agent is told.
 *
 * An agent that is continued in another attempt has forgotten everything but
 * its prompt. {@link compose} writes what it has to know: that it continues,
 * what it noted, where its files are, what became of its tool calls, what to do
 * and what not to do. It is a pure function: the same input gives the same
 * text.
 *
 * @since 0.1.0
 */
import type * as DateTime from "effect/DateTime"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as internal from "./internal/continuation/compose.ts"
import type { Adapter, Answer } from "./Transcript.ts"

/**
 * A file that differs from the base of the workspace. Lines are absent for a
 * binary file.
 *
 * @category models
 * @since 0.1.0
 */
export interface Entry {
  readonly path: string
  /** Added, modified, deleted, or of another type. */
  readonly status: "A" | "M" | "D" | "T"
  readonly added?: number | null | undefined
  readonly deleted?: number | null | undefined
}

/**
 * A file that is not in the snapshot, and why. Only this is told of it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Skipped {
  readonly path: string
  readonly reason: string
}

/**
 * The files that the agent finds.
 *
 * @category models
 * @since 0.1.0
 */
export interface Workspace {
  readonly path: string
  readonly branch?: string | null | undefined
  /** The commit that the changes are on top of. */
  readonly base?: string | null | undefined
  /** The commit of the snapshot. */
  readonly commit?: string | null | undefined
  /**
   * `in-place`: the workspace of the earlier attempt, as it was. `fresh`: restored into another one. `failed`: saved,
   * but not restored. `none`: nothing was saved.
   */
  readonly restored: "in-place" | "fresh" | "failed" | "none"
  /** Whether the files are exactly those of the snapshot. */
  readonly exact: boolean
  /** Whether the earlier attempt may have changed files after the snapshot: it was killed, and its workspace is gone. */
  readonly behind?: boolean | undefined
  readonly entries: ReadonlyArray<Entry>
  /** How many files differ, when `entries` is only a part of them. */
  readonly files?: number | undefined
  readonly skipped: ReadonlyArray<Skipped>
  /** The changes as a diff. Shown only when it is small; the parts of skipped files are left out. */
  readonly patch?: string | undefined
}

/**
 * The saved conversation: an adapter, and what `Transcript.repair` returned.
 *
 * @category models
 * @since 0.1.0
 */
export interface Conversation<in out M> {
  readonly adapter: Adapter<M>
  readonly messages: ReadonlyArray<M>
  readonly repaired: ReadonlyArray<Answer>
}

/**
 * What is known of a run that is continued.
 *
 * @category models
 * @since 0.1.0
 */
export interface Input<in out M> {
  /** The original prompt. */
  readonly prompt: string
  /** The number of the attempt that begins: 2 for the first continuation. */
  readonly attempt: number
  readonly maxAttempts: number
  /** How the previous attempt ended. */
  readonly previous?: { readonly reason: string; readonly endedAt?: DateTime.Utc | undefined } | undefined
  readonly iteration: number
  /** `""` when there is none. */
  readonly phase: string
  readonly completedPhases: ReadonlyArray<string>
  readonly notes: string
  readonly workspace?: Workspace | undefined
  readonly conversation?: Conversation<M> | undefined
  /** What the one who resumes the run wants to add. It is told last, as an instruction: it must come from whom you trust. */
  readonly followUp?: string | undefined
}

/**
 * The parts of the prompt, in their order; `""` for one that has nothing to
 * say. What comes from the earlier attempt is fenced in all of them.
 *
 * @category models
 * @since 0.1.0
 */
export interface Blocks {
  /** Which attempt this is, how the previous one ended, how far it came; what the fences mean. */
  readonly facts: string
  /** The notes of the agent or, when there are none, its last words. */
  readonly notes: string
  readonly workspace: string
  /** Tool calls that had no result when the attempt ended. */
  readonly calls: string
  /** The end of the conversation. */
  readonly tail: string
  readonly instruction: string
  readonly followUp: string
}

/**
 * Writes the prompt out of its parts.
 *
 * @category models
 * @since 0.1.0
 */
export type Custom<in out M> = (blocks: Blocks, input: Input<M>) => string

/**
 * Options of {@link compose}.
 *
 * **Details**
 *
 * A size is in bytes of UTF-8, with the fence's marks; it should not be below
 * 256. What is too long loses its middle, and the text says how many bytes.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<in out M> {
  /**
   * `notes`: facts, notes, files, open calls and instruction. `tail`: the end of the conversation too. `transcript`: the
   * whole conversation goes on. A function writes the prompt itself.
   *
   * @default "notes"
   */
  readonly policy?: "notes" | "tail" | "transcript" | Custom<M> | undefined
  /**
   * What the agent is to do.
   *
   * @default {@link instruction}
   */
  readonly instruction?: string | undefined
  /** @default 8192 */
  readonly notesBytes?: number | undefined
  /**
   * A diff that takes more is left out.
   *
   * @default 16384
   */
  readonly patchBytes?: number | undefined
  /**
   * The tail grows up to here by whole messages, and up to twice as much to hold the last message of the assistant.
   *
   * @default 16384
   */
  readonly tailBytes?: number | undefined
  /**
   * The most that the messages of `transcript` may take as JSON.
   *
   * @default 393216
   */
  readonly transcriptBytes?: number | undefined
}

/**
 * What the resumed agent begins with: `messages`, then `original` and `prompt`
 * as the user's, where there are any.
 *
 * @category models
 * @since 0.1.0
 */
export interface Continuation<out M> {
  /** What the agent is told. `""` when `messages` says all. */
  readonly prompt: string
  /** The original prompt, word by word; absent when `messages` holds it. */
  readonly original: string | undefined
  /** The conversation to go on with; empty unless the policy is `transcript`. */
  readonly messages: ReadonlyArray<M>
}

/**
 * Error returned when the saved conversation is too large to go on with.
 *
 * @category errors
 * @since 0.1.0
 */
export class TranscriptTooLarge
  extends Schema.TaggedError<TranscriptTooLarge>("@everbeat/core/TranscriptTooLarge")("TranscriptTooLarge", {
    bytes: Schema.Int,
    limit: Schema.Int
  })
{
  override get message(): string {
    return `The saved conversation takes ${this.bytes} bytes; ${this.limit} are allowed to go on with.`
  }
  get hint(): string {
    return "Continue with the policy notes or tail, compact the conversation while it runs, or raise transcriptBytes."
  }
}

/**
 * What a resumed agent is told to do, unless `Options.instruction` says
 * otherwise.
 *
 * @category constants
 * @since 0.1.0
 */
export const instruction: string = internal.instruction

/**
 * What an agent is told that goes on with a conversation in which the assistant
 * had the last word, when there is nothing else to say.
 *
 * **When to use**
 *
 * Use to see that nobody asks for more: a loop whose last answer made no calls
 * had ended, and need not ask its model again.
 *
 * @category constants
 * @since 0.1.0
 */
export const goOn: string = internal.goOn

/**
 * Composes what a resumed agent is told.
 *
 * **Details**
 *
 * The prompt has, in this order: facts (at most 10 lines), notes (8 KiB),
 * files (40 lines, and a diff of up to 16 KiB), open tool calls (20 lines), the end of the conversation (16 KiB,
 * 32 KiB at most; policy `tail` alone), the instruction, the follow-up.
 *
 * Notes, names of files, diffs, calls and conversation are text that somebody else may have written.
 * Each stands between two markers with a token that occurs nowhere in it, and each
 * of its lines begins with `| `: it cannot end its own fence. Control characters,
 * and those that are not seen or change the direction, are spelled out.
 *
 * With `transcript` the conversation goes on as it was, and nothing is added but
 * what it cannot know: the follow-up, the files when they are not where they
 * were, and a word to go on when the assistant had the last one. A conversation
 * that is too large is refused. Without one, `transcript` is `notes`.
 *
 * **Example** (Going on after a timeout)
 *
 * ```ts
 * import { Continuation } from "@everbeat/core"
 * import { Result } from "effect"
 *
 * const composed = Continuation.compose({
 *   prompt: "Fix the flaky test.",
 *   attempt: 2,
 *   maxAttempts: 3,
 *   previous: { reason: "timeout" },
 *   iteration: 12,
 *   phase: "fix",
 *   completedPhases: ["reproduce"],
 *   notes: "The clock is mocked too late."
 * })
 * const { original, prompt } = Result.getOrThrow(composed)
 * original // => "Fix the flaky test."
 * prompt.includes("| The clock is mocked too late.") // => true
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const compose = <M = never>(
  input: Input<M>,
  options?: Options<M>
): Result.Result<Continuation<M>, TranscriptTooLarge> =>
  Result.mapError(internal.compose(input, options), (size) => new TranscriptTooLarge(size))
