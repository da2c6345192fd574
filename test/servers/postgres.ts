/** A private PostgreSQL for tests: real binaries, a free port, a folder that is gone afterwards. */
import { execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { createConnection, createServer } from "node:net"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { installPackage, isExecutable, isRoot, say, unprivileged } from "./install.ts"

const debian = "/usr/lib/postgresql"

/** The folder with `initdb` and `postgres`, the newest version first. */
const find = (): string | undefined => {
  const versions = existsSync(debian) ? readdirSync(debian).toSorted((a, b) => Number(b) - Number(a)) : []
  const folders = [
    ...(process.env["PATH"] ?? "").split(delimiter),
    ...versions.map((version) => join(debian, version, "bin")),
    "/usr/local/bin",
    "/opt/homebrew/bin"
  ]
  return folders.find((folder) => isExecutable(join(folder, "initdb")) && isExecutable(join(folder, "postgres")))
}

const binaries = (): string => {
  const found = find()
  if (found !== undefined) return found
  installPackage("postgresql", "for the tests of @everbeat/store-postgres; or set EVERBEAT_TEST_POSTGRES_URL")
  const installed = find()
  if (installed === undefined) throw new Error("PostgreSQL was installed, but initdb and postgres were not found")
  return installed
}

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  server.close()
  await once(server, "close")
  if (address === null || typeof address === "string") throw new Error("no free port was found")
  return address.port
}

// The shell outlives the tests by a moment: when its input ends, also because they were killed, it stops the server
// and removes the folder. Signals to the group of the tests do not reach it.
const guardian = `dir=$1; shift; "$@" > "$dir/log" 2>&1 & pid=$!
read -r _; kill -INT $pid; wait $pid; cd /; rm -rf "$dir"`

const accepts = async (port: number): Promise<boolean> => {
  const socket = createConnection({ port, host: "127.0.0.1" })
  try {
    await once(socket, "connect")
    // SSLRequest: only a server that is ready for clients answers it.
    socket.write(Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]))
    const [answer] = await once(socket, "data", { signal: AbortSignal.timeout(1_000) })
    return String(answer) === "N" || String(answer) === "S"
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

const isUp = async (port: number, tries = 300): Promise<boolean> => {
  if (await accepts(port)) return true
  if (tries === 0) return false
  await sleep(100)
  return isUp(port, tries - 1)
}

/** One private server. */
export interface PostgresServer {
  readonly url: string
  readonly isPrivate: boolean
  readonly stop: () => Promise<void>
}

/** Uses the server of `EVERBEAT_TEST_POSTGRES_URL`, or starts a private one. */
export const startPostgres = async (): Promise<PostgresServer> => {
  const given = process.env["EVERBEAT_TEST_POSTGRES_URL"]
  if (given !== undefined && given !== "") {
    say("tests use the PostgreSQL of EVERBEAT_TEST_POSTGRES_URL")
    return { url: given, isPrivate: false, stop: async () => {} }
  }
  const bin = binaries()
  const folder = mkdtempSync(join(tmpdir(), "everbeat-postgres-"))
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }))
  if (isRoot) chownSync(folder, unprivileged.uid ?? 0, unprivileged.gid ?? 0)
  const data = join(folder, "data")
  const port = await freePort()
  const setUp = ["-D", data, "-U", "everbeat", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"]
  execFileSync(join(bin, "initdb"), setUp, { ...unprivileged, cwd: folder, stdio: ["ignore", "ignore", "pipe"] })
  const settings = [
    "listen_addresses=127.0.0.1",
    `port=${port}`,
    "unix_socket_directories=",
    "max_connections=200",
    "shared_buffers=32MB"
  ]
  const args = ["-D", data, ...settings.flatMap((setting) => ["-c", setting])]
  const guard = spawn("sh", ["-c", guardian, "sh", folder, join(bin, "postgres"), ...args], {
    ...unprivileged,
    cwd: folder,
    detached: true,
    stdio: ["pipe", "ignore", "ignore"]
  })
  const stop = async (): Promise<void> => {
    const ended = guard.exitCode === null && guard.signalCode === null ? once(guard, "exit") : undefined
    guard.stdin.end()
    await ended
    rmSync(folder, { recursive: true, force: true })
  }
  if (!await isUp(port)) {
    const log = existsSync(join(folder, "log")) ? readFileSync(join(folder, "log"), "utf8").slice(-2_000) : ""
    await stop()
    throw new Error(`PostgreSQL did not start on port ${port}\n${log}`)
  }
  const version = execFileSync(join(bin, "postgres"), ["--version"], { encoding: "utf8", cwd: "/" }).trim()
  say(`started ${version} on port ${port}, for these tests only`)
  return { url: `postgres://everbeat@127.0.0.1:${port}/postgres`, isPrivate: true, stop }
}
