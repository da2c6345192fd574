/** Spans, metrics and logs of agents' runs. Names are in `Telemetry.ts`. */
import type * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import type { AgentName } from "../../AgentName.ts"
import type { AgentRun, RunMeta } from "../../AgentRun.ts"
import { render } from "../../Diagnostic.ts"
import { metrics, names } from "../../Telemetry.ts"
import { isTraced } from "../passTelemetry.ts"

/** Runs of each agent in this process. */
export class Gauge {
  private readonly active = new Map<AgentName, number>()

  change(agent: AgentName, by: 1 | -1, context: Context.Context<never>): void {
    const count = (this.active.get(agent) ?? 0) + by
    if (count === 0) this.active.delete(agent)
    else this.active.set(agent, count)
    metrics.runsInProgress({ agent }).updateUnsafe(count, context)
  }
}

/** Counts an attempt that was stopped, by its reason; what stands behind a colon is for people. */
export const attemptEnded = (agent: AgentName, reason: string, context: Context.Context<never>): void =>
  metrics.attempts({ agent, reason: reason.split(":", 1)[0] ?? reason }).updateUnsafe(1, context)

export const settled = (run: AgentRun, context: Context.Context<never>): void => {
  const { agentName: agent, finishedAt, startedAt, status } = run
  const end = DateTime.toEpochMillis(finishedAt)
  metrics.runs({ agent, status }).updateUnsafe(1, context)
  metrics.lastRun({ agent, status }).updateUnsafe(end / 1000, context)
  metrics.runDuration({ agent }).updateUnsafe((end - DateTime.toEpochMillis(startedAt)) / 1000, context)
  for (const { code } of run.warnings) metrics.runWarnings({ agent, code }).updateUnsafe(1, context)
}

/** A span per attempt, with status error when the run has it; what is logged in it names the run. */
export const traceAttempt = <A, E>(
  { agentName, definition, runId }: RunMeta,
  attempt: number,
  statusOf: (end: A) => AgentRun["status"] | undefined,
  effect: Effect.Effect<A, E>
): Effect.Effect<A, E> =>
  Effect.withFiber(({ context }) => {
    const annotated = Effect.annotateLogs(effect, { [names.agentName]: agentName, [names.runId]: runId })
    if (!isTraced(context)) return annotated
    const attributes = {
      [names.agentName]: agentName,
      [names.runId]: runId,
      [names.attempt]: attempt,
      [names.agent]: definition.name
    }
    let end: A
    const ended = Effect.flatMap(annotated, (value) => {
      const status = statusOf(value)
      end = value
      return Effect.andThen(
        status === undefined ? Effect.void : Effect.annotateCurrentSpan(names.runStatus, status),
        status === "error" ? Effect.fail(new EndedWithError()) : Effect.succeed(value)
      )
    })
    return Effect.catchIf(
      Effect.withSpan(ended, names.run, { attributes }),
      (error): error is EndedWithError => error instanceof EndedWithError,
      () => Effect.sync(() => end)
    )
  })

/** Only for the span: the exit that a backend sees. */
class EndedWithError extends Error {
  override readonly name = "EndedWithError"
}

/** One line per settled run: quiet when all is well, else with the first of what is wrong. */
export const logRun = (run: AgentRun): Effect.Effect<void> => {
  const { agentName, errors, runId, status, summary, warnings } = run
  const [first] = status === "error" ? errors : warnings
  const text = `Run ${runId} of '${agentName}' ended with ${status}: ${summary}${
    first === undefined || status === "cancelled" ? "" : `\n  ${render(first)}`
  }`
  return status === "error"
    ? Effect.logError(text)
    : status === "warning"
    ? Effect.logInfo(text)
    : Effect.logDebug(text)
}
