import { isSettled, type RunInFlight } from "@everbeat/core/AgentRun"
import type {
  CheckpointStore,
  ClaimFilter,
  InterruptedFilter,
  PageRequest,
  Resumed
} from "@everbeat/core/CheckpointStore"
import type { StoreError } from "@everbeat/core/StoreError"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { claimMany } from "./lua/claim.ts"
import { mergePage, type Source } from "./merge.ts"
import { millisOf } from "./millis.ts"
import type { Partitions } from "./partitions.ts"
import * as Read from "./reply.ts"
import * as Scan from "./scan.ts"
import * as Text from "./text.ts"

type Service = CheckpointStore["Service"]

/** Runs that one script claims: it answers their checkpoints. */
const claimSize = 16

/** Others may be faster at every run that was found: how often to look again. */
const maxRounds = 16

/** Finds free runs in every partition, the longest free first, then claims those that are still free. */
export const claimNext = (partitions: Partitions): Service["claimNext"] =>
  Effect.fnUntraced(function*(owner, ttl, limit, filter: ClaimFilter = {}) {
    if (filter.definitions?.length === 0) return []
    const filters = [
      ...(filter.kind === undefined ? [] : ["kind", filter.kind]),
      ...(filter.roots === true ? ["root", "1"] : []),
      ...(filter.definitions ?? []).flatMap((name) => ["def", Text.encode(name)])
    ]
    const sources = partitions.all.map((partition) =>
      Scan.dueSource(partitions, "claimNext", partition, "due", "ended", 0, filters)
    )
    const claimed: Array<Resumed> = []
    const damaged: Array<StoreError> = []
    let start = Scan.firstDue
    for (let round = 0; round < maxRounds && claimed.length < limit; round++) {
      const page = mergePage(sources, start, limit - claimed.length, Scan.compareDue)
      const nothing = { items: [], next: undefined }
      // What was claimed so far must reach the caller.
      const { items, next } = yield* claimed.length === 0 ? page : Effect.orElseSucceed(page, () => nothing)
      const answers = yield* claimAll(partitions, owner, ttl, items.map(({ runId }) => runId), claimed.length > 0)
      const won = answers.flatMap((answer) => Result.isSuccess(answer) ? [answer.success] : [])
      claimed.push(...won)
      damaged.push(...answers.flatMap((answer) => Result.isFailure(answer) ? [answer.failure] : []))
      // Others were faster, some were damaged, or there was much to look at: look again, or go on.
      if (won.length === items.length && next === undefined) break
      if (won.length === items.length && next !== undefined) start = next
    }
    const [failure] = damaged
    if (failure === undefined) return claimed
    if (claimed.length === 0) return yield* failure
    yield* Effect.logWarning("Damaged runs were left out", ...damaged.map(({ message }) => message))
    return claimed
  })

const claimAll = (
  partitions: Partitions,
  owner: string,
  ttl: Duration.Duration,
  ids: ReadonlyArray<string>,
  lenient: boolean
): Effect.Effect<ReadonlyArray<Result.Result<Resumed, StoreError>>, StoreError> =>
  Effect.flatMap(
    Effect.forEach(
      Scan.grouped(ids, (id) => partitions.ofRun(Scan.idOf(id)), claimSize),
      ({ items, partition }) =>
        Effect.result(partitions.call(
          "claimNext",
          claimMany,
          partition,
          [Text.encode(owner), millisOf(ttl), partitions.name(), ...items],
          (reply) =>
            Read.list(reply).map((answer) =>
              [Read.idOfResumed(answer), Read.toResumed("claimNext", answer, owner)] as const
            )
        )),
      { concurrency: "unbounded" }
    ),
    (results) => {
      const won = results.flatMap((result) => Result.isSuccess(result) ? result.success : [])
      const failure = results.find(Result.isFailure)
      // One partition may fail while others gave runs away: those are the caller's now.
      if (failure !== undefined && won.length === 0 && !lenient) return Effect.fail(failure.failure)
      const answers = new Map(won)
      return Effect.succeed(ids.flatMap((id) => answers.get(id) ?? []))
    }
  )

const interruptedFilters = (
  { agentName, callerId, channelId, parentRunId }: InterruptedFilter
): ReadonlyArray<string> => [
  ...(agentName === undefined ? [] : ["agent", agentName]),
  ...(callerId === undefined ? [] : ["caller", Text.encode(callerId)]),
  ...(channelId === undefined ? [] : ["channel", Text.encode(channelId)]),
  ...(parentRunId === undefined ? [] : ["parent", parentRunId])
]

/** Merges the runs in flight of the partitions: of one, when an agent is named. */
export const listInterrupted = (partitions: Partitions): Service["listInterrupted"] =>
  Effect.fnUntraced(function*(filter: InterruptedFilter = {}, page: PageRequest = {}) {
    const status = filter.status ?? ["interrupted", "exhausted"]
    const filters = interruptedFilters(filter)
    const ago = filter.interruptedFor === undefined ? 0 : millisOf(filter.interruptedFor)
    const asked = filter.agentName === undefined ? partitions.all : [partitions.ofAgent(filter.agentName)]
    const live = status.includes("running") && filter.interruptedFor === undefined
    // One question for both: between two, the lease of a run may end, and neither would find it.
    const stateOf = (ended: boolean): Scan.DueState | undefined =>
      ended && live ? "any" : ended ? "ended" : live ? "live" : undefined
    const from = (partition: number, set: "due" | "spent", ended: boolean): ReadonlyArray<Source<Scan.Due>> => {
      const state = stateOf(ended)
      return state === undefined
        ? []
        : [Scan.dueSource(partitions, "listInterrupted", partition, set, state, ago, filters)]
    }
    const sources = asked.flatMap((partition) => [
      ...from(partition, "due", status.includes("interrupted")),
      ...from(partition, "spent", status.includes("exhausted"))
    ])
    const { items, next } = yield* mergePage(sources, Scan.dueOf(page.cursor), Scan.limitOf(page), Scan.compareDue)
    const runs = yield* Scan.listRuns(partitions, "listInterrupted", items.map(({ runId }) => runId))
    const inFlight = runs.filter((run): run is RunInFlight => !isSettled(run) && status.includes(run.status))
    return { items: inFlight, ...(next === undefined ? undefined : { next: Scan.dueCursor(next) }) }
  })
