/**
 * The record of one run: who asked, when, what came of it.
 *
 * A run in flight is a {@link RunInFlight}, read from the live head that its
 * owner's lease guards. A run that ended is an {@link AgentRun}. A run is never
 * both and never neither.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { AgentName } from "./AgentName.ts"
import { Diagnostic } from "./Diagnostic.ts"
import { pick } from "./internal/pick.ts"
import { RunId } from "./RunId.ts"

/**
 * Schema of what a run is about: everything needed to continue it elsewhere.
 *
 * @category schemas
 * @since 0.1.0
 */
export const RunMeta = Schema.Struct({
  runId: RunId,
  kind: Schema.Literals(["heartbeat", "agent"]),
  agentName: AgentName,
  agentId: Schema.optionalKey(Schema.String),
  callerId: Schema.optionalKey(Schema.String),
  channelId: Schema.optionalKey(Schema.String),
  guildId: Schema.optionalKey(Schema.String),
  prompt: Schema.optionalKey(Schema.String),
  modelTier: Schema.optionalKey(Schema.String),
  parentRunId: Schema.optionalKey(RunId),
  definition: Schema.Struct({ name: Schema.String, hash: Schema.String }),
  payload: Schema.optionalKey(Schema.Json)
})

/**
 * What a run is about. `definition` names the heartbeat or agent and carries
 * the hash of its step list or version; `payload` is the JSON value that the
 * caller sent along.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunMeta extends Schema.Schema.Type<typeof RunMeta> {}

/**
 * Schema of one attempt at a run. Attempts are append-only.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Attempt = Schema.Struct({
  number: Schema.Int,
  owner: Schema.String,
  fence: Schema.Int,
  startedAt: Schema.DateTimeUtc,
  endedAt: Schema.optionalKey(Schema.DateTimeUtc),
  end: Schema.optionalKey(Schema.Literals(["settled", "released", "expired"])),
  /** Why the owner let go, in its own words: `timeout`, `shutdown`, ... */
  reason: Schema.optionalKey(Schema.String)
})

/**
 * One attempt at a run: who held it, from when, and how it ended.
 *
 * @category models
 * @since 0.1.0
 */
export interface Attempt extends Schema.Schema.Type<typeof Attempt> {}

/**
 * Schema of how one step ended.
 *
 * @category schemas
 * @since 0.1.0
 */
export const StepOutcome = Schema.Struct({
  name: Schema.String,
  status: Schema.Literals(["ok", "warning", "error", "skipped"]),
  attempts: Schema.Int,
  startedAt: Schema.optionalKey(Schema.DateTimeUtc),
  millis: Schema.Finite
})

/**
 * How one step ended: its status, how often it was tried, when it started and
 * how many milliseconds it took. A skipped step has no start.
 *
 * @category models
 * @since 0.1.0
 */
export interface StepOutcome extends Schema.Schema.Type<typeof StepOutcome> {}

/**
 * Schema of an idempotency key with the fingerprint of the payload it came
 * with.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Idempotency = Schema.Struct({ key: Schema.String, fingerprint: Schema.String })

/**
 * An idempotency key, scoped to one agent, and the fingerprint of the payload
 * it came with.
 *
 * @category models
 * @since 0.1.0
 */
export interface Idempotency extends Schema.Schema.Type<typeof Idempotency> {}

/**
 * Schema of the record of a settled run.
 *
 * @category schemas
 * @since 0.1.0
 */
export const AgentRun = Schema.Struct({
  ...RunMeta.fields,
  status: Schema.Literals(["ok", "warning", "error", "cancelled"]),
  startedAt: Schema.DateTimeUtc,
  finishedAt: Schema.DateTimeUtc,
  summary: Schema.String,
  warnings: Schema.Array(Diagnostic),
  errors: Schema.Array(Diagnostic),
  touchedIssueUrls: Schema.Array(Schema.String),
  steps: Schema.Array(StepOutcome),
  attempts: Schema.Array(Attempt),
  idempotency: Schema.optionalKey(Idempotency)
})

/**
 * The record of a settled run.
 *
 * **Details**
 *
 * `status` is `error` when the run had a critical failure, else `warning` when
 * it had a warning, else `ok`; `cancelled` when somebody cancelled it.
 *
 * @category models
 * @since 0.1.0
 */
export interface AgentRun extends Schema.Schema.Type<typeof AgentRun> {}

/**
 * Codec of a settled run as JSON, for stores and for the wire.
 *
 * @category schemas
 * @since 0.1.0
 */
export const AgentRunJson = Schema.toCodecJson(AgentRun)

/**
 * Schema of a run in flight, as reads show it.
 *
 * @category schemas
 * @since 0.1.0
 */
export const RunInFlight = Schema.Struct({
  ...RunMeta.fields,
  status: Schema.Literals(["running", "interrupted", "exhausted"]),
  startedAt: Schema.DateTimeUtc,
  updatedAt: Schema.DateTimeUtc,
  iteration: Schema.Int,
  phase: Schema.String,
  completedPhases: Schema.Array(Schema.String),
  attempts: Schema.Array(Attempt),
  leaseUntil: Schema.DateTimeUtc,
  cancelRequested: Schema.Boolean
})

/**
 * A run in flight.
 *
 * **Details**
 *
 * `running`: its owner's lease is live. `interrupted`: the lease has expired
 * and somebody may continue the run. `exhausted`: it was continued too often
 * and is kept for people. `iteration` counts the recorded step outcomes of a
 * heartbeat, or the iterations of an agent.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunInFlight extends Schema.Schema.Type<typeof RunInFlight> {}

/**
 * Statuses of a settled run.
 *
 * @category models
 * @since 0.1.0
 */
export type SettledStatus = AgentRun["status"]

/**
 * Statuses of a run in flight.
 *
 * @category models
 * @since 0.1.0
 */
export type InFlightStatus = RunInFlight["status"]

/**
 * Returns `true` when the run has ended.
 *
 * @category guards
 * @since 0.1.0
 */
export const isSettled = (run: AgentRun | RunInFlight): run is AgentRun => "finishedAt" in run

/**
 * Returns what a run is about, without how it went.
 *
 * @category getters
 * @since 0.1.0
 */
export const metaOf: (run: RunMeta) => RunMeta = pick<RunMeta>(RunMeta.fields)
