/** The systems that are measured beside ours: installed when a suite needs them, never with the repository. */
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"

const folder = join(import.meta.dirname, "..")
const stamp = join(folder, "node_modules", ".everbeat-setup")

export const installPeers = (say: (line: string) => void): void => {
  const wanted = createHash("sha256").update(readFileSync(join(folder, "package-lock.json"))).digest("hex")
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return
  say("installing the systems to compare with (npm ci in bench/), usually less than a minute ...")
  const { status } = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: folder,
    stdio: ["ignore", process.stderr.fd, "inherit"],
    shell: process.platform === "win32"
  })
  if (status !== 0) throw new Error(`npm ci failed in ${folder} with exit code ${String(status)}: see what it printed`)
  writeFileSync(stamp, wanted)
}
