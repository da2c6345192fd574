/**
 * What the API answers of runs that are not over, and of the host itself.
 *
 * @since 0.1.0
 */
import { AgentName } from "@everbeat/core/AgentName"
import { RunInFlight } from "@everbeat/core/AgentRun"
import { RunId } from "@everbeat/core/RunId"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as Schema from "effect/Schema"

/**
 * Schema of the answer to a heartbeat that goes on after it: where its run is.
 *
 * @category schemas
 * @since 0.1.0
 */
export const AcceptedRun = Schema.Struct({
  runId: RunId,
  agentName: AgentName,
  status: Schema.Literal("running"),
  location: Schema.String
}).annotate({ identifier: "AcceptedRun" })

/**
 * The answer to a heartbeat that goes on after it. `location` is the path of
 * the run.
 *
 * @category models
 * @since 0.1.0
 */
export interface AcceptedRun extends Schema.Schema.Type<typeof AcceptedRun> {}

/**
 * Schema of one checkpoint as agents see it: the run in flight and how much of
 * its progress is stored. What is stored stays in the store.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Checkpoint = Schema.Struct({
  ...RunInFlight.fields,
  messages: Schema.Int,
  messageBytes: Schema.Int,
  hasWorkspace: Schema.Boolean
}).annotate({ identifier: "Checkpoint" })

/**
 * One checkpoint as agents see it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Checkpoint extends Schema.Schema.Type<typeof Checkpoint> {}

/**
 * Schema of what may be said when a run is resumed: `followUp` is told to its
 * agent last, as an instruction, in 1 to 8,192 UTF-16 code units. Passes of
 * heartbeats are told nothing.
 *
 * @category schemas
 * @since 0.1.0
 */
export const ResumeRequest = Schema.Struct({
  followUp: Schema.optionalKey(Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(8192)))
}).annotate({ identifier: "ResumeRequest" })

/**
 * What may be said when a run is resumed.
 *
 * @category models
 * @since 0.1.0
 */
export interface ResumeRequest extends Schema.Schema.Type<typeof ResumeRequest> {}

/**
 * Schema of what a probe is told.
 *
 * @category schemas
 * @since 0.1.0
 */
export const HealthStatus = Schema.Struct({ status: Schema.Literal("pass") }).pipe(
  HttpApiSchema.asJson({ contentType: "application/health+json" })
).annotate({ identifier: "HealthStatus" })
