/** A loop in a process of its own that is killed for real, in the middle of a tool, and another one that goes on. */
import { assert, it } from "@effect/vitest"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { freshStore } from "./postgres.ts"
import { World } from "./world.ts"

/** Starts the worker of an adapter: it runs the agent on that store and writes each change into the journal. */
const start = (script: string, args: ReadonlyArray<string>) => {
  const { NODE_OPTIONS: _, VITEST: __, ...env } = process.env
  const child = spawn(process.execPath, ["--conditions=@everbeat/source", script, ...args], {
    env,
    stdio: ["ignore", "pipe", "pipe"]
  })
  let output = ""
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += String(chunk)))
  const ended = once(child, "close").then(([code]: ReadonlyArray<unknown>) => code)
  return { child, ended, output: () => output }
}

/** Defines the test: `script` is the worker of the adapter. */
export const killed = (script: string): void =>
  it("is killed with SIGKILL in the middle of a tool, and goes on in another process", async () => {
    const folder = mkdtempSync(join(tmpdir(), "everbeat-loops-"))
    const journal = join(folder, "journal")
    writeFileSync(journal, "")
    const lines = () => readFileSync(journal, "utf8").split("\n").filter((line) => line !== "")
    const { schema, url } = freshStore()
    try {
      const first = start(script, [url, schema, journal, "label"])
      for (let tries = 0; tries < 600 && lines().length < 2; tries++) {
        if (first.child.exitCode !== null) break
        // oxlint-disable-next-line eslint/no-await-in-loop -- until it has come so far
        await setTimeout(100)
      }
      assert.sameMembers(lines(), ["comment", "label"], first.output())
      first.child.kill("SIGKILL")
      await first.ended
      const second = start(script, [url, schema, journal, ""])
      const code = await second.ended
      assert.strictEqual(code, 0, second.output())
      assert.deepStrictEqual(lines().toSorted(), [...World.once])
      assert.include(second.output(), "ok \"All is done.\" 2 attempts, told of an open call: true")
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }, 180_000)
