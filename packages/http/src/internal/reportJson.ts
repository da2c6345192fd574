import * as Schema from "effect/Schema"
import { HeartbeatReport } from "../HeartbeatReport.ts"

/** A report as it is sent, in an answer and in an event. */
export const reportJson: (report: HeartbeatReport) => Schema.Json = Schema.encodeSync(
  Schema.toCodecJson(HeartbeatReport)
)
