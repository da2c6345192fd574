/**
 * What a bundler keeps of a package. Bundles are made of the sources, with
 * `effect` and the other packages as they are, by the bundler that most tools use.
 */
import { build, type Metafile, type Plugin } from "esbuild"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { needsOf, packageOf, publicPackages, root } from "../scripts/packages.ts"

/** A name for each program, and its text. */
type Programs = Readonly<Record<string, string>>

const virtual = (programs: Programs): Plugin => ({
  name: "programs",
  setup: ({ onLoad, onResolve }) => {
    onResolve({ filter: /^program:/ }, ({ path }) => ({ path, namespace: "program" }))
    onLoad({ filter: /./, namespace: "program" }, ({ path }) => ({
      contents: programs[path.slice("program:".length)] ?? "",
      resolveDir: root
    }))
  }
})

interface Bundle {
  readonly bytes: number
  /** Packages of which something is in the bundle. */
  readonly packages: ReadonlyArray<string>
  /** What the bundle imports when it runs. */
  readonly external: ReadonlyArray<string>
}

const packageOfFile = (file: string): string => {
  const installed = file.split("node_modules/")
  if (installed.length > 1) return packageOf(installed.at(-1) ?? "")
  return publicPackages.find(({ folder }) => file.startsWith(`${folder}/`))?.manifest.name ?? ""
}

const bundleOf = (output: Metafile["outputs"][string] | undefined): Bundle => ({
  bytes: output?.bytes ?? 0,
  packages: Array.from(
    new Set(
      Object.entries(output?.inputs ?? {}).flatMap(([file, { bytesInOutput }]) =>
        bytesInOutput > 0 && !file.startsWith("program:") ? [packageOfFile(file)] : []
      )
    )
  ).toSorted(),
  external: (output?.imports ?? []).flatMap(({ external, path }) => external ? [path] : [])
})

/** Bundles many programs at once: the bundler reads each file once. */
const bundle = async <P extends Programs>(
  programs: P,
  external: ReadonlyArray<string> = []
): Promise<(name: keyof P) => Bundle> => {
  const names = Object.keys(programs)
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: names.map((name, index) => ({ in: `program:${name}`, out: String(index) })),
    outdir: "unwritten",
    plugins: [virtual(programs)],
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    format: "esm",
    platform: "neutral",
    mainFields: ["module", "main"],
    conditions: ["@everbeat/source", "import"],
    external: ["node:*", ...external],
    logLevel: "error"
  })
  return (name) => bundleOf(metafile.outputs[join("unwritten", `${names.indexOf(String(name))}.js`)])
}

/** Drivers, frameworks and test runners, which are not ours to shake. */
const foreign = publicPackages.flatMap(({ manifest }) => {
  const { optional, required } = needsOf(manifest)
  return Object.keys({ ...required, ...optional }).filter((name) => name !== "effect" && !name.startsWith("@everbeat/"))
})

describe("a bundle", () => {
  it.for(publicPackages.map((pkg) => [pkg.manifest.name, pkg] as const))(
    "is empty when a module of %s is imported and nothing of it is used",
    async ([, { entryPoints }]) => {
      const programs = Object.fromEntries(entryPoints.map(({ specifier }) => [specifier, `import "${specifier}"`]))
      const result = await bundle(programs, foreign)
      const kept = entryPoints.flatMap(({ specifier }) => {
        const { external, packages } = result(specifier)
        return [...packages, ...external].map((what) => `${specifier} keeps ${what}`)
      })
      expect(kept).toEqual([])
    }
  )

  it.for(publicPackages.map((pkg) => [pkg.manifest.name, pkg] as const))(
    "of one module of %s is no larger through the main module as by its own name",
    async ([name, { entryPoints }]) => {
      // Entries such as `promise` export functions, and are not in the main module.
      const modules = entryPoints.filter(({ named, specifier }) => !named && /^[^/]+\/[^/]+\/[A-Z]\w*$/.test(specifier))
      const programs = Object.fromEntries(modules.flatMap(({ specifier }) => {
        const module = specifier.slice(name.length + 1)
        return [
          [specifier, `import * as ${module} from "${specifier}"; globalThis.used = ${module}`],
          [module, `import { ${module} } from "${name}"; globalThis.used = ${module}`]
        ]
      }))
      const result = await bundle(programs, foreign)
      const larger = modules.filter(({ specifier }) => {
        // The names that the minifier gives differ by a few percent with what else the bundler has read.
        return result(specifier.slice(name.length + 1)).bytes > result(specifier).bytes * 1.1
      })
      expect(larger).toEqual([])
    }
  )

  it("of one symbol of core does not keep the others", async () => {
    const result = await bundle({
      all: `import * as core from "@everbeat/core"; globalThis.used = core`,
      name: `import { AgentName } from "@everbeat/core"; globalThis.used = AgentName.isAgentName`,
      step: `import { Step } from "@everbeat/core"; globalThis.used = Step.make`
    }, ["effect/*"])
    expect(result("name").bytes).toBeLessThan(result("all").bytes / 50)
    expect(result("step").bytes).toBeLessThan(result("all").bytes / 5)
    expect(result("name").bytes).toBeGreaterThan(0)
  })

  it("of a host on the memory store has no other store, no driver and no module of Node.js", async () => {
    const result = await bundle({
      host: `import { Heartbeat, HeartbeatEngine, Step } from "@everbeat/core"
        import { HeartbeatHandler } from "@everbeat/http"
        import { MemoryStore } from "@everbeat/store-memory"
        globalThis.used = [Heartbeat.make, HeartbeatEngine.layer, Step.make, HeartbeatHandler.make, MemoryStore.layer]`
    })
    expect(result("host").packages).toEqual(["@everbeat/core", "@everbeat/http", "@everbeat/store-memory", "effect"])
    expect(result("host").external).toEqual([])
  })
})

it("no package has a module with side effects", () => {
  const marked = publicPackages.map(({ manifest: { name, sideEffects } }) => ({
    name,
    pure: sideEffects === false || (Array.isArray(sideEffects) && sideEffects.length === 0)
  }))
  expect(marked).toEqual(publicPackages.map(({ manifest: { name } }) => ({ name, pure: true })))
})
