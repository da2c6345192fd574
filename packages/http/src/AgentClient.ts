/**
 * Small client for agents: promises and plain objects, no types of Effect.
 *
 * @since 0.1.0
 */
import { makeAgentClient } from "./internal/agentCalls.ts"

/**
 * Options of a client.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Address of the host, with the base path in front of `/api` where it has one. */
  readonly baseUrl: string
  readonly agentName: string
  /** The agent's token, or a function that is asked for it before each request. */
  readonly token: string | (() => string | Promise<string>)
  /**
   * How many failures in a row end a call.
   *
   * @default 5
   */
  readonly maxAttempts?: number | undefined
  /**
   * After how many seconds the host may answer that the pass goes on; the client then follows it.
   *
   * @default 20
   */
  readonly waitSeconds?: number | undefined
  /** Used in place of the global `fetch`. */
  readonly fetch?: ((url: string, init: RequestInit) => Promise<Response>) | undefined
}

/**
 * The report of a heartbeat, as it comes over the wire: times are ISO-8601 in
 * UTC.
 *
 * @category models
 * @since 0.1.0
 */
export interface Report {
  readonly status: "ok" | "warning" | "error"
  readonly agentName: string
  readonly startedAt: string
  readonly finishedAt: string
  readonly summary: string
  readonly warnings: ReadonlyArray<string>
  readonly errors: ReadonlyArray<string>
  readonly touchedIssueUrls: ReadonlyArray<string>
  readonly runId: string
}

/**
 * A run, settled or in flight. `openapi.json` describes all its fields.
 *
 * @category models
 * @since 0.1.0
 */
export interface Run {
  readonly runId: string
  readonly agentName: string
  readonly status: "ok" | "warning" | "error" | "cancelled" | "running" | "interrupted" | "exhausted"
  readonly startedAt: string
  readonly [field: string]: unknown
}

/**
 * A run in flight and how much of its progress is stored.
 *
 * @category models
 * @since 0.1.0
 */
export interface Checkpoint extends Run {
  readonly messages: number
  /** Of the encoded messages, in UTF-8. */
  readonly messageBytes: number
  readonly hasWorkspace: boolean
}

/**
 * A run that goes on. `location` is its path on the host.
 *
 * @category models
 * @since 0.1.0
 */
export interface ResumedRun {
  readonly runId: string
  readonly agentName: string
  readonly status: "running"
  readonly location: string
}

/**
 * One page of runs. `next`, sent as `cursor`, asks for the page after it, and is absent on the last one.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunPage {
  readonly items: ReadonlyArray<Run>
  readonly next?: string
}

/**
 * Something that happened in a pass: `run-started`, `step-started`, `warning`,
 * `step-ended` and others. Of a pass of another process than the one that
 * answers only `run-status`, `warning` and `step-ended` are told.
 *
 * @category models
 * @since 0.1.0
 */
export interface Progress {
  readonly event: string
  readonly data: unknown
}

/**
 * Options of a heartbeat.
 *
 * @category models
 * @since 0.1.0
 */
export interface HeartbeatOptions {
  /** Any JSON value, for the steps. */
  readonly payload?: unknown
  /** Names this heartbeat, whoever repeats it; a new one for each call when absent. */
  readonly idempotencyKey?: string | undefined
  /** Is told of the progress while the pass runs. */
  readonly onProgress?: ((progress: Progress) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Options of a call that has no others.
 *
 * @category models
 * @since 0.1.0
 */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined
}

/**
 * Which page to read.
 *
 * @category models
 * @since 0.1.0
 */
export interface PageOptions extends CallOptions {
  /**
   * 1 to 200.
   *
   * @default 50
   */
  readonly limit?: number | undefined
  readonly cursor?: string | undefined
}

/**
 * Which runs to read.
 *
 * @category models
 * @since 0.1.0
 */
export interface ListOptions extends PageOptions {
  readonly status?: ReadonlyArray<Run["status"]> | undefined
  readonly kind?: "heartbeat" | "agent" | undefined
  /** The token, or whoever else asked for the run. */
  readonly callerId?: string | undefined
  /** When the runs started: this time or later. */
  readonly from?: Date | undefined
  /** When the runs started: before this time. */
  readonly until?: Date | undefined
}

/**
 * Which runs in flight to read.
 *
 * @category models
 * @since 0.1.0
 */
export interface CheckpointOptions extends PageOptions {
  /** @default ["interrupted", "exhausted"] */
  readonly status?: ReadonlyArray<"running" | "interrupted" | "exhausted"> | undefined
}

/**
 * Options of a resume.
 *
 * @category models
 * @since 0.1.0
 */
export interface ResumeOptions extends CallOptions {
  /** Told to the agent last, as an instruction; up to 8,192 characters. Passes of heartbeats are told nothing. */
  readonly followUp?: string | undefined
}

/**
 * Calls the host of one agent.
 *
 * **Details**
 *
 * `heartbeat` resolves with the report, also when its status is `error`. It
 * repeats with the same idempotency key when the connection fails, and when the
 * host says that repeating helps, so that the pass runs once. When the host answers
 * that the pass goes on, it follows the pass to its end.
 *
 * The other calls are repeated in the same way. A `cancel`, `resume` or `discard` whose answer was lost, and that turns out
 * to be done when it is repeated, resolves. None of them waits for a run that somebody else holds: `resume` and
 * `discard` reject with the problem `run-in-progress`.
 *
 * A call rejects with an `AgentError.AgentProblem` when the host refused it, with an
 * `AgentError.AgentUnreachable` when nobody answered, and with the reason of `signal`
 * when that is aborted. A pass that was begun goes on then.
 *
 * @category models
 * @since 0.1.0
 */
export interface AgentClient {
  readonly heartbeat: (options?: HeartbeatOptions) => Promise<Report>
  /** Settled runs and runs in flight, newest first. */
  readonly runs: (options?: ListOptions) => Promise<RunPage>
  readonly run: (runId: string, options?: CallOptions) => Promise<Run>
  /**
   * Stops a run in flight. The answer is its record, or the run as it is while its owner in another process has yet
   * to learn of it, with its next save or renewal.
   */
  readonly cancel: (runId: string, options?: CallOptions) => Promise<Run>
  /** Runs in flight, those interrupted longest first. */
  readonly checkpoints: (options?: CheckpointOptions) => Promise<RunPage>
  readonly checkpoint: (runId: string, options?: CallOptions) => Promise<Checkpoint>
  /** Continues an interrupted or exhausted run, in the background of the host. */
  readonly resume: (runId: string, options?: ResumeOptions) => Promise<ResumedRun>
  /** Deletes what is stored of an interrupted run, without a record. */
  readonly discard: (runId: string, options?: CallOptions) => Promise<void>
}

/**
 * Creates a client for one agent.
 *
 * **Example** (Calling the heartbeat)
 *
 * ```ts
 * import { Heartbeat, HeartbeatEngine, Step } from "@everbeat/core"
 * import { AgentAuth, AgentClient, HeartbeatHandler } from "@everbeat/http"
 * import { MemoryStore } from "@everbeat/store-memory"
 * import { Effect, Layer } from "effect"
 *
 * const handler = HeartbeatHandler.make({
 *   heartbeats: { triage: Heartbeat.make("greeting", [Step.make("greet", Effect.void)]) },
 *   auth: AgentAuth.make(() => Effect.succeed({ agentName: "triage", tokenId: "triage-1" })),
 *   layer: HeartbeatEngine.layer.pipe(Layer.provideMerge(MemoryStore.layer))
 * })
 *
 * const client = AgentClient.make({
 *   baseUrl: "https://dispatch.example",
 *   agentName: "triage",
 *   token: "s3cret",
 *   fetch: (url, init) => handler.fetch(new Request(url, init)) // in place of a server
 * })
 * const report = await client.heartbeat({ payload: { since: "yesterday" } })
 * const page = await client.runs({ limit: 1 })
 * await handler.dispose()
 *
 * report.status // => "ok"
 * page.items.map((run) => run.runId === report.runId) // => [true]
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options): AgentClient => makeAgentClient(options)
