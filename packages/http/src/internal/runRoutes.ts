/** What can be done with runs in flight: look at them, resume, discard and cancel them. */
import type { AgentName } from "@everbeat/core/AgentName"
import { type AgentRun, isSettled, type RunInFlight } from "@everbeat/core/AgentRun"
import type { AgentSupervisor } from "@everbeat/core/AgentSupervisor"
import type { CheckpointStore, InterruptedFilter } from "@everbeat/core/CheckpointStore"
import { HeartbeatEngine } from "@everbeat/core/HeartbeatEngine"
import * as Lease from "@everbeat/core/Lease"
import type { RunCheckpoint } from "@everbeat/core/RunCheckpoint"
import type { RunId } from "@everbeat/core/RunId"
import type { StoreError } from "@everbeat/core/StoreError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as Problem from "../Problem.ts"
import type { ResumeRequest } from "../RunProgress.ts"
import { logStoreError } from "./logStoreError.ts"
import { actionProblemOf, storeUnavailable } from "./problemOf.ts"
import { need, offered } from "./services.ts"
import { notFound, type Shared } from "./shared.ts"
import { limited } from "./storeLimit.ts"

/** How long a run is held to be deleted. */
const holdFor = Duration.seconds(30)

interface RunParams {
  readonly agentName: AgentName
  readonly runId: RunId
}

interface ListQuery {
  readonly limit?: number | undefined
  readonly cursor?: string | undefined
  readonly status?: InterruptedFilter["status"]
}

type ClaimError = Effect.Error<ReturnType<CheckpointStore["Service"]["claim"]>>

type DiscardError =
  | ClaimError
  | Effect.Error<ReturnType<AgentSupervisor["Service"]["discard"] | CheckpointStore["Service"]["delete"]>>

export const makeRunActions = Effect.fnUntraced(function*(basePath: string, { find }: Shared) {
  const { cancel: cancelHere, owner } = yield* HeartbeatEngine
  const { checkpoints, recovery, supervisor, workspaces } = offered(yield* Effect.context<never>())
  const store = need(checkpoints, "CheckpointStore")

  const list = (agentName: AgentName, { cursor, limit, status }: ListQuery) =>
    Effect.flatMap(
      store,
      (store) =>
        limited("listInterrupted", () => store.listInterrupted({ agentName, status }, { limit, cursor })).pipe(
          logStoreError,
          Effect.mapError(storeUnavailable)
        )
    )

  const get = ({ agentName, runId }: RunParams) =>
    Effect.flatMap(store, (store) =>
      limited("load", () => store.load(runId)).pipe(
        logStoreError,
        Effect.mapError((error) => error._tag === "StoreError" ? storeUnavailable(error) : notFound(runId)),
        Effect.filterOrFail((checkpoint) => checkpoint.agentName === agentName, () => notFound(runId)),
        Effect.map(viewOf)
      ))

  /** The run in flight, looked at before anything is claimed: a claim is an attempt. */
  const inFlight = ({ agentName, runId }: RunParams) =>
    Effect.filterOrFail(
      find(agentName, runId),
      (run): run is RunInFlight => !isSettled(run),
      ({ status }) => settled(runId, status)
    )

  const resume = Effect.fnUntraced(function*(params: RunParams, asked: ResumeRequest | undefined) {
    const { agentName, runId } = params
    const { resume } = yield* need(recovery, "Recovery")
    const { status } = yield* inFlight(params)
    if (status === "running") return yield* held(runId)
    yield* resume(runId, asked).pipe(logStoreError, Effect.mapError(actionProblemOf))
    const location = `${basePath}/api/agents/${agentName}/runs/${runId}`
    return HttpApiSchema.withHeaders({
      body: { runId, agentName, status: "running" as const, location },
      headers: { location }
    })
  })

  const discard = Effect.fnUntraced(function*(params: RunParams) {
    const { runId } = params
    const { claim, delete: remove } = yield* store
    const { status } = yield* inFlight(params)
    if (status === "running") return yield* held(runId)
    const damaged = Effect.fnUntraced(function*(error: StoreError) {
      if (error.reason !== "corrupt") return yield* error
      // Damaged, and claimed all the same: its head tells by whom. Nobody can continue it, but it can be done away with.
      const lease = Lease.newest(yield* Effect.mapError(inFlight(params), () => error))
      return lease?.owner === owner ? lease : yield* error
    })
    const claimed = Effect.matchEffect(limited("claim", () => claim(runId, owner, holdFor)), {
      onSuccess: ({ lease }) => Effect.succeed(lease),
      onFailure: (error): Effect.Effect<Lease.Lease, ClaimError> =>
        error._tag === "StoreError" ? damaged(error) : Effect.fail(error)
    })
    // Without a supervisor there are passes here, which have no files.
    const discarded: Effect.Effect<void, DiscardError> = supervisor === undefined
      ? Effect.flatMap(claimed, (lease) => limited("delete", () => remove(lease)))
      : Effect.provideContext(supervisor.discard(runId), workspaces)
    // Uninterruptible: what is claimed is deleted, whoever hangs up.
    yield* Effect.uninterruptible(discarded).pipe(
      logStoreError,
      Effect.mapError((error) =>
        error._tag === "Fenced" ? held(runId) : error._tag === "Gone" ? notFound(runId) : actionProblemOf(error)
      )
    )
  })

  const cancel = Effect.fnUntraced(function*(
    params: RunParams
  ): Effect.fn.Return<AgentRun | RunInFlight, Problem.Problem> {
    const { agentName, runId } = params
    const { requestCancel } = yield* store
    yield* inFlight(params)
    const stopped: Effect.Effect<AgentRun | undefined, Effect.Error<ReturnType<AgentSupervisor["Service"]["cancel"]>>> =
      supervisor === undefined
        ? Effect.as(limited("requestCancel", () => requestCancel(runId)), undefined)
        : supervisor.cancel(runId)
    const closed = yield* stopped.pipe(logStoreError, Effect.mapError(actionProblemOf))
    // Its owner learns of it with its next renewal; here it need not wait for that.
    if (closed === undefined) yield* cancelHere(runId)
    return closed ?? (yield* find(agentName, runId))
  })

  return { list, get, resume, discard, cancel }
})

const viewOf = (
  { messages, notes: _, position: _position, segments: _segments, workspace, ...run }: RunCheckpoint
) => ({
  ...run,
  messages: messages.length,
  messageBytes: messages.reduce((sum, message) => sum + new TextEncoder().encode(message).byteLength, 0),
  hasWorkspace: workspace !== undefined
})

const held = (runId: RunId): Problem.RunInProgress =>
  new Problem.RunInProgress({
    detail: `Run ${runId} is held by a live owner. Wait until it is interrupted, or cancel it.`,
    runId,
    retryAfterSeconds: 5
  })

const settled = (runId: RunId, status: string): Problem.RunSettled =>
  new Problem.RunSettled({ detail: `Run ${runId} has ended as ${status}. Read its record.`, runId })
