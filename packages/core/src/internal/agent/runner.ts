/** A run in this process: one attempt after the other, until it has ended or is somebody else's. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { RunExhausted, RunInterrupted } from "../../AgentError.ts"
import { isSettled } from "../../AgentRun.ts"
import type { MessageUnreadable } from "../../MessageCodec.ts"
import { LeaseLost } from "../../PassError.ts"
import type { LeaseHeld, RunNotFound, StoreError } from "../../StoreError.ts"
import type { Ended } from "./activeRun.ts"
import { type End, runAttempt } from "./attempt.ts"
import { attemptOf, type Grant } from "./open.ts"
import type { Runtime, Task } from "./runtime.ts"
import * as Telemetry from "./telemetry.ts"

type Over<A, E> =
  | Exclude<End<A, E>, { readonly _tag: "Again" }>
  | { readonly _tag: "Exhausted"; readonly attempts: number; readonly reason: string }

/** So often a claim of the next attempt looks whether a lease has ended, or the store is back. */
const claimMillis = 1000

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
        if (task.run.announced) publish(runtime, task, over)
        runtime.gauge.change(task.meta.agentName, -1, context)
        if (over._tag === "Settled") Telemetry.settled(over.run, context)
        runtime.forget(task.meta.runId, task.run)
        Deferred.doneUnsafe(opened, Effect.void)
        Deferred.doneUnsafe(task.run.ended, Effect.succeed(endedOf(task, over)))
        return over._tag === "Settled" ? Telemetry.logRun(over.run) : Effect.void
      })
    )
  )

const statusOf = (end: End<unknown, unknown>) => (end._tag === "Settled" ? end.run.status : undefined)

const loop = Effect.fnUntraced(function*<M, A, E, R>(
  runtime: Runtime,
  task: Task<M, A, E, R>,
  first: Grant,
  opened: Deferred.Deferred<void, MessageUnreadable | StoreError>
): Effect.fn.Return<Over<A, E>> {
  const { definition: { name: agent }, meta, run } = task
  const { agentName, runId } = meta
  const services = yield* Effect.context<never>()
  let grant = first
  runtime.gauge.change(agentName, 1, services)
  while (true) {
    const attempt = attemptOf(grant)
    const onOpen = Effect.sync(() => {
      run.announced = true
      runtime.publish({ _tag: "AttemptStarted", runId, agent, attempt })
      Deferred.doneUnsafe(opened, Effect.void)
    })
    let isTold = false
    const onStopped = (reason: string): void => {
      if (isTold) return
      isTold = true
      Telemetry.attemptEnded(agentName, reason, services)
      runtime.publish({ _tag: "AttemptEnded", runId, agent, attempt, reason })
    }
    const traced = Telemetry.traceAttempt(meta, attempt, statusOf, runAttempt(runtime, task, grant, onOpen, onStopped))
    const exit = yield* Effect.result(traced)
    if (Result.isFailure(exit)) { // it stays for a version that can read it
      // Of the first attempt whoever asked for it is told, and a poll of the recovery asks again and again.
      if (run.announced) yield* Effect.logWarning("A run could not be opened", exit.failure)
      Deferred.doneUnsafe(opened, Effect.fail(exit.failure))
      return { _tag: "Released", reason: exit.failure._tag }
    }
    const end = exit.success
    if (end._tag !== "Settled") {
      onStopped(end._tag === "Again" || end._tag === "Released" ? end.reason : reasons[end._tag])
    }
    if (end._tag !== "Again") return end
    const next = yield* reclaim(runtime, task, end.reason)
    if ("_tag" in next) return next
    grant = next
  }
})

const reasons = { Lost: "lost", NotRecorded: "not recorded" } as const

/** The next attempt, unless the run has used up its own or somebody was faster. */
const reclaim = <M, A, E, R>(
  runtime: Runtime,
  task: Task<M, A, E, R>,
  reason: string
): Effect.Effect<Grant | Over<A, E>> =>
  Effect.gen(function*() {
    const { run } = task
    while (true) {
      const found = yield* tryClaim(runtime, task, reason)
      const handed = run.takeClaim()
      if (handed !== undefined) return handed
      if (found !== "wait") return found
      if (run.stopping !== undefined) return { _tag: "Released", reason: run.stopping }
      run.expectClaim()
      yield* run.awaitClaim(runtime.hub.watch, claimMillis)
    }
  })

type Claimed = Grant | Exclude<Over<never, never>, { readonly _tag: "Settled" }> | "wait"

const tryClaim = <M, A, E, R>(
  { hub, runs }: Runtime,
  { meta: { runId } }: Task<M, A, E, R>,
  reason: string
): Effect.Effect<Claimed> =>
  Effect.gen(function*(): Effect.fn.Return<Claimed, LeaseHeld | RunNotFound | StoreError> {
    const state = yield* runs.get(runId)
    if (isSettled(state)) return { _tag: "Lost" }
    if (state.status === "exhausted" && !state.cancelRequested) {
      return { _tag: "Exhausted", attempts: state.attempts.length, reason }
    }
    if (state.status === "running") {
      // Ours still: the store did not hear that it was released, or somebody in this process has just claimed it.
      return state.attempts.at(-1)?.owner === hub.owner ? "wait" : { _tag: "Lost" }
    }
    const askedAt = hub.watch.now()
    return { answer: yield* hub.store.claim(runId, hub.owner, hub.ttl), askedAt }
  }).pipe(
    Effect.catchTags({
      RunNotFound: () => Effect.succeed<Claimed>({ _tag: "Lost" }),
      LeaseHeld: () => Effect.succeed<Claimed>("wait"),
      // While it waits in the store, whoever reaches it first continues it.
      StoreError: (error) => Effect.succeed<Claimed>(error.isRetryable ? "wait" : { _tag: "Released", reason })
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
