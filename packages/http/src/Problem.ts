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
import * as HttpApiError from "effect/http-api/HttpApiError"
import * as Schema from "effect/Schema"
import { Scope } from "./AgentPrincipal.ts"
import { declared, declaredNames } from "./internal/declared.ts"
import { says } from "./internal/says.ts"
import type * as Server from "./internal/serverProblems.ts"

export * from "./internal/serverProblems.ts"

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
 * Error returned when an interrupted run of the agent cannot be continued by
 * this version of the host: its definition or its checkpoint format is another
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
 * Error returned when the run has ended, so that there is nothing to resume,
 * to discard or to cancel. Read its record.
 *
 * @category errors
 * @since 0.1.0
 */
export class RunSettled extends HttpApiError.Problem<RunSettled>()("RunSettled", declared.RunSettled, {
  detail: Schema.String,
  runId: RunId
}) {}

/**
 * Error returned when the body is JSON but does not fit the schema that the
 * host declared for it. `detail` says where and why.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidPayload extends HttpApiError.Problem<InvalidPayload>()("InvalidPayload", declared.InvalidPayload, {
  detail: Schema.String
}) {}

/**
 * Error returned when the agent calls its heartbeat more often than the host
 * allows. Repeat after `retryAfterSeconds`.
 *
 * @category errors
 * @since 0.1.0
 */
export class RateLimited extends HttpApiError.Problem<RateLimited>()("RateLimited", declared.RateLimited, {
  detail: Schema.String,
  retryAfterSeconds: Schema.Int
}) {}

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
  | RunSettled
  | PayloadTooLarge
  | UnsupportedMediaType
  | IdempotencyKeyReused
  | InvalidPayload
  | RateLimited
  | ClientClosedRequest
  | Server.InternalError
  | Server.BodyAlreadyConsumed
  | Server.PassFailed
  | Server.NotOffered
  | Server.AuthUnavailable
  | Server.StoreUnavailable
  | Server.RunInterrupted
  | Server.RunNotRecorded
  | Server.ShuttingDown
  | Server.NotReady

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
