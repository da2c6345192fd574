/** Starts processes that save, and kills them. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { createInterface } from "node:readline"

/** A process of `victim.ts`. */
export interface Victim {
  /** The run whose old state is durable. */
  readonly runId: string
  /** Begins to save the new state. */
  readonly go: () => void
  /** Resolves when the new state is durable too, if it lives that long. */
  readonly saved: Promise<void>
  readonly kill: () => void
  readonly ended: Promise<unknown>
}

export const startVictim = async (...args: ReadonlyArray<string>): Promise<Victim> => {
  const script = join(import.meta.dirname, "victim.ts")
  const child = spawn(process.execPath, ["--conditions=@everbeat/source", script, ...args], {
    stdio: ["pipe", "pipe", "pipe"]
  })
  let complaints = ""
  child.stderr.on("data", (chunk) => (complaints += String(chunk)))
  child.stdin.on("error", () => {})
  const ended = once(child, "exit")
  const lines = createInterface({ input: child.stdout })
  const saved = new Promise<void>((resolve) => lines.on("line", (line) => line === "saved" && resolve()))
  const first = once(lines, "line").then(([line]) => String(line))
  const runId = await Promise.race([first, ended.then(() => Promise.reject(new Error(complaints)))])
  return { runId, go: () => child.stdin.write("go\n"), saved, kill: () => child.kill("SIGKILL"), ended }
}
