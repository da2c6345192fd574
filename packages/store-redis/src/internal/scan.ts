/** Pages over all partitions. */
import type { AgentRun, RunInFlight } from "@everbeat/core/AgentRun"
import type { PageRequest } from "@everbeat/core/CheckpointStore"
import { isRunId, type RunId } from "@everbeat/core/RunId"
import type { StoreError } from "@everbeat/core/StoreError"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { read, scanDue, scanRuns } from "./lua/read.ts"
import type { Source } from "./merge.ts"
import type { Partitions, Reply } from "./partitions.ts"
import * as Read from "./reply.ts"

/** Runs that one script looks at: Redis does nothing else meanwhile. */
const budget = 500

/** Runs that one script reads. */
const readSize = 100

export const limitOf = (page: PageRequest, otherwise = 50): number => Math.max(1, Math.floor(page.limit ?? otherwise))

/** A place in the order of ended leases. */
export interface Due {
  readonly lease: number
  readonly runId: string
}

export const firstDue: Due = { lease: 0, runId: "" }

export const compareDue = (a: Due, b: Due): number => a.lease - b.lease || compareText(a.runId, b.runId)

const cursorPattern = /^(\d{16}) ([0-9a-f-]{36})$/

// The lease may be renewed between two pages: both parts of the order are in the cursor.
export const dueCursor = ({ lease, runId }: Due): string =>
  `${String(lease).padStart(16, "0")} ${runId.padEnd(36, "-").slice(0, 36)}`

export const dueOf = (cursor: string | undefined): Due => {
  const [, lease, runId] = cursorPattern.exec(cursor ?? "") ?? []
  return lease === undefined || runId === undefined ? firstDue : { lease: Number(lease), runId }
}

const compareText = (a: string, b: string): number => a < b ? -1 : a > b ? 1 : 0

/** Before every id, newest first. */
const newest = "~"

/** Newest first: greater ids come before. */
export const compareNewest = (a: string, b: string): number => compareText(b, a)

export const newestOf = (cursor: string | undefined): string => isRunId(cursor) ? cursor : newest

/** Which leases a list asks for: those that have ended, those that are live, or all. */
export type DueState = "ended" | "live" | "any"

/** Runs in flight of one partition: of the sets `due` or `spent`, by the state of their lease. */
export const dueSource = (
  partitions: Partitions,
  operation: string,
  partition: number,
  set: "due" | "spent",
  state: DueState,
  agoMillis: number,
  filters: ReadonlyArray<string>
): Source<Due> =>
(after, want) =>
  partitions.call(
    operation,
    scanDue,
    partition,
    [set, state, agoMillis, after.lease, after.runId, want, budget, ...filters],
    (reply) => {
      const [done, lease, runId, found] = Read.list(reply)
      const flat = Read.list(found)
      const items: Array<Due> = []
      for (let index = 0; index < flat.length; index += 2) {
        items.push({ lease: Read.number(flat[index]), runId: Read.text(flat[index + 1]) })
      }
      return { items, last: { lease: Read.number(lease), runId: Read.text(runId) }, done: Read.number(done) === 1 }
    }
  )

/** Runs of one partition by an index, newest first. */
export const newestSource = (
  partitions: Partitions,
  partition: number,
  index: string,
  filters: ReadonlyArray<string | number>
): Source<string> =>
(below, want) =>
  partitions.call("list", scanRuns, partition, [index, below, want, budget, ...filters], (reply) => {
    const [done, last, found] = Read.list(reply)
    return { items: Read.list(found).map(Read.text), last: Read.text(last), done: Read.number(done) === 1 }
  })

/** Splits ids by partition, at most so many together. */
export const grouped = <A>(
  items: ReadonlyArray<A>,
  partitionOf: (item: A) => number,
  size: number
): ReadonlyArray<{ readonly partition: number; readonly items: ReadonlyArray<A> }> => {
  const groups = new Map<number, Array<A>>()
  for (const item of items) {
    const partition = partitionOf(item)
    const group = groups.get(partition)
    if (group === undefined) groups.set(partition, [item])
    else group.push(item)
  }
  return Array.from(
    groups,
    ([partition, items]) =>
      Array.from({ length: Math.ceil(items.length / size) }, (_, index) => ({
        partition,
        items: items.slice(index * size, (index + 1) * size)
      }))
  ).flat()
}

/** Reads runs in the order of the ids, each as whether it can be read; those that are gone by now are left out. */
export const readRuns = (
  partitions: Partitions,
  operation: string,
  ids: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<Result.Result<AgentRun | RunInFlight, StoreError>>, StoreError> =>
  Effect.map(
    Effect.forEach(
      grouped(ids, (id) => partitions.ofRun(idOf(id)), readSize),
      ({ items, partition }) =>
        partitions.call(operation, read, partition, items, (reply: Reply) => Read.toRuns(operation, reply, items)),
      { concurrency: "unbounded" }
    ),
    (groups) => {
      const runs = new Map(groups.flat())
      return ids.flatMap((id) => runs.get(id) ?? [])
    }
  )

/** Those that can be read. The others are told, and hide none of them. */
export const listRuns = (partitions: Partitions, operation: string, ids: ReadonlyArray<string>) =>
  Effect.flatMap(readRuns(partitions, operation, ids), (found) => {
    const runs = found.flatMap((run) => Result.isSuccess(run) ? [run.success] : [])
    const damaged = found.flatMap((run) => Result.isFailure(run) ? [run.failure.message] : [])
    return damaged.length === 0
      ? Effect.succeed(runs)
      : Effect.as(Effect.logWarning("Damaged runs were left out of a list", ...damaged), runs)
  })

// What the sets hold are the ids that callers gave.
export const idOf = (id: string): RunId => id as RunId
