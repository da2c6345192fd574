/** What the journals of the demo tell. */
import type { Line } from "./Journal.ts"

/** What the demo found out. */
export interface Verdict {
  /** A run whose attempt ran into its limit was continued from its checkpoint, and finished. */
  readonly timeoutResumed: boolean
  /** A run whose process was killed was continued from its checkpoint by another one, and finished. */
  readonly killResumed: boolean
  /** Iterations that were executed again although the store had acknowledged them. */
  readonly iterationsRepeated: number
  /** Attempts that two processes together made of a run that one of them could continue. */
  readonly claims: number
  /** Each run had a checkpoint branch while it was interrupted, and none when it was over. */
  readonly branchPruned: boolean
  /** `main`, or the user's checkout of it, is not what it was. */
  readonly mainMoved: boolean
}

export const isAsPromised = (verdict: Verdict): boolean =>
  verdict.timeoutResumed && verdict.killResumed && verdict.iterationsRepeated === 0 && verdict.claims === 1 &&
  verdict.branchPruned && !verdict.mainMoved

/** Counts the iterations of one run that began again, by their number or by their work, after they had been saved. */
export const repeated = (lines: ReadonlyArray<Line>): number => {
  const numbers = new Set<number>()
  const titles = new Set<string>()
  let count = 0
  for (const line of lines) {
    if (line.event === "executing" && (numbers.has(line.iteration) || titles.has(line.title))) count++
    if (line.event !== "saved") continue
    numbers.add(line.iteration)
    titles.add(line.title)
  }
  return count
}

/** The attempts of a run, in their order. */
export const attempts = (lines: ReadonlyArray<Line>) => lines.flatMap((line) => line.event === "attempt" ? [line] : [])

/** The attempts that continued what another one had begun. */
export const claims = (lines: ReadonlyArray<Line>): number =>
  attempts(lines).filter(({ attempt }) => attempt > 1).length

/**
 * Whether each attempt but the first went on from the middle of the work, at the last iteration that was known to be saved
 * or after it: a process may be killed between the answer of the store and its line.
 */
export const isContinued = (lines: ReadonlyArray<Line>): boolean => {
  const [, ...later] = attempts(lines)
  return later.length > 0 && later.every((attempt) => {
    const before = lines.slice(0, lines.indexOf(attempt)).flatMap((line) =>
      line.event === "saved" ? [line.iteration] : []
    )
    return attempt.iteration > 0 && attempt.iteration >= Math.max(0, ...before)
  }) && lines.some((line) => line.event === "saved" && line.attempt > 1)
}
