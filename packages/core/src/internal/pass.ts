/** One pass from the granted lease to its record. */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import { type AgentRun, isSettled } from "../AgentRun.ts"
import { AttemptsExhausted, RunNotRecorded } from "../Fault.ts"
import { type EndError, LeaseLost, PassCancelled, PassInterrupted } from "../PassError.ts"
import type { AnyReport } from "../Report.ts"
import type { StoreError } from "../StoreError.ts"
import { names } from "../Telemetry.ts"
import { ActivePass } from "./activePass.ts"
import { fromValue } from "./diagnose.ts"
import type { EngineState, Granted } from "./engine.ts"
import { Journal } from "./journal.ts"
import { compose, toRun, withError } from "./passReport.ts"
import { PassRunner, type Steps } from "./passRunner.ts"
import { annotate, isTraced, logFailure, logReport, tracePass, traceStep } from "./passTelemetry.ts"
import type { PassInfo } from "./stepRun.ts"

/** Why a pass is being interrupted, unless it is a shutdown. */
type Reason = "cancelled" | "lost"

/** Begins to run a granted pass on a fiber of its own, with the services of the caller. */
export const runPass = (state: EngineState, granted: Granted): Effect.Effect<ActivePass> =>
  Effect.withFiber((parent) => {
    const { meta } = granted
    const active = new ActivePass(meta.runId, granted.origin, granted.definition.name)
    const context = annotate(parent.context, {
      [names.agentName]: meta.agentName,
      [names.runId]: meta.runId
    })
    let reason: Reason | undefined
    let fiber: Fiber.Fiber<unknown, unknown> | undefined
    const stop = (why: Reason) => (): void => {
      reason ??= why
      fiber?.interruptUnsafe()
    }
    active.cancel = stop("cancelled")
    state.active.set(meta.runId, active)
    granted.meters.started(context)
    state.keeper.add(granted.lease, granted.askedAt, { onLost: stop("lost"), onCancel: stop("cancelled") })
    // A fiber that was interrupted ends with that interruption, whatever it did about it: the outcome is kept apart.
    let outcome: Exit.Exit<AnyReport, EndError> | undefined
    const effect = execute(state, granted, active, context, () => reason, stop, (exit) => {
      outcome = exit
    })
    const running = fiber = Effect.runForkWith(context)(effect)
    if (reason !== undefined) running.interruptUnsafe() // stopped before the fiber was known
    active.interrupt = Effect.suspend(() => {
      running.interruptUnsafe()
      return Effect.asVoid(Fiber.await(running))
    })
    const finish = (exit: Exit.Exit<AnyReport, EndError>): void => {
      exit = outcome ?? exit
      state.keeper.remove(granted.lease)
      state.active.delete(meta.runId)
      granted.meters.stopped(context)
      // What the pass could not turn into an error of its own was an interruption: somebody may continue it.
      active.end(
        Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)
          ? Exit.fail(new PassInterrupted({ runId: meta.runId }))
          : exit
      )
    }
    const exit = running.pollUnsafe()
    if (exit === undefined) running.addObserver(finish)
    else finish(exit)
    return Effect.succeed(active)
  })

const execute = (
  state: EngineState,
  granted: Granted,
  active: ActivePass,
  context: Context.Context<never>,
  reason: () => Reason | undefined,
  stop: (why: Reason) => () => void,
  onOutcome: (exit: Exit.Exit<AnyReport, EndError>) => void
): Effect.Effect<AnyReport, EndError> => {
  const { definition, lease, meta } = granted
  const watch = state.watch.part()
  const startedMillis = watch.now()
  const info: PassInfo = {
    runId: meta.runId,
    agentName: meta.agentName,
    fence: lease.fence,
    payload: meta.payload,
    watch,
    graceMillis: definition.graceMillis,
    onWarn: (warning) => active.emit({ _tag: "Warned", warning })
  }
  const traced = isTraced(context)
  let stepContext = context
  const journal = new Journal({
    store: state.store,
    beginSave: state.beginSave,
    lease,
    ttl: state.ttl,
    watch,
    context,
    meters: granted.meters,
    position: granted.position,
    list: definition.hash,
    strict: definition.stopOnStoreFailure,
    recorded: granted.recorded.outcomes.size,
    onCancel: stop("cancelled"),
    onLost: stop("lost"),
    onFailure: (error) => {
      Effect.runForkWith(context)(logFailure(error))
      runner.storeFailed(error)
    }
  })
  const runner = new PassRunner({
    definition,
    info,
    recorded: granted.recorded,
    journal,
    traced: traced ? traceStep(meta.runId, meta.agentName) : (_, body) => body,
    contextOf: (step) => annotate(stepContext, { [names.stepName]: step.name }),
    // Where a step or a store that answers at once stops the pass, its fiber runs and is interrupted only when it waits.
    holds: (now) => reason() === undefined && state.keeper.holds(lease, now),
    onStart: (step) => active.emit({ _tag: "StepStarted", step }),
    onEnd: ({ outcome }) => active.emit({ _tag: "StepEnded", outcome })
  })
  const report = (steps: Steps): AnyReport =>
    compose({
      meta,
      startedAt: granted.startedAt,
      now: DateTime.makeUnsafe(state.clock.currentTimeMillisUnsafe()),
      attempts: granted.attempts,
      origin: granted.origin,
      recorded: state.runs !== undefined
    }, steps)

  const conclude = (steps: Steps): Effect.Effect<AnyReport, EndError> => {
    const composed = report(steps)
    const run = toRun(composed, composed.status, meta, granted.attempts, granted.idempotency)
    return Effect.map(Effect.tap(record(state, granted, journal, run), logFailure), (failure) => {
      if (failure !== undefined) return withError(composed, new RunNotRecorded({ reason: failure.summary }))
      const restored = (index: number): boolean => steps.ended[index]?.restored === true
      granted.meters.settled(composed, restored, watch.now() - startedMillis, context)
      return composed
    })
  }

  const interrupted = Effect.suspend((): Effect.Effect<AnyReport, EndError> => {
    const { runId } = meta
    if (reason() === "lost") return Effect.fail(new LeaseLost({ runId }))
    if (reason() === "cancelled") {
      const composed = report(runner.steps())
      const run = toRun(composed, "cancelled", meta, granted.attempts, granted.idempotency)
      return Effect.andThen(record(state, granted, journal, run), Effect.fail(new PassCancelled({ runId })))
    }
    return journal.flushOnce.pipe(
      Effect.andThen(release("shutdown")),
      Effect.andThen(Effect.fail(new PassInterrupted({ runId })))
    )
  })

  /** No renewal may follow: it would take the lease back. */
  const release = (why: string): Effect.Effect<void> =>
    Effect.suspend(() => {
      state.keeper.remove(lease)
      return Effect.ignore(state.store.release(lease, why, { shutdown: why === "shutdown" }))
    })

  const steps = granted.exhaustedAfter === undefined
    ? runner.run
    : Effect.sync(() => givenUp(runner.steps(), granted, granted.exhaustedAfter ?? 0, report))
  active.emit({
    _tag: "PassStarted",
    runId: meta.runId,
    agentName: meta.agentName,
    attempt: granted.attempts.length
  })
  const pass = Effect.uninterruptibleMask((restore) =>
    Effect.matchCauseEffect(restore(steps), {
      onSuccess: conclude,
      onFailure: (cause) =>
        Cause.hasInterruptsOnly(cause)
          ? interrupted
          : Effect.andThen(release("defect"), Effect.failCause(cause))
    }).pipe(
      Effect.exit,
      Effect.flatMap((exit) => {
        onOutcome(exit)
        return exit
      })
    )
  ).pipe(
    Effect.tap(logReport),
    Effect.ensuring(Effect.sync(() => watch.close()))
  )
  if (!traced) return pass
  return tracePass(
    {
      [names.agentName]: meta.agentName,
      [names.runId]: meta.runId,
      [names.heartbeat]: definition.name,
      [names.attempt]: granted.attempts.length
    },
    Effect.withFiber<AnyReport, EndError>((fiber) => {
      stepContext = fiber.context // with the span of the pass as parent
      return pass
    })
  )
}

/** A pass that is not continued once more: what it recorded, and an error that says so. */
const givenUp = (
  steps: Steps,
  granted: Granted,
  attempts: number,
  report: (steps: Steps) => AnyReport
): Steps => {
  const { finishedAt } = report(steps)
  return {
    ended: steps.ended.map((ended) => granted.recorded.outcomes.get(ended.outcome.name) ?? ended),
    warnings: steps.warnings,
    errors: [fromValue("error", undefined, new AttemptsExhausted({ attempts }), finishedAt)]
  }
}

/**
 * Settles the run, with retries. Answers the store's failure when the run could
 * not be recorded; its lease then expires and the next heartbeat settles it.
 */
const record = (
  state: EngineState,
  granted: Granted,
  journal: Journal,
  run: AgentRun
): Effect.Effect<StoreError | undefined, LeaseLost> => {
  const { lease } = granted
  const settle = state.store.settle(lease, run)
  const lost = Effect.suspend(() => Effect.fail(new LeaseLost({ runId: lease.runId })))
  /** An earlier try may have gone through although its answer was lost: then the record is ours. */
  const confirm = Effect.suspend(() => {
    if (state.runs === undefined) return lost
    return Effect.flatMap(
      Effect.catchTag(state.runs.get(lease.runId), "RunNotFound", () => lost),
      (stored) => isSettled(stored) && stored.attempts.at(-1)?.fence === lease.fence ? Effect.void : lost
    )
  })
  const settled = Effect.catch(settle, (error): Effect.Effect<void, LeaseLost | StoreError> => {
    if (error._tag === "StoreError" && !error.isRetryable) return Effect.fail(error)
    const again = Effect.catchTags(error._tag === "StoreError" ? settle : Effect.fail(error), {
      Gone: () => confirm,
      Fenced: () => lost
    })
    return Effect.retry(Effect.delay(again, "100 millis"), {
      times: 3,
      schedule: Schedule.exponential("100 millis"),
      while: (error) => error._tag === "StoreError" && error.isRetryable
    })
  })
  const answered = Effect.matchEffect(settled, {
    onSuccess: () =>
      Effect.sync((): undefined => {
        state.onSettled(run)
      }),
    onFailure: (error) => error._tag === "StoreError" ? Effect.succeed(error) : Effect.fail(error)
  })
  const saving = journal.close()
  return saving === undefined ? answered : Effect.andThen(saving, answered)
}
