/** An agent that is told to stop in the middle, and goes on after a restart, from what is in the file. */
import { agent, createEverbeat, json } from "@everbeat/core/promise"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { journalStore } from "./JournalStore.ts"

const folder = mkdtempSync(join(tmpdir(), "everbeat-journal-"))
const file = join(folder, "runs.jsonl")

let reached = (): void => {}
const halfway = new Promise<void>((resolve) => {
  reached = resolve
})
const counter = agent("counter", {
  message: json<string>(),
  run: async (ctx) => {
    const messages = [...(ctx.resume?.messages ?? [])]
    const save = () => ctx.checkpoint.save({ messages: [...messages], iteration: messages.length })
    if (ctx.attempt === 1) {
      messages.push("first process")
      await save()
      reached()
      await new Promise((_, reject) => ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason)))
    }
    messages.push("second process")
    await save()
    return messages
  }
})

const first = createEverbeat({ store: journalStore({ file }), agents: [counter] })
const { result, runId } = await first.agent.start("counter")
const stopped = result().catch((error: unknown) => error)
await halfway
await first.dispose({ graceMs: 0 })
await stopped
console.log("stopped after one message")

const second = createEverbeat({ store: journalStore({ file }), agents: [counter], recovery: false })
const resumed = await second.agent.resume("counter", runId)
console.log(`went on: ${(await resumed.result()).join(", ")}`)
console.log(`recorded: ${(await second.runs.get(runId)).status}`)
await second.dispose()
rmSync(folder, { recursive: true })
