/**
 * Packs every public package, installs the tarballs into a strict project
 * outside the workspace, type-checks it and runs it, so that a broken `exports`
 * map, a missing file or a wrong peer range is found before a release.
 *
 * It runs on the Node.js of the repository and on the one of the system.
 */
import { execFileSync } from "node:child_process"
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, join, resolve } from "node:path"

const root = resolve(import.meta.dirname, "..")
const bin = join(root, "node_modules/.bin")
const consumer = mkdtempSync(join(tmpdir(), "everbeat-consumer-"))

const run = (command: string, args: ReadonlyArray<string>, cwd = consumer): string =>
  execFileSync(command, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] })

const systemNode = (process.env["PATH"] ?? "")
  .split(delimiter)
  .filter((folder) => !folder.includes("node_modules"))
  .map((folder) => join(folder, "node"))
  .find((file) => existsSync(file))

const isPublic = (name: string): boolean => {
  const manifest = join(root, "packages", name, "package.json")
  return existsSync(manifest) && JSON.parse(readFileSync(manifest, "utf8")).private !== true
}

try {
  cpSync(join(root, "scripts/consumer"), consumer, { recursive: true })
  const tarballs = readdirSync(join(root, "packages")).filter(isPublic).map((name): string => {
    const [{ filename }] = JSON.parse(
      run("npm", ["pack", "--json", "--loglevel=error", "--pack-destination", consumer], join(root, "packages", name))
    )
    return `./${filename}`
  })
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
  const effect = `effect@${manifest.devDependencies.effect}`
  const flags = ["--prefer-offline", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]
  run("npm", ["install", ...flags, effect, ...tarballs])
  console.log(`installed ${tarballs.join(", ")}`)

  try {
    run(join(bin, "tsc"), ["-p", "."])
  } catch (error) {
    console.error(error instanceof Error && "stdout" in error ? error.stdout : error)
    throw new Error("the consumer does not compile", { cause: error })
  }
  for (const node of new Set([process.execPath, systemNode ?? process.execPath])) {
    console.log(`${run(node, ["--version"]).trim()}: ${run(node, ["out/index.js"]).trim()}`)
  }
} finally {
  rmSync(consumer, { recursive: true, force: true })
}
