/** A run in this process: one attempt after the other, until it has ended or is somebody else's. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { RunExhausted, RunInterrupted } from "../../AgentError.ts"
import { isSettled } from "../../AgentRun.ts"
import type { MessageUnreadable } from "../../MessageCodec.ts"
import { LeaseLost } from "../../PassError.ts"
import type { StoreError } from "../../StoreError.ts"
import type { SnapshotUnreadable } from "../../WorkspaceSnapshot.ts"
import type { Ended } from "./activeRun.ts"
import { type End, runAttempt } from "./attempt.ts"
import { attemptOf, type Grant } from "./open.ts"
import type { Runtime, Task } from "./runtime.ts"
import * as Telemetry from "./telemetry.ts"

type Over<A, E> =
  | Exclude<End<A, E>, { readonly _tag: "Again" }>
  | { readonly _tag: "Exhausted"; readonly attempts: number; readonly reason: string }

/** `opened` is done when the first attempt has its checkpoint, or cannot read it. */
export const runToEnd = <M, A, E, R>(
  runtime: Runtime,
  task: Task<M, A, E, R>,
  first: Grant,
  opened: Deferred.Deferred<void, MessageUnreadable | StoreError>
): Effect.Effect<void> =>
  loop(runtime, task, first, opened).pipe(
    Effect.catchCause((cause): Effect.Effect<Over<A, E>> =>
      // A bug here must not leave anybody waiting; the lease ends by itself.
      Effect.as(Effect.logError("A run was let go of", cause), { _tag: "Released", reason: "defect" })
    ),
    Effect.flatMap((over) =>
      Effect.withFiber(({ context }) => {
        publish(runtime, task, over)
        runtime.gauge.change(task.meta.agentName, -1, context)
        if (over._tag === "Settled") Telemetry.settled(over.run, context)
        Deferred.doneUnsafe(task.run.ended, Effect.succeed(endedOf(task, over)))
        return over._tag === "Settled" ? Telemetry.logRun(over.run) : Effect.void
      })
    )
  )

const loop = Effect.fnUntraced(function*<M, A, E, R>(
  runtime: Runtime,
  task: Task<M, A, E, R>,
  first: Grant,
  opened: Deferred.Deferred<void, MessageUnreadable | StoreError>
): Effect.fn.Return<Over<A, E>> {
  const { definition: { name: agent }, meta } = task
  const { agentName, runId } = meta
  const services = yield* Effect.context<never>()
  let grant = first
  runtime.gauge.change(agentName, 1, services)
  while (true) {
    const attempt = attemptOf(grant)
    const onOpen = Effect.asVoid(Deferred.succeed(opened, undefined))
    runtime.publish({ _tag: "AttemptStarted", runId, agent, attempt })
    const end: Over<A, E> | Extract<End<A, E>, { readonly _tag: "Again" }> = yield* Effect.catch(
      Telemetry.traceAttempt(meta, attempt, runAttempt(runtime, task, grant, onOpen)),
      (error) => Effect.as(unreadable(opened, error), { _tag: "Released", reason: error._tag } as const)
    )
    if (end._tag !== "Settled") {
      const reason = end._tag === "Again" || end._tag === "Released" ? end.reason : end._tag
      Telemetry.attemptEnded(agentName, reason, services)
      runtime.publish({ _tag: "AttemptEnded", runId, agent, attempt, reason })
    }
    if (end._tag !== "Again") return end
    const next = yield* reclaim(runtime, task, end.reason)
    if ("_tag" in next) return next
    grant = next
  }
})

/** It stays for a version that can read it. */
const unreadable = (
  opened: Deferred.Deferred<void, MessageUnreadable | StoreError>,
  error: MessageUnreadable | StoreError | SnapshotUnreadable
): Effect.Effect<void> =>
  Effect.andThen(
    Effect.logWarning("A run could not be opened", error),
    error._tag === "SnapshotUnreadable" ? Deferred.succeed(opened, undefined) : Deferred.fail(opened, error)
  )

/** The next attempt, unless the run has used up its own or somebody was faster. */
const reclaim = <M, A, E, R>(
  { hub, runs }: Runtime,
  { meta: { runId } }: Task<M, A, E, R>,
  reason: string
): Effect.Effect<Grant | Over<A, E>> =>
  Effect.gen(function*() {
    const state = yield* runs.get(runId)
    if (isSettled(state)) return { _tag: "Lost" } as const
    if (state.status === "exhausted") return { _tag: "Exhausted", attempts: state.attempts.length, reason } as const
    const askedAt = hub.watch.now()
    return { answer: yield* hub.store.claim(runId, hub.owner, hub.ttl), askedAt }
  }).pipe(
    Effect.catchTags({
      RunNotFound: () => Effect.succeed({ _tag: "Lost" } as const),
      LeaseHeld: () => Effect.succeed({ _tag: "Lost" } as const),
      // It waits in the store: whoever reaches it first continues it.
      StoreError: () => Effect.succeed({ _tag: "Released", reason } as const)
    })
  )

const publish = <M, A, E, R>(runtime: Runtime, { definition, meta }: Task<M, A, E, R>, over: Over<A, E>): void => {
  const { name: agent } = definition
  const { runId } = meta
  switch (over._tag) {
    case "Settled":
      return runtime.publish({ _tag: "RunSettled", run: over.run })
    case "Exhausted":
      return runtime.publish({ _tag: "RunExhausted", runId, agent, attempts: over.attempts })
    case "Released":
      return runtime.publish({ _tag: "RunReleased", runId, agent, reason: over.reason })
    case "Lost":
      return runtime.publish({ _tag: "RunReleased", runId, agent, reason: "lost" })
    case "NotRecorded":
      return runtime.publish({ _tag: "RunReleased", runId, agent, reason: "not recorded" })
  }
}

const endedOf = <M, A, E, R>({ meta: { runId } }: Task<M, A, E, R>, over: Over<A, E>): Ended<A, E> => {
  if (over._tag === "Settled") return { result: over.result, record: Effect.succeed(over.run) }
  const error = errorOf(runId, over)
  return { result: Effect.fail(error), record: Effect.fail(error) }
}

const errorOf = (
  runId: Task<never, never, never, never>["meta"]["runId"],
  over: Exclude<Over<never, never>, { readonly _tag: "Settled" }>
) => {
  switch (over._tag) {
    case "Exhausted":
      return new RunExhausted({ runId, attempts: over.attempts, reason: over.reason })
    case "Released":
      return new RunInterrupted({ runId, reason: over.reason })
    case "Lost":
      return new LeaseLost({ runId })
    case "NotRecorded":
      return over.error
  }
}
