/** Plays one release: a process that is killed at some line of the journal, and another one that goes on. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Forge from "./Forge.ts"

export interface Played {
  readonly killed: boolean
  readonly lines: ReadonlyArray<Forge.Line>
  /** What the last process printed. */
  readonly said: string
}

const worker = async (
  env: Readonly<Record<string, string>>
): Promise<{ readonly signal: unknown; readonly said: string }> => {
  const script = join(import.meta.dirname, "worker.ts")
  const child = spawn(process.execPath, ["--conditions=@everbeat/source", script], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "inherit"]
  })
  let said = ""
  child.stdout.setEncoding("utf8").on("data", (text: string) => (said += text))
  const [, signal]: ReadonlyArray<unknown> = await once(child, "close")
  return { signal, said: said.trim() }
}

/** Without a `killAt` nobody is killed. Each `schema` is a store of its own. */
export const play = async (store: string, schema: string, killAt?: number): Promise<Played> => {
  const folder = mkdtempSync(join(tmpdir(), "everbeat-release-"))
  try {
    const forge = join(folder, "forge.jsonl")
    const env = { EVERBEAT_STORE: store, EVERBEAT_SCHEMA: schema, FORGE: forge }
    let last = await worker({ ...env, KILL_AT: String(killAt) })
    const killed = last.signal === "SIGKILL"
    if (killed) last = await worker(env)
    return { killed, lines: Forge.lines(forge), said: last.said }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
