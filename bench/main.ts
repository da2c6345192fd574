/**
 * All benchmarks, side by side with what one would use instead.
 *
 *   npm run bench                         every suite; writes bench/results and the tables of docs/benchmarks.md
 *   npm run bench -- --suite save         one suite (or several: --suite save --suite http)
 *   npm run bench -- --quick              less of everything, within 5 minutes on 2 cores; writes no file
 *   npm run bench -- --quick --write      the same, and writes them
 *   npm run bench -- --quick --json       the ratios as one line of JSON, the last one; the tables go to stderr
 *   npm run bench -- --suite save --data FILE   saves of the transcripts of a file; writes no file
 *
 * The exit code is 1 when a promised number was missed or is not there, when a limit of a suite does not hold, or when a
 * suite failed; and 2 when the arguments are wrong. Progress is told on stderr.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { type Lines, type Report, write } from "./support/numbers.ts"
import { installPeers } from "./support/peers.ts"
import { publish, ratioLines } from "./support/publish.ts"
import { type Suite, suites } from "./support/suites.ts"
import { numbersOf, unkept } from "./support/verdicts.ts"

const say = (line: string): void => console.error(`bench: ${line}`)

const refuse = (why: string): never => {
  say(why)
  process.exit(2)
}

const argumentsGiven = () => {
  try {
    return parseArgs({
      options: {
        data: { type: "string" },
        json: { type: "boolean" },
        quick: { type: "boolean" },
        suite: { type: "string", multiple: true },
        write: { type: "boolean" }
      }
    }).values
  } catch (cause) {
    return refuse(cause instanceof Error ? cause.message : String(cause))
  }
}
const { data, json = false, quick = false, suite: wanted, write: writes = !quick } = argumentsGiven()

const chosen = suites.filter(({ name }) => wanted === undefined || wanted.includes(name))
const unknown = (wanted ?? []).filter((name) => suites.every((suite) => suite.name !== name))
if (unknown.length > 0) {
  refuse(`no suite is called ${unknown.join(", ")}; there are: ${suites.map(({ name }) => name).join(", ")}`)
}
if (data !== undefined && chosen.some(({ name }) => name !== "save")) refuse("--data is for --suite save alone")

const folder = mkdtempSync(join(tmpdir(), "everbeat-bench-report-"))

const isReport = (u: unknown): u is Report =>
  typeof u === "object" && u !== null && "summary" in u && "tables" in u && "charts" in u

/** What runs: it and what it has started end with this program. */
let current: ChildProcess | undefined
for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const) {
  process.once(signal, () => {
    say(`${signal}: stops`)
    current?.kill("SIGTERM")
    rmSync(folder, { recursive: true, force: true })
    process.exit(code)
  })
}

const run = async (suite: Suite): Promise<Report> => {
  const file = join(folder, `${suite.name}.json`)
  const child = current = spawn(
    process.execPath,
    ["--conditions=@everbeat/source", suite.file, ...suite.options({ quick, data })],
    {
      env: { ...process.env, EVERBEAT_BENCH_REPORT: file },
      // The output of this program is the tables, or the line of JSON.
      stdio: ["ignore", process.stderr.fd, "inherit"]
    }
  )
  const [code]: ReadonlyArray<unknown> = await once(child, "exit")
  try {
    const report: unknown = JSON.parse(readFileSync(file, "utf8"))
    if (isReport(report)) return report
  } catch (cause) {
    throw new Error(`the suite ended with ${String(code)} and no report`, { cause })
  }
  throw new Error(`the suite wrote no report: ${file}`)
}

const show = (lines: Lines): void => {
  const { log } = console
  if (json) console.log = console.error
  write(lines)
  console.log("")
  console.log = log
}

const values: Record<string, number> = {}
const failed: Array<string> = []
const missed: Array<string> = []

/** Whether the systems to compare with are there. */
const prepare = (): boolean => {
  try {
    installPeers(say)
    return true
  } catch (cause) {
    say(cause instanceof Error ? cause.message : String(cause))
    return false
  }
}
const peersAreThere = !chosen.some(({ needsPeers }) => needsPeers) || prepare()

try {
  for (const suite of chosen) {
    if (suite.needsPeers && !peersAreThere) {
      failed.push(suite.name)
      say(`${suite.name} was left out: it needs the systems to compare with`)
      continue
    }
    const from = performance.now()
    say(`${suite.name} ...`)
    try {
      const report = await run(suite)
      const { found, without } = numbersOf(suite.ratios(report.summary))
      Object.assign(values, found)
      for (const name of without) missed.push(`${name} of ${suite.name} has no value`)
      for (const name of unkept(report, found)) missed.push(name)
      say(`${suite.name} took ${Math.round((performance.now() - from) / 1_000)} s`)
      for (const table of report.tables) show(table)
      if (writes && data === undefined) publish(suite.name, report, values, quick)
    } catch (cause) {
      failed.push(suite.name)
      say(`${suite.name} failed: ${String(cause)}`)
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}

show(ratioLines(values))
for (const what of missed) say(`missed: ${what}`)
if (failed.length > 0) say(`failed: ${failed.join(", ")}`)
process.exitCode = missed.length + failed.length > 0 ? 1 : 0
if (json) console.log(JSON.stringify(values))
