import { assert, describe, it } from "@effect/vitest"
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { existsSync } from "node:fs"
import { join } from "node:path"

const patience = 180_000

/** Runs the demo as its npm command does. */
const play = (...args: ReadonlyArray<string>) => {
  const { EVERBEAT_STORE: _, NODE_OPTIONS: __, VITEST: ___, ...env } = process.env
  const file = join(import.meta.dirname, "../src/demo.ts")
  const child = spawn(process.execPath, ["--conditions=@everbeat/source", file, ...args], {
    env,
    stdio: ["ignore", "pipe", "pipe"]
  })
  const seen = new Set<() => void>()
  let output = ""
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text
      for (const look of seen) look()
    })
  }
  const ended = once(child, "close").then(([code]: ReadonlyArray<unknown>) => code)
  return {
    child,
    ended,
    output: () => output,
    says: (text: string) =>
      Promise.race([
        ended,
        new Promise<void>((resolve) => {
          seen.add(() => {
            if (output.includes(text)) resolve()
          })
        })
      ])
  }
}

const lastLine = (output: string): string => output.trimEnd().split("\n").at(-1) ?? ""

/** The folder of the demo, which is in the arguments or the environment of each of its processes. */
const rootOf = (output: string): string => /works in (\S+)\/project,/.exec(output)?.[1] ?? assert.fail(output)

const leavesNothing = (output: string): void => {
  const root = rootOf(output)
  assert.isFalse(existsSync(root), root)
  // e: with the environment, which names the folder too.
  const { stdout } = spawnSync("ps", ["axeww"], { encoding: "utf8" })
  assert.notInclude(stdout, root)
  const [, server] = /started .*PostgreSQL.* on (port \d+)/.exec(output) ?? []
  if (server !== undefined) assert.notInclude(stdout, server.replace(" ", "="))
}

describe("npm run demo:resume", () => {
  it("shows that the run goes on after a timeout and after kill -9, once each, and ends with 0", async () => {
    const demo = play()
    const code = await demo.ended
    const output = demo.output()
    assert.deepStrictEqual(JSON.parse(lastLine(output)), {
      timeoutResumed: true,
      killResumed: true,
      iterationsRepeated: 0,
      claims: 1,
      branchPruned: true,
      mainMoved: false
    }, output)
    assert.strictEqual(code, 0, output)
    assert.notInclude(output, "NOT AS PROMISED")
    leavesNothing(output)
  }, patience)

  it("does not end with 0 when the agent forgets what it did", async () => {
    const demo = play(join(import.meta.dirname, "support/forgetful.ts"))
    const code = await demo.ended
    const output = demo.output()
    const verdict = JSON.parse(lastLine(output))
    assert.strictEqual(code, 1, output)
    assert.isAbove(verdict.iterationsRepeated, 0)
    assert.deepStrictEqual([verdict.timeoutResumed, verdict.killResumed], [false, false])
    leavesNothing(output)
  }, patience)

  it.each(["SIGINT", "SIGTERM"] as const)("leaves nothing behind when %s stops it", async (signal) => {
    const demo = play()
    await demo.says("saved, of")
    demo.child.kill(signal)
    const code = await demo.ended
    assert.notStrictEqual(code, 0, demo.output())
    leavesNothing(demo.output())
  }, patience)
})
