/** Private Redis servers for tests: real binaries, free ports, folders that are gone afterwards. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { chownSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { connect } from "node:net"
import { delimiter, join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { installPackage, isExecutable, isRoot, unprivileged } from "./install.ts"
import { freePort } from "./process.ts"

const usualPlaces = ["/usr/bin", "/usr/local/bin", "/usr/sbin", "/opt/homebrew/bin", "/usr/lib/redis/bin"]

const find = (): string | undefined =>
  [...(process.env["PATH"] ?? "").split(delimiter), ...usualPlaces]
    .flatMap((folder) => ["redis-server", "valkey-server"].map((name) => join(folder, name)))
    .find(isExecutable)

/** The server's binary; it is installed when that is possible. */
const redisBinary = (): string => {
  const found = find()
  if (found !== undefined) return found
  installPackage("redis-server", "for the tests of @everbeat/store-redis")
  const installed = find()
  if (installed === undefined) throw new Error("redis-server was installed, but was not found")
  return installed
}

// The shell outlives whoever started it by a moment: when its input ends, also because the tests were killed, it takes
// the server down and removes the folder. Signals to the group of the tests do not reach it.
const guardian =
  `dir=$1; shift; "$@" > /dev/null 2>&1 & pid=$!; echo $pid; read -r word; kill -9 $pid; wait $pid; [ "$word" = keep ] || rm -rf "$dir"`

const launch = async (folder: string, args: ReadonlyArray<string>) => {
  const guard = spawn("sh", ["-c", guardian, "sh", folder, redisBinary(), ...args], {
    ...unprivileged,
    cwd: folder,
    detached: true,
    stdio: ["pipe", "pipe", "ignore"]
  })
  const [line] = await once(guard.stdout, "data")
  return { guard, pid: Number(String(line)) }
}

const end = async (guard: ChildProcess, word = ""): Promise<void> => {
  if (guard.exitCode !== null || guard.signalCode !== null) return
  const ended = once(guard, "exit")
  guard.stdin?.end(word)
  await ended
}

/** One private server. */
export interface RedisServer {
  readonly port: number
  readonly url: string
  readonly folder: string
  /** Its process, to send signals to. */
  readonly pid: () => number
  /** Kills it without a chance to write anything; the folder stays. */
  readonly kill: () => Promise<void>
  /** Starts it again on the same port and folder. */
  readonly restart: () => Promise<void>
  /** Stops it for good and removes its folder. */
  readonly stop: () => Promise<void>
}

/** Sends one command of plain words, and answers what came back. */
const command = (port: number, ...words: ReadonlyArray<string | number>): Promise<string> =>
  new Promise((resolve, reject) => {
    let answer = ""
    const socket = connect(port, "127.0.0.1", () => socket.write(`${words.join(" ")}\r\nQUIT\r\n`))
    socket.on("data", (chunk) => {
      answer += String(chunk)
      // Sentinel does not know QUIT: a short answer is enough.
      if (/^[+:-]/.test(answer) && answer.endsWith("\r\n")) socket.destroy()
    })
    socket.on("error", reject)
    socket.on("close", () => resolve(answer))
  })

const until = async (
  ready: () => Promise<boolean>,
  problem: () => string,
  deadline = Date.now() + 30_000
): Promise<void> => {
  if (await ready()) return
  if (Date.now() > deadline) throw new Error(problem())
  await sleep(20)
  return until(ready, problem, deadline)
}

const isUp = (port: number, log: string): Promise<void> =>
  until(
    async () => (await command(port, "PING").catch(() => "")).startsWith("+PONG"),
    () => `redis-server did not start on port ${port}\n${existsSync(log) ? readFileSync(log, "utf8").slice(-2000) : ""}`
  )

// A server that was killed has no guardian that could remove its folder.
const folders = new Set<string>()
process.once("exit", () => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })))

/** Starts a private server: `args` come after the usual ones. */
export const startRedis = async (args: ReadonlyArray<string> = []): Promise<RedisServer> => {
  const folder = mkdtempSync("/tmp/everbeat-redis-")
  folders.add(folder)
  const config = join(folder, "redis.conf")
  writeFileSync(config, "") // what Sentinel learns
  if (isRoot) { for (const path of [folder, config]) chownSync(path, 65_534, 65_534) }
  const port = await freePort()
  const log = join(folder, "redis.log")
  const all = [
    config,
    ...["--port", String(port), "--bind", "127.0.0.1", "--dir", folder, "--logfile", log, "--save", ""],
    ...["--appendonly", "yes", "--daemonize", "no", ...args]
  ]
  let current = await launch(folder, all)
  const server: RedisServer = {
    port,
    url: `redis://127.0.0.1:${port}`,
    folder,
    pid: () => current.pid,
    kill: () => end(current.guard, "keep\n"),
    restart: async () => {
      current = await launch(folder, all)
      await isUp(port, log)
    },
    stop: async () => {
      await end(current.guard)
      rmSync(folder, { recursive: true, force: true })
      folders.delete(folder)
    }
  }
  try {
    await isUp(port, log)
    return server
  } catch (cause) {
    await server.stop()
    throw cause
  }
}

/** Starts a Cluster of private masters without replicas. */
export const startRedisCluster = async (
  size = 3
): Promise<{ readonly nodes: ReadonlyArray<RedisServer>; readonly stop: () => Promise<void> }> => {
  const nodes = await Promise.all(
    Array.from(
      { length: size },
      () => startRedis(["--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--appendfsync", "no"])
    )
  )
  const stop = async (): Promise<void> => {
    await Promise.all(nodes.map((node) => node.stop()))
  }
  try {
    const slots = 16_384
    await Promise.all(nodes.map(async ({ port }, index) => {
      const from = Math.floor(index * slots / size)
      const to = Math.floor((index + 1) * slots / size) - 1
      await command(port, "CLUSTER", "ADDSLOTSRANGE", from, to)
      await Promise.all(nodes.map((node) => command(port, "CLUSTER", "MEET", "127.0.0.1", node.port)))
    }))
    // Each node must know all slots and all nodes.
    await Promise.all(nodes.map(({ port }) =>
      until(async () => {
        const info = await command(port, "CLUSTER", "INFO")
        return info.includes("cluster_state:ok") && info.includes(`cluster_known_nodes:${size}`)
      }, () => `the Redis Cluster did not form around port ${port}`)
    ))
    return { nodes, stop }
  } catch (cause) {
    await stop()
    throw cause
  }
}

/** Version of the server that tests use. */
export const redisVersion = (): string =>
  /v=(\S+)/.exec(execFileSync(redisBinary(), ["--version"], { encoding: "utf8" }))?.[1] ?? "of an unknown version"
