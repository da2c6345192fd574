/**
 * Names of spans, attributes and metrics. They are API: a change of one is a
 * breaking change.
 *
 * | metric | kind | labels |
 * | --- | --- | --- |
 * | `everbeat_runs_total` | counter | `agent`, `status` |
 * | `everbeat_run_duration_seconds` | histogram | `agent` |
 * | `everbeat_runs_in_progress` | gauge | `agent` |
 * | `everbeat_attempts_stopped_total` | counter | `agent`, `reason` |
 * | `everbeat_last_run_timestamp_seconds` | gauge | `agent`, `status` |
 * | `everbeat_run_warnings_total` | counter | `agent`, `code` |
 * | `everbeat_steps_total` | counter | `agent`, `step`, `status` |
 * | `everbeat_step_duration_seconds` | histogram | `agent`, `step` |
 * | `everbeat_checkpoints_saved_total` | counter | `agent`, `result` |
 * | `everbeat_checkpoint_save_duration_seconds` | histogram | `agent` |
 * | `everbeat_checkpoint_bytes` | histogram | `agent` |
 *
 * | span | attributes |
 * | --- | --- |
 * | `everbeat.run` | `everbeat.agent.name`, `everbeat.run.id`, `everbeat.run.attempt`, `everbeat.heartbeat.name` or `everbeat.agent.definition`, `everbeat.run.status` |
 * | `everbeat.step` | `everbeat.agent.name`, `everbeat.run.id`, `everbeat.step.name` |
 *
 * `result` of a save is `ok`, `failed` (the store failed; what was to be saved
 * stays pending) or `lost` (the run belongs to another owner). The record of a
 * run is not a checkpoint: a fast pass saves none.
 *
 * `reason` of a stopped attempt is `timeout`, `shutdown`, `interrupted`, `lost`, `store`,
 * `workspace`, or the tag of an error that another attempt may mend.
 *
 * Logs inside a step carry `everbeat.agent.name`, `everbeat.run.id` and
 * `everbeat.step.name`. A span has status error only when the pass, or the
 * critical step, ended with `error`. Run ids and URLs are never labels.
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"

/**
 * Names of spans and of their attributes, which are also the annotations of
 * logs.
 *
 * @category tracing
 * @since 0.1.0
 */
export const names = {
  run: "everbeat.run",
  step: "everbeat.step",
  agent: "everbeat.agent.definition",
  agentName: "everbeat.agent.name",
  attempt: "everbeat.run.attempt",
  heartbeat: "everbeat.heartbeat.name",
  runId: "everbeat.run.id",
  runStatus: "everbeat.run.status",
  stepName: "everbeat.step.name"
} as const

const seconds = Metric.boundariesFromIterable([0.001, 0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300])

/**
 * The metrics, each as a function of its labels.
 *
 * **Example** (Reading a counter)
 *
 * ```ts
 * import { Telemetry } from "@everbeat/core"
 * import { Effect, Metric } from "effect"
 *
 * const state = await Effect.runPromise(Metric.value(Telemetry.metrics.runs({ agent: "nobody", status: "ok" })))
 * state.count // => 0
 * ```
 *
 * @category metrics
 * @since 0.1.0
 */
export const metrics = {
  runs: (attributes: { readonly agent: string; readonly status: string }) =>
    Metric.counter("everbeat_runs_total", { description: "Settled runs", incremental: true, attributes }),
  runDuration: (attributes: { readonly agent: string }) =>
    Metric.histogram("everbeat_run_duration_seconds", {
      description: "Duration of settled runs",
      boundaries: seconds,
      attributes
    }),
  runsInProgress: (attributes: { readonly agent: string }) =>
    Metric.gauge("everbeat_runs_in_progress", { description: "Runs in flight in this process", attributes }),
  attempts: (attributes: { readonly agent: string; readonly reason: string }) =>
    Metric.counter("everbeat_attempts_stopped_total", {
      description: "Attempts of agents that were stopped before their run had ended",
      incremental: true,
      attributes
    }),
  lastRun: (attributes: { readonly agent: string; readonly status: string }) =>
    Metric.gauge("everbeat_last_run_timestamp_seconds", {
      description: "Unix time of the newest settled run",
      attributes
    }),
  runWarnings: (attributes: { readonly agent: string; readonly code: string }) =>
    Metric.counter("everbeat_run_warnings_total", {
      description: "Warnings of settled runs",
      incremental: true,
      attributes
    }),
  steps: (attributes: { readonly agent: string; readonly step: string; readonly status: string }) =>
    Metric.counter("everbeat_steps_total", { description: "Steps that ended", incremental: true, attributes }),
  stepDuration: (attributes: { readonly agent: string; readonly step: string }) =>
    Metric.histogram("everbeat_step_duration_seconds", {
      description: "Duration of steps",
      boundaries: seconds,
      attributes
    }),
  checkpointsSaved: (attributes: { readonly agent: string; readonly result: "ok" | "failed" | "lost" }) =>
    Metric.counter("everbeat_checkpoints_saved_total", {
      description: "Saves of checkpoints",
      incremental: true,
      attributes
    }),
  checkpointSaveDuration: (attributes: { readonly agent: string }) =>
    Metric.histogram("everbeat_checkpoint_save_duration_seconds", {
      description: "Duration of saves of checkpoints",
      boundaries: seconds,
      attributes
    }),
  checkpointBytes: (attributes: { readonly agent: string }) =>
    Metric.histogram("everbeat_checkpoint_bytes", {
      description: "Bytes that a save appends",
      boundaries: Metric.boundariesFromIterable([256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576]),
      attributes
    })
} as const
