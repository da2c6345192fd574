/**
 * Decides from what the workers were told, and from what is stored, whether anything was lost or done twice. It knows
 * nothing of the code that it judges. A call that was sent at `t0` and answered at `t` took effect in between: what is
 * reported here is wrong wherever in between that was.
 */
import { checkAgents, checkReports } from "./callers.ts"
import type { Contents, Stored } from "./contents.ts"
import type { Line, RowSeen } from "./journal.ts"
import { at, byRun, type Of, only, type Say, type Violation } from "./offences.ts"

/** Leases are whole milliseconds; a clock that is adjusted runs a little faster or slower. */
const clockSlackMicros = 20_000

/** What was acknowledged under an older fence is in everything that is handed out under a newer one. */
const checkLost = (lines: ReadonlyArray<Line>, stored: Stored | undefined, say: Say): void => {
  const grants = only(lines, "granted")
  const saves = only(lines, "saved")
  for (const grant of grants) {
    const given = new Map(grant.rows.map((row) => [row.row, row.digest]))
    for (const save of saves.filter(({ fence }) => fence < grant.fence)) {
      const lost = save.position > grant.position || (save.iteration ?? 0) > grant.iteration ||
        save.rows.some(({ digest, row }) => given.has(row) ? given.get(row) !== digest : row >= grant.position)
      if (lost) {
        say(
          "lostAcknowledged",
          `saved up to row ${save.position}, iteration ${save.iteration} (${at(save)}); ${grant.how} ` +
            `gave up to row ${grant.position}, iteration ${grant.iteration} (${at(grant)})`
        )
      }
    }
  }
  for (const refused of only(lines, "refused").filter(({ why }) => why === "Conflict")) {
    const save = saves.find((save) =>
      save.fence === refused.fence && save.t < refused.t0 && save.position > (refused.position ?? Infinity)
    )
    if (save !== undefined) {
      say(
        "lostAcknowledged",
        `saved up to row ${save.position} (${at(save)}); the next one is said to be ` +
          `${refused.position} (${at(refused)})`
      )
    }
  }
  const attempts = only(lines, "attempt")
  for (const flush of only(lines, "flushed")) {
    const behind = attempts.find(({ fence, iteration, messages }) =>
      fence > flush.fence &&
      (iteration < flush.iteration || flush.messages.some((digest, index) => messages[index] !== digest))
    )
    if (behind !== undefined) {
      say(
        "lostAcknowledged",
        `flushed ${flush.messages.length} messages, iteration ${flush.iteration} (${at(flush)}); a later ` +
          `attempt was given ${behind.messages.length}, iteration ${behind.iteration} (${at(behind)})`
      )
    }
  }
  const settled = only(lines, "settled").at(0)
  // Whoever asked for it may have got no answer.
  const deleted = only(lines, "asked").some(({ op }) => op === "delete")
  if (stored === undefined) {
    const known = [...grants, ...saves].at(0)
    if (known !== undefined && !deleted) {
      say("lostAcknowledged", `the run was known (${at(known)}) and is not in the store`)
    }
    return
  }
  if (settled !== undefined && (stored.state !== "settled" || stored.status !== settled.status)) {
    say(
      "lostAcknowledged",
      `settled as ${settled.status} (${at(settled)}); the store has it as ${stored.status ?? stored.state}`
    )
  }
  if (stored.state !== "settled") {
    const ahead = saves.find(({ iteration, position }) =>
      position > stored.position || (iteration ?? 0) > stored.iteration
    )
    if (ahead !== undefined) {
      say("lostAcknowledged", `saved up to row ${ahead.position} (${at(ahead)}); the store has ${stored.position}`)
    }
  } else if (stored.status !== "cancelled") {
    for (const { step, save } of acknowledgedSteps(lines)) {
      if (stored.steps.get(step.name) !== step.startedAt) {
        say(
          "lostAcknowledged",
          `the outcome of ${step.name} from ${step.startedAt} was saved (${at(save)}); the record has ` +
            `one from ${stored.steps.get(step.name)}`
        )
      }
    }
  }
}

const acknowledgedSteps = (lines: ReadonlyArray<Line>) =>
  only(lines, "saved").flatMap((save) =>
    save.rows.flatMap(({ step }: RowSeen) => step === undefined ? [] : [{ step, save }])
  )

/** Whoever was replaced writes nothing any more, and neither does anybody after the end. */
const checkFence = (lines: ReadonlyArray<Line>, say: Say): void => {
  const grants = only(lines, "granted")
  const ends = only(lines, "settled", "deleted")
  for (const write of only(lines, "saved", "settled", "released", "deleted", "renewed")) {
    const newer = grants.find(({ fence, t }) => fence > write.fence && t < write.t0)
    if (newer !== undefined) {
      say(
        "acceptedAfterFence",
        `${write.e} with fence ${write.fence} (${at(write)}), although ${newer.fence} had been handed ` +
          `out (${at(newer)})`
      )
    }
    const end = ends.find((end) => end !== write && end.t < write.t0)
    if (end !== undefined && write.e !== "settled") {
      say("acceptedAfterFence", `${write.e} (${at(write)}) after ${end.e} (${at(end)})`)
    }
  }
}

/** A fence belongs to one claim, and a claim comes after the lease before it. */
const checkClaims = (lines: ReadonlyArray<Line>, leaseMicros: number, say: Say): void => {
  const grants = only(lines, "granted")
  const fences = new Map<number, Of<"granted">>()
  for (const grant of grants) {
    const same = fences.get(grant.fence)
    if (same !== undefined) say("doubleClaims", `fence ${grant.fence} was handed out twice (${at(same)}, ${at(grant)})`)
    fences.set(grant.fence, grant)
  }
  // Those give a lease up. A settlement does not: after one that took effect, nothing is claimed any more.
  const asked = only(lines, "asked").filter(({ op }) => op !== "settle")
  const holds = only(lines, "granted", "saved", "renewed")
  const ends = only(lines, "settled", "deleted")
  for (const grant of grants) {
    const end = ends.find(({ t }) => t < grant.t0)
    if (end !== undefined) {
      say("doubleClaims", `${grant.how} with fence ${grant.fence} (${at(grant)}) after ${end.e} (${at(end)})`)
    }
    const greater = grants.find(({ fence, t }) => fence > grant.fence && t < grant.t0)
    if (greater !== undefined) {
      say(
        "doubleClaims",
        `fence ${grant.fence} was handed out (${at(grant)}) after ${greater.fence} (${at(greater)})`
      )
    }
    for (const hold of holds) {
      // Its answer came before this claim was made, so the lease lived from `t0` on at least.
      if (hold.fence >= grant.fence || hold.t > grant.t0) continue
      if (grant.t >= hold.t0 + leaseMicros - clockSlackMicros) continue
      if (asked.some(({ fence, t }) => fence === hold.fence && t <= grant.t)) continue
      say(
        "doubleClaims",
        `${grant.how} with fence ${grant.fence} (${at(grant)}) while ${hold.fence} held the lease (${hold.e}, ` +
          `${at(hold)})`
      )
    }
  }
}

/**
 * Whether a line is of somebody who could not know that the run was another's. Its machine was suspended, and its clock stood
 * still; or it was frozen in the moment between its last look at the lease and what it began: then this is the first that it
 * wrote since. What such an owner begins before its next write is refused is at-least-once: that is what fences are for.
 */
const isUnaware = (
  lines: ReadonlyArray<Line>,
  suspended: ReadonlySet<string>,
  before: ReadonlyMap<Line, number>
) => {
  const grants = only(lines, "granted")
  return (line: Line & { readonly fence: number }): boolean =>
    grants.some(({ fence, t }) =>
      fence > line.fence && t < line.t && (suspended.has(line.w) || (before.get(line) ?? line.t) < t)
    )
}

/** When the worker of a line had written the line before it. */
const linesBefore = (lines: ReadonlyArray<Line>): ReadonlyMap<Line, number> => {
  const last = new Map<string, number>()
  const before = new Map<Line, number>()
  for (const line of lines) {
    const t = last.get(line.w)
    if (t !== undefined) before.set(line, t)
    last.set(line.w, line.t)
  }
  return before
}

/**
 * Steps whose outcome had to be durable when the next one began, whether or not anybody was told that it is. A pass goes on
 * without the store, with a warning, when the store has not answered: then nothing was promised.
 */
const passedSyncSteps = (lines: ReadonlyArray<Line>) => {
  const steps = only(lines, "step")
  const unanswered = only(lines, "unanswered").filter(({ op }) => op === "save")
  return steps.filter(({ sync }) => sync).flatMap((step) => {
    const next = steps.find(({ fence, step: name, t }) => fence === step.fence && name !== step.step && t > step.t)
    return next === undefined || unanswered.some(({ fence, t }) => fence === step.fence && t < next.t)
      ? []
      : [{ step, next }]
  })
}

/** What the store has acknowledged as done is not done again. */
const checkRepeated = (
  lines: ReadonlyArray<Line>,
  unaware: (line: Line & { readonly fence: number }) => boolean,
  say: Say
): void => {
  const steps = only(lines, "step").filter((line) => !unaware(line))
  const again = (name: string, since: number) => steps.find(({ step, t }) => step === name && t > since)
  for (const { save, step } of acknowledgedSteps(lines)) {
    const repeated = again(step.name, save.t)
    if (repeated !== undefined) {
      say(
        "repeatedSyncSteps",
        `the outcome of ${step.name} was saved (${at(save)}) and it began again (${at(repeated)}, fence ` +
          `${repeated.fence})`
      )
    }
  }
  for (const grant of only(lines, "granted")) {
    for (const { step } of grant.rows) {
      const repeated = step && steps.find((line) => line.step === step.name && line.fence >= grant.fence)
      if (repeated) {
        say(
          "repeatedSyncSteps",
          `${step.name} was among what ${grant.how} gave (${at(grant)}) and began again (${at(repeated)})`
        )
      }
    }
  }
  for (const { next, step } of passedSyncSteps(lines)) {
    const repeated = steps.find((line) => line.step === step.step && line.fence > step.fence && line.t > next.t)
    if (repeated !== undefined) {
      say(
        "repeatedSyncSteps",
        `${next.step} began (${at(next)}) after ${step.step}, which is sync and began again (${at(repeated)})`
      )
    }
  }
  const did = only(lines, "did").filter((line) => !unaware(line))
  for (const kept of only(lines, "kept")) {
    const repeated = did.find(({ call, t }) => call === kept.call && t > kept.t)
    if (repeated !== undefined) {
      say(
        "repeatedCalls",
        `the outcome of ${kept.call} was durable (${at(kept)}) and it was made again (${at(repeated)})`
      )
    }
  }
  const settled = only(lines, "settled").at(0)
  const late = settled && [...steps, ...did].find(({ t }) => t > settled.t)
  if (late) {
    say(
      late.e === "step" ? "repeatedSyncSteps" : "repeatedCalls",
      `settled (${at(settled)}), and work began after that (${at(late)})`
    )
  }
}

/** Whether a store said that there were attempts enough to whoever continued it. */
export const isGivenUp = (lines: ReadonlyArray<Line>): boolean =>
  only(lines, "granted").some(({ exhausted }) => exhausted)

const checkEnd = (lines: ReadonlyArray<Line>, stored: Stored | undefined, say: Say): void => {
  const settled = only(lines, "settled")
  const [first, second] = settled
  if (first !== undefined && second !== undefined) {
    say("settledTwice", `settled (${at(first)}) and again (${at(second)})`)
  }
  // Nothing in the workload fails. A heartbeat gives up a pass that two attempts did not get further with.
  const isFine = stored?.status === "ok" || stored?.status === "warning" || isGivenUp(lines)
  if (stored?.state === "settled" && !isFine) {
    say("failed", `it ended as ${stored.status}`)
  }
  if (stored !== undefined && stored.state !== "settled") say("stuck", `it is still ${stored.state}`)
  for (const what of stored?.residue ?? []) say("leftBehind", `it has ended, and there are ${what} left of it`)
}

/** Everything that is wrong. `leaseMillis` is how long the leases of all workers lived. */
export const check = (
  lines: ReadonlyArray<Line>,
  { runs, strays }: Contents,
  leaseMillis: number
): ReadonlyArray<Violation> => {
  const violations: Array<Violation> = strays.map((what) => ({ offence: "leftBehind", run: "", what }))
  const stored = new Map(runs.map((run) => [run.run, run]))
  const known = byRun(lines)
  const before = linesBefore(lines)
  const suspended = new Set(only(lines, "up").filter(({ skew }) => skew === "suspended").map(({ w }) => w))
  for (const run of new Set([...known.keys(), ...stored.keys()])) {
    const own = known.get(run) ?? []
    const say: Say = (offence, what) => violations.push({ offence, run, what })
    checkLost(own, stored.get(run), say)
    checkFence(own, say)
    checkClaims(own, leaseMillis * 1000, say)
    checkRepeated(own, isUnaware(own, suspended, before), say)
    checkEnd(own, stored.get(run), say)
  }
  return [...violations, ...checkAgents(known), ...checkReports(lines, stored)]
}
