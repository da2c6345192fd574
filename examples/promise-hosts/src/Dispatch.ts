/** The heartbeat of Dispatch: it mirrors issues, hands out what has an owner, and says what is left. */
import { createEverbeat, heartbeat } from "@everbeat/core/promise"
import { memoryStore } from "@everbeat/store-memory/promise"
import { type Tracker, TrackerDown } from "./Tracker.ts"

const dispatchWith = (tracker: Tracker) =>
  heartbeat("dispatch", { warnings: ["no-owner"], failsWith: { TrackerDown } })
    .step("sync-issues", async ({ signal, warn }) => {
      const issues = await tracker.open(signal)
      for (const { number, owner, url } of issues) {
        if (owner === null) {
          warn("no-owner", `Issue ${number} has no owner.`, { hint: "Assign it in the tracker.", url })
        }
      }
      return issues
    }, { timeout: "10 seconds", retry: { times: 2, delay: 10, if: (error) => !(error instanceof TrackerDown) } })
    .step("reconcile", async ({ results, touch }) => {
      const owned = results["sync-issues"].filter(({ owner }) => owner !== null)
      const claimed = await Promise.all(owned.map(async (issue) => {
        const isNew = await tracker.claim(issue.number, issue.owner ?? "")
        if (isNew) touch(issue.url)
        return isNew
      }))
      return claimed.filter(Boolean).length
    }, { durability: "sync" })
    .step("report", ({ results }) => `${results.reconcile} of ${results["sync-issues"].length} dispatched`)

/** Everything that Dispatch keeps, for any host. `settled` is told of each run that ended. */
export const createDispatch = (tracker: Tracker, settled: (line: string) => void) =>
  createEverbeat({
    store: memoryStore(), // postgresStore({ pool }) in production
    heartbeats: { triage: dispatchWith(tracker) },
    onSettled: (run) => settled(`${run.agentName} ended as ${run.status}: ${run.summary}`)
  })

export type Dispatch = ReturnType<typeof createDispatch>
