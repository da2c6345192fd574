/**
 * Next, with 340 MB most of what the tests would have to install, for one of them: it has a lockfile of its own, and is
 * installed when that test runs for the first time.
 */
import { execFile } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"

/** The application, with its own `node_modules`. */
export const nextFolder = join(import.meta.dirname, "next")

const versionIn = (file: string, path: ReadonlyArray<string>): unknown => {
  const parsed: unknown = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : undefined
  return path.reduce<unknown>(
    (value, key) => typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined,
    parsed
  )
}

/** Installs the version of the lockfile where it is missing. What cannot be installed fails the test: nothing is skipped. */
export const installNext = async (): Promise<void> => {
  const wanted = versionIn(join(nextFolder, "package-lock.json"), ["packages", "node_modules/next", "version"])
  // npm writes this file when everything else is in place.
  const installed = join(nextFolder, "node_modules/.package-lock.json")
  if (versionIn(installed, ["packages", "node_modules/next", "version"]) === wanted) return
  process.stdout.write("everbeat: installing Next for the tests of its adapter, 340 MB, once\n")
  const args = ["ci", "--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error"]
  try {
    await promisify(execFile)("npm", args, { cwd: nextFolder })
  } catch (cause) {
    throw new Error(`Next could not be installed. Run "npm ci" in packages/http/test/hosts/next to see why.`, { cause })
  }
}
