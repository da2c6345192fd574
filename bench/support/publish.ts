/** What is kept of a whole run: a file of JSON for each suite, charts, and the tables of the documentation. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { svg } from "./chart.ts"
import { describe, peers } from "./machine.ts"
import { type Lines, type Report, short } from "./numbers.ts"
import { ratios } from "./ratios.ts"
import { verdict } from "./verdicts.ts"

const root = join(import.meta.dirname, "../..")
const results = join(root, "bench/results")
const page = join(root, "docs/benchmarks.md")

const escaped = (cell: string): string => cell.replace(/\|/gu, "\\|")

const markdown = (lines: Lines): string => {
  const widths = (lines[0] ?? []).map((_, column) =>
    Math.max(3, ...lines.map((line) => escaped(line[column] ?? "").length))
  )
  const row = (line: ReadonlyArray<string>) =>
    `| ${widths.map((width, column) => escaped(line[column] ?? "").padEnd(width)).join(" | ")} |`
  const rule = `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`
  return [row(lines[0] ?? []), rule, ...lines.slice(1).map(row)].join("\n")
}

/** Every ratio with its direction. */
export const ratioLines = (values: Readonly<Record<string, number>>): Lines => [
  ["ratio", "value", "better", "promised", "", "what it is"],
  ...Object.entries(values).map(([name, value]) => {
    const ratio = ratios[name]
    const kept = verdict(name, value)
    return [
      name,
      short(value),
      ratio?.better ?? "",
      ratio?.target === undefined ? "" : `${ratio.target.operator} ${ratio.target.limit}`,
      kept === undefined ? "" : kept ? "kept" : "MISSED",
      ratio?.means ?? ""
    ]
  })
]

const replaceBetween = (text: string, name: string, content: string): string => {
  const start = `<!-- bench:${name} -->`
  const end = `<!-- /bench:${name} -->`
  const from = text.indexOf(start)
  const to = text.indexOf(end)
  return from === -1 || to < from ? text : `${text.slice(0, from + start.length)}\n\n${content}\n\n${text.slice(to)}`
}

const readJson = (file: string): unknown => {
  try {
    return JSON.parse(readFileSync(file, "utf8"))
  } catch {
    return {}
  }
}

const numbersOf = (u: unknown): Record<string, number> =>
  typeof u === "object" && u !== null
    ? Object.fromEntries(Object.entries(u).filter(([, value]) => typeof value === "number"))
    : {}

/** Keeps what one suite found; `values` are those of all that ran. Numbers of suites that did not run stay. */
export const publish = (
  name: string,
  { charts, limits, summary, tables }: Report,
  values: Readonly<Record<string, number>>,
  quick: boolean
): void => {
  mkdirSync(results, { recursive: true })
  const machine = { ...describe(), run: quick ? "npm run bench -- --quick --write" : "npm run bench" }
  const content = { machine, peers, summary, limits, tables, charts }
  writeFileSync(join(results, `${name}.json`), `${JSON.stringify(content, null, 2)}\n`)
  for (const chart of charts) writeFileSync(join(results, `${chart.name}.svg`), svg(chart))
  const file = join(results, "ratios.json")
  const known = { ...numbersOf(readJson(file)), ...values }
  const ordered = Object.fromEntries(
    Object.keys(ratios).flatMap((name) => known[name] === undefined ? [] : [[name, known[name]] as const])
  )
  writeFileSync(file, `${JSON.stringify(ordered, null, 2)}\n`)
  let text = readFileSync(page, "utf8")
  text = replaceBetween(text, "ratios", markdown(ratioLines(ordered)))
  const versions = [
    ...Object.entries(machine),
    ...Object.entries(peers).map(([name, version]) => [name, String(version)])
  ]
  text = replaceBetween(text, "machine", markdown([["what", "which"], ...versions]))
  text = replaceBetween(text, name, tables.map(markdown).join("\n\n"))
  writeFileSync(page, text)
}
