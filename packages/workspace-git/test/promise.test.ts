import { agent, createEverbeat, InvalidOptions } from "@everbeat/core/promise"
import { memoryStore } from "@everbeat/store-memory/promise"
import { gitWorkspace } from "@everbeat/workspace-git/promise"
import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { git } from "./support.ts"

describe("gitWorkspace", () => {
  it("keeps the files of an agent, and tells the next attempt where they are", async () => {
    const folder = realpathSync(mkdtempSync(join(tmpdir(), "everbeat-promise-")))
    const repo = join(folder, "repo")
    git(folder, "init", "-q", "-b", "main", repo)
    git(repo, "commit", "-q", "--allow-empty", "-m", "first")
    const coder = agent("coder", {
      backoff: () => 0,
      resumeOn: () => true,
      run: async (ctx) => {
        const cwd = ctx.workspace?.cwd ?? repo
        if (ctx.resume === undefined) {
          writeFileSync(join(cwd, "work.txt"), "done")
          const kept = await ctx.workspace?.snapshot()
          await ctx.checkpoint.note(`${kept?.files} file, ${kept?.createdAt instanceof Date}`)
          throw new Error("again")
        }
        return {
          text: readFileSync(join(ctx.resume.workspace?.cwd ?? "", "work.txt"), "utf8"),
          notes: ctx.resume.notes,
          complete: ctx.resume.workspace?.complete,
          told: ctx.resume.continuation.prompt.includes("work.txt")
        }
      }
    })
    const everbeat = createEverbeat({ store: memoryStore(), agents: [coder], workspace: gitWorkspace({ cwd: repo }) })
    const handle = await everbeat.agent.start("coder", { prompt: "Work" })
    expect(await handle.result()).toEqual({ text: "done", notes: "1 file, true", complete: true, told: true })
    await everbeat.dispose()
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
  })

  it("tells of every wrong option", () => {
    expect(() => gitWorkspace({ cwd: 1, branches: true } as never)).toThrow(InvalidOptions)
  })
})
