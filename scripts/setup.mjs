/**
 * Installs the dependencies when they are missing or out of date, then runs the
 * command it was given with the tools of the repository first on the PATH:
 *
 *     node scripts/setup.mjs vitest run
 *
 * Plain JavaScript without dependencies, for the Node.js that is there before
 * the first installation.
 */
import { spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { delimiter, dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const modules = join(root, "node_modules")
const bin = join(modules, ".bin")
const stamp = join(modules, ".everbeat-setup")
const lock = readFileSync(join(root, "package-lock.json"))
const wanted = createHash("sha256").update(lock).digest("hex")
const log = (message) => process.stderr.write(`set-up: ${message}\n`)

const read = (file) => existsSync(file) ? readFileSync(file, "utf8") : undefined

/** The PATH without, or with, the tools of the repository in front. */
const path = (front) =>
  [...front, ...(process.env.PATH ?? "").split(delimiter).filter((entry) => entry !== bin)].join(delimiter)

const run = (command, args, front) =>
  new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      stdio: "inherit",
      env: { ...process.env, PATH: path(front) },
      shell: process.platform === "win32"
    })
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
      process.on(signal, () => {
        // A terminal signals the command itself: told twice, it would stop without its shutdown.
        if (signal === "SIGTERM" || process.stdin.isTTY !== true) child.kill(signal)
      })
    }
    child.on("error", reject)
    child.on("exit", (code, signal) => resolve(code ?? (signal === "SIGINT" ? 130 : 143)))
  })

/** Whether somebody ran `npm install` or `npm ci` by hand and it left exactly what the lockfile asks for. */
const installedByHand = () => {
  const hidden = read(join(modules, ".package-lock.json"))
  if (hidden === undefined || !existsSync(join(bin, "node"))) return false
  const installed = JSON.parse(hidden).packages
  return Object.entries(JSON.parse(lock.toString()).packages).every(([name, entry]) =>
    !name.includes("node_modules/") ||
    (installed[name] === undefined ? entry.optional === true : installed[name].version === entry.version)
  )
}

if (read(stamp) !== wanted) {
  if (!installedByHand()) {
    const started = Date.now()
    const seconds = () => `${Math.round((Date.now() - started) / 1000)} s`
    log("installing the dependencies with npm ci, usually less than a minute ...")
    const progress = setInterval(() => log(`still installing after ${seconds()} ...`), 5000)
    // The Node.js of the repository is replaced while npm runs, so npm gets the one of the system.
    const code = await run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], [])
    clearInterval(progress)
    if (code !== 0) {
      log(`npm ci failed with exit code ${code} after ${seconds()}`)
      process.exit(code)
    }
    log(`done in ${seconds()}`)
  }
  writeFileSync(stamp, wanted)
}

const [command, ...args] = process.argv.slice(2)
if (command !== undefined) process.exitCode = await run(command, args, [bin])
