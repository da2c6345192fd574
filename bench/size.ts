/**
 * What it costs to import a module, and what it adds to a bundle, for every module of every package as it is published.
 * Each import is timed in a fresh process, in rotation with an import of what the package needs anyway: `effect`, and
 * the driver or framework that is its peer. Only their ratio means something.
 *
 *   npm run bench:size                 a table
 *   npm run bench:size -- --json       one line of JSON
 *   npm run bench:size -- --rounds N   rounds of imports (default 7)
 *   npm run bench:size -- --main       only the main modules, and those with an export of their own
 *
 * Sizes are minified and gzipped, in kB: `own` without anything that is not Everbeat's, `bundle` with `effect`. What is
 * loaded on demand is not in them. The exit code is 1 when a limit does not hold; the kits for tests have none.
 */
import { build } from "esbuild"
import { execFile } from "node:child_process"
import { parseArgs, promisify } from "node:util"
import { gzipSync } from "node:zlib"
import { type EntryPoint, needsOf, type Package, publicPackages, root } from "../scripts/packages.ts"
import { conclude, median, print, round } from "./support/numbers.ts"

const { values } = parseArgs({
  options: { rounds: { type: "string" }, json: { type: "boolean" }, main: { type: "boolean" } }
})
const rounds = Number(values.rounds ?? 7)
const execute = promisify(execFile)

interface Module extends EntryPoint {
  /** What a user of the package imports with it, and cannot do without. */
  readonly needed: ReadonlyArray<string>
  readonly kit: boolean
}

const peersOf = ({ manifest }: Package): ReadonlyArray<string> =>
  Object.keys(needsOf(manifest).required).filter((name) =>
    name in (manifest.peerDependencies ?? {}) && !name.startsWith("@everbeat/") && name !== "effect"
  )

const modules = publicPackages.flatMap((pkg): ReadonlyArray<Module> =>
  pkg.entryPoints.filter(({ named }) => named || values.main !== true).map((entry) => ({
    ...entry,
    needed: ["effect", ...peersOf(pkg)],
    kit: entry.specifier.includes("/testing")
  }))
)

/** Milliseconds that a fresh process takes for its imports. */
const importing = async (specifiers: ReadonlyArray<string>): Promise<number> => {
  const program = `const from = performance.now()
    for (const specifier of ${JSON.stringify(specifiers)}) await import(specifier)
    console.log(performance.now() - from)`
  const { stdout } = await execute(process.execPath, ["--input-type=module", "-e", program], { cwd: root })
  return Number(stdout)
}

/** The bytes of a module in a bundle, gzipped, without what it imports on demand. */
const bundled = async (specifier: string, external: ReadonlyArray<string>): Promise<number> => {
  const { metafile, outputFiles } = await build({
    absWorkingDir: root,
    stdin: { contents: `export * from ${JSON.stringify(specifier)}`, resolveDir: root },
    outdir: "unwritten",
    bundle: true,
    minify: true,
    splitting: true,
    write: false,
    metafile: true,
    format: "esm",
    platform: "node",
    external: [...external],
    logLevel: "error"
  })
  const reached = new Set<string>(["unwritten/stdin.js"])
  for (const file of reached) {
    for (const { external, kind, path } of metafile.outputs[file]?.imports ?? []) {
      if (kind === "import-statement" && external !== true) reached.add(path)
    }
  }
  const texts = outputFiles.filter(({ path }) => Array.from(reached).some((file) => path.endsWith(file)))
  return texts.reduce((sum, { contents }) => sum + gzipSync(contents).length, 0) / 1000
}

const foreign = Array.from(
  new Set(publicPackages.flatMap(({ manifest }) => {
    const { optional, required } = needsOf(manifest)
    return Object.keys({ ...required, ...optional }).filter((name) => !name.startsWith("@everbeat/"))
  }))
)

await execute("tsc", ["-b", "tsconfig.packages.json"], { cwd: root })

const baselines = new Map(modules.map(({ needed }) => [needed.join(" and "), needed]))
const times = new Map<string, Array<number>>()
for (let turn = 0; turn < rounds; turn++) {
  const subjects = [...baselines, ...modules.map(({ specifier }) => [specifier, [specifier]] as const)]
  // Another one begins each round: none is always measured on a machine that has just been busy.
  const first = Math.floor((turn * subjects.length) / rounds)
  for (const [name, specifiers] of [...subjects.slice(first), ...subjects.slice(0, first)]) {
    const time = await importing(specifiers)
    times.set(name, [...(times.get(name) ?? []), time])
  }
}

const results: Array<
  Pick<Module, "specifier" | "kit"> & {
    readonly milliseconds: number
    readonly ratio: number
    readonly own: number
    readonly bundle: number
  }
> = []
for (const { kit, needed, specifier } of modules) {
  const base = times.get(needed.join(" and ")) ?? []
  const own = times.get(specifier) ?? []
  results.push({
    specifier,
    kit,
    milliseconds: median(own),
    ratio: median(own.map((time, turn) => time / (base[turn] ?? NaN))),
    own: await bundled(specifier, foreign),
    bundle: await bundled(specifier, foreign.filter((name) => name !== "effect"))
  })
}

const worst = (of: (result: (typeof results)[number]) => number): number =>
  Math.max(...results.filter(({ kit }) => !kit).map(of))
const summary = {
  importVsNeeded: round(worst(({ ratio }) => ratio)),
  ownKilobytes: round(worst(({ own }) => own)),
  bundleKilobytes: round(worst(({ bundle }) => bundle)),
  modules: Object.fromEntries(results.map(({ bundle, own, ratio, specifier }) => [
    specifier,
    { import: round(ratio), own: round(own), bundle: round(bundle) }
  ]))
}

conclude(summary, [
  { name: "importVsNeeded", value: summary.importVsNeeded, operator: "<=", limit: 2.5 },
  { name: "ownKilobytes", value: summary.ownKilobytes, operator: "<=", limit: 100 },
  { name: "bundleKilobytes", value: summary.bundleKilobytes, operator: "<=", limit: 300 }
], () => {
  print([
    ["module", "import", "ratio", "own kB", "bundle kB"],
    ...results.map(({ bundle, milliseconds, own, ratio, specifier }) => [
      specifier,
      `${Math.round(milliseconds)} ms`,
      ratio.toFixed(2),
      own.toFixed(1),
      bundle.toFixed(1)
    ])
  ])
  for (const name of baselines.keys()) {
    console.log(`import of ${name}: ${Math.round(median(times.get(name) ?? []))} ms`)
  }
})
