/**
 * One step of a heartbeat: a function that may be async.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Core from "../Step.ts"
import type { Duration } from "./Duration.ts"
import type { Json } from "./Json.ts"
import type { Diagnostic } from "./Report.ts"

/**
 * What a step is given.
 *
 * **Details**
 *
 * `runId`, `step` and `fence` make an idempotency key and a fencing token for
 * the systems that the step changes: steps run at least once.
 *
 * @category models
 * @since 0.1.0
 */
export interface StepContext<out Results, in Codes extends string> {
  readonly runId: string
  readonly agentName: string
  readonly step: string
  /** Which try of this step: 1 for the first, more under `retry`. */
  readonly attempt: number
  /** Grows each time a process takes the run over. */
  readonly fence: number
  /** What the caller of the heartbeat sent along. */
  readonly payload: Json | undefined
  /** Aborts at the limit of the step or of the pass, at a cancel and at a shutdown. Pass it on. */
  readonly signal: AbortSignal
  /** What earlier steps returned, by their names, as JSON. */
  readonly results: Results
  /** Records a warning; the step goes on. It never throws. */
  readonly warn: (code: Codes, message: string, options?: WarnOptions) => void
  /** Notes the http(s) URL of an issue that the step created or changed. Anything else is ignored. */
  readonly touch: (url: string | URL) => void
}

/**
 * What a warning says beside its message.
 *
 * @category models
 * @since 0.1.0
 */
export interface WarnOptions {
  /** What to do about it. */
  readonly hint?: string | undefined
  readonly url?: string | URL | undefined
}

/**
 * Classes of errors by the codes that they are reported with:
 * `{ RateLimited, TokenRevoked }`.
 *
 * @category models
 * @since 0.1.0
 */
export type ErrorClasses = Readonly<Record<string, abstract new(...args: ReadonlyArray<never>) => unknown>>

/**
 * How often a step is tried again after a failure.
 *
 * @category models
 * @since 0.1.0
 */
export interface RetryOptions {
  /** Tries after the first one. */
  readonly times: number
  /**
   * The pause before the first of them.
   *
   * @default 100
   */
  readonly delay?: Duration | undefined
  /**
   * By how much each pause is longer than the one before.
   *
   * @default 2
   */
  readonly factor?: number | undefined
  /**
   * The longest pause.
   *
   * @default "30 seconds"
   */
  readonly maxDelay?: Duration | undefined
  /** Which failures are worth another try. Absent: all. */
  readonly if?: ((error: unknown) => boolean) | undefined
}

/**
 * Options of a step.
 *
 * @category models
 * @since 0.1.0
 */
export interface StepOptions<Warnings, Fails, After, OnError, WarnOn, Default> {
  /** The codes that `ctx.warn` takes here, beside those of the heartbeat. Absent: those of the heartbeat, or any. */
  readonly warnings?: Warnings | undefined
  /**
   * The errors that it may throw, by their codes, beside those of the heartbeat. Anything else is reported as `Unexpected`.
   * Absent, for both: an error is reported with its own `_tag` or name.
   */
  readonly failsWith?: Fails | undefined
  /**
   * The earlier steps whose results it reads. It is skipped unless they ended well.
   *
   * @default all earlier steps
   */
  readonly after?: After | undefined
  /**
   * What a failure means: `stop` ends the pass as `error`; `warn` records a warning, timeouts included, and the step has no
   * result.
   *
   * @default "stop"
   */
  readonly onError?: OnError | undefined
  /** Codes of declared failures that are warnings. The step then has no result. */
  readonly warnOn?: WarnOn | undefined
  /** The result of the step when it has none. */
  readonly default?: Default | undefined
  /** How often it is tried again: a number of times, or more precisely. Warnings of a repeated try are dropped. */
  readonly retry?: number | RetryOptions | undefined
  /**
   * Limit of one try.
   *
   * @default the heartbeat's `stepTimeout`, for all tries together
   */
  readonly timeout?: Duration | undefined
  /**
   * When the result must be durable: `sync` before the next step starts, `coalesce` within 100 ms or with the end of the
   * pass, whichever is sooner.
   *
   * @default that of the heartbeat
   */
  readonly durability?: "coalesce" | "sync" | undefined
}

/**
 * What a step returns, without its promise or Effect.
 *
 * @category utility types
 * @since 0.1.0
 */
export type ResultOf<Out> = Out extends Effect.Effect<infer A, unknown, unknown> ? Nothing<A> : Nothing<Awaited<Out>>

type Nothing<A> = [A] extends [void] ? undefined : A

/**
 * The services that an Effect of a step needs.
 *
 * @category utility types
 * @since 0.1.0
 */
export type ServicesOf<Out> = Out extends Effect.Effect<unknown, unknown, infer R>
  ? Exclude<R, Core.Warns<unknown> | Core.Current | Scope.Scope>
  : never

type EffectWarnings<Out> = Out extends Effect.Effect<unknown, unknown, infer R> ?
  R extends Core.Warns<infer W> ? Tagged<W>
  : never
  : never

type Tagged<E> = E extends { readonly _tag: infer Tag extends string } ? Diagnostic<Tag, E> : Diagnostic<string, E>

type InstanceOf<C> = C extends abstract new(...args: ReadonlyArray<never>) => infer E ? E : unknown

type Declared<Fails, Codes = keyof Fails> = Codes extends keyof Fails & string ?
  Diagnostic<Codes, InstanceOf<Fails[Codes]>>
  : never

/**
 * The failures that a step declares: its own, beside those of its heartbeat.
 *
 * @category utility types
 * @since 0.1.0
 */
export type FailsOf<Shared, Fails> = Fails extends ErrorClasses ? Shared extends ErrorClasses ? Shared & Fails : Fails
  : Shared

/**
 * The failures of a step: those of an Effect by its type, else the declared
 * ones, else anything.
 *
 * @category utility types
 * @since 0.1.0
 */
export type FailuresOf<Out, Fails> =
  | (Out extends Effect.Effect<unknown, infer E, unknown> ? Tagged<E> : never)
  | (Fails extends ErrorClasses ? Declared<Fails>
    : Out extends Effect.Effect<unknown, unknown, unknown> ? never
    : Diagnostic)

/**
 * The codes that `ctx.warn` takes in a step.
 *
 * @category utility types
 * @since 0.1.0
 */
export type CodesOf<Codes extends string, Warnings> = Warnings extends ReadonlyArray<infer Code extends string>
  ? Code | (string extends Codes ? never : Codes)
  : Codes

/**
 * The warnings that a step adds to its heartbeat.
 *
 * @category utility types
 * @since 0.1.0
 */
export type WarningsOf<Out, Codes extends string, Warnings, Fails, OnError, WarnOn> =
  | CodeWarning<CodesOf<Codes, Warnings>>
  | EffectWarnings<Out>
  | (OnError extends "warn" ? FailuresOf<Out, Fails> : Moved<FailuresOf<Out, Fails>, WarnOn>)

type CodeWarning<Code extends string> = Code extends string ? Diagnostic<Code, undefined> : never

type Moved<D, WarnOn> = WarnOn extends ReadonlyArray<infer Code> ?
  D extends Diagnostic<infer C extends string> ? C extends Code ? D
    : never
  : never
  : never

/**
 * The critical failures that a step adds to its heartbeat.
 *
 * @category utility types
 * @since 0.1.0
 */
export type ErrorsOf<Out, Fails, OnError, WarnOn> = OnError extends "warn" ? never
  : Exclude<FailuresOf<Out, Fails>, Moved<FailuresOf<Out, Fails>, WarnOn>>

/**
 * What later steps read of a step.
 *
 * @category utility types
 * @since 0.1.0
 */
export type Readable<Out, OnError, WarnOn, Default> = [Default] extends [undefined]
  ? OnError extends "warn" ? ResultOf<Out> | undefined
  : WarnOn extends ReadonlyArray<unknown> ? ResultOf<Out> | undefined
  : ResultOf<Out>
  : ResultOf<Out>

/**
 * The results that a step reads: those of the steps in `after`, or all.
 *
 * @category utility types
 * @since 0.1.0
 */
export type Reads<Results, After> = After extends ReadonlyArray<infer Name>
  ? { readonly [K in Name & keyof Results]: Results[K] }
  : Results

/**
 * The results of a chain with those of one more step: one object, as an editor
 * shows it.
 *
 * @category utility types
 * @since 0.1.0
 */
export type Adds<Results, Name extends string, Result> = [Results] extends [unknown]
  ? { readonly [K in keyof Results | Name]: K extends keyof Results ? Results[K] : Result }
  : never // a conditional type is shown as what it is, not by its name
