/** The agent: a loop of the AI SDK that survives. */
import { AiSdk } from "@everbeat/adapter-ai-sdk"
import { agent, json } from "@everbeat/core/promise"
import { generateText, tool } from "ai"
import { z } from "zod"
import * as Forge from "./Forge.ts"
import * as Model from "./Model.ts"

const inputSchema = z.object({ version: z.string() })

export const releaser = agent("releaser", {
  ...AiSdk.options,
  result: json<string>(),
  maxAttempts: 10,
  run: async (ctx) => {
    const change = (name: string, description: string) =>
      tool({
        description,
        inputSchema,
        execute: ({ version }) => {
          Forge.write(ctx.attempt, "did", name)
          return { version }
        }
      })
    const reads = { everbeat: { mutates: false } }
    const loop = AiSdk.loop(ctx, {
      model: Model.make((names) => Forge.write(ctx.attempt, "asked", names.join(" + ") || "the answer")),
      tools: {
        list_changes: tool({
          description: "Lists what was merged since the last release.",
          inputSchema,
          metadata: reads,
          execute: () => ["Fix the flaky test", "Faster start"]
        }),
        check_state: tool({
          description: "Tells what of the release is done.",
          inputSchema,
          metadata: reads,
          execute: () => [...Forge.done()]
        }),
        write_notes: change("write_notes", "Publishes the notes."),
        tag_release: change("tag_release", "Tags the release."),
        announce: change("announce", "Announces the release in the channel.")
      }
    })
    const { text } = await generateText({ ...loop, instructions: "You release versions. Never do anything twice." })
    return text
  }
})
