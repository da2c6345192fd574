/**
 * Schema-first definition of the HTTP API.
 *
 * It holds no server code, so that clients can share it.
 *
 * @since 0.1.0
 */
import { AgentName } from "@everbeat/core/AgentName"
import { AgentRun, RunInFlight } from "@everbeat/core/AgentRun"
import { RunId } from "@everbeat/core/RunId"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as HttpApiSecurity from "effect/http-api/HttpApiSecurity"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import type { AgentPrincipal } from "./AgentPrincipal.ts"
import { HeartbeatReport } from "./HeartbeatReport.ts"
import { eventStream, numericLimit, optionalBody } from "./internal/openApi.ts"
import * as Problem from "./Problem.ts"
import { AcceptedRun, Checkpoint, HealthStatus, ResumeRequest } from "./RunProgress.ts"

/**
 * Schema of a settled run as agents see it: the whole record without its
 * idempotency key and fingerprint, which are between the caller and the host.
 *
 * @category schemas
 * @since 0.1.0
 */
export const SettledRun = AgentRun.mapFields(Struct.omit(["idempotency"])).annotate({ identifier: "SettledRun" })

/**
 * Schema of a run in flight as agents see it.
 *
 * @category schemas
 * @since 0.1.0
 */
export const InFlightRun = RunInFlight.annotate({ identifier: "InFlightRun" })

/**
 * Schema of a run as agents see it, settled or in flight: `status` tells which.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Run = Schema.Union([SettledRun, InFlightRun])

/**
 * A run as agents see it.
 *
 * @category models
 * @since 0.1.0
 */
export type Run = typeof Run.Type

/**
 * Schema of one page of runs, newest first. `next` is absent on the last page;
 * sent as `cursor`, it asks for the page after this one.
 *
 * @category schemas
 * @since 0.1.0
 */
export const RunPage = Schema.Struct({
  items: Schema.Array(Run),
  next: Schema.optionalKey(Schema.String)
}).annotate({ identifier: "RunPage" })

/**
 * One page of runs.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunPage extends Schema.Schema.Type<typeof RunPage> {}

/**
 * Schema of one page of checkpoints, those interrupted for the longest time
 * first.
 *
 * @category schemas
 * @since 0.1.0
 */
export const CheckpointPage = Schema.Struct({
  items: Schema.Array(InFlightRun),
  next: Schema.optionalKey(Schema.String)
}).annotate({ identifier: "CheckpointPage" })

/**
 * Middleware that authenticates the agent and compares it with the address,
 * before anything else is looked at.
 *
 * **Details**
 *
 * Clients provide theirs with `HttpApiMiddleware.layerClient`, to add the
 * token.
 *
 * @category services
 * @since 0.1.0
 */
export class Authorization
  extends HttpApiMiddleware.Service<Authorization, { provides: AgentPrincipal; requires: never }>()(
    "@everbeat/http/EverbeatApi/Authorization",
    {
      requiredForClient: true,
      security: { agentToken: HttpApiSecurity.bearer },
      error: [Problem.Unauthorized, Problem.WrongAgent, Problem.InsufficientScope, Problem.AuthUnavailable]
    }
  )
{}

/**
 * Middleware that asks for any token of the host: of an agent, or of an operator.
 *
 * @category services
 * @since 0.1.0
 */
export class AnyToken extends HttpApiMiddleware.Service<AnyToken>()("@everbeat/http/EverbeatApi/AnyToken", {
  security: { agentToken: HttpApiSecurity.bearer },
  error: [Problem.Unauthorized, Problem.AuthUnavailable]
}) {}

/**
 * Middleware that answers a request whose parameters do not fit their schemas.
 *
 * @category services
 * @since 0.1.0
 */
export class RequestSchema extends HttpApiMiddleware.Service<RequestSchema>()(
  "@everbeat/http/EverbeatApi/RequestSchema",
  { error: Problem.InvalidRequest }
) {}

const unavailable = [
  Problem.StoreUnavailable,
  Problem.InternalError,
  Problem.ShuttingDown,
  Problem.NotReady
] as const

/**
 * Endpoints of one agent: its heartbeat and its runs.
 *
 * **Details**
 *
 * The heartbeat answers 200 for every pass that was executed and recorded, also
 * when its `status` is `error`: the status of the pass is in the body and in
 * `Everbeat-Status`. The body of the request is optional and may be any JSON
 * value.
 *
 * @category models
 * @since 0.1.0
 */
export class AgentsApi extends HttpApiGroup.make("agents")
  .add(
    HttpApiEndpoint.post("heartbeat", "/heartbeat", {
      params: { agentName: AgentName },
      headers: {
        "idempotency-key": Schema.optionalKey(Schema.String),
        prefer: Schema.optionalKey(Schema.String),
        "last-event-id": Schema.optionalKey(Schema.String)
      },
      // An own member that is exactly Null makes the empty body legal.
      payload: [Schema.Null, Schema.Json],
      success: [
        HttpApiSchema.WithHeaders(HeartbeatReport, {
          "everbeat-status": Schema.Literals(["ok", "warning", "error"]),
          "everbeat-run-id": RunId,
          "idempotency-replayed": Schema.optionalKey(Schema.Literal("true")),
          "preference-applied": Schema.optionalKey(Schema.String)
        }),
        HttpApiSchema.WithHeaders(AcceptedRun.pipe(HttpApiSchema.status(202)), {
          location: Schema.String,
          "everbeat-run-id": RunId,
          "preference-applied": Schema.optionalKey(Schema.String)
        })
      ],
      error: [
        Problem.AgentNotFound,
        Problem.RunInProgress,
        Problem.RunCancelled,
        Problem.RunNotResumable,
        Problem.RunNotFound,
        Problem.PayloadTooLarge,
        Problem.UnsupportedMediaType,
        Problem.IdempotencyKeyReused,
        Problem.InvalidPayload,
        Problem.RateLimited,
        Problem.InternalError,
        Problem.PassFailed,
        Problem.BodyAlreadyConsumed,
        Problem.StoreUnavailable,
        Problem.RunInterrupted,
        Problem.RunNotRecorded,
        Problem.ShuttingDown,
        Problem.NotReady
      ]
    }).annotateMerge(OpenApi.annotations({
      summary: "Run the agent's heartbeat",
      description: "Runs the host's sync and reconcile steps for this agent and answers the report. "
        + "Repeating a request with the same Idempotency-Key answers the recorded report. With `Prefer: respond-async` "
        + "or `wait=n`, or when the host's own limit is over, the answer is 202 with the Location of the run, and the "
        + "pass goes on. With `Accept: text/event-stream` the answer is its live progress, resumed by Last-Event-ID.",
      transform: (operation) => eventStream(optionalBody(operation))
    })),
    HttpApiEndpoint.get("listRuns", "/runs", {
      params: { agentName: AgentName },
      query: {
        limit: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 200 }))),
        cursor: Schema.optionalKey(Schema.String),
        status: Schema.optionalKey(
          Schema.Array(
            Schema.Literals(["ok", "warning", "error", "cancelled", "running", "interrupted", "exhausted"])
          )
        ),
        kind: Schema.optionalKey(Schema.Literals(["heartbeat", "agent"])),
        callerId: Schema.optionalKey(Schema.String),
        from: Schema.optionalKey(Schema.DateTimeUtcFromString),
        until: Schema.optionalKey(Schema.DateTimeUtcFromString)
      },
      success: RunPage,
      error: [Problem.StoreUnavailable, Problem.InternalError, Problem.ShuttingDown, Problem.NotReady]
    }).annotateMerge(OpenApi.annotations({
      summary: "List the agent's runs, newest first",
      description: "Settled runs and runs in flight. `limit` is 50 when absent; `status` may be given several times. "
        + "`from` and `until` bound the start, the first one included. "
        + "A page ends at about 1 MiB of JSON: `next` continues after it.",
      transform: numericLimit
    })),
    HttpApiEndpoint.get("getRun", "/runs/:runId", {
      params: { agentName: AgentName, runId: RunId },
      success: Run,
      error: [
        Problem.RunNotFound,
        Problem.StoreUnavailable,
        Problem.InternalError,
        Problem.ShuttingDown,
        Problem.NotReady
      ]
    }).annotateMerge(OpenApi.annotations({
      summary: "Read one run of the agent",
      description: "With its structured diagnostics, step outcomes and attempts. With `Accept: text/event-stream` its "
        + "live progress, resumed by Last-Event-ID: of a run of another process what is stored of it.",
      transform: eventStream
    })),
    HttpApiEndpoint.post("cancelRun", "/runs/:runId/cancel", {
      params: { agentName: AgentName, runId: RunId },
      success: [SettledRun, InFlightRun.pipe(HttpApiSchema.status(202))],
      error: [Problem.RunNotFound, Problem.RunSettled, ...unavailable]
    }).annotateMerge(OpenApi.annotations({
      summary: "Cancel a run in flight",
      description:
        "200 with the record when the run is over by now, as when nobody held it; 202 when its owner was told, which stops it with its "
        + "next save or renewal."
    }))
  )
  .prefix("/agents/:agentName")
  .middleware(RequestSchema)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ title: "Agents", description: "The heartbeat of an agent and its runs." }))
{}

/**
 * Endpoints for the interrupted runs of one agent.
 *
 * @category models
 * @since 0.1.0
 */
export class CheckpointsApi extends HttpApiGroup.make("checkpoints")
  .add(
    HttpApiEndpoint.get("listCheckpoints", "/checkpoints", {
      params: { agentName: AgentName },
      query: {
        limit: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 200 }))),
        cursor: Schema.optionalKey(Schema.String),
        status: Schema.optionalKey(Schema.Array(Schema.Literals(["running", "interrupted", "exhausted"])))
      },
      success: CheckpointPage,
      error: [Problem.NotOffered, ...unavailable]
    }).annotateMerge(OpenApi.annotations({
      summary: "List the agent's interrupted runs",
      description: "Interrupted and exhausted runs when `status` is absent, those interrupted longest first.",
      transform: numericLimit
    })),
    HttpApiEndpoint.get("getCheckpoint", "/checkpoints/:runId", {
      params: { agentName: AgentName, runId: RunId },
      success: Checkpoint,
      error: [Problem.RunNotFound, Problem.NotOffered, ...unavailable]
    }).annotateMerge(OpenApi.annotations({
      summary: "Read what is stored of a run in flight",
      description: "How far it came and how much is stored. The stored messages are not sent."
    })),
    HttpApiEndpoint.post("resumeCheckpoint", "/checkpoints/:runId/resume", {
      params: { agentName: AgentName, runId: RunId },
      payload: [Schema.Null, ResumeRequest],
      success: HttpApiSchema.WithHeaders(AcceptedRun.pipe(HttpApiSchema.status(202)), { location: Schema.String }),
      error: [
        Problem.RunNotFound,
        Problem.RunInProgress,
        Problem.RunNotResumable,
        Problem.RunSettled,
        Problem.PayloadTooLarge,
        Problem.UnsupportedMediaType,
        Problem.InvalidPayload,
        Problem.BodyAlreadyConsumed,
        Problem.NotOffered,
        ...unavailable
      ]
    }).annotateMerge(OpenApi.annotations({
      summary: "Continue an interrupted run",
      description: "Also an exhausted one. The host's Recovery continues it in the background. The body is optional: "
        + "`followUp` is told to the agent last, as an instruction.",
      transform: optionalBody
    })),
    HttpApiEndpoint.delete("discardCheckpoint", "/checkpoints/:runId", {
      params: { agentName: AgentName, runId: RunId },
      success: HttpApiSchema.NoContent,
      error: [Problem.RunNotFound, Problem.RunInProgress, Problem.RunSettled, Problem.NotOffered, ...unavailable]
    }).annotateMerge(OpenApi.annotations({
      summary: "Discard an interrupted run",
      description:
        "Its checkpoint is deleted, with what the host kept of its files, and nothing is recorded. To keep a record, "
        + "and the files for a while, cancel it."
    }))
  )
  .prefix("/agents/:agentName")
  .middleware(RequestSchema)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ title: "Checkpoints", description: "The interrupted runs of an agent." }))
{}

/**
 * Endpoints for probes.
 *
 * @category models
 * @since 0.1.0
 */
export class HealthApi extends HttpApiGroup.make("health")
  .add(
    HttpApiEndpoint.get("live", "/health", { success: HealthStatus })
      .annotateMerge(OpenApi.annotations({
        summary: "Tell that the process answers",
        description: "Needs no token and looks at nothing: also while the host starts, fails to start, or drains."
      })),
    HttpApiEndpoint.get("ready", "/ready", { success: HealthStatus, error: unavailable })
      .middleware(AnyToken)
      .annotateMerge(OpenApi.annotations({
        summary: "Tell whether heartbeats can be served",
        description:
          "The host's services are built and its store answers. Needs a token of any agent, or of an operator, "
          + "unless the host made it public."
      }))
  )
  .annotateMerge(OpenApi.annotations({ title: "Health", description: "For the probes of an orchestrator." }))
{}

/**
 * The API that `@everbeat/http` serves under `/api`.
 *
 * @category models
 * @since 0.1.0
 */
export class EverbeatApi extends HttpApi.make("everbeat")
  .add(AgentsApi)
  .add(CheckpointsApi)
  .add(HealthApi)
  .prefix("/api")
  .annotateMerge(OpenApi.annotations({
    title: "Everbeat",
    version: "0.1.0",
    license: { name: "MIT", identifier: "MIT" },
    servers: [{ url: "/" }]
  }))
{}
