/** What must not happen, and how the checks speak of it. */
import type { Line } from "./journal.ts"

export const offences = [
  "lostAcknowledged",
  "acceptedAfterFence",
  "doubleClaims",
  "stuck",
  "repeatedSyncSteps",
  "repeatedCalls",
  "settledTwice",
  "failed",
  "defects",
  "leftBehind"
] as const
export type Offence = (typeof offences)[number]

export interface Violation {
  readonly offence: Offence
  readonly run: string
  readonly what: string
}

export type Say = (offence: Offence, what: string) => void

export type Of<E extends Line["e"]> = Extract<Line, { readonly e: E }>

export const only = <E extends Line["e"]>(
  lines: ReadonlyArray<Line>,
  ...kinds: ReadonlyArray<E>
): ReadonlyArray<Of<E>> =>
  // The kind decides the type of a line.
  lines.filter(({ e }) => (kinds as ReadonlyArray<string>).includes(e)) as unknown as ReadonlyArray<Of<E>>

export const at = ({ t, w }: { readonly t: number; readonly w: string }): string => `${w} at ${(t / 1e6).toFixed(3)}`

const runOf = (line: Line): string | undefined => "run" in line && line.run !== "" ? line.run : undefined

export const byRun = (lines: ReadonlyArray<Line>): ReadonlyMap<string, ReadonlyArray<Line>> => {
  const runs = new Map<string, Array<Line>>()
  for (const line of lines) {
    const run = runOf(line)
    if (run === undefined) continue
    const own = runs.get(run)
    if (own === undefined) runs.set(run, [line])
    else own.push(line)
  }
  return runs
}

/** What is wrong when the store says nothing any more: whatever was begun, and is not known to have ended. */
export const silence = (lines: ReadonlyArray<Line>, cause: unknown): ReadonlyArray<Violation> => {
  const open = Array.from(byRun(lines)).filter(([, own]) => only(own, "settled", "deleted").length === 0)
  const what = `the store does not answer any more: ${String(cause)}`
  return (open.length === 0 ? [["", []] as const] : open).map(([run]) => ({ offence: "stuck", run, what }))
}

/** One of each kind first: many of one would hide the others where only some are shown. */
export const foremost = (violations: ReadonlyArray<Violation>): ReadonlyArray<Violation> => {
  const first = new Set(offences.flatMap((offence) => violations.find((one) => one.offence === offence) ?? []))
  return [...first, ...violations.filter((one) => !first.has(one))]
}
