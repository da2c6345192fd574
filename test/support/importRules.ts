import { posix } from "node:path"
import { importsOf } from "../../scripts/syntax.ts"

/** What a package may import at run time besides `effect` and itself. */
const allowed: Record<string, ReadonlyArray<string>> = {
  "adapter-ai-sdk": ["@everbeat/core", "ai"],
  "core": [],
  "http": ["@everbeat/core"],
  "adapter-effect-ai": ["@everbeat/core"],
  "adapter-openai-agents": ["@everbeat/core", "@openai/agents"],
  "store-memory": ["@everbeat/core"],
  "store-postgres": ["@everbeat/core", "pg"],
  "store-redis": ["@everbeat/core", "ioredis"],
  // Paths that are no text, hashes and the home folder are not in the platform services of Effect.
  "workspace-git": [
    "@everbeat/core",
    "@effect/platform-node-shared",
    "node:buffer",
    "node:crypto",
    "node:fs",
    "node:os"
  ]
}

/** What only the conformance kits may import. */
const testTools = new Set(["vitest", "@effect/vitest"])

const nameOf = (specifier: string): string => specifier.split("/").slice(0, specifier.startsWith("@") ? 2 : 1).join("/")

const wrongRelative = (file: string, target: string, inTesting: boolean): string | undefined => {
  const [, source = ""] = /^(packages\/[^/]+\/src\/)/.exec(file) ?? []
  if (!target.startsWith(source)) return "leaves the sources of its package"
  if (!target.endsWith(".ts")) return "has no .ts extension"
  if (!inTesting && target.startsWith(`${source}testing/`)) return "imports the test kit into production code"
  return target.endsWith("/index.ts") && !file.endsWith("/index.ts") ? "imports a barrel" : undefined
}

const wrongPackage = (specifier: string, pkg: string, inTesting: boolean): string | undefined => {
  const name = nameOf(specifier)
  if (testTools.has(name)) return inTesting ? undefined : "imports a test runner into production code"
  const known = ["effect", `@everbeat/${pkg}`, ...(allowed[pkg] ?? ["@everbeat/core"])]
  if (!known.includes(name)) return `may import ${known.join(", ")} only`
  if (name === `@everbeat/${pkg}`) return "imports itself by name"
  if (specifier === "effect" || specifier === "@everbeat/core") return "imports a barrel"
  if (!name.startsWith("@everbeat/")) return undefined
  if (/\/internal(?:\/|$)/.test(specifier)) return "imports the internals of another package"
  return /\/testing(?:\/|$)/.test(specifier) && !inTesting ? "imports the test kit into production code" : undefined
}

/** The imports of a source file that break a rule, each with the reason. */
export const violations = (file: string, code: string): ReadonlyArray<string> => {
  const [, pkg = "", path = ""] = /^packages\/([^/]+)\/src\/(.+)$/.exec(file) ?? []
  const inTesting = path.startsWith("testing/")
  return importsOf(code, file).flatMap((specifier) => {
    const why = specifier.startsWith(".")
      ? wrongRelative(file, posix.join(posix.dirname(file), specifier), inTesting)
      : wrongPackage(specifier, pkg, inTesting)
    return why === undefined ? [] : [`${file}: "${specifier}" ${why}`]
  })
}

/** The imports of a file outside `packages/<name>/src` that reach where nothing may reach. */
export const reaches = (file: string, code: string): ReadonlyArray<string> => {
  const [own = ""] = /^(?:(?:packages|examples)\/[^/]+|chaos)\//.exec(file) ?? []
  const inPackages = file.startsWith("packages/")
  return importsOf(code, file).flatMap((specifier) => {
    const target = specifier.startsWith(".") ? posix.join(posix.dirname(file), specifier) : specifier
    if (inPackages && /^(?:examples|bench|chaos)\/|^@everbeat\/example/.test(target)) {
      return [`${file}: "${specifier}" reaches into the examples, the benchmarks or the chaos harness`]
    }
    return (target.startsWith("packages/") && !target.startsWith(own)) ||
        /^@everbeat\/[^/]+\/internal(?:\/|$)/.test(target)
      ? [`${file}: "${specifier}" reaches into another package`]
      : []
  })
}
