import { assert, describe, it } from "@effect/vitest"
import { execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"

/** The processes below this one, and those below them. */
const below = (pid: number): ReadonlyArray<number> => {
  const all = execFileSync("ps", ["-e", "-o", "pid=,ppid="], { encoding: "utf8" })
    .trim().split("\n").map((line) => line.trim().split(/\s+/).map(Number))
  const find = (parent: number): ReadonlyArray<number> =>
    all.flatMap(([child = 0, of]) => of === parent ? [child, ...find(child)] : [])
  return find(pid)
}

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

describe("a fleet under fire that is interrupted", () => {
  it("leaves no process and no file behind", async () => {
    const folder = mkdtempSync(join(tmpdir(), "everbeat-chaos-test-"))
    try {
      const script = join(import.meta.dirname, "../main.ts")
      const child = spawn(
        process.execPath,
        ["--conditions=@everbeat/source", "--no-warnings", script, "--seconds", "600", "--store", "redis"],
        // Frozen workers are among them: those hear no signal but one.
        { env: { ...process.env, TMPDIR: folder }, stdio: ["ignore", "ignore", "pipe"] }
      )
      const ended = once(child, "exit")
      let said = ""
      child.stderr.on("data", (chunk) => said += String(chunk))
      while (!said.includes("4 workers")) await once(child.stderr, "data")
      await sleep(3000)
      const others = below(child.pid ?? 0)
      assert.isAbove(others.length, 4)
      assert.isAbove(readdirSync(folder).length, 0)
      child.kill("SIGINT")
      const [code]: ReadonlyArray<unknown> = await ended
      assert.strictEqual(code, 130, said)
      for (let look = 0; look < 100 && others.some(isAlive); look++) await sleep(100)
      assert.deepStrictEqual(others.filter(isAlive), [])
      assert.deepStrictEqual(readdirSync(folder), [])
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }, 300_000)
})
