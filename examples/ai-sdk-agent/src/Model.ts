/** In place of a model of a provider: it works offline, and knows only what the conversation tells it. */
import { MockLanguageModelV4 } from "ai/test"

type Options = NonNullable<ConstructorParameters<typeof MockLanguageModelV4>[0]>
type Ask = Extract<NonNullable<Options["doGenerate"]>, (...input: never) => unknown>
type Prompt = Parameters<Ask>[0]["prompt"]
type Answer = Awaited<ReturnType<Ask>>

const steps = [["list_changes"], ["write_notes", "tag_release"], ["announce"]]

/** The tools whose results the conversation holds, and those of which nobody knows what they did. */
const read = (prompt: Prompt) => {
  const finished = new Set<string>()
  const unknown = new Set<string>()
  for (const message of prompt) {
    if (message.role !== "tool") continue
    for (const part of message.content) {
      if (part.type !== "tool-result") continue
      const { output, toolName } = part
      if (toolName === "check_state" && output.type === "json" && Array.isArray(output.value)) {
        unknown.clear()
        for (const name of output.value) finished.add(String(name))
      } else if (output.type === "error-text") {
        if (output.value.startsWith("INTERRUPTED")) unknown.add(toolName)
      } else finished.add(toolName)
    }
  }
  return { finished, unknown }
}

/** What to call next; nothing when the work is done. */
const next = (prompt: Prompt): ReadonlyArray<string> => {
  const { finished, unknown } = read(prompt)
  if (unknown.size > 0) return ["check_state"]
  return steps.map((step) => step.filter((name) => !finished.has(name))).find((step) => step.length > 0) ?? []
}

/** Lists the changes, writes the notes and tags at once, announces. It is told what was asked of it. */
export const make = (asked: (names: ReadonlyArray<string>) => void) =>
  new MockLanguageModelV4({
    doGenerate: async ({ prompt }): Promise<Answer> => {
      const names = next(prompt)
      asked(names)
      return {
        content: names.length === 0
          ? [{ type: "text", text: "Version 1.2.0 is out." }]
          : names.map((name) => ({
            type: "tool-call",
            toolCallId: `${name}-${prompt.length}`,
            toolName: name,
            input: JSON.stringify({ version: "1.2.0" })
          })),
        finishReason: { unified: names.length === 0 ? "stop" : "tool-calls", raw: undefined },
        usage: {
          inputTokens: { total: 0, noCache: 0, cacheRead: undefined, cacheWrite: undefined },
          outputTokens: { total: 0, text: 0, reasoning: undefined }
        },
        warnings: []
      }
    }
  })
