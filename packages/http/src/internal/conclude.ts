/** What became of a pass: the report that is answered, or the problem in its place. */
import type { AnyReport } from "@everbeat/core/Report"
import * as HeartbeatReport from "../HeartbeatReport.ts"
import * as Problem from "../Problem.ts"
import { retryAfterSeconds } from "./problemOf.ts"

export const conclude = (
  report: AnyReport,
  failOnError: boolean
): HeartbeatReport.HeartbeatReport | Problem.RunNotRecorded | Problem.PassFailed => {
  const body = HeartbeatReport.fromReport(report)
  if (report.errors.some(({ code, step }) => code === "RunNotRecorded" && step === undefined)) {
    return new Problem.RunNotRecorded({
      detail: "The steps ran; their report is below. The next heartbeat settles this run, and steps without a "
        + "stored outcome run again.",
      runId: body.runId,
      report: body,
      retryAfterSeconds
    })
  }
  if (failOnError && body.status === "error") {
    return new Problem.PassFailed({
      detail:
        `${body.summary}. The run is recorded: look at the errors of the report, and do not repeat because of this.`,
      runId: body.runId,
      report: body
    })
  }
  return body
}

/** Headers that repeat what the body says, for callers that read no bodies. */
export const headersOf = (report: AnyReport) => ({
  "everbeat-status": report.status,
  "everbeat-run-id": report.runId,
  ...(report.origin === "replayed" ? { "idempotency-replayed": "true" as const } : undefined)
})
