/** What callers may rely on: one pass of an agent at a time, one run for a key, and reports that are true. */
import type { Stored } from "./contents.ts"
import type { Line } from "./journal.ts"
import { at, type Of, only, type Violation } from "./offences.ts"

/** An agent of a heartbeat has one pass at a time, and a key has one run. */
export const checkAgents = (byRun: ReadonlyMap<string, ReadonlyArray<Line>>): ReadonlyArray<Violation> => {
  const begun = Array.from(byRun.values(), (lines) => ({
    first: only(lines, "granted").find(({ how }) => how === "begun"),
    ended: only(lines, "asked").find(({ op }) => op !== "release")?.t ?? Infinity,
    deleted: only(lines, "asked").some(({ op }) => op === "delete")
  })).flatMap(({ first, ...one }) => first === undefined ? [] : [{ ...one, first }])
  const violations: Array<Violation> = []
  const keys = new Map<string, Of<"granted">>()
  const open = new Map<string, Array<{ readonly first: Of<"granted">; readonly ended: number }>>()
  for (const one of begun.toSorted((a, b) => a.first.t - b.first.t)) {
    const { agent, key, kind, run, t } = one.first
    // What was deleted has given its key back.
    if (key !== undefined && !one.deleted) {
      const other = keys.get(`${agent} ${key}`)
      keys.set(`${agent} ${key}`, one.first)
      if (other !== undefined) {
        violations.push({
          offence: "doubleClaims",
          run,
          what: `${key} of ${agent} began ${other.run} before (${at(other)})`
        })
      }
    }
    if (kind !== "heartbeat") continue
    // From the answer of one to the moment before its end, nothing may have begun: not even at the last moment it could.
    const others = (open.get(agent) ?? []).filter(({ ended }) => ended > one.first.t0)
    const overlapping = others.find(({ ended, first }) => first.t < one.first.t0 && ended > t)
    if (overlapping !== undefined) {
      violations.push({
        offence: "doubleClaims",
        run,
        what: `${agent} had ${overlapping.first.run} in flight (${at(overlapping.first)}) when this began (${
          at(one.first)
        })`
      })
    }
    open.set(agent, [...others, one])
  }
  return violations
}

/** What a caller was told of a run is what the store has of it, and a key leads to the run that it began. */
export const checkReports = (
  lines: ReadonlyArray<Line>,
  stored: ReadonlyMap<string, Stored>
): ReadonlyArray<Violation> => {
  const violations: Array<Violation> = []
  const keys = new Map<string, string>()
  for (const { agent, how, key, run } of only(lines, "granted")) {
    if (how === "begun" && key !== undefined) keys.set(run, `${agent} ${key}`)
  }
  for (const line of only(lines, "reported")) {
    const { agent, key, origin, recorded, run, status } = line
    const record = stored.get(run)
    const say = (offence: Violation["offence"], what: string): number => violations.push({ offence, run, what })
    if (recorded && (record?.state !== "settled" || record.status !== status)) {
      say(
        "lostAcknowledged",
        `a caller was told that it ended as ${status} (${at(line)}); the store has it as ` +
          (record === undefined ? "nothing" : record.status ?? record.state)
      )
    }
    if (!recorded && status !== "error") {
      say("lostAcknowledged", `a caller was told ${status} of a pass that was not recorded (${at(line)})`)
    }
    // Whoever joins is told of the pass of another caller. Of a run that was begun without an answer no key is known.
    const begun = keys.get(run)
    if (key !== undefined && origin !== "joined" && begun !== undefined && begun !== `${agent} ${key}`) {
      say("doubleClaims", `${key} of ${agent} was answered with the run of ${begun} (${at(line)})`)
    }
  }
  return [...violations, ...only(lines, "defect").map(({ what }) => ({ offence: "defects", run: "", what }) as const)]
}
