import { afterAll, describe, expect, it } from "@effect/vitest"
import { agent, createEverbeat, heartbeat } from "@everbeat/core/promise"
import { CheckpointStoreTest, RunStoreTest } from "@everbeat/core/testing"
import { Effect, Layer } from "effect"
import { execFile } from "node:child_process"
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { journalStore, layerWith } from "../src/JournalStore.ts"

const folder = mkdtempSync(join(tmpdir(), "everbeat-journal-"))
afterAll(() => rmSync(folder, { recursive: true }))

let files = 0
const newFile = (): string => join(folder, `${++files}.jsonl`)
const layer = Layer.unwrap(Effect.sync(() => layerWith({ file: newFile() })))

// Each case is told to a store that has an empty file, and whose clock is that of the test.
CheckpointStoreTest.suite("journal", layer)
RunStoreTest.suite("journal", layer)

describe("a restart", () => {
  const triage = heartbeat().step("sync", () => 3)

  it("finds what was recorded, and answers a key with the recorded report", async () => {
    const file = newFile()
    const first = createEverbeat({ store: journalStore({ file }), heartbeats: { triage } })
    const report = await first.run("triage", { key: "k" })
    await first.dispose()
    await using second = createEverbeat({ store: journalStore({ file }), heartbeats: { triage } })
    expect(await second.run("triage", { key: "k" })).toMatchObject({ runId: report.runId, origin: "replayed" })
    expect((await second.runs.list()).items.map(({ status }) => status)).toEqual(["ok"])
  })

  it("forgets half a line, of which nobody was told that it is stored", async () => {
    const file = newFile()
    const first = createEverbeat({ store: journalStore({ file }), heartbeats: { triage } })
    const { runId } = await first.run("triage")
    await first.dispose()
    const whole = readFileSync(file, "utf8")
    appendFileSync(file, `{"at":1,"name":"er`)
    await using second = createEverbeat({ store: journalStore({ file }), heartbeats: { triage } })
    expect((await second.runs.get(runId)).status).toBe("ok")
    expect(readFileSync(file, "utf8")).toBe(whole)
  })

  it("continues a run of an agent with its messages", async () => {
    const file = newFile()
    let saved = (): void => {}
    const isSaved = new Promise<void>((resolve) => {
      saved = resolve
    })
    const loops = agent("loops", {
      run: async (ctx) => {
        if (ctx.resume !== undefined) return ctx.resume.messages
        await ctx.checkpoint.save({ messages: ["kept \u{d800} \0"], iteration: 1 })
        saved()
        return new Promise<never>((_, reject) => ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason)))
      }
    })
    const first = createEverbeat({ store: journalStore({ file }), agents: [loops] })
    const { result, runId } = await first.agent.start("loops")
    const stopped = result().catch((error: unknown) => error)
    await isSaved
    await first.dispose({ graceMs: 0 })
    expect(await stopped).toMatchObject({ code: "run-interrupted" })
    await using second = createEverbeat({ store: journalStore({ file }), agents: [loops], recovery: false })
    const resumed = await second.agent.resume("loops", runId)
    expect(await resumed.result()).toEqual(["kept \u{d800} \0"])
  })
})

describe("a file that cannot be opened", () => {
  it("is an error that says so, and the next call tries again", async () => {
    await using everbeat = createEverbeat({ store: journalStore({ file: join(folder, "nowhere", "runs.jsonl") }) })
    await expect(everbeat.ready()).rejects.toMatchObject({ name: "StoreError" })
    await expect(everbeat.ready()).rejects.toThrow("ENOENT")
  })
})

it("the demo stops, restarts and goes on", async () => {
  const demo = join(import.meta.dirname, "../src/demo.ts")
  const { stdout } = await promisify(execFile)(process.execPath, ["--conditions=@everbeat/source", demo])
  const lines = stdout.split("\n").filter((line) => /^(?:stopped|went on|recorded)/.test(line))
  expect(lines).toEqual(["stopped after one message", "went on: first process, second process", "recorded: ok"])
})
