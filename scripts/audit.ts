/**
 * Asks the registry for known vulnerabilities of what the packages install with
 * them. Fails for high and critical ones.
 *
 * Not every registry answers that question: mirrors often do not. Then nothing
 * is known, which is said, and is no failure.
 */
import { spawnSync } from "node:child_process"
import { root } from "./packages.ts"
import { verdictOf } from "./vulnerabilities.ts"

const { stdout } = spawnSync("npm", ["audit", "--omit=dev", "--json"], {
  cwd: root,
  encoding: "utf8",
  timeout: 120_000,
  stdio: ["ignore", "pipe", "ignore"],
  shell: process.platform === "win32"
})

const { failed, says } = verdictOf(stdout)
console.log(`audit: ${says.join("\naudit: ")}`)
process.exitCode = failed ? 1 : 0
