/**
 * Checks every public package as npm would publish it, and reports all that is
 * wrong before it fails.
 */
import { spawnSync } from "node:child_process"
import { existsSync, globSync, readFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { wrongStability } from "./stability.ts"

const root = resolve(import.meta.dirname, "..")
let failed = 0

const check = (command: string, args: ReadonlyArray<string>): void => {
  if (spawnSync(command, args, { cwd: root, stdio: "inherit" }).status !== 0) failed++
}

for (const file of globSync("packages/*/package.json", { cwd: root }).sort()) {
  const manifest = JSON.parse(readFileSync(join(root, file), "utf8"))
  if (manifest.private === true) continue
  const folder = dirname(file)
  check("publint", ["--strict", folder])
  check("attw", ["--pack", folder, "--profile", "esm-only", "--quiet"])
  for (const name of ["LICENSE", "README.md"]) {
    if (!existsSync(join(root, folder, name))) {
      console.error(`${folder} has no ${name}`)
      failed++
    }
  }
}

for (const message of wrongStability()) {
  console.error(message)
  failed++
}

process.exitCode = failed === 0 ? 0 : 1
