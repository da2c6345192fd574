/**
 * A fleet under fire: four processes with heartbeats and agents on one store, while processes are killed and frozen,
 * servers restarted, connections cut and slowed down, and clocks set wrong. What the processes were told is compared with
 * what is stored.
 *
 *   npm run chaos -- --seconds 60 --seed 7              Postgres, then Redis
 *   npm run chaos -- --seconds 60 --seed 7 --store redis
 *   npm run chaos -- --json                             nothing but the report
 *
 *   npm run chaos -- --only freezes,kills           some of the faults
 *
 * The last line is the report. The exit code is 1 when anything was lost or done twice. `--sabotage ignores-fence` (or
 * `loses-saves`, `claims-twice`) breaks the store on purpose, to see that it is found out.
 */
import { parseArgs } from "node:util"
import { kinds } from "./faults.ts"
import { storeNames } from "./messages.ts"
import { abandon, isClean, type Report, runOn } from "./run.ts"
import { sabotages } from "./sabotage.ts"

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "20" },
    seed: { type: "string" },
    store: { type: "string" },
    only: { type: "string" },
    json: { type: "boolean", default: false },
    sabotage: { type: "string" }
  }
})

const number = (name: string, text: string): number => {
  const value = Number(text)
  if (Number.isFinite(value) && value > 0) return value
  throw new TypeError(`--${name} must be a number greater than 0, not ${text}`)
}

const oneOf = <A extends string>(name: string, all: ReadonlyArray<A>, text: string | undefined): A | undefined => {
  const found = all.find((one) => one === text)
  if (text === undefined || found !== undefined) return found
  throw new TypeError(`--${name} must be one of ${all.join(", ")}, not ${text}`)
}

const whole = (name: string, text: string): number => {
  const value = number(name, text)
  if (Number.isSafeInteger(value)) return value
  throw new TypeError(`--${name} must be a whole number, not ${text}`)
}

const seconds = number("seconds", values.seconds)
const seed = values.seed === undefined ? 1 + Math.floor(Math.random() * 1_000_000) : whole("seed", values.seed)
const one = oneOf("store", storeNames, values.store)
const only = values.only?.split(",").flatMap((kind) => oneOf("only", kinds, kind) ?? []) ?? kinds
// The keys of the record are its names.
const sabotage = oneOf("sabotage", Object.keys(sabotages) as Array<keyof typeof sabotages>, values.sabotage)
const stores = one === undefined ? storeNames : [one]

const started = performance.now()
const say = (line: string): void => {
  const isComplaint = /^(?:VIOLATION|CRASH|IDLE|FAILED|history|the journals|\.\.\.| )/.test(line)
  if (!values.json || isComplaint) {
    process.stderr.write(`${isComplaint ? "" : `[${((performance.now() - started) / 1000).toFixed(1)} s] `}${line}\n`)
  }
}

let isLeaving = false
for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const) {
  process.once(signal, () => {
    isLeaving = true
    void abandon().finally(() => process.exit(code))
  })
}

const reports: Array<Report> = []
for (const store of stores) {
  try {
    reports.push(await runOn({ store, seconds: seconds / stores.length, seed, only, sabotage, say }))
  } catch (cause) {
    // What ends because we leave is not a failure.
    if (isLeaving) await new Promise(() => {})
    say(`FAILED on ${store} with seed ${seed}: ${cause instanceof Error ? cause.stack : String(cause)}`)
    process.exit(1)
  }
}

/** What both have in numbers, added up. */
const total = (all: ReadonlyArray<Report>): Record<string, unknown> => {
  const sum: Record<string, unknown> = {}
  for (const report of all) {
    for (const [name, value] of Object.entries(report)) {
      if (typeof value === "number") sum[name] = Number(sum[name] ?? 0) + value
    }
  }
  return { ...sum, seed, store: stores.join(", ") }
}

if (!values.json && reports.length > 1) {
  for (const report of reports) process.stderr.write(`${JSON.stringify(report)}\n`)
}
process.stdout.write(`${JSON.stringify(reports.length === 1 ? reports[0] : total(reports))}\n`)
process.exit(reports.every(isClean) ? 0 : 1)
