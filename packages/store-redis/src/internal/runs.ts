import type { AgentRun, RunInFlight } from "@everbeat/core/AgentRun"
import type { PageRequest } from "@everbeat/core/CheckpointStore"
import type { RunFilter, RunStore } from "@everbeat/core/RunStore"
import { RunNotFound, type StoreError } from "@everbeat/core/StoreError"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import { mergePage } from "./merge.ts"
import type { Partitions } from "./partitions.ts"
import * as Prune from "./prune.ts"
import * as Scan from "./scan.ts"
import * as Text from "./text.ts"

const filtersOf = (
  { agentName, callerId, from, kind, status, until }: RunFilter
): ReadonlyArray<string | number> => [
  // The index that is walked has the agent, or else the caller, already.
  ...(agentName !== undefined && callerId !== undefined ? ["caller", Text.encode(callerId)] : []),
  ...(kind === undefined ? [] : ["kind", kind]),
  ...(status === undefined ? [] : ["status", `,${status.join(",")},`]),
  ...(from === undefined ? [] : ["from", DateTime.toEpochMillis(from)]),
  ...(until === undefined ? [] : ["until", DateTime.toEpochMillis(until)])
]

const indexOf = ({ agentName, callerId }: RunFilter): string =>
  agentName !== undefined
    ? `agent:${agentName}`
    : callerId !== undefined
    ? `caller:${Text.encode(callerId)}`
    : "runs"

export const make = (partitions: Partitions): RunStore["Service"] => {
  const list = Effect.fnUntraced(function*(filter: RunFilter = {}, page: PageRequest = {}) {
    const asked = filter.agentName === undefined ? partitions.all : [partitions.ofAgent(filter.agentName)]
    const filters = filtersOf(filter)
    const sources = asked.map((partition) => Scan.newestSource(partitions, partition, indexOf(filter), filters))
    const { items, next } = yield* mergePage(
      sources,
      Scan.newestOf(page.cursor),
      Scan.limitOf(page),
      Scan.compareNewest
    )
    const runs = yield* Scan.listRuns(partitions, "list", items)
    return { items: runs, ...(next === undefined ? undefined : { next }) }
  })

  return {
    get: (runId) =>
      Effect.flatMap(
        Scan.readRuns(partitions, "get", [runId]),
        ([run]): Effect.Effect<AgentRun | RunInFlight, RunNotFound | StoreError> =>
          run === undefined ? Effect.fail(new RunNotFound({ runId })) : Effect.fromResult(run)
      ),
    list,
    prune: Prune.prune(partitions),
    erase: Prune.erase(partitions)
  }
}
