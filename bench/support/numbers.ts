/** What the tables of a benchmark are made of. */
import { writeFileSync } from "node:fs"
import type { Chart } from "./chart.ts"

export const percentile = (values: ReadonlyArray<number>, fraction: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * fraction))] ?? NaN

export const median = (values: ReadonlyArray<number>): number => percentile(values, 0.5)

export const round = (value: number): number => Math.round(value * 100) / 100

/** A number with three digits that matter. */
export const short = (value: number): string => {
  if (Number.isNaN(value)) return "-"
  return Math.abs(value) >= 100 ? Math.round(value).toLocaleString("en-US") : value.toPrecision(3)
}

/** Lines of cells: the first line names the columns. */
export type Lines = ReadonlyArray<ReadonlyArray<string>>

/** What a suite found, for whoever runs several of them. */
export interface Report {
  readonly summary: Readonly<Record<string, unknown>>
  readonly limits: ReadonlyArray<Limit & { readonly holds: boolean }>
  readonly tables: ReadonlyArray<Lines>
  readonly charts: ReadonlyArray<Chart>
}

const reportFile = process.env["EVERBEAT_BENCH_REPORT"]
const printed: Array<Lines> = []

/** Numbers end at the right, texts begin at the left. */
export const print = (lines: Lines): void => {
  printed.push(lines)
  if (reportFile === undefined) write(lines)
}

export const write = (lines: Lines): void => {
  const widths = (lines[0] ?? []).map((_, column) => Math.max(...lines.map((line) => (line[column] ?? "").length)))
  const isText = widths.map((_, column) =>
    column === 0 || lines.slice(1).some((line) => /^[A-Za-z]/u.test(line[column] ?? ""))
  )
  for (const line of lines) {
    const cells = line.map((cell, column) =>
      isText[column] === true ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)
    )
    console.log(cells.join("  ").trimEnd())
  }
}

/** A limit that a number of the summary keeps. */
export interface Limit {
  readonly name: string
  readonly value: number
  readonly operator: "<=" | "<" | ">="
  readonly limit: number
}

export const holds = ({ limit, operator, value }: Limit): boolean => {
  if (operator === ">=") return value >= limit
  return operator === "<" ? value < limit : value <= limit
}

/** Prints the summary, and the limits with what became of them; the exit code is 1 when one does not hold. */
export const conclude = (
  summary: Readonly<Record<string, unknown>>,
  limits: ReadonlyArray<Limit>,
  table: () => void,
  charts: ReadonlyArray<Chart> = []
): void => {
  process.exitCode = limits.every(holds) ? 0 : 1
  if (reportFile !== undefined) {
    table()
    const judged = limits.map((limit) => ({ ...limit, holds: holds(limit) }))
    const report: Report = { summary, limits: judged, tables: printed, charts }
    writeFileSync(reportFile, JSON.stringify(report))
    return
  }
  if (process.argv.includes("--json")) {
    console.log(JSON.stringify(summary))
    return
  }
  table()
  console.log(`\n${JSON.stringify(summary)}`)
  for (const limit of limits) {
    console.log(
      `${holds(limit) ? "holds" : "FAILS"}  ${limit.name} ${limit.operator} ${limit.limit} (${round(limit.value)})`
    )
  }
}
