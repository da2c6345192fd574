/** A private PgBouncer for tests, in transaction mode in front of a PostgreSQL. */
import { execFileSync } from "node:child_process"
import { chownSync, existsSync, readFileSync, writeFileSync } from "node:fs"
import { delimiter, join } from "node:path"
import { installPackage, isExecutable, isRoot, say, unprivileged } from "./install.ts"
import { freePort, isUp, launch, privateFolder } from "./process.ts"

const usualPlaces = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin", "/opt/homebrew/bin"]

const find = (): string | undefined =>
  [...(process.env["PATH"] ?? "").split(delimiter), ...usualPlaces]
    .map((folder) => join(folder, "pgbouncer"))
    .find(isExecutable)

const binary = (): string => {
  const found = find()
  if (found !== undefined) return found
  installPackage("pgbouncer", "for the tests of @everbeat/store-postgres")
  const installed = find()
  if (installed === undefined) throw new Error("pgbouncer was installed, but was not found")
  return installed
}

/** How many connections to the server all clients share: so few that the statements of a client move between them. */
export const poolSize = 2

/** One private pooler. */
export interface PgBouncer {
  readonly url: string
  readonly stop: () => Promise<void>
}

const quote = (value: string): string => `'${value.replaceAll("'", "''")}'`

/** Starts a pooler that keeps no prepared statements in front of the server at `url`. */
export const startPgBouncer = async (url: string): Promise<PgBouncer> => {
  const pgbouncer = binary()
  const version = /(\d+)\.(\d+)\.\d+/.exec(execFileSync(pgbouncer, ["--version"], { encoding: "utf8", cwd: "/" }))
  const [text = "of an unknown version", major, minor] = version ?? []
  const target = new URL(url)
  const server = {
    host: target.hostname,
    port: target.port || "5432",
    user: decodeURIComponent(target.username),
    password: decodeURIComponent(target.password)
  }
  const folder = privateFolder("pgbouncer")
  const config = join(folder, "pgbouncer.ini")
  const port = await freePort()
  const lines = [
    "[databases]",
    `* = ${Object.entries(server).flatMap(([key, value]) => value === "" ? [] : `${key}=${quote(value)}`).join(" ")}`,
    "[pgbouncer]",
    "listen_addr = 127.0.0.1",
    `listen_port = ${port}`,
    "unix_socket_dir =",
    "auth_type = any",
    "server_tls_sslmode = prefer",
    "pool_mode = transaction",
    `default_pool_size = ${poolSize}`,
    "max_client_conn = 500",
    // Newer versions keep prepared statements unless they are told not to; older ones do not know the setting.
    ...Number(major) > 1 || Number(minor) >= 21 ? ["max_prepared_statements = 0"] : []
  ]
  writeFileSync(config, `${lines.join("\n")}\n`, { mode: 0o600 })
  if (isRoot) chownSync(config, unprivileged.uid ?? 0, unprivileged.gid ?? 0)
  // It has nothing to lose, and a polite signal may wait for clients.
  const { stop } = launch(folder, "KILL", [pgbouncer, config])
  if (!await isUp(port)) {
    const log = existsSync(join(folder, "log")) ? readFileSync(join(folder, "log"), "utf8").slice(-2_000) : ""
    await stop()
    throw new Error(`PgBouncer did not start on port ${port}\n${log}`)
  }
  say(`started PgBouncer ${text} on port ${port}, ${poolSize} connections in transaction mode, for these tests only`)
  const address = new URL(url)
  address.hostname = "127.0.0.1"
  address.port = String(port)
  address.search = ""
  return { url: address.href, stop }
}
