/**
 * What a heartbeat answers over HTTP: the eight fields of the contract and the
 * id of the run.
 *
 * @since 0.1.0
 */
import { AgentName } from "@everbeat/core/AgentName"
import type { AgentRun } from "@everbeat/core/AgentRun"
import * as Diagnostic from "@everbeat/core/Diagnostic"
import type { AnyReport } from "@everbeat/core/Report"
import { RunId } from "@everbeat/core/RunId"
import * as Schema from "effect/Schema"

/**
 * Schema of a heartbeat's answer.
 *
 * **Details**
 *
 * On the wire the times are ISO-8601 in UTC. `warnings` and `errors` are
 * rendered as `step: message (hint)`; the structured diagnostics are in the run
 * of that `runId`.
 *
 * @category schemas
 * @since 0.1.0
 */
export const HeartbeatReport = Schema.Struct({
  status: Schema.Literals(["ok", "warning", "error"]),
  agentName: AgentName,
  startedAt: Schema.DateTimeUtc,
  finishedAt: Schema.DateTimeUtc,
  summary: Schema.String,
  warnings: Schema.Array(Schema.String),
  errors: Schema.Array(Schema.String),
  touchedIssueUrls: Schema.Array(Schema.String),
  runId: RunId
}).annotate({ identifier: "HeartbeatReport" })

/**
 * A heartbeat's answer.
 *
 * @category models
 * @since 0.1.0
 */
export interface HeartbeatReport extends Schema.Schema.Type<typeof HeartbeatReport> {}

/**
 * Creates the answer from the report of a pass.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromReport = (report: AnyReport): HeartbeatReport => ({
  status: report.status,
  agentName: report.agentName,
  startedAt: report.startedAt,
  finishedAt: report.finishedAt,
  summary: report.summary,
  warnings: report.warnings.map(Diagnostic.render),
  errors: report.errors.map(Diagnostic.render),
  touchedIssueUrls: report.touchedIssueUrls,
  runId: report.runId
})

/**
 * Creates the answer from the record of a heartbeat that was not cancelled.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromRun = (
  run: Omit<AgentRun, "status"> & { readonly status: Exclude<AgentRun["status"], "cancelled"> }
): HeartbeatReport => fromReport({ ...run, origin: "replayed", recorded: true })
