/** What the endpoints of one handler share. */
import type { AgentName } from "@everbeat/core/AgentName"
import { type AgentRun, isSettled, type RunInFlight } from "@everbeat/core/AgentRun"
import { HeartbeatEngine } from "@everbeat/core/HeartbeatEngine"
import type { RunId } from "@everbeat/core/RunId"
import { RunStore } from "@everbeat/core/RunStore"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Problem from "../Problem.ts"
import type { EventId } from "./feed.ts"
import { framesOf, nothingMore, respondEvents, restOf, watchRun } from "./follow.ts"
import { logStoreError } from "./logStoreError.ts"
import { OpenStreams } from "./openStreams.ts"
import { Passes } from "./passes.ts"
import { storeUnavailable } from "./problemOf.ts"
import { offered } from "./services.ts"
import { limited } from "./storeLimit.ts"

type ReadError = Problem.RunNotFound | Problem.StoreUnavailable

export interface Shared {
  readonly passes: Passes
  readonly streams: OpenStreams
  /** One run of the agent. A foreign run is not found, as if it did not exist. */
  readonly find: (agentName: AgentName, runId: RunId) => Effect.Effect<AgentRun | RunInFlight, ReadError>
  /** The live progress of one run of the agent; with a kind, of none but such a run. */
  readonly follow: (
    agentName: AgentName,
    runId: RunId,
    seen: EventId | undefined,
    kind?: AgentRun["kind"]
  ) => Effect.Effect<HttpServerResponse, ReadError>
}

export const makeShared: Effect.Effect<Shared, never, HeartbeatEngine | RunStore | Scope.Scope> = Effect.gen(
  function*() {
    const runs = yield* RunStore
    const stores = { runs, checkpoints: offered(yield* Effect.context<never>()).checkpoints }
    const passes = new Passes(yield* Scope.Scope)
    const closing = yield* Deferred.make<void>()
    const streams = new OpenStreams()
    // Streams of passes of this process end with them; those that wait for other processes do not end by themselves.
    yield* Stream.runDrain((yield* HeartbeatEngine).settled).pipe(
      Effect.andThen(Deferred.succeed(closing, undefined)),
      Effect.forkScoped({ startImmediately: true })
    )
    yield* Effect.addFinalizer(() => Deferred.succeed(closing, undefined))

    const find: Shared["find"] = (agentName, runId) =>
      limited("get", () => runs.get(runId)).pipe(
        logStoreError,
        Effect.mapError((error) => error._tag === "StoreError" ? storeUnavailable(error) : notFound(runId)),
        Effect.filterOrFail((run) => run.agentName === agentName, () => notFound(runId))
      )

    const follow: Shared["follow"] = (agentName, runId, seen, kind) =>
      Effect.flatMap(
        Effect.filterOrFail(find(agentName, runId), (run) =>
          kind === undefined || run.kind === kind, () =>
          notFound(runId)),
        (run) =>
          Effect.map(passes.feedOf(runId), (feed) => {
            const rest = seen !== undefined && isSettled(run) ? restOf(feed, seen) : "events"
            if (rest === "nothing") {
              return nothingMore
            }
            const isHere = feed !== undefined && rest === "events"
            return respondEvents(isHere ? framesOf(feed, seen) : watchRun(stores, runId, seen, closing), streams)
          })
      )

    return { passes, streams, find, follow }
  }
)

export const notFound = (runId: RunId): Problem.RunNotFound =>
  new Problem.RunNotFound({
    detail: `No run ${runId} of this agent is known. Check the id; settled runs are pruned after their retention.`
  })

/** One state for the routes of one handler. */
export class HandlerState extends Context.Service<HandlerState, Shared>()("@everbeat/http/internal/HandlerState") {}
