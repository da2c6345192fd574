/** The supervisor: validates, asks the store, and keeps the runs of this process. */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Filter from "effect/Filter"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Agent, ResumeOptions, StartOptions } from "../../Agent.ts"
import { type AgentStartError, type ResumeError, RunAlreadySettled, RunExhausted } from "../../AgentError.ts"
import type { AgentHandle } from "../../AgentHandle.ts"
import { isAgentName } from "../../AgentName.ts"
import { type Idempotency, isSettled, metaOf, type RunMeta } from "../../AgentRun.ts"
import type { AgentEvent, AgentSupervisor } from "../../AgentSupervisor.ts"
import type { Granted } from "../../Checkpointer.ts"
import type { CheckpointStore, ClaimFilter, Resumed } from "../../CheckpointStore.ts"
import type { MessageUnreadable } from "../../MessageCodec.ts"
import { EngineStopped } from "../../PassError.ts"
import * as RunId from "../../RunId.ts"
import type { RunStore } from "../../RunStore.ts"
import { OtherDefinition, type StoreError } from "../../StoreError.ts"
import { Workspace } from "../../Workspace.ts"
import { begunBefore } from "../begunBefore.ts"
import { boundRuns } from "../boundedStore.ts"
import { joinHub } from "../checkpointer/hub.ts"
import { warnOfSecondEffect } from "../copies.ts"
import { canonicalPayload, fingerprint } from "../fingerprint.ts"
import type { HoldTimes } from "../holdTimes.ts"
import { badKey, badName, keyPattern } from "../input.ts"
import { ActiveRun, type Stoppable } from "./activeRun.ts"
import { makeCancel } from "./cancel.ts"
import { definitionOf } from "./definition.ts"
import { makeDiscard } from "./discard.ts"
import { type Grant, isResumed } from "./open.ts"
import { replayed } from "./replayed.ts"
import { runToEnd } from "./runner.ts"
import type { Runtime } from "./runtime.ts"
import { Gauge } from "./telemetry.ts"

/** A run that was started or found; `active` when it runs here. */
interface Child<out A, out E> {
  readonly handle: AgentHandle<A, E>
  readonly active: Stoppable | undefined
}

interface LaunchOptions {
  readonly cwd?: string | undefined
  readonly followUp?: string | undefined
}

export const makeSupervisor = Effect.fnUntraced(function*(
  store: CheckpointStore["Service"],
  records: RunStore["Service"],
  times: HoldTimes
): Effect.fn.Return<AgentSupervisor["Service"], never, Scope.Scope> {
  yield* warnOfSecondEffect
  const { storeMillis, ttl } = times
  const hub = yield* joinHub(store, times)
  const runs = boundRuns(records, hub.watch, storeMillis)
  const active = new Map<RunId.RunId, Stoppable>()
  const events = yield* PubSub.sliding<AgentEvent>(1024)
  let stopping = false
  /** Calls that wait for the store's answer, and who waits for all of them. */
  let beginning = 0
  const begun = new Set<() => void>()

  const handleOf = <A, E>(run: ActiveRun<A, E>, origin: AgentHandle<A, E>["origin"]): AgentHandle<A, E> => ({
    runId: run.runId,
    origin,
    result: Effect.flatMap(Deferred.await(run.ended), (ended) => ended.result),
    record: Effect.flatMap(Deferred.await(run.ended), (ended) => ended.record),
    interrupt: run.interrupt("interrupted")
  })

  /** The same run in this process, when it is one of this agent. */
  const joined = <Name extends string, M, A, E, R>(
    agent: Agent<Name, M, A, E, R>,
    runId: RunId.RunId
  ): Child<A, E> | undefined => {
    const run = active.get(runId)
    if (!(run instanceof ActiveRun) || run.definition !== definitionOf(agent)) return undefined
    // Of this very definition: its channels are those of the agent.
    return { active: run, handle: handleOf(run as ActiveRun<A, E>, "joined") }
  }

  /** Runs what the store granted, on a fiber of its own, with the services of the caller. */
  const launch = Effect.fnUntraced(function*<Name extends string, M, A, E, R>(
    agent: Agent<Name, M, A, E, R>,
    meta: RunMeta,
    idempotency: Idempotency | undefined,
    grant: Grant,
    { cwd, followUp }: LaunchOptions
  ): Effect.fn.Return<Child<A, E>, MessageUnreadable | StoreError, R> {
    const context = yield* Effect.context<R>()
    const definition = definitionOf(agent)
    const waiting = active.get(meta.runId)
    if (waiting instanceof ActiveRun && waiting.definition === definition && isResumed(grant) && waiting.hand(grant)) {
      return { active: waiting, handle: handleOf(waiting as ActiveRun<A, E>, "joined") } // of this very definition
    }
    const run = new ActiveRun<A, E>(meta.runId, definition)
    const opened = Deferred.makeUnsafe<void, MessageUnreadable | StoreError>()
    const workspace = Option.getOrUndefined(yield* Effect.serviceOption(Workspace))
    active.set(meta.runId, run)
    const task = { definition, run, meta, idempotency, context, workspace, cwd, followUp }
    Effect.runForkWith(context)(runToEnd(runtime, task, grant, opened))
    yield* Deferred.await(opened)
    return { active: run, handle: handleOf(run, isResumed(grant) ? "resumed" : "started") }
  })

  const begin = Effect.fnUntraced(function*<Name extends string, M, A, E, R>(
    agent: Agent<Name, M, A, E, R>,
    { agent: agentName = agent.name, cwd, key, ...who }: StartOptions
  ): Effect.fn.Return<Child<A, E>, AgentStartError, R> {
    if (stopping) return yield* new EngineStopped({})
    if (!isAgentName(agentName)) return yield* badName(agentName)
    if (key !== undefined && !keyPattern.test(key)) return yield* badKey
    if (who.payload !== undefined) yield* canonicalPayload(who.payload)
    const definition = definitionOf(agent)
    const { name, version: hash } = definition
    const asked = yield* canonicalPayload({ prompt: who.prompt ?? null, payload: who.payload ?? null })
    const idempotency = key === undefined ? undefined : { key, fingerprint: `${name}:${yield* fingerprint(asked)}` }
    const runId = RunId.make(agentName)
    const meta = metaOf({ ...who, runId, kind: "agent", agentName, definition: { name, hash } })
    const askedAt = hub.watch.now()
    const { maxAttempts } = definition
    const answer = yield* hub.store.begin({
      meta,
      owner: hub.owner,
      ttl,
      maxAttempts,
      exclusive: false,
      idempotency,
      resumes: "same-name"
    }).pipe(Effect.catchTag("RunExists", begunBefore)) // run ids are made here, at random
    if (answer._tag === "Replayed") return { active: undefined, handle: replayed(definition, answer.run) }
    if (stopping) { // meanwhile: nothing has run, and nobody asks for a run that was not begun
      const { lease } = answer
      const back = answer._tag === "Begun"
        ? hub.store.delete(lease)
        : hub.store.release(lease, "shutdown", { unstarted: true })
      return yield* Effect.andThen(Effect.ignore(back), Effect.fail(new EngineStopped({})))
    }
    if (answer._tag === "Begun") return yield* launch(agent, meta, idempotency, { answer, askedAt }, { cwd })
    const { checkpoint, exhausted, lease } = answer
    if (exhausted && !checkpoint.cancelRequested) { // kept for people: a repeated call is not one of them
      yield* Effect.ignore(hub.store.release(lease, "exhausted", { unstarted: true }))
      const attempts = checkpoint.attempts.length - 1 // without this claim, under which nothing ran
      const run = new ActiveRun<A, E>(checkpoint.runId, definition)
      const error = new RunExhausted({ runId: checkpoint.runId, attempts, reason: "exhausted" })
      yield* Deferred.succeed(run.ended, { result: Effect.fail(error), record: Effect.fail(error) })
      return { active: undefined, handle: handleOf(run, "resumed") }
    }
    return yield* launch(agent, metaOf(checkpoint), answer.idempotency, { answer, askedAt }, { cwd })
  })

  /** Uninterruptible: a lease that the store granted must not be lost between its answer and the run. */
  const granting = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.uninterruptible(Effect.suspend(() => {
      beginning++
      return Effect.ensuring(
        effect,
        Effect.sync(() => {
          if (--beginning > 0) return
          for (const resume of begun) resume()
          begun.clear()
        })
      )
    }))

  const beginOrJoin = <Name extends string, M, A, E, R>(agent: Agent<Name, M, A, E, R>, options: StartOptions) =>
    granting(begin(agent, options)).pipe(
      Effect.catchTag("AgentBusy", (busy) => {
        const run = joined(agent, busy.runId)
        return run === undefined ? Effect.fail(busy) : Effect.succeed(run)
      })
    )

  const runtime: Runtime = {
    hub,
    store,
    runs,
    gauge: new Gauge(),
    publish: (event) => {
      PubSub.publishUnsafe(events, event)
    },
    forget: (runId, run) => {
      if (active.get(runId) === run) active.delete(runId)
    },
    startChild: (parent, agent, options, adopt) => {
      const key = `${parent.runId}/${options.key}`
      const child = { agent: parent.agentName, ...options, parentRunId: parent.runId, key }
      const started = Effect.uninterruptible(Effect.map(beginOrJoin(agent, child), ({ active, handle }) => {
        if (active !== undefined) adopt(active)
        return handle
      }))
      // The lease of a child that an earlier attempt started may end a little later than that of its parent.
      const again: typeof started = Effect.catchTag(
        started,
        "AgentBusy",
        ({ retryAfterMillis }) =>
          Effect.andThen(Effect.sleep(Math.min(Math.max(retryAfterMillis, 100), Duration.toMillis(ttl) / 3)), again)
      )
      return again
    }
  }

  const adopt = <Name extends string, M, A, E, R>(
    agent: Agent<Name, M, A, E, R>,
    granted: Granted<Resumed>,
    options: LaunchOptions = {}
  ): Effect.Effect<AgentHandle<A, E>, ResumeError, R> =>
    granting(Effect.gen(function*() {
      const { checkpoint, idempotency, lease } = granted.answer
      const { name } = definitionOf(agent)
      const other = checkpoint.kind !== "agent" || checkpoint.definition.name !== name
      if (stopping || other) {
        yield* Effect.ignore(
          hub.store.release(lease, stopping ? "shutdown" : "other definition", { unstarted: true })
        )
        return yield* stopping
          ? new EngineStopped({})
          : new OtherDefinition({ runId: lease.runId, name: checkpoint.definition.name })
      }
      const { handle } = yield* launch(agent, metaOf(checkpoint), idempotency, granted, options)
      return handle
    }))

  const claim = (runId: RunId.RunId) =>
    Effect.suspend(() => {
      const askedAt = hub.watch.now()
      return Effect.map(hub.store.claim(runId, hub.owner, ttl), (answer) => ({ answer, askedAt }))
    })

  const claimNext = (limit: number, filter?: ClaimFilter) =>
    Effect.suspend(() => {
      const askedAt = hub.watch.now()
      return Effect.map(
        hub.store.claimNext(hub.owner, ttl, limit, filter),
        (answers) => answers.map((answer) => ({ answer, askedAt }))
      )
    })

  const resume = <Name extends string, M, A, E, R>(
    agent: Agent<Name, M, A, E, R>,
    runId: RunId.RunId,
    { followUp }: ResumeOptions = {}
  ): Effect.Effect<AgentHandle<A, E>, ResumeError, R> =>
    granting(Effect.gen(function*() {
      if (stopping) return yield* new EngineStopped({})
      const here = joined(agent, runId)
      if (here !== undefined) return here.handle
      const state = yield* runs.get(runId)
      const { name } = state.definition
      // Looked at first: a claim is an attempt.
      if (state.kind !== "agent" || name !== definitionOf(agent).name) {
        return yield* new OtherDefinition({ runId, name })
      }
      if (isSettled(state)) return yield* new RunAlreadySettled({ runId, status: state.status })
      return yield* adopt(agent, yield* claim(runId), { followUp })
    }))

  const drain = (grace: Duration.Input): Effect.Effect<void> =>
    Effect.suspend(() => {
      stopping = true
      const answered = Effect.callback<void>((resume) => {
        if (beginning === 0) resume(Effect.void)
        else begun.add(() => resume(Effect.void))
      })
      const all = Effect.suspend(() =>
        Effect.forEach([...active.values()], (run) => run.over, {
          concurrency: "unbounded",
          discard: true
        })
      )
      const interrupted = Effect.suspend(() => {
        for (const run of active.values()) run.stop("shutdown")
        return all
      })
      // The answers of the store come within its time limit, also when the grace is over.
      return Effect.timeoutOption(Effect.andThen(answered, all), grace).pipe(
        Effect.andThen(interrupted),
        Effect.andThen(answered),
        Effect.andThen(interrupted)
      )
    })

  yield* Effect.addFinalizer(() => Effect.andThen(drain(0), PubSub.shutdown(events)))

  return {
    owner: hub.owner,
    start: (agent, options) => Effect.map(beginOrJoin(agent, options), ({ handle }) => handle),
    claimNext,
    claim,
    resume,
    adopt,
    cancel: makeCancel(hub, runs, active),
    discard: makeDiscard(hub, runs),
    events: Stream.fromPubSub(events),
    settled: Stream.filterMap(
      Stream.fromPubSub(events),
      Filter.make((event) => (event._tag === "RunSettled" ? Result.succeed(event.run) : Result.fail(event)))
    ),
    drain
  }
})
