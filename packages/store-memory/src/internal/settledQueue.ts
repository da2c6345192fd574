import type { AgentRun } from "@everbeat/core/AgentRun"
import type { RunId } from "@everbeat/core/RunId"
import { holdsKey } from "./runs.ts"
import { removeRun, type State } from "./state.ts"

/**
 * Settled runs in the order of settling, bounded: the oldest are deleted. A
 * run whose key may still be asked for goes to the end of the queue instead.
 */
export class SettledQueue {
  private ids: Array<RunId> = []
  private first = 0
  private readonly state: State
  private readonly maxRuns: number

  constructor(state: State, maxRuns: number) {
    this.state = state
    this.maxRuns = maxRuns
  }

  add(run: AgentRun, now: number): void {
    this.ids.push(run.runId)
    // Ids of runs that were pruned or erased stay until they outnumber the others.
    if (this.ids.length - this.first > 2 * this.state.runs.size + 1000) {
      this.ids = this.ids.slice(this.first).filter((runId) => this.state.runs.has(runId))
      this.first = 0
    }
    // A few at a time: a burst of runs with keys must not cost a scan each.
    for (let tries = 0; tries < 16 && this.state.runs.size > this.maxRuns; tries++) this.evict(now)
  }

  private evict(now: number): void {
    const runId = this.ids[this.first++]
    const run = runId === undefined ? undefined : this.state.runs.get(runId)
    if (run !== undefined) {
      if (holdsKey(this.state, run, now)) this.ids.push(run.runId)
      else removeRun(this.state, run)
    }
    if (this.first > 1000 && this.first * 2 > this.ids.length) {
      this.ids = this.ids.slice(this.first)
      this.first = 0
    }
  }
}
