/** Servers that tests need and a machine may not have. */
import { spawnSync } from "node:child_process"
import { accessSync, constants, existsSync } from "node:fs"

export const isRoot = process.getuid?.() === 0

/** An existing user without rights (`nobody`): servers do not run as root. */
export const unprivileged = isRoot ? { uid: 65_534, gid: 65_534 } : {}

export const isExecutable = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Tells a person what the tests do to the machine. */
export const say = (line: string): void => void process.stdout.write(`everbeat: ${line}\n`)

/** Installs a Debian package without starting its service, when that is possible, and says so. */
export const installPackage = (name: string, purpose: string): void => {
  const command = `apt-get install -o DPkg::Lock::Timeout=300 -y --no-install-recommends ${name}`
  if (!isRoot || !existsSync("/etc/debian_version")) {
    throw new Error(`${name} was not found. Run: sudo apt-get update && sudo ${command} (${purpose})`)
  }
  say(`installing ${name} with apt-get, ${purpose}`)
  const policy = "/usr/sbin/policy-rc.d"
  const guard = existsSync(policy)
    ? ""
    : `printf '#!/bin/sh\\nexit 101\\n' > ${policy}; chmod +x ${policy}; trap 'rm -f ${policy}' EXIT; `
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" }
  const run = (script: string) => spawnSync("sh", ["-c", `${guard}${script}`], { env, stdio: "ignore" }).status === 0
  if (!run(command) && !run(`apt-get update && ${command}`)) {
    throw new Error(`${name} could not be installed. Run: apt-get update && ${command} (${purpose})`)
  }
}
