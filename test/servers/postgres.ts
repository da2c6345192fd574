/** A private PostgreSQL for tests: real binaries, a free port, a folder that is gone afterwards. */
import { execFileSync } from "node:child_process"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { delimiter, join } from "node:path"
import { installPackage, isExecutable, say, unprivileged } from "./install.ts"
import { freePort, isUp, launch, type Launched, privateFolder } from "./process.ts"

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

/** A server for tests. */
export interface PostgresServer {
  readonly url: string
  readonly isPrivate: boolean
  readonly stop: () => Promise<void>
}

/** A server that a test may kill. */
export interface PrivatePostgres extends PostgresServer {
  /** Ends all of its processes at once, as a power cut would, and starts it again on the same port and folder. */
  readonly crash: () => Promise<void>
  /** The same, after it has closed its connections and shut down in good order. */
  readonly restart: () => Promise<void>
}

/** Starts a private server. */
export const startPrivatePostgres = async (): Promise<PrivatePostgres> => {
  const bin = binaries()
  const folder = privateFolder("postgres")
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
  const command = [join(bin, "postgres"), "-D", data, ...settings.flatMap((setting) => ["-c", setting])]
  const start = async (): Promise<Launched> => {
    const launched = launch(folder, "INT", command)
    if (await isUp(port)) return launched
    const log = existsSync(join(folder, "log")) ? readFileSync(join(folder, "log"), "utf8").slice(-2_000) : ""
    await launched.stop()
    throw new Error(`PostgreSQL did not start on port ${port}\n${log}`)
  }
  let current = await start()
  const again = async (signal: string): Promise<void> => {
    await current.crash(signal)
    current = await start()
  }
  const version = execFileSync(join(bin, "postgres"), ["--version"], { encoding: "utf8", cwd: "/" }).trim()
  say(`started ${version} on port ${port}, for these tests only`)
  return {
    url: `postgres://everbeat@127.0.0.1:${port}/postgres`,
    isPrivate: true,
    stop: () => current.stop(),
    crash: () => again("QUIT"),
    restart: () => again("INT")
  }
}

/** Uses the server of `EVERBEAT_TEST_POSTGRES_URL`, or starts a private one. */
export const startPostgres = async (): Promise<PostgresServer> => {
  const given = process.env["EVERBEAT_TEST_POSTGRES_URL"]
  if (given === undefined || given === "") return startPrivatePostgres()
  say("tests use the PostgreSQL of EVERBEAT_TEST_POSTGRES_URL")
  return { url: given, isPrivate: false, stop: async () => {} }
}
