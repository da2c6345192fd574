/** One run of the fleet on one store, and its verdict. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { check, isGivenUp } from "./checker.ts"
import { openReader, type Reader } from "./contents.ts"
import { type Counts, inject } from "./faults.ts"
import { Fleet, size } from "./fleet.ts"
import { type Line, readJournals } from "./journal.ts"
import type { StoreName } from "./messages.ts"
import { byRun, foremost, type Offence, offences, only, silence, type Violation } from "./offences.ts"
import { random } from "./random.ts"
import type { Sabotage } from "./sabotage.ts"
import { startServer } from "./server.ts"

export interface RunOptions {
  readonly store: StoreName
  readonly seconds: number
  readonly seed: number
  /** Which faults. */
  readonly only: ReadonlyArray<keyof Counts>
  readonly sabotage: Sabotage | undefined
  readonly say: (line: string) => void
}

type Numbers = Counts & Record<Offence, number> & {
  readonly runs: number
  readonly completed: number
  /** Runs that recovery left alone after two attempts without progress, and that were continued by name afterwards. */
  readonly exhausted: number
  /** Passes without progress in two attempts that the next heartbeat of their agent recorded as failed. */
  readonly givenUp: number
  /** Children whose parent had ended, continued by name likewise. */
  readonly orphans: number
  /** Leases that were handed out, and writes that were acknowledged. */
  readonly grants: number
  readonly acknowledged: number
  /** Writes and renewals that came too late: somebody else had claimed the run, or it had ended. */
  readonly refused: number
  /** Callers who asked again with a key, and got the record of its run. */
  readonly replayed: number
  /** Workers that ended by themselves, or not when they were told to. */
  readonly crashes: number
  /** Of the four, those whom the store has acknowledged nothing. */
  readonly idle: number
}

export type Report = Numbers & { readonly store: string; readonly seconds: number; readonly seed: number }

/** So short that a lot happens. */
const leaseMillis = 2000

/** How long nothing may end once nothing goes wrong any more: a machine that does a lot else lets leases expire on its own. */
const patienceMillis = 60_000

/** Waits until nothing is in flight; continues by name, now and then, what recovery leaves alone. */
const settleDown = async (fleet: Fleet, reader: Reader, say: (line: string) => void) => {
  const exhausted = new Set<string>()
  const orphans = new Set<string>()
  let least = Infinity
  let until = performance.now() + patienceMillis
  for (let look = 1; performance.now() < until; look++) {
    // Asked before: what is begun between the two would be taken for stuck.
    const { isResting } = fleet
    const left = (await reader.read()).runs.filter(({ state }) => state !== "settled")
    const all = left.length
    for (const { run, state } of left) if (state === "exhausted") exhausted.add(run)
    if (all === 0 && isResting) break
    if (all < least) until = performance.now() + patienceMillis
    least = Math.min(least, all)
    await sleep(500)
    if (look % 6 !== 0) continue
    say(`${all} have not ended yet${isResting ? "" : ", and callers still wait"}`)
    const answer = await fleet.workers[look / 6 % size]?.asked({ type: "rescue" }, 5000)
    if (answer?.type !== "rescued") continue
    for (const run of answer.orphans) orphans.add(run)
  }
  return { exhausted: exhausted.size, orphans: orphans.size }
}

const tell = (
  { seed, say, store }: RunOptions,
  violations: ReadonlyArray<Violation>,
  lines: ReadonlyArray<Line>
): void => {
  const runs = byRun(lines)
  for (const { offence, run, what } of foremost(violations).slice(0, 10)) {
    say(`VIOLATION on ${store} with seed ${seed}: ${offence}: ${run}: ${what}`)
  }
  if (violations.length > 10) say(`... and ${violations.length - 10} more`)
  for (const run of new Set(foremost(violations).slice(0, 3).flatMap(({ run }) => run === "" ? [] : [run]))) {
    say(`history of ${run}:`)
    for (const line of runs.get(run) ?? []) say(`  ${JSON.stringify(line)}`)
  }
}

/** What is under way, to be ended when somebody has no more patience. */
const open = new Set<() => Promise<void>>()

/** Ends every process and server, and removes what they wrote. */
export const abandon = async (): Promise<void> => {
  await Promise.allSettled(Array.from(open, (end) => end()))
}

/** Which of the workers the store has acknowledged a write, whatever their incarnation. */
const busy = (lines: ReadonlyArray<Line>): number =>
  new Set(only(lines, "saved", "settled").map(({ w }) => w.split(".")[0])).size

const tally = (words: ReadonlyArray<string>): Record<string, number> => {
  const counts: Record<string, number> = {}
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1
  return counts
}

const judge = async (
  { options, reader }: { readonly options: RunOptions; readonly reader: Reader },
  fleet: Fleet,
  counts: Counts,
  journals: string
): Promise<Report> => {
  const { say, seconds, seed, store } = options
  const failure: { cause?: unknown } = {}
  const silent = (cause: unknown): void => void Object.assign(failure, { cause })
  const alone = await settleDown(fleet, reader, say).catch(silent)
  await fleet.stop()
  const contents = "cause" in failure ? undefined : (await reader.read().catch(silent)) ?? undefined
  const lines = readJournals(journals)
  const known = byRun(lines)
  const violations = contents === undefined ? silence(lines, failure.cause) : check(lines, contents, leaseMillis)
  tell(options, violations, lines)
  for (const crash of fleet.crashes) say(`CRASH on ${store} with seed ${seed}: ${crash}`)
  const idle = size - busy(lines)
  if (idle > 0) say(`IDLE on ${store} with seed ${seed}: ${idle} of ${size} workers were acknowledged nothing`)
  say(`callers were told ${JSON.stringify(tally(only(lines, "told").map(({ what }) => what)))}`)
  const count = (...kinds: ReadonlyArray<Line["e"]>) => lines.filter(({ e }) => kinds.includes(e)).length
  // One number for each offence.
  const found = Object.fromEntries(
    offences.map((offence) => [offence, violations.filter((violation) => violation.offence === offence).length])
  ) as Record<Offence, number>
  return {
    ...counts,
    runs: contents?.runs.length ?? known.size,
    completed: contents?.runs.filter(({ state }) => state === "settled").length ?? count("settled"),
    ...found,
    crashes: fleet.crashes.length,
    idle,
    exhausted: alone?.exhausted ?? 0,
    givenUp: (contents?.runs ?? []).filter(({ run, status }) => status === "error" && isGivenUp(known.get(run) ?? []))
      .length,
    orphans: alone?.orphans ?? 0,
    grants: count("granted"),
    acknowledged: count("saved", "settled", "released"),
    refused: lines.filter((line) => line.e === "refused" && line.why !== "Conflict").length,
    replayed: lines.filter((line) => line.e === "reported" && line.origin === "replayed").length,
    seconds,
    seed,
    store
  }
}

export const runOn = async (options: RunOptions): Promise<Report> => {
  const { only: kinds, sabotage, say, seconds, seed, store } = options
  const journals = mkdtempSync(join(tmpdir(), "everbeat-chaos-"))
  const server = await startServer(store)
  // Draws of the faults and of the fleet do not mix: when a worker comes back changes no fault.
  const fleet = new Fleet({ store, server, journals, random: random(seed ^ 0x5eed), leaseMillis, sabotage })
  let keep = true
  const end = async (force: boolean): Promise<void> => {
    await fleet.stop(force)
    await server.stop()
    if (!keep) rmSync(journals, { recursive: true, force: true })
  }
  const leave = (): Promise<void> => {
    keep = false
    return end(true)
  }
  open.add(leave)
  try {
    await fleet.start()
    say(`${store}: ${size} workers for ${seconds} s, seed ${seed}`)
    const counts = await inject(fleet, random(seed), seconds, kinds)
    say(`${store}: ${JSON.stringify(counts)}; waiting until everything has ended`)
    fleet.quieten()
    const reader = openReader(store, server.url)
    const report = await judge({ options, reader }, fleet, counts, journals)
    await reader.close()
    keep = !isClean(report)
    return report
  } finally {
    open.delete(leave)
    if (keep) say(`the journals are in ${journals}`)
    await end(true)
  }
}

/** Nothing is wrong, and there was something that could have been. */
export const isClean = (report: Report): boolean =>
  report.crashes === 0 && report.idle === 0 && report.runs > 0 && report.completed === report.runs &&
  offences.every((offence) => report[offence] === 0)
