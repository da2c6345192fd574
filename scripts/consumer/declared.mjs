/**
 * Refuses every import of an Everbeat package that its `package.json` does not
 * declare, although npm put it where Node.js finds it:
 *
 *     node --import ./declared.mjs out/index.js
 *
 * With `EVERBEAT_OPTIONAL_PEERS=none`, optional peers are refused too, as if they were not installed.
 */
import { readFileSync } from "node:fs"
import { isBuiltin, register } from "node:module"
import { isMainThread } from "node:worker_threads"

const manifests = new Map()

/** The manifest of the Everbeat package that a module belongs to. */
const owner = (url) => {
  const [, folder] = /^(file:.*\/node_modules\/@everbeat\/[^/]+\/)/.exec(url ?? "") ?? []
  if (folder === undefined) return undefined
  if (!manifests.has(folder)) manifests.set(folder, JSON.parse(readFileSync(new URL("package.json", folder), "utf8")))
  return manifests.get(folder)
}

export const resolve = (specifier, context, next) => {
  const manifest = owner(context.parentURL)
  if (manifest !== undefined && !/^(?:\.|file:)/.test(specifier) && !isBuiltin(specifier)) {
    const name = specifier.split("/").slice(0, specifier.startsWith("@") ? 2 : 1).join("/")
    const { dependencies = {}, peerDependencies = {}, peerDependenciesMeta = {} } = manifest
    if (!(name in dependencies) && !(name in peerDependencies)) {
      throw new Error(`${manifest.name} imports ${specifier}, which its package.json does not declare`)
    }
    if (process.env.EVERBEAT_OPTIONAL_PEERS === "none" && peerDependenciesMeta[name]?.optional === true) {
      throw Object.assign(new Error(`${manifest.name} needs its optional peer ${name}`), {
        code: "OPTIONAL_PEER",
        name
      })
    }
  }
  return next(specifier, context)
}

// Hooks run on a thread of their own, which loads this file again.
if (isMainThread) register(import.meta.url)
