/** Where and with what the numbers were measured. */
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { cpus, release, totalmem } from "node:os"
import { join } from "node:path"
import { redisVersion } from "../../test/servers/redis.ts"

const manifest: unknown = JSON.parse(readFileSync(join(import.meta.dirname, "../package.json"), "utf8"))

const recordOf = (u: unknown, name: string): Readonly<Record<string, unknown>> => {
  const found: unknown = typeof u === "object" && u !== null ? Reflect.get(u, name) : undefined
  return typeof found === "object" && found !== null ? { ...found } : {}
}

const versionOf = (command: string, ...args: ReadonlyArray<string>): string => {
  try {
    return execFileSync(command, args, { encoding: "utf8" }).trim()
  } catch {
    return "?"
  }
}

export const peers: Readonly<Record<string, unknown>> = recordOf(manifest, "dependencies")

export const describe = (): Readonly<Record<string, string>> => {
  const [cpu] = cpus()
  return {
    date: new Date().toISOString().slice(0, 10),
    machine: `${cpus().length} x ${cpu?.model ?? "?"}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}`,
    node: process.version,
    postgres:
      versionOf("sh", "-c", "postgres --version || $(ls -d /usr/lib/postgresql/*/bin/postgres | tail -1) --version")
        .replace("postgres (PostgreSQL) ", "").split(" ")[0] ?? "?",
    redis: redisVersion(),
    git: versionOf("git", "--version").replace("git version ", ""),
    commit: versionOf("git", "rev-parse", "--short", "HEAD")
  }
}
