/**
 * The packages that are published, and the modules that their `exports` let a
 * user import. Everything that checks packages asks here, so that a new package
 * or a new module is checked without being named anywhere.
 */
import { globSync, readFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"

export const root = resolve(import.meta.dirname, "..")

/** What the checks read of a `package.json`. */
export interface Manifest {
  readonly name: string
  readonly version: string
  readonly private?: boolean
  readonly sideEffects?: boolean | ReadonlyArray<string>
  readonly exports?: Readonly<Record<string, unknown>>
  readonly dependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>
}

/** A module that a user can import. */
export interface EntryPoint {
  /** What the user writes: `@everbeat/core/Step`. */
  readonly specifier: string
  /** The file of its source, from the root of the repository. */
  readonly source: string
  /** Whether `exports` names it, rather than a pattern. */
  readonly named: boolean
}

export interface Package {
  readonly manifest: Manifest
  /** From the root of the repository. */
  readonly folder: string
  readonly entryPoints: ReadonlyArray<EntryPoint>
}

export const readManifest = (file: string): Manifest => JSON.parse(readFileSync(file, "utf8"))

/** The source of an export: the condition with which the packages of the workspace find each other. */
const sourceOf = (target: unknown): string | undefined =>
  typeof target === "object" && target !== null && "@everbeat/source" in target
    ? String(target["@everbeat/source"])
    : undefined

const entryPointsOf = (folder: string, { exports = {}, name }: Manifest): ReadonlyArray<EntryPoint> => {
  // Like Node.js: a key without a pattern wins, then the pattern with the longest beginning.
  const patterns = Object.keys(exports).filter((key) => key.includes("*")).toSorted((a, b) =>
    b.indexOf("*") - a.indexOf("*") || b.length - a.length
  )
  const patternOf = (subpath: string) =>
    patterns.find((key) => {
      const [before = "", after = ""] = key.split("*")
      return subpath.length >= key.length && subpath.startsWith(before) && subpath.endsWith(after)
    })
  const found = new Map<string, EntryPoint>()
  const add = (subpath: string, source: string, named: boolean) =>
    found.set(subpath, {
      specifier: name + subpath.slice(1),
      source: join(folder, source).replaceAll("\\", "/"),
      named
    })
  for (const [key, target] of Object.entries(exports)) {
    const source = sourceOf(target)
    if (source === undefined) continue
    if (!key.includes("*")) {
      add(key, source, true)
      continue
    }
    const [before = "", after = ""] = source.slice("./".length).split("*")
    for (const file of globSync(`${before}**/*${after}`, { cwd: join(root, folder) })) {
      const subpath = key.replace("*", file.replaceAll("\\", "/").slice(before.length, -after.length))
      if (patternOf(subpath) === key && !(subpath in exports)) add(subpath, `./${file}`, false)
    }
  }
  return Array.from(found.values()).toSorted((a, b) => a.specifier < b.specifier ? -1 : 1)
}

/** Every package that `npm run release` would publish. */
export const publicPackages: ReadonlyArray<Package> = globSync("packages/*/package.json", { cwd: root }).toSorted()
  .map((file) => {
    const manifest = readManifest(join(root, file))
    const folder = dirname(file).replaceAll("\\", "/")
    return { manifest, folder, entryPoints: entryPointsOf(folder, manifest) }
  })
  .filter(({ manifest }) => manifest.private !== true)

/** The package that a specifier names: `@everbeat/core` of `@everbeat/core/Step`. */
export const packageOf = (specifier: string): string =>
  specifier.split("/").slice(0, specifier.startsWith("@") ? 2 : 1).join("/")

/** What a package says that it needs at run time, with the ranges; the optional peers apart. */
export const needsOf = ({ dependencies, peerDependencies = {}, peerDependenciesMeta = {} }: Manifest) => {
  const isOptional = (name: string) => peerDependenciesMeta[name]?.optional === true
  const peers = Object.entries(peerDependencies)
  return {
    required: Object.fromEntries([
      ...Object.entries(dependencies ?? {}),
      ...peers.filter(([name]) => !isOptional(name))
    ]),
    optional: Object.fromEntries(peers.filter(([name]) => isOptional(name)))
  }
}
