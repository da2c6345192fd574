/**
 * The way of a newcomer: an empty folder, the packages, the code of the README
 * pasted as it is. It must run, print what it promises, and compile strictly.
 */
import { globSync, mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { withAssertions } from "./assertions.ts"
import { readManifest, root } from "./packages.ts"
import { type Quickstart, quickstartOf } from "./quickstart.ts"

type Run = (command: string, args: ReadonlyArray<string>, options: { readonly cwd: string }) => Promise<string>

/** What the newcomer has. */
export interface Given {
  /** Empty, and outside the repository. */
  readonly folder: string
  /** Where the packages are, packed. */
  readonly tarballs: string
  readonly readme: string
  readonly nodes: ReadonlyArray<string>
  readonly run: Run
}

/** The newcomer's own compiler, with every check that a strict project turns on, and for the oldest Node.js. */
const tsconfig = {
  compilerOptions: {
    target: "ES2022",
    lib: ["ESNext", "DOM"],
    module: "NodeNext",
    moduleDetection: "force",
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: false,
    rootDir: ".",
    outDir: "out",
    types: []
  },
  include: ["*.ts"]
}

/** `@everbeat/core` is not in a registry: the tarball is installed in its place. */
const packageFor = (name: string, tarballs: string): string => {
  if (!name.startsWith("@everbeat/")) {
    const pinned = readManifest(join(root, "package.json")).devDependencies?.[name]
    return pinned === undefined ? name : `${name}@${pinned}`
  }
  const [file] = globSync(`${name.slice(1).replace("/", "-")}-*.tgz`, { cwd: tarballs })
  if (file === undefined) throw new Error(`The README installs ${name}, which is not a package of this repository.`)
  return join(tarballs, file)
}

/** What the pasted code prints contains each text that it promises. */
const unprinted = (code: string, printed: string): ReadonlyArray<string> =>
  Array.from(
    code.matchAll(/\/\/ => (.+)$/gm),
    ([, value = ""]) => Array.from(value.matchAll(/"([^"]+)"/g), ([, text = ""]) => text)
  )
    .flat()
    .filter((text) => !printed.includes(text))

const expected = `import { deepStrictEqual } from "node:assert/strict"
export const $expect = (actual: unknown) => ({ toEqual: (expected: unknown): void => deepStrictEqual(actual, expected) })
`

/** Pastes a quickstart under its name, and runs it as the README says, on each Node.js that can run such a file. */
const paste = async ({ folder, nodes, run }: Given, { code, file }: Quickstart): Promise<ReadonlyArray<string>> => {
  writeFileSync(join(folder, file), code)
  const versions = await Promise.all(nodes.map(async (node) => {
    const strips = await run(node, ["-p", "process.features.typescript ?? false"], { cwd: folder })
    if (/\.m?ts$/.test(file) && strips === "false") return []
    const missing = unprinted(code, await run(node, [file], { cwd: folder }))
    const version = await run(node, ["--version"], { cwd: folder })
    if (missing.length > 0) {
      throw new Error(`${file} on ${version} does not print ${missing.join(", ")}, as the README promises`)
    }
    return [version]
  }))
  if (versions.flat().length === 0) throw new Error(`None of ${nodes.join(", ")} runs ${file} as it is.`)
  return versions.flat()
}

export const newcomer = async (given: Given): Promise<void> => {
  const { folder, nodes, readme, run, tarballs } = given
  const plain = quickstartOf(readme, "Quickstart")
  const effect = quickstartOf(readme, "Quickstart with Effect", plain)
  const names = new Set([...plain.install, ...effect.install])
  const flags = ["--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error"]
  await run("npm", ["install", ...flags, ...Array.from(names, (name) => packageFor(name, tarballs))], { cwd: folder })

  const pasted = [await paste(given, plain), await paste(given, effect)]

  // The same code in a strict project, where every promise is an assertion: this form runs on each Node.js.
  const strict = join(folder, "strict")
  mkdirSync(strict)
  writeFileSync(join(strict, "package.json"), `{ "type": "module" }\n`)
  writeFileSync(join(strict, "tsconfig.json"), JSON.stringify(tsconfig))
  writeFileSync(
    join(strict, "expected.ts"),
    expected.replace("import", "// @ts-expect-error -- no types of Node.js are installed\nimport")
  )
  const header = `import { $expect } from "./expected.js"; `
  writeFileSync(join(strict, "plain.ts"), header + withAssertions(plain.code, "Quickstart"))
  writeFileSync(join(strict, "effect.ts"), header + withAssertions(effect.code, "Quickstart with Effect"))
  await run(join(root, "node_modules/.bin/tsc"), ["-p", strict, "--pretty", "false"], { cwd: folder })
  await Promise.all(
    nodes.flatMap((node) => ["plain", "effect"].map((name) => run(node, [`out/${name}.js`], { cwd: strict })))
  )
  const done = [plain, effect].map(({ file }, index) => `${file} on ${pasted[index]?.join(" and ")}`)
  console.log(
    `a newcomer pasted and ran ${
      done.join(", ")
    }; compiled strictly, both keep their promises on ${nodes.length} Node.js`
  )
}
