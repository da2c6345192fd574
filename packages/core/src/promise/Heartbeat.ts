/**
 * Heartbeats as chains of functions.
 *
 * @since 0.1.0
 */
import type { Duration } from "./Duration.ts"
import * as internal from "./internal/heartbeat.ts"
import type { Diagnostic } from "./Report.ts"
import type {
  Adds,
  CodesOf,
  ErrorClasses,
  ErrorsOf,
  FailsOf,
  Readable,
  Reads,
  ResultOf,
  ServicesOf,
  StepContext,
  StepOptions,
  WarningsOf
} from "./Step.ts"

/**
 * Identifies heartbeats of this module.
 *
 * @category type ids
 * @since 0.1.0
 */
export const HeartbeatTypeId: typeof internal.TypeId = internal.TypeId

/**
 * Options of a heartbeat.
 *
 * @category models
 * @since 0.1.0
 */
export interface HeartbeatOptions<
  Codes extends string = string,
  Fails extends ErrorClasses | undefined = ErrorClasses | undefined
> {
  /** The codes that `ctx.warn` takes in every step. Absent: any, for steps that declare none. */
  readonly warnings?: ReadonlyArray<Codes> | undefined
  /** The errors that every step may throw, by their codes. Anything else is reported as `Unexpected`. */
  readonly failsWith?: Fails | undefined
  /**
   * How many steps may run at once. Steps that name others in `after` wait for those; by default, each step waits for all
   * before it.
   *
   * @default 1
   */
  readonly concurrency?: number | "unbounded" | undefined
  /**
   * After a critical failure: `stop` starts no further step, `continue` still runs steps that do not read the failed one.
   *
   * @default "stop"
   */
  readonly onCritical?: "stop" | "continue" | undefined
  /**
   * Limit of a step without a `timeout`.
   *
   * @default "30 seconds"
   */
  readonly stepTimeout?: Duration | undefined
  /**
   * Limit of the whole pass.
   *
   * @default "2 minutes"
   */
  readonly deadline?: Duration | undefined
  /**
   * How long a step whose signal was aborted may take to stop before it is left behind.
   *
   * @default "1 second"
   */
  readonly grace?: Duration | undefined
  /** @default "coalesce" */
  readonly durability?: "coalesce" | "sync" | undefined
  /**
   * What to do with an interrupted pass whose steps were others: skip those that it recorded, run all again, or leave it
   * alone.
   *
   * @default "resume-by-name"
   */
  readonly onDefinitionChange?: "resume-by-name" | "restart" | "fail" | undefined
  /**
   * When the store fails during a pass: go on, or start no further step.
   *
   * @default "continue"
   */
  readonly onStoreFailure?: "continue" | "stop" | undefined
  /**
   * How many attempts a pass gets, the first included, before it is given up.
   *
   * @default 3
   */
  readonly maxAttempts?: number | undefined
}

/**
 * Any heartbeat: `W` its warnings, `E` its failures, `R` the services that its
 * Effects need.
 *
 * @category models
 * @since 0.1.0
 */
export interface AnyHeartbeat<out W = unknown, out E = unknown, out R = unknown> {
  readonly [HeartbeatTypeId]: { readonly _W: () => W; readonly _E: () => E; readonly _R: () => R }
  /** Absent: that of the agent that it is given to. */
  readonly name: string | undefined
  /** The names of its steps, in order. */
  readonly steps: ReadonlyArray<string>
}

/**
 * A heartbeat to which steps can be added. It never changes: `step` returns a
 * new one.
 *
 * @category models
 * @since 0.1.0
 */
export interface Heartbeat<
  in out Results,
  out W extends Diagnostic,
  out E extends Diagnostic,
  out R,
  in out Codes extends string,
  in out Fails extends ErrorClasses | undefined
> extends AnyHeartbeat<W, E, R> {
  /**
   * Adds a step.
   *
   * **Details**
   *
   * `run` returns a value, a promise or an Effect. What it returns is stored as JSON and read by later steps as
   * `ctx.results`. What it throws is critical: with `onError: "warn"` it is a warning.
   *
   * A step runs at least once: after a crash, one without a stored result runs again.
   */
  readonly step: <
    const Name extends string,
    Out,
    const Warnings extends ReadonlyArray<string> | undefined = undefined,
    Own extends ErrorClasses | undefined = undefined,
    const After extends ReadonlyArray<keyof Results & string> | undefined = undefined,
    const OnError extends "stop" | "warn" = "stop",
    const WarnOn extends ReadonlyArray<keyof FailsOf<Fails, Own> & string> | undefined = undefined,
    Default = undefined
  >(
    name: Name extends keyof Results ? `'${Name}' is listed twice` : Name,
    run: (ctx: StepContext<Reads<Results, After>, CodesOf<Codes, Warnings>>) => Out,
    options?: StepOptions<
      Warnings,
      Own,
      After,
      OnError,
      WarnOn,
      Default & ([Default] extends [ResultOf<Out> | undefined] ? unknown : "the default is no result of this step")
    >
  ) => Heartbeat<
    Adds<Results, Name, Readable<Out, OnError, WarnOn, Default>>,
    W | WarningsOf<Out, Codes, Warnings, FailsOf<Fails, Own>, OnError, WarnOn>,
    E | ErrorsOf<Out, FailsOf<Fails, Own>, OnError, WarnOn>,
    R | ServicesOf<Out>,
    Codes,
    Fails
  >
}

/**
 * Creates a heartbeat without steps: add them with `step`.
 *
 * **Details**
 *
 * Later steps read what earlier ones returned, typed by the order of the chain.
 * Warning codes that are declared, for the heartbeat or for a step, are the only
 * ones that `ctx.warn` takes, and are typed in the report; so are failures that
 * are declared with `failsWith`. One step that declares nothing makes any code
 * possible.
 *
 * The name tells whose pass an interrupted one was: keep it. Absent, it is the
 * agent's.
 *
 * **Gotchas**
 *
 * A wrong option throws `InvalidOptions` at once.
 *
 * **Example** (Two steps)
 *
 * ```ts
 * import { createEverbeat, heartbeat } from "@everbeat/core/promise"
 * import { memoryStore } from "@everbeat/store-memory/promise"
 *
 * const triage = heartbeat("triage", { warnings: ["no-owner"] })
 *   .step("sync", async () => ({ issues: [{ url: "https://example.com/7", owner: null }] }), { retry: 2 })
 *   .step("check", (ctx) => {
 *     for (const issue of ctx.results.sync.issues) {
 *       if (issue.owner === null) ctx.warn("no-owner", "nobody owns it", { hint: "Assign it.", url: issue.url })
 *       ctx.touch(issue.url)
 *     }
 *   })
 *
 * await using everbeat = createEverbeat({ store: memoryStore(), heartbeats: { triage } })
 * const report = await everbeat.run("triage")
 * report.warnings.map(({ code }) => code) // => ["no-owner"]
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const heartbeat: {
  <const Codes extends string = string, Fails extends ErrorClasses | undefined = undefined>(
    name: string,
    options?: HeartbeatOptions<Codes, Fails>
  ): Heartbeat<{}, never, never, never, Codes, Fails>
  <const Codes extends string = string, Fails extends ErrorClasses | undefined = undefined>(
    options?: HeartbeatOptions<Codes, Fails>
  ): Heartbeat<{}, never, never, never, Codes, Fails>
} = internal.heartbeat
