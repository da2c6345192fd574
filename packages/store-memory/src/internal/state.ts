/** Everything the store knows, and the transitions that both services share. */
import type { AgentName } from "@everbeat/core/AgentName"
import type { AgentRun, Attempt, Idempotency, RunInFlight, RunMeta } from "@everbeat/core/AgentRun"
import type { Page, PageRequest } from "@everbeat/core/CheckpointStore"
import type { RunCheckpoint, Segment } from "@everbeat/core/RunCheckpoint"
import type { RunId } from "@everbeat/core/RunId"
import { StoreError } from "@everbeat/core/StoreError"
import * as DateTime from "effect/DateTime"
import { RunOrder } from "./runOrder.ts"

/** The live head of a run in flight, with its rows. Times are milliseconds of the store's clock. */
export interface Head {
  readonly meta: RunMeta
  readonly exclusive: boolean
  readonly idempotency: Idempotency | undefined
  /** With one more for each attempt that does not count. */
  maxAttempts: number
  readonly startedAt: number
  attempts: ReadonlyArray<Attempt>
  owner: string
  fence: number
  leaseUntil: number
  released: string | undefined
  /** Attempts in a row that saved nothing new, the newest included. */
  stalled: number
  cancelRequested: boolean
  updatedAt: number
  readonly rows: Array<string>
  segments: ReadonlyArray<Segment>
  iteration: number
  phase: string
  completedPhases: ReadonlyArray<string>
  notes: string | undefined
  workspace: string | undefined
}

export interface State {
  readonly heads: Map<RunId, Head>
  readonly runs: Map<RunId, AgentRun>
  /** When each run was settled, by the store's clock. */
  readonly settledAt: Map<RunId, number>
  /** The exclusive run in flight of each agent. */
  readonly guards: Map<AgentName, RunId>
  /** Runs by agent and idempotency key, in flight or settled. */
  readonly keys: Map<string, RunId>
  /** Every run by id, for lists. */
  readonly order: RunOrder
}

export const make = (): State => {
  const heads = new Map<RunId, Head>()
  const runs = new Map<RunId, AgentRun>()
  const order = new RunOrder((runId) => runs.has(runId) || heads.has(runId), () => runs.size + heads.size)
  return { heads, runs, settledAt: new Map(), guards: new Map(), keys: new Map(), order }
}

/** An agent's name has no space, so the two parts cannot be confused. */
export const keyOf = (agentName: AgentName, key: string): string => `${agentName} ${key}`

export const isExhausted = (head: Head): boolean => head.attempts.length >= head.maxAttempts || head.stalled >= 2

export const statusOf = (head: Head, now: number): RunInFlight["status"] =>
  head.leaseUntil > now ? "running" : isExhausted(head) ? "exhausted" : "interrupted"

export const toInFlight = (head: Head, now: number): RunInFlight => ({
  ...head.meta,
  status: statusOf(head, now),
  startedAt: DateTime.makeUnsafe(head.startedAt),
  updatedAt: DateTime.makeUnsafe(head.updatedAt),
  iteration: head.iteration,
  phase: head.phase,
  completedPhases: head.completedPhases,
  attempts: head.attempts,
  leaseUntil: DateTime.makeUnsafe(head.leaseUntil),
  cancelRequested: head.cancelRequested
})

/** What is wrong with what is kept of a run: in memory only a bug, or a test, can do that. */
export const damageOf = (operation: string, { meta, rows, segments }: Head): StoreError | undefined => {
  const missing = segments.find(([, to]) => to > rows.length)
  return missing && new StoreError({
    operation,
    reason: "corrupt",
    detail: `run ${meta.runId} has ${rows.length} rows, and its history names row ${missing[1] - 1}`
  })
}

export const toCheckpoint = (head: Head, now: number): RunCheckpoint => ({
  ...toInFlight(head, now),
  messages: head.segments.flatMap(([from, to]) => head.rows.slice(from, to)),
  segments: head.segments,
  position: head.rows.length,
  notes: head.notes,
  workspace: head.workspace
})

/** Takes a run out of flight; its key stays for the record that follows. */
export const removeHead = (state: State, { meta }: Head): void => {
  state.heads.delete(meta.runId)
  if (state.guards.get(meta.agentName) === meta.runId) state.guards.delete(meta.agentName)
}

/** Takes a run out of flight without a record. */
export const dropHead = (state: State, head: Head): void => {
  removeHead(state, head)
  dropKey(state, head.meta.agentName, head.meta.runId, head.idempotency)
}

const dropKey = (state: State, agentName: AgentName, runId: RunId, idempotency: Idempotency | undefined): void => {
  if (idempotency === undefined) return
  const key = keyOf(agentName, idempotency.key)
  if (state.keys.get(key) === runId) state.keys.delete(key)
}

/** Deletes the record of a settled run, and its key with it. */
export const removeRun = (state: State, run: AgentRun): void => {
  state.runs.delete(run.runId)
  state.settledAt.delete(run.runId)
  dropKey(state, run.agentName, run.runId, run.idempotency)
}

/** Cuts one page out of items in their order; the cursor names the last item of the page before. */
export const paginate = <A>(
  items: Iterable<A>,
  cursorOf: (item: A) => string,
  isAfter: (item: A, cursor: string) => boolean,
  { cursor, limit = 50 }: PageRequest
): Page<A> => {
  const page: Array<A> = []
  for (const item of items) {
    if (cursor !== undefined && !isAfter(item, cursor)) continue
    const last = page.at(-1)
    if (page.length >= Math.max(1, limit) && last !== undefined) return { items: page, next: cursorOf(last) }
    page.push(item)
  }
  return { items: page }
}
