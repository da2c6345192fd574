/**
 * The problems whose status is 500 or above: what the caller did not cause. `Problem` exports them.
 */
import { RunId } from "@everbeat/core/RunId"
import * as HttpApiError from "effect/http-api/HttpApiError"
import * as Schema from "effect/Schema"
import { HeartbeatReport } from "../HeartbeatReport.ts"
import { declared } from "./declared.ts"
import { says } from "./says.ts"

/**
 * Error returned for a bug. The cause is in the host's log under the request
 * id and is not sent.
 *
 * @category errors
 * @since 0.1.0
 */
export class InternalError extends HttpApiError.Problem<InternalError>()("InternalError", declared.InternalError, {
  detail: says("A bug in the host: its operator finds the cause in the log, under the id in X-Request-Id.")
}) {}

/**
 * Error returned when something read the request body before the handler and
 * did not hand it over, so that the payload would be lost.
 *
 * @category errors
 * @since 0.1.0
 */
export class BodyAlreadyConsumed
  extends HttpApiError.Problem<BodyAlreadyConsumed>()("BodyAlreadyConsumed", declared.BodyAlreadyConsumed, {
    detail: says("Mount the handler before the body parser, or use the adapter of this host.")
  })
{}

/**
 * Error returned when the host's token verification failed, so that nothing is
 * known about the token.
 *
 * @category errors
 * @since 0.1.0
 */
export class AuthUnavailable
  extends HttpApiError.Problem<AuthUnavailable>()("AuthUnavailable", declared.AuthUnavailable, {
    detail: says("Repeat after a few seconds."),
    retryAfterSeconds: Schema.Int
  })
{}

/**
 * Error returned when the store failed. What it said is in the host's log.
 *
 * @category errors
 * @since 0.1.0
 */
export class StoreUnavailable
  extends HttpApiError.Problem<StoreUnavailable>()("StoreUnavailable", declared.StoreUnavailable, {
    detail: Schema.String,
    retryAfterSeconds: Schema.Int
  })
{}

/**
 * Error returned when the pass was interrupted before it ended, by a shutdown
 * or because this process lost its lease. Call again: the run is continued.
 *
 * @category errors
 * @since 0.1.0
 */
export class RunInterrupted extends HttpApiError.Problem<RunInterrupted>()("RunInterrupted", declared.RunInterrupted, {
  detail: Schema.String,
  runId: RunId,
  retryAfterSeconds: Schema.Int
}) {}

/**
 * Error returned when the pass ran to its end but the store failed to record
 * it. `report` is complete; a later heartbeat settles the run.
 *
 * @category errors
 * @since 0.1.0
 */
export class RunNotRecorded extends HttpApiError.Problem<RunNotRecorded>()("RunNotRecorded", declared.RunNotRecorded, {
  detail: Schema.String,
  runId: RunId,
  report: HeartbeatReport,
  retryAfterSeconds: Schema.Int
}) {}

/**
 * Error returned while the host shuts down: it begins nothing new.
 *
 * @category errors
 * @since 0.1.0
 */
export class ShuttingDown extends HttpApiError.Problem<ShuttingDown>()("ShuttingDown", declared.ShuttingDown, {
  detail: says("Call again in a few seconds; another process or the restarted one answers."),
  retryAfterSeconds: Schema.Int
}) {}

/**
 * Error returned when the host's services could not be started. The next
 * request tries again.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotReady extends HttpApiError.Problem<NotReady>()("NotReady", declared.NotReady, {
  detail: says("Repeat after a few seconds. The operator finds the cause in the host's log."),
  retryAfterSeconds: Schema.Int
}) {}

/**
 * Error returned in place of the report when the pass ended with the status
 * `error` and the host (`errorStatus`) or the caller (`Prefer:
 * everbeat-fail-on=error`) asked for it. `report` is complete, and the run is
 * recorded: do not repeat because of it.
 *
 * @category errors
 * @since 0.1.0
 */
export class PassFailed extends HttpApiError.Problem<PassFailed>()("PassFailed", declared.PassFailed, {
  detail: Schema.String,
  runId: RunId,
  report: HeartbeatReport
}) {}

/**
 * Error returned when the host did not provide the service that this request
 * needs, such as `Recovery` to resume a run.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotOffered extends HttpApiError.Problem<NotOffered>()("NotOffered", declared.NotOffered, {
  detail: Schema.String
}) {}
