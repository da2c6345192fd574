/** Spans, metrics and logs of passes. Names are in `Telemetry.ts`. */
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as References from "effect/References"
import * as Tracer from "effect/Tracer"
import type { AgentName } from "../AgentName.ts"
import { render } from "../Diagnostic.ts"
import type { AnyReport } from "../Report.ts"
import type { RunId } from "../RunId.ts"
import type { StoreError } from "../StoreError.ts"
import { metrics, names } from "../Telemetry.ts"
import type { CompiledStep, Definition } from "./definition.ts"

/** A series per label value, made once: looking labels up costs more than counting. */
const memo = <K extends string, V>(make: (key: K) => V): (key: K) => V => {
  const made = new Map<K, V>()
  return (key) => {
    let value = made.get(key)
    if (value === undefined) made.set(key, value = make(key))
    return value
  }
}

/** The series of one heartbeat for one agent. */
export class Meters {
  private readonly runs
  private readonly lastRun
  private readonly warnings
  private readonly steps
  private readonly runDuration
  private readonly inProgress
  private readonly saves
  private readonly saveDuration
  private readonly saveBytes
  private active = 0

  constructor(agent: AgentName, definition: Definition) {
    this.runs = memo((status: string) => metrics.runs({ agent, status }))
    this.lastRun = memo((status: string) => metrics.lastRun({ agent, status }))
    this.warnings = memo((code: string) => metrics.runWarnings({ agent, code }))
    this.runDuration = metrics.runDuration({ agent })
    this.inProgress = metrics.runsInProgress({ agent })
    this.saves = memo((result: "ok" | "failed" | "lost") => metrics.checkpointsSaved({ agent, result }))
    this.saveDuration = metrics.checkpointSaveDuration({ agent })
    this.saveBytes = metrics.checkpointBytes({ agent })
    this.steps = definition.steps.map(({ name }) => ({
      count: memo((status: string) => metrics.steps({ agent, step: name, status })),
      duration: metrics.stepDuration({ agent, step: name })
    }))
  }

  started(context: Context.Context<never>): void {
    this.inProgress.updateUnsafe(++this.active, context)
  }

  stopped(context: Context.Context<never>): void {
    this.inProgress.updateUnsafe(--this.active, context)
  }

  /** Counts a save of so many bytes. */
  saved(result: "ok" | "failed" | "lost", bytes: number, millis: number, context: Context.Context<never>): void {
    this.saves(result).updateUnsafe(1, context)
    this.saveDuration.updateUnsafe(millis / 1000, context)
    this.saveBytes.updateUnsafe(bytes, context)
  }

  /** Counts a settled pass; steps that an earlier attempt ran were counted there. */
  settled(
    report: AnyReport,
    restored: (index: number) => boolean,
    millis: number,
    context: Context.Context<never>
  ): void {
    const at = DateTime.toEpochMillis(report.finishedAt) / 1000
    this.runs(report.status).updateUnsafe(1, context)
    this.lastRun(report.status).updateUnsafe(at, context)
    this.runDuration.updateUnsafe(millis / 1000, context)
    for (const { code } of report.warnings) this.warnings(code).updateUnsafe(1, context)
    for (let index = 0; index < this.steps.length; index++) {
      const series = this.steps[index]
      const outcome = report.steps[index]
      if (series === undefined || outcome === undefined || restored(index)) continue
      series.count(outcome.status).updateUnsafe(1, context)
      if (outcome.startedAt !== undefined) series.duration.updateUnsafe(outcome.millis / 1000, context)
    }
  }
}

/** Without a tracing backend nobody could see a span: none is made then. */
export const isTraced = (context: Context.Context<never>): boolean =>
  Context.get(context, Tracer.Tracer) !== Tracer.nativeTracer

/** A span per step. What a best-effort step fails with is a warning, so its span does not end with an error. */
export const traceStep =
  (runId: RunId, agentName: AgentName) =>
  (step: CompiledStep, body: Effect.Effect<unknown, unknown>): Effect.Effect<unknown, unknown> => {
    const options = {
      attributes: { [names.agentName]: agentName, [names.runId]: runId, [names.stepName]: step.name }
    }
    return step.critical
      ? Effect.withSpan(body, names.step, options)
      : Effect.flatMap(Effect.withSpan(Effect.exit(body), names.step, options), (exit) => exit)
  }

/** A span per pass, with status error when the report has it. */
export const tracePass = <E>(
  attributes: Record<string, unknown>,
  pass: Effect.Effect<AnyReport, E>
): Effect.Effect<AnyReport, E> =>
  Effect.catchIf(
    Effect.useSpan(names.run, { attributes }, (span) =>
      Effect.withParentSpan(
        Effect.flatMap(pass, (report) => {
          span.attribute(names.runStatus, report.status)
          return report.status === "error" ? Effect.fail(new EndedWithError(report)) : Effect.succeed(report)
        }),
        span
      )),
    (error): error is EndedWithError => error instanceof EndedWithError,
    (error) => Effect.succeed(error.report)
  )

/** Only for the span: the exit that a backend sees. */
class EndedWithError extends Error {
  override readonly name = "EndedWithError"
  readonly report: AnyReport
  constructor(report: AnyReport) {
    super(report.summary)
    this.report = report
  }
}

/** Logs inside the step say where they come from. */
export const annotate = (
  context: Context.Context<never>,
  annotations: Record<string, unknown>
): Context.Context<never> =>
  Context.add(context, References.CurrentLogAnnotations, {
    ...Context.get(context, References.CurrentLogAnnotations),
    ...annotations
  })

/** What a pass logs of its diagnostics; all of them are in the record. */
const logged = 3

/** One line per pass: quiet when all is well, else with the first of what is wrong. */
export const logReport = (report: AnyReport): Effect.Effect<void> => {
  const text = `Heartbeat of '${report.agentName}' ended with ${report.status}: ${report.summary}`
  if (report.status === "ok") return Effect.logDebug(text)
  const diagnostics = report.status === "error" ? report.errors : report.warnings
  const lines = diagnostics.slice(0, logged).map((diagnostic) => `\n  ${render(diagnostic)}`)
  if (diagnostics.length > logged) lines.push(`\n  and ${diagnostics.length - logged} more`)
  const message = text + lines.join("")
  return report.status === "warning" ? Effect.logInfo(message) : Effect.logError(message)
}

/** What the store says of its failure is for the host alone: the report tells only that it failed. */
export const logFailure = (error: StoreError | undefined): Effect.Effect<void> =>
  error === undefined
    ? Effect.void
    : Effect.logError(error.message, ...(error.cause === undefined ? [] : [error.cause]))
