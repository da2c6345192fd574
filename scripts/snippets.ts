/**
 * Type-checks and runs the documentation.
 *
 * Every `ts` fence of the Markdown files and of the JSDoc comments becomes a
 * module of its own under `.snippets/`, with the code on the lines it has in
 * the documentation. The comment of `expression // => value`, on the same line or
 * on the next one, becomes an assertion. A fence marked `ts no-run` is only type-checked.
 */
import { spawnSync } from "node:child_process"
import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join, relative, resolve } from "node:path"
import { withAssertions } from "./assertions.ts"
import { importsOf } from "./syntax.ts"

interface Fence {
  readonly file: string
  readonly line: number
  readonly marker: string
  readonly code: string
}

const root = resolve(import.meta.dirname, "..")
const outDir = join(root, ".snippets")
const markdown = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/**/*.md", "packages/*/README.md"]
const sources = ["packages/*/src/**/*.ts"]

/** The fences of a file, without the indentation or the comment stars before them. */
const fencesOf = (file: string): ReadonlyArray<Fence> => {
  const found: Array<Fence> = []
  const prefix = file.endsWith(".ts") ? /^[ \t]*\*[ \t]?/ : /^$/
  let open:
    | { mark: string; indent: string; language: string; marker: string; line: number; code: Array<string> }
    | undefined
  for (const [index, raw] of readFileSync(join(root, file), "utf8").split("\n").entries()) {
    if (file.endsWith(".ts") && !prefix.test(raw)) {
      open = undefined
      continue
    }
    const text = raw.replace(prefix, "")
    if (open === undefined) {
      const [, indent = "", mark, language = "", marker = ""] = /^([ \t]*)(`{3,})([^\s`]*)[ \t]*([^`]*)$/.exec(text) ??
        []
      if (mark !== undefined) open = { mark, indent, language, marker: marker.trim(), line: index + 1, code: [] }
    } else if (text.trim() === open.mark) {
      if (open.language === "ts") found.push({ ...open, file, code: open.code.join("\n") })
      open = undefined
    } else {
      open.code.push(text.startsWith(open.indent) ? text.slice(open.indent.length) : text.trimStart())
    }
  }
  return found
}

/** Writes one fence, and the test that runs it. */
const write = ({ code, file, line, marker }: Fence): void => {
  const name = `${file}:${line}`
  if (marker !== "" && marker !== "no-run") throw new SyntaxError(`${name}: unknown marker "${marker}"`)
  const path = join(outDir, `${file.replace(/\.(?:md|ts)$/, "")}.L${line}`)
  // A snippet that declares tests is itself the test file.
  const isTest = importsOf(code, name).some((module) => module === "vitest" || module === "@effect/vitest")
  const run = marker !== "no-run"
  const target = isTest && run ? `${path}.test.ts` : `${path}.snippet.ts`
  mkdirSync(dirname(path), { recursive: true })
  const header = `import { expect as $expect } from "vitest"; void $expect; export {}`
  writeFileSync(target, `${header}${"\n".repeat(line)}${withAssertions(code, name)}\n`)
  if (run && !isTest) {
    const module = `./${relative(dirname(path), target)}`
    writeFileSync(`${path}.test.ts`, `import { it } from "vitest"\n\nit("${name} runs", () => import("${module}"))\n`)
  }
}

const step = (command: string, args: ReadonlyArray<string>): void => {
  const { status } = spawnSync(command, args, {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, EVERBEAT_SNIPPETS: "1" }
  })
  if (status !== 0) process.exit(status ?? 1)
}

const files = globSync([...markdown, ...sources], {
  cwd: root,
  exclude: ["**/node_modules/**", "docs/api/**"]
}).sort()
const fences = files.flatMap(fencesOf)

rmSync(outDir, { recursive: true, force: true })
const wrong = fences.flatMap((fence) => {
  try {
    write(fence)
    return []
  } catch (error) {
    return [error instanceof SyntaxError ? error.message : String(error)]
  }
})

console.log(`${fences.length} snippets in ${new Set(fences.map(({ file }) => file)).size} of ${files.length} files`)
for (const message of wrong) console.error(message)
if (wrong.length > 0) process.exitCode = 1
if (fences.length > 0) {
  step("tsc", ["-p", "tsconfig.snippets.json"])
  if (fences.some(({ marker }) => marker === "")) step("vitest", ["run", "--silent=passed-only"])
}
