/** What private servers have in common: a free port, and an end that does not depend on the tests. */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { chownSync, mkdtempSync, rmSync } from "node:fs"
import { createConnection, createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { isRoot, unprivileged } from "./install.ts"

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer().once("error", () => resolve(false))
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)))
  })

/**
 * A port that no outgoing connection of the machine is given: a server that is down for a moment gets it back, and who
 * asks for it meanwhile does not by chance connect to itself. The bus of a Redis Cluster, 10,000 above, is such a one too.
 */
export const freePort = async (tries = 100): Promise<number> => {
  const port = 10_000 + Math.floor(Math.random() * 12_768)
  if (await isFree(port)) return port
  if (tries === 0) throw new Error("no free port was found")
  return freePort(tries - 1)
}

/** A folder that the server owns and that is gone with this process. */
export const privateFolder = (name: string): string => {
  const folder = mkdtempSync(join(tmpdir(), `everbeat-${name}-`))
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }))
  if (isRoot) chownSync(folder, unprivileged.uid ?? 0, unprivileged.gid ?? 0)
  return folder
}

// The shell outlives the tests by a moment: when its input ends, also because they were killed, it stops the server
// and removes the folder. Signals to the group of the tests do not reach it.
const guardian = `dir=$1; signal=$2; shift 2; "$@" >> "$dir/log" 2>&1 & pid=$!
read -r word; [ -z "$word" ] || signal=$word
kill -"$signal" $pid; wait $pid; cd /; [ -n "$word" ] || rm -rf "$dir"`

/** A server that runs. */
export interface Launched {
  /** Stops it with its signal and removes its folder. */
  readonly stop: () => Promise<void>
  /** Stops it with another signal; the folder stays. */
  readonly crash: (signal: string) => Promise<void>
}

/** Runs a server in its folder, with its output in the file `log` there. */
export const launch = (folder: string, signal: string, command: ReadonlyArray<string>): Launched => {
  const guard: ChildProcess = spawn("sh", ["-c", guardian, "sh", folder, signal, ...command], {
    ...unprivileged,
    cwd: folder,
    detached: true,
    stdio: ["pipe", "ignore", "ignore"]
  })
  const end = async (word: string): Promise<void> => {
    const ended = guard.exitCode === null && guard.signalCode === null ? once(guard, "exit") : undefined
    guard.stdin?.end(word)
    await ended
  }
  return {
    stop: async () => {
      await end("")
      rmSync(folder, { recursive: true, force: true })
    },
    crash: (signal) => end(`${signal}\n`)
  }
}

/** A server that starts or stops accepts connections too, and refuses what they begin with. */
const isNotYet = (answer: Buffer): boolean => answer[0] === 0x45 && answer.includes("57P03")

const speaksPostgres = async (port: number): Promise<boolean> => {
  const socket = createConnection({ port, host: "127.0.0.1" })
  try {
    await once(socket, "connect")
    const names = Buffer.from("user\0everbeat\0database\0postgres\0\0")
    const head = Buffer.alloc(8)
    head.writeInt32BE(head.length + names.length, 0)
    head.writeInt32BE(196_608, 4) // version 3.0 of the protocol
    socket.write(Buffer.concat([head, names]))
    const [answer] = await once(socket, "data", { signal: AbortSignal.timeout(1_000) })
    return !isNotYet(answer)
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

/** Waits until clients of PostgreSQL are served on the port. */
export const isUp = async (port: number, tries = 300): Promise<boolean> => {
  if (await speaksPostgres(port)) return true
  if (tries === 0) return false
  await sleep(100)
  return isUp(port, tries - 1)
}
