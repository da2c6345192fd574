import type { AgentName } from "@everbeat/core/AgentName"
import type { AgentRun, RunInFlight } from "@everbeat/core/AgentRun"
import type { PageRequest } from "@everbeat/core/CheckpointStore"
import { isRunId, type RunId } from "@everbeat/core/RunId"
import { keyRetention, type PruneOptions, type RunFilter, type RunStore } from "@everbeat/core/RunStore"
import { RunNotFound } from "@everbeat/core/StoreError"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as State from "./state.ts"

/** Whether somebody may still repeat the request that this run answered. */
export const holdsKey = (state: State.State, run: AgentRun, now: number): boolean =>
  run.idempotency !== undefined && isYoung(state.settledAt.get(run.runId) ?? now, now)

const isYoung = (since: number, now: number): boolean => now - since < Duration.toMillis(keyRetention)

export const make = (state: State.State, now: Effect.Effect<number>): RunStore["Service"] => {
  const read = (runId: RunId, now: number): AgentRun | RunInFlight | undefined => {
    const run = state.runs.get(runId)
    if (run !== undefined) return run
    const head = state.heads.get(runId)
    return head && State.toInFlight(head, now)
  }

  const matches = (filter: RunFilter) => (run: AgentRun | RunInFlight): boolean =>
    (filter.agentName === undefined || run.agentName === filter.agentName) &&
    (filter.kind === undefined || run.kind === filter.kind) &&
    (filter.status === undefined || filter.status.includes(run.status)) &&
    (filter.callerId === undefined || run.callerId === filter.callerId) &&
    (filter.from === undefined || DateTime.isGreaterThanOrEqualTo(run.startedAt, filter.from)) &&
    (filter.until === undefined || DateTime.isLessThan(run.startedAt, filter.until))

  function* newest(filter: RunFilter, now: number, below?: string): Iterable<AgentRun | RunInFlight> {
    const wanted = matches(filter)
    for (const runId of state.order.newest(below)) {
      const run = read(runId, now)
      if (run !== undefined && wanted(run)) yield run
    }
  }

  const prune = ({ batch = 1000, exhaustedFor, keepLast, olderThan }: PruneOptions) =>
    Effect.map(now, (now) => {
      const kept = new Map<AgentName, number>()
      const doomed: Array<AgentRun | State.Head> = []
      for (const runId of state.order.newest()) {
        const run = state.runs.get(runId)
        const head = state.heads.get(runId)
        if (run !== undefined) {
          const rank = (kept.get(run.agentName) ?? 0) + 1
          kept.set(run.agentName, rank)
          const age = now - (state.settledAt.get(runId) ?? now)
          const old = olderThan !== undefined && age > Duration.toMillis(olderThan)
          if ((old || (keepLast !== undefined && rank > keepLast)) && !holdsKey(state, run, now)) doomed.push(run)
        } else if (head !== undefined && exhaustedFor !== undefined) {
          const old = now - head.leaseUntil > Duration.toMillis(exhaustedFor)
          const held = head.idempotency !== undefined && isYoung(head.leaseUntil, now)
          if (State.statusOf(head, now) === "exhausted" && old && !held) doomed.push(head)
        }
      }
      const victims = doomed.slice(-batch) // the oldest
      for (const victim of victims) {
        if ("meta" in victim) State.dropHead(state, victim)
        else State.removeRun(state, victim)
      }
      return victims.length
    })

  return {
    get: (runId) =>
      Effect.flatMap(now, (now) => {
        const run = read(runId, now)
        return run === undefined ? Effect.fail(new RunNotFound({ runId })) : Effect.succeed(run)
      }),
    list: (filter = {}, page: PageRequest = {}) =>
      Effect.map(now, (now) => {
        // A cursor is the id of the last run of the page before.
        const below = isRunId(page.cursor) ? page.cursor : undefined
        return State.paginate(newest(filter, now, below), (run) => run.runId, () => true, page)
      }),
    prune,
    erase: (who) =>
      Effect.sync(() => {
        const victims = [...state.runs.values()].filter((run) =>
          "callerId" in who ? run.callerId === who.callerId : run.agentName === who.agentName
        )
        for (const run of victims) State.removeRun(state, run)
        return victims.length
      })
  }
}
