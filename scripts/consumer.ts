/**
 * Packs every public package, installs the tarballs into a strict project
 * outside the workspace, type-checks it, bundles it and runs it, so that a broken
 * `exports` map, a missing file, a wrong peer range or an undeclared import is
 * found before a release.
 *
 * It runs on the Node.js of the repository, on the one of the system, and on
 * those that `EVERBEAT_TEST_NODES` lists (paths, separated like `PATH`).
 */
import { build } from "esbuild"
import { execFile } from "node:child_process"
import { cpSync, existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { isBuiltin } from "node:module"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { promisify } from "node:util"
import { newcomer } from "./newcomer.ts"
import { needsOf, packageOf, publicPackages, readManifest, root } from "./packages.ts"
import { importsOf } from "./syntax.ts"

const bin = join(root, "node_modules/.bin")
const consumer = mkdtempSync(join(tmpdir(), "everbeat-consumer-"))
/** Of somebody who has read the README only. */
const empty = mkdtempSync(join(tmpdir(), "everbeat-newcomer-"))
/** Where nothing is installed. */
const elsewhere = mkdtempSync(join(tmpdir(), "everbeat-bundle-"))

const execute = promisify(execFile)

const run = async (
  command: string,
  args: ReadonlyArray<string>,
  options: { readonly cwd?: string; readonly env?: Record<string, string> } = {}
): Promise<string> => {
  const env = { ...process.env, ...options.env }
  try {
    return (await execute(command, args, { cwd: options.cwd ?? consumer, env, maxBuffer: 2 ** 26 })).stdout.trim()
  } catch (error) {
    const { stderr, stdout } = error as { readonly stderr?: string; readonly stdout?: string }
    // oxlint-disable-next-line eslint/preserve-caught-error -- its message is what the tool printed, which is in here
    throw new Error(`${command} ${args.join(" ")} failed\n${stdout ?? ""}${stderr ?? ""}`)
  }
}

/** Waits for all, then fails as the first that failed: nothing still writes into a folder that is to be removed. */
const all = async <A>(tasks: ReadonlyArray<Promise<A>>): Promise<ReadonlyArray<A>> => {
  await Promise.allSettled(tasks)
  return Promise.all(tasks)
}

const fail = (message: string, wrong: ReadonlyArray<string>): void => {
  if (wrong.length > 0) throw new Error(`${message}:\n  ${wrong.join("\n  ")}`)
}

const path = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => !folder.includes("node_modules"))
const systemNode = path.map((folder) => join(folder, "node")).find((file) => existsSync(file))
const extraNodes = (process.env["EVERBEAT_TEST_NODES"] ?? "").split(delimiter).filter((file) => file !== "")
const nodes = new Set([process.execPath, ...(systemNode === undefined ? [] : [systemNode]), ...extraNodes])

const flags = ["--prefer-offline", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]

const entries = publicPackages.flatMap(({ entryPoints }) => entryPoints)

/** Installs the packages, `effect` and the declared peers, in the versions that the repository tests with. */
const install = async (): Promise<void> => {
  const tarballs = await all(publicPackages.map(async ({ folder }) => {
    const args = ["pack", "--json", "--loglevel=error", "--pack-destination", consumer]
    const [{ filename }] = JSON.parse(await run("npm", args, { cwd: join(root, folder) }))
    return `./${filename}`
  }))
  const wanted = new Map<string, string>()
  for (const { manifest } of publicPackages) {
    const { optional, required } = needsOf(manifest)
    for (const [name, range] of Object.entries({ ...required, ...optional })) {
      if (!name.startsWith("@everbeat/")) wanted.set(name, manifest.devDependencies?.[name] ?? range)
    }
  }
  const peers = Array.from(wanted, ([name, version]) => `${name}@${version}`)
  await run("npm", ["install", ...flags, ...peers, ...tarballs])
  console.log(`installed ${tarballs.join(", ")} with ${peers.join(", ")}`)
}

/** Copies of what is installed: another Effect 4, an Effect 3, and a core of their own. */
const installCopies = async (): Promise<void> => {
  const cwd = join(consumer, "copies")
  mkdirSync(cwd)
  writeFileSync(join(cwd, "package.json"), `{ "name": "copies", "private": true }`)
  const installed = readManifest(join(consumer, "node_modules/effect/package.json")).version
  const [core = ""] = globSync("everbeat-core-*.tgz", { cwd: consumer })
  const effects = [`effect@${installed}`, "effect-4.0@npm:effect@4.0.6", "effect-3@npm:effect@3.22.4"]
  await run("npm", ["install", ...flags, `../${core}`, ...effects], { cwd })
}

/** What the published files import, as values and as types, is declared. */
const checkImports = (): void =>
  fail(
    "the published files import what their package.json does not declare",
    publicPackages.flatMap(({ manifest }) => {
      const folder = join(consumer, "node_modules", manifest.name)
      const { optional, required } = needsOf(readManifest(join(folder, "package.json")))
      const wrong = new Set<string>()
      for (const file of globSync("dist/**/*.{js,d.ts}", { cwd: folder })) {
        for (const specifier of importsOf(readFileSync(join(folder, file), "utf8"), file)) {
          const name = packageOf(specifier)
          if (specifier.startsWith(".") || isBuiltin(specifier) || name in required || name in optional) continue
          wrong.add(`${manifest.name}: ${specifier} in ${file}`)
        }
      }
      return Array.from(wrong)
    })
  )

/** Every module, in both ways that TypeScript resolves modules for users of today. */
const checkTypes = async (): Promise<void> => {
  const names = entries.map(({ specifier }, index) => `export * as m${index} from "${specifier}"`)
  writeFileSync(join(consumer, "entries.ts"), `${names.join("\n")}\n`)
  await all([".", "tsconfig.bundler.json"].map(async (project) => {
    const { stdout } = await execute(join(bin, "tsc"), ["-p", project, "--pretty", "false"], { cwd: consumer })
      .catch((error: { readonly stdout: string }) => error)
    const errors = stdout.split(/\n(?=\S)/).filter((line) => line.includes("error TS"))
    const [theirs, ours] = [true, false].map((their) =>
      errors.filter((line) => /^node_modules\/(?!@everbeat\/)/.test(line) === their)
    )
    // A framework whose own declarations do not compile is a choice of its users.
    for (const line of theirs ?? []) console.log(`not ours: ${line.split("\n", 1)[0]}`)
    fail(`the types are wrong for ${project}`, ours ?? [])
  }))
  console.log(`type-checked ${entries.length} modules, with module resolution NodeNext and bundler`)
}

/** The documentation page of the handler, which a host without it leaves out as the README says. */
const onDemand = "effect/http-api/HttpApiScalar"

/** A host as one file: what it does not use is not in it. */
const bundle = async (): Promise<string> => {
  const outfile = join(elsewhere, "host.mjs")
  const { metafile } = await build({
    absWorkingDir: consumer,
    entryPoints: ["out/host.js"],
    outfile,
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node20",
    external: [onDemand],
    metafile: true,
    logLevel: "error"
  })
  const packages = Object.keys(metafile.inputs).map((file) => packageOf(file.split("node_modules/").at(-1) ?? file))
  const used = new Set(packages.filter((name) => name !== "out"))
  const declared = new Set(["@everbeat/core", "@everbeat/http", "@everbeat/store-memory", "effect"])
  fail(
    "the bundled host contains packages that it does not use",
    Array.from(used).filter((name) => !declared.has(name))
  )
  const [output] = Object.values(metafile.outputs)
  const external =
    output?.imports.filter(({ external, path }) => external && path !== onDemand).map(({ path }) => path) ?? []
  fail("the bundled host needs modules that are not in it", Array.from(new Set(external)))
  console.log(`bundled the host: ${Math.round((output?.bytes ?? 0) / 1024)} kB of ${Array.from(used).join(", ")}`)
  return outfile
}

/** The modules that can be imported without the optional peers are those of production code. */
const checkOptionalPeers = async (node: string): Promise<void> => {
  const args = ["--import", "./declared.mjs", "imports.mjs"]
  const needs: Record<string, string> = JSON.parse(await run(node, args, { env: { EVERBEAT_OPTIONAL_PEERS: "none" } }))
  const main = publicPackages.flatMap(({ manifest: { name } }) => needs[name] === undefined ? [] : [name])
  fail("the main module of a package needs an optional peer", main)
  for (const [specifier, peer] of Object.entries(needs)) console.log(`${specifier} is only for who has ${peer}`)
}

try {
  fail(
    "modules that are not named after their main export can be imported",
    entries.filter(({ named, specifier }) => !named && !/\/(?:[A-Z]\w*|promise)$/.test(specifier)).map((
      { specifier }
    ) => specifier)
  )
  cpSync(join(root, "scripts/consumer"), consumer, { recursive: true })
  writeFileSync(join(consumer, "entries.json"), JSON.stringify(entries.map(({ specifier }) => specifier)))
  await install()
  await installCopies()
  checkImports()
  await checkTypes()
  await newcomer({
    folder: empty,
    tarballs: consumer,
    readme: readFileSync(join(root, "README.md"), "utf8"),
    nodes: Array.from(nodes),
    run
  })
  const host = await bundle()
  await checkOptionalPeers(process.execPath)
  await all(Array.from(nodes, async (node) => {
    const version = await run(node, ["--version"])
    const declared = ["--import", "./declared.mjs"]
    await run(node, [...declared, "imports.mjs"])
    const printed = await run(node, [...declared, "out/index.js"])
    const copies = await run(node, ["copies.mjs"])
    const bundled = await run(node, [host], { cwd: elsewhere })
    console.log(
      `${version}: ${entries.length} modules; ${
        [printed, bundled, copies].map((text) => text.split("\n").at(-1)).join("; ")
      }`
    )
  }))
} finally {
  rmSync(consumer, { recursive: true, force: true })
  rmSync(empty, { recursive: true, force: true })
  rmSync(elsewhere, { recursive: true, force: true })
}
