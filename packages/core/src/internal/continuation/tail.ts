/**
 * The end of a conversation, as data.
 */
import type { Conversation } from "../../Continuation.ts"
import { signature } from "./blocks.ts"
import { body, bytesOf } from "./fence.ts"
import { limited, type Section } from "./section.ts"

/** What part of the tail's size the text of one message may take; its calls may take half of that. */
const share = 4
const maxCalls = 8

/**
 * Whole messages from the end, until they take `softBytes`; then nothing but
 * the last message of the assistant, if it is not among them.
 */
export const tailOf = <M>(
  { adapter, messages }: Conversation<M>,
  prompt: string,
  softBytes: number
): Section | undefined => {
  const entries: Array<string> = []
  let bytes = 0
  let left = 0
  let spoken = !messages.some((message) => adapter.role(message) === "assistant")
  for (const message of messages.toReversed()) {
    const role = adapter.role(message)
    const full = bytes >= softBytes
    if (full && spoken) break
    if (role === "system" || (role === "user" && adapter.text(message) === prompt)) continue
    if (full && role !== "assistant") {
      left++
      continue
    }
    const entry = entryOf(adapter, message, Math.floor(softBytes / share))
    if (entry === undefined) continue
    if (left > 0) entries.push(`| … ${left} messages left out …`)
    left = 0
    entries.push(entry)
    bytes += bytesOf(entry) + 1
    spoken ||= role === "assistant"
  }
  if (entries.length === 0) return undefined
  return {
    heading: "## The end of the earlier conversation",
    intro: "",
    data: [{ what: "conversation", body: entries.toReversed().join("\n") }]
  }
}

/** A message: who, then its text with a prefix of its own, so that no text can look like another message. */
const entryOf = <M>(adapter: Conversation<M>["adapter"], message: M, maxBytes: number): string | undefined => {
  const text = adapter.text(message)
  const calls = limited(adapter.calls(message).map((call) => `calls ${signature(call)}`), maxCalls, "calls")
  if (text.trim() === "" && calls.length === 0) return undefined
  return [
    `| ${adapter.role(message)}:`,
    ...(text.trim() === "" ? [] : [body(text, maxBytes, "|   ")]),
    ...(calls.length === 0 ? [] : [body(calls.join("\n"), Math.floor(maxBytes / 2))])
  ].join("\n")
}
