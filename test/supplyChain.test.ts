import { describe, expect, it } from "vitest"
import { verdictOf } from "../scripts/vulnerabilities.ts"
import { filesOf, textOf } from "./support/workspace.ts"

/** What a lockfile tells of a package. */
interface Locked {
  readonly version?: string
  readonly license?: string
  readonly resolved?: string
  readonly integrity?: string
  readonly link?: boolean
  readonly hasInstallScript?: boolean
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>
}

interface Manifest {
  readonly name: string
  readonly scripts?: Readonly<Record<string, string>>
}

const { packages }: { readonly packages: Readonly<Record<string, Locked>> } = JSON.parse(textOf("package-lock.json"))

/** Where Node.js finds a package from another one. */
const find = (from: string, name: string): string | undefined => {
  for (let folder = from;; folder = folder.slice(0, Math.max(0, folder.lastIndexOf("/")))) {
    const place = `${folder === "" ? "" : `${folder}/`}node_modules/${name}`
    if (place in packages) return place
    if (folder === "") return undefined
  }
}

const needs = ({ dependencies, optionalDependencies, peerDependencies, peerDependenciesMeta }: Locked) =>
  Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies })
    .filter((name) => peerDependenciesMeta?.[name]?.optional !== true)

/** Everything that is installed with a package, by where the lockfile has it. */
const treeOf = (start: ReadonlyArray<string>): ReadonlyArray<readonly [place: string, Locked]> => {
  const seen = new Map<string, Locked>()
  const visit = (place: string): void => {
    const entry = packages[place]
    if (entry?.link === true) return visit(entry.resolved ?? "")
    if (entry === undefined || seen.has(place)) return
    seen.set(place, entry)
    for (const name of needs(entry)) {
      const found = find(place, name)
      if (found === undefined) throw new Error(`${place} needs ${name}, which the lockfile does not have`)
      visit(found)
    }
  }
  for (const place of start) visit(place)
  return Array.from(seen)
}

const published = Object.keys(packages).filter((place) => /^packages\/[^/]+$/.test(place))
const tree = treeOf(published)
const foreign = tree.filter(([place]) => !place.startsWith("packages/"))

const registry = "https://registry.npmjs.org/"

const licences = new Set(["MIT", "ISC", "Apache-2.0", "BSD-3-Clause", "(AFL-2.1 OR BSD-3-Clause)"])

describe("what is installed with the packages", () => {
  it("is all found", () => {
    const names = foreign.map(([place]) => place.replace(/^.*node_modules\//, ""))
    expect(names).toEqual(expect.arrayContaining(["effect", "pg", "pg-protocol", "ioredis"]))
  })

  it("runs no script when it is installed, ours included", () => {
    expect(tree.filter(([, { hasInstallScript }]) => hasInstallScript === true).map(([place]) => place)).toEqual([])
    const hooks = /^(?:pre|post)?(?:install|prepare)$|^prepublish$/
    const ours = filesOf("packages/*/package.json").flatMap((file) => {
      const { name, scripts = {} }: Manifest = JSON.parse(textOf(file))
      return Object.keys(scripts).filter((script) => hooks.test(script)).map((script) => `${name}: ${script}`)
    })
    expect(ours).toEqual([])
  })

  it("is under a licence that asks for no more than to be named", () => {
    const other = tree.filter(([, { license }]) => license === undefined || !licences.has(license))
    expect(other.map(([place, { license }]) => `${place}: ${license}`)).toEqual([])
  })

  it("is pinned by its content, and comes from the registry", () => {
    // Without an address it is the registry that is asked.
    const odd = foreign.filter(([, { integrity = "", resolved = registry }]) =>
      !integrity.startsWith("sha512-") || !resolved.startsWith(registry)
    )
    expect(odd).toEqual([])
  })

  it("of core is Effect, and of store-memory and http nothing more", () => {
    for (const name of ["core", "store-memory", "http"]) {
      const names = treeOf([`packages/${name}`]).map(([place]) => place)
      const effect = treeOf(["node_modules/effect"]).map(([place]) => place)
      expect(names.filter((place) => !place.startsWith("packages/")).toSorted()).toEqual(effect.toSorted())
    }
  })
})

describe("the audit of known vulnerabilities", () => {
  const report = (severity: string) => JSON.stringify({ vulnerabilities: { left: { severity } }, metadata: {} })

  it("fails for a high and a critical one, and names the package", () => {
    for (const severity of ["high", "critical"]) {
      expect(verdictOf(report(severity))).toEqual({ failed: true, says: [`left: ${severity}`] })
    }
  })

  it("does not fail for lower ones, or for none", () => {
    for (const severity of ["info", "low", "moderate"]) expect(verdictOf(report(severity)).failed).toBe(false)
    expect(verdictOf(`{"vulnerabilities":{}}`).failed).toBe(false)
  })

  it("says that nothing was checked where the registry does not answer", () => {
    for (const text of ["", "npm error", `{"message":"405 Method Not Allowed","statusCode":405}`, "[]"]) {
      const { failed, says } = verdictOf(text)
      expect(failed).toBe(false)
      expect(says.join()).toContain("NOT CHECKED")
    }
  })
})
