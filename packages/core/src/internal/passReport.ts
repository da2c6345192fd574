/** Composes the report and the record of a pass from the outcomes of its steps. */
import type * as DateTime from "effect/DateTime"
import type { AgentRun, Attempt, Idempotency, RunMeta, SettledStatus, StepOutcome } from "../AgentRun.ts"
import type { Diagnostic } from "../Diagnostic.ts"
import { DiagnosticsTruncated } from "../Fault.ts"
import type { AnyReport } from "../Report.ts"
import { fromValue, type Live, recorded } from "./diagnose.ts"
import type { Steps } from "./passRunner.ts"
import { endOf, settledAttempts } from "./recordEnd.ts"
import { maxPerPass } from "./stepRun.ts"

export interface ReportSetup {
  readonly meta: RunMeta
  readonly startedAt: DateTime.Utc
  readonly now: DateTime.Utc
  readonly attempts: ReadonlyArray<Attempt>
  readonly origin: AnyReport["origin"]
  readonly recorded: boolean
}

const statuses = ["ok", "warning", "error", "skipped"] as const

const plural = (count: number, word: string): string => `${count} ${word}${count === 1 ? "" : "s"}`

/** `4 steps: 2 ok, 1 warning, 1 skipped; 3 issues touched`. Deterministic. */
const summarise = (steps: ReadonlyArray<StepOutcome>, touched: number): string => {
  const counts = { ok: 0, warning: 0, error: 0, skipped: 0 }
  for (const { status } of steps) counts[status]++
  let text = `${plural(steps.length, "step")}:`
  let separator = " "
  for (const status of statuses) {
    if (counts[status] === 0) continue
    text += `${separator}${counts[status]} ${status}`
    separator = ", "
  }
  return touched === 0 ? text : `${text}; ${plural(touched, "issue")} touched`
}

/** Errors first: when both do not fit, warnings are counted instead of shown. */
export const compose = (setup: ReportSetup, steps: Steps): AnyReport => {
  const allErrors: Array<Live> = []
  const allWarnings: Array<Live> = []
  const touched = new Set<string>()
  let dropped = 0
  let droppedUrls = 0
  for (const ended of steps.ended) {
    for (const error of ended.errors) allErrors.push(error)
    for (const warning of ended.warnings) allWarnings.push(warning)
    for (const url of ended.touched) {
      if (touched.size < maxPerPass) touched.add(url)
      else if (!touched.has(url)) droppedUrls++
    }
    dropped += ended.droppedWarnings
    droppedUrls += ended.droppedUrls
  }
  allErrors.push(...steps.errors)
  allWarnings.push(...steps.warnings)

  const errors = allErrors.slice(0, maxPerPass)
  const warnings = allWarnings.slice(0, maxPerPass - errors.length)
  dropped += allErrors.length - errors.length + allWarnings.length - warnings.length
  const finishedAt = endOf(setup.now, setup.startedAt, setup.attempts)
  if (dropped > 0 || droppedUrls > 0) {
    const truncated = new DiagnosticsTruncated({ diagnostics: dropped, urls: droppedUrls })
    warnings.push(fromValue("warning", undefined, truncated, finishedAt))
  }
  const outcomes = steps.ended.map((ended) => ended.outcome)
  return {
    runId: setup.meta.runId,
    agentName: setup.meta.agentName,
    status: errors.length > 0 ? "error" : warnings.length > 0 ? "warning" : "ok",
    startedAt: setup.startedAt,
    finishedAt,
    summary: summarise(outcomes, touched.size),
    warnings,
    errors,
    touchedIssueUrls: [...touched],
    steps: outcomes,
    origin: setup.origin,
    recorded: setup.recorded
  }
}

/** Adds an error that concerns the pass as a whole. */
export const withError = (report: AnyReport, value: unknown): AnyReport => ({
  ...report,
  status: "error",
  recorded: false,
  errors: [...report.errors, fromValue("error", undefined, value, report.finishedAt)]
})

const strip = (diagnostics: ReadonlyArray<Live>): ReadonlyArray<Diagnostic> =>
  diagnostics.length === 0 ? [] : diagnostics.map(recorded)

/** The record of a pass: the report without live values, with who asked and every attempt. */
export const toRun = (
  report: AnyReport,
  status: SettledStatus,
  meta: RunMeta,
  attempts: ReadonlyArray<Attempt>,
  idempotency: Idempotency | undefined
): AgentRun => {
  return {
    ...meta,
    status,
    startedAt: report.startedAt,
    finishedAt: report.finishedAt,
    summary: report.summary,
    warnings: strip(report.warnings),
    errors: strip(report.errors),
    touchedIssueUrls: report.touchedIssueUrls,
    steps: report.steps,
    attempts: settledAttempts(attempts, report.finishedAt),
    ...(idempotency === undefined ? undefined : { idempotency })
  }
}

/** The report of a pass that was recorded before or elsewhere. Live values are gone. */
export const fromRun = (run: AgentRun, origin: "joined" | "replayed"): AnyReport => ({
  runId: run.runId,
  agentName: run.agentName,
  status: run.status === "cancelled" ? "error" : run.status,
  startedAt: run.startedAt,
  finishedAt: run.finishedAt,
  summary: run.summary,
  warnings: run.warnings,
  errors: run.errors,
  touchedIssueUrls: run.touchedIssueUrls,
  steps: run.steps,
  origin,
  recorded: true
})
