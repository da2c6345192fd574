/** Private servers that go away and come back: stopped without a chance to say so, or frozen. */
import { Effect, type Scope } from "effect"
import { execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { Client } from "pg"
import { unprivileged } from "../../../../test/servers/install.ts"
import { startPostgres } from "../../../../test/servers/postgres.ts"
import { startRedis } from "../../../../test/servers/redis.ts"

export interface Breakable {
  readonly url: string
  readonly stop: () => Promise<void>
  readonly start: () => Promise<void>
  readonly freeze: () => void
  readonly thaw: () => void
  readonly close: () => Promise<void>
}

/** With a password that the server does not ask for: it must not show up anywhere. */
export const password = "s3cret-0f-the-store"

const withPassword = (address: string, user?: string): string => {
  const url = new URL(address)
  if (user !== undefined) url.username = user
  url.password = password
  return url.href
}

/** A process and its children: each session of PostgreSQL is one. */
const family = (parent: number): ReadonlyArray<number> => {
  const all = execFileSync("ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8" })
    .split("\n")
    .map((line) => line.trim().split(/\s+/).map(Number))
  return [parent, ...all.flatMap(([pid = 0, ppid]) => ppid === parent ? [pid] : [])]
}

const breakablePostgres = async (): Promise<Breakable> => {
  const server = await startPostgres()
  if (!server.isPrivate) throw new Error("the server of EVERBEAT_TEST_POSTGRES_URL is not ours to stop; unset it")
  const ask = async (text: string): Promise<string> => {
    const client = new Client({ connectionString: server.url })
    client.on("error", () => {})
    await client.connect()
    try {
      const { rows } = await client.query<{ readonly answer: string }>(text)
      return rows[0]?.answer ?? ""
    } finally {
      await client.end()
    }
  }
  const data = await ask("select setting as answer from pg_settings where name = 'data_directory'")
  const bin = await ask("select setting as answer from pg_config where name = 'BINDIR'")
  const postmaster = async () =>
    Number(await ask("select split_part(pg_read_file('postmaster.pid'), chr(10), 1) as answer"))
  let pid = await postmaster()
  const settings = ["listen_addresses=127.0.0.1", `port=${new URL(server.url).port}`, "unix_socket_directories="]
  // Ends with its input, also when the tests were killed.
  const guardian = `"$@" > /dev/null 2>&1 & pid=$!; read -r _; kill -QUIT $pid; wait $pid`
  let own: ReturnType<typeof spawn> | undefined
  const isUp = async (tries = 300): Promise<void> => {
    try {
      pid = await postmaster()
    } catch (cause) {
      if (tries === 0) throw cause
      await sleep(100)
      return isUp(tries - 1)
    }
  }
  const stop = async () => {
    execFileSync(join(bin, "pg_ctl"), ["stop", "-D", data, "-m", "immediate", "-w"], {
      ...unprivileged,
      cwd: "/",
      stdio: "ignore"
    })
  }
  return {
    url: withPassword(server.url),
    stop,
    start: async () => {
      const args = [
        "-c",
        guardian,
        "sh",
        join(bin, "postgres"),
        "-D",
        data,
        ...settings.flatMap((each) => ["-c", each])
      ]
      own = spawn("sh", args, { ...unprivileged, cwd: "/", detached: true, stdio: ["pipe", "ignore", "ignore"] })
      await isUp()
    },
    freeze: () => family(pid).forEach((each) => process.kill(each, "SIGSTOP")),
    thaw: () => family(pid).forEach((each) => process.kill(each, "SIGCONT")),
    close: async () => {
      if (own !== undefined) {
        const ended = once(own, "exit")
        own.stdin?.end()
        await ended
      }
      await server.stop()
    }
  }
}

const breakableRedis = async (): Promise<Breakable> => {
  const server = await startRedis(["--appendfsync", "always"])
  return {
    url: withPassword(server.url),
    stop: server.kill,
    start: server.restart,
    freeze: () => process.kill(server.pid(), "SIGSTOP"),
    thaw: () => process.kill(server.pid(), "SIGCONT"),
    close: server.stop
  }
}

const scoped = (open: () => Promise<Breakable>): Effect.Effect<Breakable, never, Scope.Scope> =>
  Effect.acquireRelease(Effect.promise(open), (server) => Effect.promise(() => server.close()))

/** A server of its own for a test, by its scheme. */
export const breakable = [["postgres", scoped(breakablePostgres)], ["redis", scoped(breakableRedis)]] as const
