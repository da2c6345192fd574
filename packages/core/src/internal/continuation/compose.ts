/**
 * Puts the blocks of a continuation together, by policy.
 */
import * as Result from "effect/Result"
import type { Blocks, Continuation, Input, Options } from "../../Continuation.ts"
import type { Adapter } from "../../Transcript.ts"
import * as blocks from "./blocks.ts"
import { bytesOf, tokenFor } from "./fence.ts"
import { show } from "./section.ts"
import { tailOf } from "./tail.ts"
import { movedFiles, workspaceOf } from "./workspace.ts"

export const instruction = `Go on from here.
- Look at the current state first: the status and the diff of the files, and what else you changed. Where the notes and \
the files disagree, the files are right.
- Finish what remains of the original task, all of it. Do not repeat work that is finished, and do not apply a diff \
whose changes are in place.
- Repeat a tool call whose outcome is unknown only after you have checked what it did.`

export const goOn = "Go on from here."

/** Why a conversation is refused. */
interface TooLarge {
  readonly bytes: number
  readonly limit: number
}

export const compose = <M>(
  input: Input<M>,
  options: Options<M> = {}
): Result.Result<Continuation<M>, TooLarge> => {
  const { conversation } = input
  if (options.policy === "transcript" && conversation !== undefined && conversation.messages.length > 0) {
    const { adapter, messages } = conversation
    const limit = options.transcriptBytes ?? 384 * 1024
    const bytes = messages.reduce((sum, message) => sum + jsonBytes(adapter, message), 0)
    if (bytes > limit) return Result.fail({ bytes, limit })
    return Result.succeed({ prompt: afterTranscript(input, adapter, messages), original: undefined, messages })
  }
  const parts = render(input, options)
  const prompt = typeof options.policy === "function" ? options.policy(parts, input) : join(Object.values(parts))
  return Result.succeed({ prompt, original: input.prompt, messages: [] })
}

const join = (texts: ReadonlyArray<string>): string => texts.filter((text) => text !== "").join("\n\n")

const render = <M>(input: Input<M>, options: Options<M>): Blocks => {
  const { conversation, followUp = "" } = input
  const withTail = options.policy === "tail" || typeof options.policy === "function"
  const notes = blocks.notesOf(input, options.notesBytes ?? 8 * 1024, options.policy !== "tail")
  const workspace = workspaceOf(input.workspace, options.patchBytes ?? 16 * 1024)
  const calls = blocks.callsOf(conversation?.repaired ?? [])
  const tail = withTail && conversation !== undefined
    ? tailOf(conversation, input.prompt, options.tailBytes ?? 16 * 1024)
    : undefined
  const data = [notes, workspace, calls, tail].flatMap((section) => section?.data ?? [])
  const token = tokenFor(data.map(({ body }) => body))
  return {
    facts: blocks.factsOf(input, data.length === 0 ? undefined : token),
    notes: show(notes, token),
    workspace: show(workspace, token),
    calls: show(calls, token),
    tail: show(tail, token),
    instruction: `## What to do now\n${options.instruction ?? instruction}`,
    followUp: followUp === "" ? "" : `${blocks.followUpHeading}\n${followUp}`
  }
}

/** What a conversation that goes on cannot know. */
const afterTranscript = <M>(input: Input<M>, adapter: Adapter<M>, messages: ReadonlyArray<M>): string => {
  const { followUp = "", workspace } = input
  const moved = movedFiles(workspace)
  const token = tokenFor((moved?.data ?? []).map(({ body }) => body))
  const prompt = join([
    moved === undefined ? "" : `${blocks.interrupted} ${blocks.fenceRule(token)}`,
    show(moved, token),
    followUp
  ])
  const last = messages[messages.length - 1]
  // Providers refuse a conversation that ends with the assistant, or take it for the start of the answer.
  return prompt === "" && last !== undefined && adapter.role(last) === "assistant" ? goOn : prompt
}

const jsonBytes = <M>(adapter: Adapter<M>, message: M): number => {
  try {
    return bytesOf(JSON.stringify(message) ?? "")
  } catch {
    return bytesOf(adapter.text(message)) // cyclic, or with a bigint
  }
}
