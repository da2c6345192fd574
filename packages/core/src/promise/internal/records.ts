/** Reports and records with the dates of JavaScript. */
import * as DateTime from "effect/DateTime"
import type * as Core from "../../AgentRun.ts"
import { isSettled } from "../../AgentRun.ts"
import type * as CoreDiagnostic from "../../Diagnostic.ts"
import { peek } from "../../internal/agent/ledger.ts"
import type { AnyReport } from "../../Report.ts"
import type { RunCheckpoint } from "../../RunCheckpoint.ts"
import type { Restored } from "../../Workspace.ts"
import type { WorkspaceSnapshot } from "../../WorkspaceSnapshot.ts"
import type { KeptFiles, RestoredFiles } from "../AgentContext.ts"
import type { Diagnostic, Report, StepOutcome } from "../Report.ts"
import type { Attempt, Checkpoint, Run, RunInFlight, SettledRun } from "../Run.ts"
import { lower } from "./raise.ts"

export const dateOf = DateTime.toDate

export const diagnosticOf = (
  { at, ...diagnostic }: CoreDiagnostic.Diagnostic & { readonly value?: unknown }
): Diagnostic => {
  const { value, ...rest } = diagnostic
  const given = lower(value)
  return { ...rest, at: dateOf(at), ...(given === undefined ? undefined : { value: given }) }
}

const stepOf = ({ startedAt, ...step }: Core.StepOutcome): StepOutcome => ({
  ...step,
  ...(startedAt === undefined ? undefined : { startedAt: dateOf(startedAt) })
})

const attemptOf = ({ endedAt, startedAt, ...attempt }: Core.Attempt): Attempt => ({
  ...attempt,
  startedAt: dateOf(startedAt),
  ...(endedAt === undefined ? undefined : { endedAt: dateOf(endedAt) })
})

/** What the codes of its diagnostics are, only the types of the heartbeat know. */
export const reportOf = <R extends Report>(
  { errors, finishedAt, startedAt, steps, warnings, ...report }: AnyReport
): R => {
  const made: Report = {
    ...report,
    startedAt: dateOf(startedAt),
    finishedAt: dateOf(finishedAt),
    warnings: warnings.map(diagnosticOf),
    errors: errors.map(diagnosticOf),
    steps: steps.map(stepOf)
  }
  return made as R
}

export const settledOf = (
  { attempts, errors, finishedAt, idempotency: _, startedAt, steps, warnings, ...run }: Core.AgentRun
): SettledRun => ({
  ...run,
  startedAt: dateOf(startedAt),
  finishedAt: dateOf(finishedAt),
  warnings: warnings.map(diagnosticOf),
  errors: errors.map(diagnosticOf),
  steps: steps.map(stepOf),
  attempts: attempts.map(attemptOf)
})

export const inFlightOf = ({ attempts, leaseUntil, startedAt, updatedAt, ...run }: Core.RunInFlight): RunInFlight => ({
  ...run,
  startedAt: dateOf(startedAt),
  updatedAt: dateOf(updatedAt),
  leaseUntil: dateOf(leaseUntil),
  attempts: attempts.map(attemptOf)
})

export const runOf = (run: Core.AgentRun | Core.RunInFlight): Run => (isSettled(run) ? settledOf(run) : inFlightOf(run))

export const checkpointOf = (
  { messages, notes, position: _position, segments: _segments, workspace: _workspace, ...run }: RunCheckpoint
): Checkpoint => ({ ...inFlightOf(run), notes: peek(notes).notes, messages: messages.length })

export const keptOf = (
  { commit, createdAt, reason, refs, seq, skipped, skippedCount, summary }: WorkspaceSnapshot
): KeptFiles => ({
  seq,
  reason,
  createdAt: dateOf(createdAt),
  commit,
  refs,
  files: summary.files,
  skipped,
  skippedCount
})

export const restoredOf = ({ base, branch, complete, cwd, inPlace, path, snapshot }: Restored): RestoredFiles => ({
  path,
  cwd,
  inPlace,
  base,
  branch,
  complete,
  snapshot: keptOf(snapshot)
})
