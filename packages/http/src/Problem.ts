/**
 * Errors of the HTTP API: RFC 9457 problems with stable `type` URIs.
 *
 * Every error response is `application/problem+json` with `type`, `title`,
 * `status` and a `detail` that says what to do. Clients decide by `type`;
 * problems that share a status differ in it.
 *
 * @since 0.1.0
 */
import { RunId } from "@everbeat/core/RunId"
import * as Effect from "effect/Effect"
import * as HttpApiError from "effect/http-api/HttpApiError"
import * as Schema from "effect/Schema"
import { Scope } from "./AgentPrincipal.ts"
import { HeartbeatReport } from "./HeartbeatReport.ts"
import { declared, declaredNames } from "./internal/declared.ts"

const says = (detail: string) => Schema.String.pipe(Schema.withConstructorDefault(Effect.succeed(detail)))

/**
 * Error returned when a part of the request cannot be accepted: a path or query
 * parameter, the idempotency key, or a body that is not JSON. `detail` says which
 * part and why.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidRequest extends HttpApiError.Problem<InvalidRequest>()("InvalidRequest", declared.InvalidRequest, {
  detail: Schema.String
}) {}

/**
 * Error returned when no token, or one that does not verify, was sent. The
 * response carries `WWW-Authenticate`. A wrong, an expired and a revoked token
 * look the same.
 *
 * @category errors
 * @since 0.1.0
 */
export class Unauthorized extends HttpApiError.Problem<Unauthorized>()("Unauthorized", declared.Unauthorized, {
  detail: Schema.String,
  reason: Schema.Literals(["missing", "invalid"])
}) {}

/**
 * Error returned when the token belongs to another agent than the address
 * names. Agents that exist and agents that do not look the same.
 *
 * @category errors
 * @since 0.1.0
 */
export class WrongAgent extends HttpApiError.Problem<WrongAgent>()("WrongAgent", declared.WrongAgent, {
  detail: says("Use the agent name that the token was issued for.")
}) {}

/**
 * Error returned when the token belongs to the agent but lacks the `scope` for
 * this request.
 *
 * @category errors
 * @since 0.1.0
 */
export class InsufficientScope
  extends HttpApiError.Problem<InsufficientScope>()("InsufficientScope", declared.InsufficientScope, {
    detail: Schema.String,
    scope: Scope
  })
{}

/**
 * Error returned when the token's own agent has no heartbeat on this host.
 *
 * @category errors
 * @since 0.1.0
 */
export class AgentNotFound extends HttpApiError.Problem<AgentNotFound>()("AgentNotFound", declared.AgentNotFound, {
  detail: says("The host must register a heartbeat for this agent: ask its operator.")
}) {}

/**
 * Error returned when the agent has no run of that id. A run of another agent
 * looks the same.
 *
 * @category errors
 * @since 0.1.0
 */
export class RunNotFound extends HttpApiError.Problem<RunNotFound>()("RunNotFound", declared.RunNotFound, {
  detail: says("Check the id. Settled runs are pruned after their retention.")
}) {}

/**
 * Error returned for an address that is not part of the API.
 *
 * @category errors
 * @since 0.1.0
 */
export class RouteNotFound extends HttpApiError.Problem<RouteNotFound>()("RouteNotFound", declared.RouteNotFound, {
  detail: says("Check the address against openapi.json.")
}) {}

/**
 * Error returned for an address that is part of the API but does not accept
 * the method. `allow` lists the methods that it accepts, as the `Allow` header
 * does.
 *
 * @category errors
 * @since 0.1.0
 */
export class MethodNotAllowed
  extends HttpApiError.Problem<MethodNotAllowed>()("MethodNotAllowed", declared.MethodNotAllowed, {
    detail: Schema.String,
    allow: Schema.Array(Schema.String)
  })
{}

/**
 * Error returned when the agent has a pass in flight. Repeat after
 * `retryAfterSeconds`, or look at the run `runId`.
 *
 * @category errors
 * @since 0.1.0
 */
export class RunInProgress extends HttpApiError.Problem<RunInProgress>()("RunInProgress", declared.RunInProgress, {
  detail: Schema.String,
  runId: RunId,
  retryAfterSeconds: Schema.Int
}) {}

/**
 * Error returned when somebody cancelled the pass. It is recorded as
 * `cancelled`.
 *
 * @category errors
 * @since 0.1.0
 */
export class RunCancelled extends HttpApiError.Problem<RunCancelled>()("RunCancelled", declared.RunCancelled, {
  detail: Schema.String,
  runId: RunId
}) {}

/**
 * Error returned when an interrupted pass of the agent cannot be continued by
 * this version of the host: its step list or its checkpoint format is another
 * one. Repeating does not help until the operator acts.
 *
 * @category errors
 * @since 0.1.0
 */
export class RunNotResumable
  extends HttpApiError.Problem<RunNotResumable>()("RunNotResumable", declared.RunNotResumable, {
    detail: Schema.String,
    runId: RunId
  })
{}

/**
 * Error returned when the request body is longer than `maxBytes`.
 *
 * @category errors
 * @since 0.1.0
 */
export class PayloadTooLarge
  extends HttpApiError.Problem<PayloadTooLarge>()("PayloadTooLarge", declared.PayloadTooLarge, {
    detail: Schema.String,
    maxBytes: Schema.Int
  })
{}

/**
 * Error returned when a request body is declared as something else than plain
 * JSON.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnsupportedMediaType
  extends HttpApiError.Problem<UnsupportedMediaType>()("UnsupportedMediaType", declared.UnsupportedMediaType, {
    detail: Schema.String
  })
{}

/**
 * Error returned when the idempotency key was used before with another
 * payload, for the run `runId`.
 *
 * @category errors
 * @since 0.1.0
 */
export class IdempotencyKeyReused
  extends HttpApiError.Problem<IdempotencyKeyReused>()("IdempotencyKeyReused", declared.IdempotencyKeyReused, {
    detail: Schema.String,
    runId: RunId
  })
{}

/**
 * Error produced when the client went away before the answer. Nobody receives
 * it; hosts may see it in their logs. A pass that was begun goes on.
 *
 * @category errors
 * @since 0.1.0
 */
export class ClientClosedRequest
  extends HttpApiError.Problem<ClientClosedRequest>()("ClientClosedRequest", declared.ClientClosedRequest, {
    detail: says("The client closed the connection before the answer was ready.")
  })
{}

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
 * Any problem of the API.
 *
 * @category utility types
 * @since 0.1.0
 */
export type Problem =
  | InvalidRequest
  | Unauthorized
  | WrongAgent
  | InsufficientScope
  | AgentNotFound
  | RunNotFound
  | RouteNotFound
  | MethodNotAllowed
  | RunInProgress
  | RunCancelled
  | RunNotResumable
  | PayloadTooLarge
  | UnsupportedMediaType
  | IdempotencyKeyReused
  | ClientClosedRequest
  | InternalError
  | BodyAlreadyConsumed
  | AuthUnavailable
  | StoreUnavailable
  | RunInterrupted
  | RunNotRecorded
  | ShuttingDown
  | NotReady

/**
 * What is the same for every occurrence of a problem.
 *
 * @category models
 * @since 0.1.0
 */
export interface Entry {
  /** Name of the error class in this module. */
  readonly name: Problem["_tag"]
  /** Identifies the problem, for good. */
  readonly type: `https://everbeat.dev/problems/${string}`
  readonly status: number
  readonly title: string
}

/**
 * List of all problems, ordered by status.
 *
 * **Example** (Finding a problem by its status)
 *
 * ```ts
 * import { Problem } from "@everbeat/http"
 *
 * Problem.table.filter((entry) => entry.status === 401).map((entry) => entry.type)
 * // => ["https://everbeat.dev/problems/unauthorized"]
 * ```
 *
 * @category references
 * @since 0.1.0
 */
export const table: ReadonlyArray<Entry> = declaredNames.map((name) => ({ name, ...declared[name] }))
