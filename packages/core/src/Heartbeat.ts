/**
 * A heartbeat: a named, ordered set of steps. One execution of it is a pass.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type * as Types from "effect/Types"
import type { RunMeta } from "./AgentRun.ts"
import { Defect, type Fault, RecordedFailure } from "./Fault.ts"
import { HeartbeatEngine } from "./HeartbeatEngine.ts"
import * as Definition from "./internal/definition.ts"
import type { EndError, RunError, StartError } from "./PassError.ts"
import type { PassEvent, Report } from "./Report.ts"
import type * as Step from "./Step.ts"

/**
 * Identifies heartbeats.
 *
 * @category type ids
 * @since 0.1.0
 */
export const TypeId: typeof Definition.TypeId = Definition.TypeId

/**
 * Options of a heartbeat.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * How many independent steps may run at once.
   *
   * @default 1
   */
  readonly concurrency?: number | "unbounded" | undefined
  /**
   * After a critical failure: `stop` starts no further step, `continue` still
   * runs the steps that do not depend on the failed one.
   *
   * @default "stop"
   */
  readonly onCritical?: "stop" | "continue" | undefined
  /**
   * Limit of a step without `Step.timeout`.
   *
   * @default "30 seconds"
   */
  readonly stepTimeout?: Duration.Input | undefined
  /**
   * Limit of the whole pass.
   *
   * @default "2 minutes"
   */
  readonly deadline?: Duration.Input | undefined
  /**
   * How long an interrupted step may take to stop before it is left behind.
   *
   * @default "1 second"
   */
  readonly grace?: Duration.Input | undefined
  /**
   * When outcomes must be durable, for steps that do not say so themselves.
   *
   * @default "coalesce"
   */
  readonly durability?: "coalesce" | "sync" | undefined
  /**
   * What to do with an interrupted pass whose step list was another one:
   * `resume-by-name` skips the steps that it recorded, `restart` runs all steps
   * again, `fail` leaves it alone with `DefinitionChanged`.
   *
   * @default "resume-by-name"
   */
  readonly onDefinitionChange?: "resume-by-name" | "restart" | "fail" | undefined
  /**
   * When the store fails during a pass: `continue` goes on, and an outcome that
   * had to be durable before the next step is a warning; `stop` starts no further
   * step. Either way the record carries what could not be saved before.
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
 * A named, ordered set of steps; `W`, `E` and `R` are the unions of their
 * channels and services.
 *
 * @category models
 * @since 0.1.0
 */
export interface Heartbeat<out Name extends string, out W, out E, out R> {
  readonly [TypeId]: {
    readonly _W: Types.Covariant<W>
    readonly _E: Types.Covariant<E>
    readonly _R: Types.Covariant<R>
  }
  readonly name: Name
  readonly steps: ReadonlyArray<Step.Any>
  /** Changes when the step list does; stored with every run. */
  readonly hash: string
}

/**
 * Any heartbeat that needs no more than the services `R`.
 *
 * @category utility types
 * @since 0.1.0
 */
export type Any<R = unknown> = Heartbeat<string, unknown, unknown, R>

/**
 * Who asks for a pass, and how.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunOptions extends
  Partial<
    Pick<RunMeta, "agentId" | "callerId" | "channelId" | "guildId" | "modelTier" | "parentRunId" | "prompt">
  >
{
  /** Name of the agent: the scope of single flight and of the key. */
  readonly agent: string
  /**
   * Idempotency key, 1 to 255 visible ASCII characters, kept for 24 hours at
   * least: the same key answers the recorded report and never runs twice.
   */
  readonly key?: string | undefined
  /**
   * JSON value that steps read from `Step.Current`; with a key, its fingerprint must not change. A pass that is
   * continued has the payload that it was begun with.
   */
  readonly payload?: Schema.Json | undefined
  /**
   * When the agent has a pass of this heartbeat in flight: `fail` with
   * `AgentBusy`, or `join` it and answer its report. With a key, `join` waits for
   * that pass to end and then begins or replays the key's own.
   *
   * @default "fail"
   */
  readonly onBusy?: "fail" | "join" | undefined
}

/**
 * A pass that was begun. It belongs to the engine: who waits for it may leave.
 *
 * @category models
 * @since 0.1.0
 */
export interface Pass<out W, out E> {
  readonly runId: Report<W, E>["runId"]
  readonly origin: Report<W, E>["origin"]
  /** Waits for the report. Interrupting the wait does not touch the pass. */
  readonly report: Effect.Effect<Report<W, E>, EndError>
  /** All events of the pass so far (the newest 1,024 of them), then the live ones. */
  readonly events: Stream.Stream<PassEvent<W, E>, EndError>
  /** Interrupts the pass, stores what it has and releases its lease. */
  readonly interrupt: Effect.Effect<void>
}

// The order of steps is checked by the compiler: an element that is out of place is asked to be a sentence.
/** Names that the compiler knows; a step named at run time says nothing. */
type KnownName<S> = S extends { readonly name: infer N extends string } ? string extends N ? never : N : never
type Wrong<S, Seen, All> =
  | ([KnownName<S>] extends [never] ? never
    : KnownName<S> extends KnownName<Seen> ? `'${Step.Name<S>}' is listed twice`
    : never)
  | WrongNeed<Step.Name<S>, Step.Services<S>, Seen, All>
type WrongNeed<Name extends string, R, Seen, All> = R extends Step.Needs<infer N, infer A>
  ? N extends Step.Name<Seen> ? [Step.Success<Extract<Seen, { readonly name: N }>>] extends [A] ? never
    : `'${Name}' reads the result of '${N}', which as listed here may have no result or another one`
  : N extends Step.Name<All> ? `list '${N}' before '${Name}', which runs after it`
  : `'${Name}' runs after '${N}', which is not listed`
  : never

/**
 * Maps every element of a list of steps that is out of place to a sentence
 * that says why.
 *
 * @category utility types
 * @since 0.1.0
 */
export type Ordered<
  Steps extends ReadonlyArray<unknown>,
  All,
  Seen = never,
  Out extends ReadonlyArray<unknown> = readonly []
> = Steps extends readonly [infer S, ...infer Rest] ? Ordered<
    Rest,
    All,
    Seen | S,
    readonly [...Out, [Wrong<S, Seen, All>] extends [never] ? unknown : Wrong<S, Seen, All>]
  >
  : number extends Steps["length"] ? unknown
  : Out

/**
 * Creates a heartbeat from its steps, in the order in which they run.
 *
 * **Details**
 *
 * A step that is listed twice, before a step it runs after, or without one, is
 * a compile error that says so. The compiler checks tuples of single steps; other
 * lists, and options that make no sense, throw a `TypeError` with a sentence.
 *
 * **Gotchas**
 *
 * The compiler checks lists of up to 200 steps.
 *
 * **Example** (Two steps)
 *
 * ```ts
 * import { Heartbeat, Step } from "@everbeat/core"
 * import { Effect, Schema } from "effect"
 *
 * const count = Step.make("count", { result: Schema.Int }, () => Effect.succeed(3))
 * const report = Step.make("report", { after: { count } }, ({ count }) => Effect.log(`${count} issues`))
 * const dispatch = Heartbeat.make("dispatch", [count, report])
 *
 * dispatch.steps.length // => 2
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <const Name extends string, const Steps extends ReadonlyArray<Step.Any>>(
  name: Name,
  steps: Steps & Ordered<Steps, Steps[number]>,
  options: Options = {}
): Heartbeat<
  Name,
  Step.Warning<Steps[number]>,
  Step.Failure<Steps[number]>,
  Exclude<Step.Services<Steps[number]>, Step.Needs<string, never>>
> => Definition.build(name, steps, options)

/**
 * Begins a pass and does not wait for it.
 *
 * **Details**
 *
 * Succeeds as soon as the pass is begun in the store, joined or replayed. The
 * pass runs on with the services of the caller, owned by the engine.
 *
 * @category running
 * @since 0.1.0
 */
export const start = <Name extends string, W, E, R>(
  self: Heartbeat<Name, W, E, R>,
  options: RunOptions
): Effect.Effect<Pass<W, E>, StartError, R | HeartbeatEngine> =>
  Effect.flatMap(HeartbeatEngine, (engine) => engine.start(self, options))

/**
 * Runs a pass and answers its report, for `ok`, `warning` and `error` alike.
 *
 * **Details**
 *
 * Fails only when there is no report: the agent is busy, the key was used for
 * another payload, the store or the engine is down. Interrupting the call
 * interrupts a pass that it began; its outcomes so far are stored and the lease
 * is released.
 *
 * @category running
 * @since 0.1.0
 */
export const run = <Name extends string, W, E, R>(
  self: Heartbeat<Name, W, E, R>,
  options: RunOptions
): Effect.Effect<Report<W, E>, RunError, R | HeartbeatEngine> =>
  Effect.flatMap(HeartbeatEngine, (engine) => engine.run(self, options))

/**
 * Runs a pass and puts its typed critical failures into the error channel.
 *
 * **Details**
 *
 * Several failures are one cause. Defects stay defects. A failure that an
 * earlier process recorded is a `RecordedFailure`.
 *
 * @category running
 * @since 0.1.0
 */
export const runOrFail = <Name extends string, W, E, R>(
  self: Heartbeat<Name, W, E, R>,
  options: RunOptions
): Effect.Effect<
  Report<W, never>,
  Critical<E> | RunError,
  R | HeartbeatEngine
> =>
  Effect.flatMap(run(self, options), (report) => {
    const { errors, ...rest } = report
    if (errors.length === 0) return Effect.succeed({ ...rest, errors: [] })
    return Effect.failCause(Cause.fromReasons(errors.map((diagnostic): Cause.Reason<Critical<E>> => {
      const value: E | Fault | undefined = diagnostic.value
      if (value === undefined) return Cause.makeFailReason(new RecordedFailure({ diagnostic }))
      return value instanceof Defect
        ? Cause.makeDieReason(value.cause)
        : Cause.makeFailReason<Critical<E>>(value)
    })))
  })

type Critical<E> = E | Exclude<Fault, Defect> | RecordedFailure

/**
 * Runs a pass and gives its live progress. The last event is `PassEnded`.
 *
 * **Details**
 *
 * A slow reader loses old events; it never slows the pass and never loses the
 * last event. Closing the stream does not interrupt the pass.
 *
 * @category running
 * @since 0.1.0
 */
export const stream = <Name extends string, W, E, R>(
  self: Heartbeat<Name, W, E, R>,
  options: RunOptions
): Stream.Stream<PassEvent<W, E>, RunError, R | HeartbeatEngine> =>
  Stream.unwrap(Effect.map(start(self, options), (pass) => pass.events))

/**
 * Returns `true` when the value is a heartbeat.
 *
 * @category guards
 * @since 0.1.0
 */
export const isHeartbeat = (u: unknown): u is Any => typeof u === "object" && u !== null && TypeId in u
