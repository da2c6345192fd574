/**
 * A named, typed unit of work with two channels: `W` for warnings, after which
 * the pass goes on, and `E` for critical failures.
 *
 * Warnings are inferred: whatever a step passes to {@link warn}, also in a
 * helper or in concurrent code, appears in its `W`.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Pipeable } from "effect/Pipeable"
import type * as Schedule from "effect/Schedule"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Types from "effect/Types"
import type { AgentName } from "./AgentName.ts"
import { StepTimeout } from "./Fault.ts"
import { limit } from "./internal/launch.ts"
import * as Impl from "./internal/stepImpl.ts"
import { withRun } from "./internal/stepRun.ts"
import type { RunId } from "./RunId.ts"

/**
 * Phantom requirement of {@link warn}. {@link make} takes it out of `R` and
 * into `W`; running a warning outside a step is a compile error that names it.
 *
 * @category utility types
 * @since 0.1.0
 */
export interface Warns<out W> {
  readonly "~everbeat/Warns": W
}

/**
 * Phantom requirement of a step on the result of an earlier step.
 * `Heartbeat.make` checks and removes it.
 *
 * @category utility types
 * @since 0.1.0
 */
export interface Needs<out Name extends string, in A> {
  readonly "~everbeat/Needs": readonly [Name, (_: A) => void]
}

/**
 * What a running step knows about itself. `runId`, `step` and `fence` make an
 * idempotency key and a fencing token for external systems: steps run at least
 * once.
 *
 * @category services
 * @since 0.1.0
 */
export class Current extends Context.Service<Current, {
  readonly runId: RunId
  readonly agentName: AgentName
  readonly step: string
  /** Which try of this step in this process: 1 for the first, more under {@link retry}. */
  readonly attempt: number
  /** Grows each time the run is claimed by a process; 0 without a store. */
  readonly fence: number
  /** The JSON value that the caller of the heartbeat sent along. */
  readonly payload: Schema.Json | undefined
}>()("@everbeat/core/Step/Current") {}

/**
 * A named typed effect: result `A`, warnings `W`, critical failures `E`,
 * required services `R`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Step<out Name extends string, out A, out W, out E, out R> extends Pipeable {
  readonly [Impl.TypeId]: {
    readonly _A: Types.Covariant<A>
    readonly _W: Types.Covariant<W>
    readonly _E: Types.Covariant<E>
    readonly _R: Types.Covariant<R>
  }
  readonly name: Name
  /** Names of the steps that must have ended well before this one starts. */
  readonly after: ReadonlyArray<string>
}

/**
 * Any step, whatever its channels.
 *
 * @category utility types
 * @since 0.1.0
 */
export type Any = Step<string, unknown, unknown, unknown, unknown>

/**
 * The name of a step.
 *
 * @category utility types
 * @since 0.1.0
 */
export type Name<S> = S extends { readonly name: infer N extends string } ? N : never

/**
 * The result of a step.
 *
 * @category utility types
 * @since 0.1.0
 */
export type Success<S> = S extends Step<string, infer A, unknown, unknown, unknown> ? A : never

/**
 * The warnings of a step.
 *
 * @category utility types
 * @since 0.1.0
 */
export type Warning<S> = S extends Step<string, unknown, infer W, unknown, unknown> ? W : never

/**
 * The critical failures of a step.
 *
 * @category utility types
 * @since 0.1.0
 */
export type Failure<S> = S extends Step<string, unknown, unknown, infer E, unknown> ? E : never

/**
 * The services that a step requires.
 *
 * @category utility types
 * @since 0.1.0
 */
export type Services<S> = S extends Step<string, unknown, unknown, unknown, infer R> ? R : never

/**
 * What can be a warning: a value with a tag, which becomes the code of its
 * diagnostic. `message`, `hint` and `url` are used when they are there.
 *
 * @category utility types
 * @since 0.1.0
 */
export interface Tagged {
  readonly _tag: string
}

type WarningsIn<R> = R extends Warns<infer W> ? W : never
type HostServices<R> = Exclude<R, Warns<unknown> | Current | Scope.Scope>
/** `void` stays `void`: an absent result is nothing new to who reads none. */
type Maybe<A> = [void] extends [A] ? A : A | undefined
type NeedsOf<After> = { [K in keyof After]: Needs<Name<After[K]>, Success<After[K]>> }[keyof After]
type AnyCodec<A = unknown> = Schema.Codec<A, unknown>

/**
 * Creates a step.
 *
 * **Details**
 *
 * `result` is the codec of what the step returns: later steps read it, also
 * after a restart in another process, so it must be storable. Without it the
 * result is `void`. `after` names earlier steps and gives their typed results.
 * `durability` says when the outcome must be durable: `"coalesce"` (default)
 * within 100 ms of its completion or with the end of the pass, `"sync"` before
 * the next step starts.
 *
 * The step has a scope of its own, closed when it ends; under {@link retry}
 * each try has one.
 *
 * **Gotchas**
 *
 * A step runs at least once: after a crash, a step without a stored outcome
 * runs again. Use `runId` and `step` of {@link Current} as an idempotency key.
 * A plain `Error` in the error channel absorbs all tagged errors beside it;
 * fail with tagged errors.
 *
 * **Example** (Reading the result of an earlier step)
 *
 * ```ts
 * import { Step } from "@everbeat/core"
 * import { Effect, Schema } from "effect"
 *
 * const count = Step.make("count", { result: Schema.Int }, () => Effect.succeed(3))
 * const report = Step.make("report", { after: { count } }, ({ count }) => Effect.log(`${count} issues`))
 *
 * report.after // => ["count"]
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: {
  <const Name extends string, E, R>(
    name: Name,
    body: Effect.Effect<unknown, E, R> | (() => Effect.Effect<unknown, E, R>)
  ): Step<Name, void, WarningsIn<R>, E, HostServices<R>>
  <
    const Name extends string,
    E,
    R,
    S extends AnyCodec = Schema.Void,
    const After extends Readonly<Record<string, Any>> = {}
  >(
    name: Name,
    options: {
      readonly after?: After
      readonly result?: S
      readonly durability?: "coalesce" | "sync"
    },
    body: (results: { readonly [K in keyof After]: Success<After[K]> }) => Effect.Effect<NoInfer<S["Type"]>, E, R>
  ): Step<Name, S["Type"], WarningsIn<R>, E, HostServices<R> | NeedsOf<After>>
} = Impl.make

/**
 * Records a warning; the step goes on.
 *
 * **Example** (Warning about missing owners)
 *
 * ```ts
 * import { Step } from "@everbeat/core"
 * import { Schema } from "effect"
 *
 * class MissingOwner extends Schema.TaggedError<MissingOwner>()("MissingOwner", { count: Schema.Int }) {
 *   override get message() {
 *     return `${this.count} issues have no owner.`
 *   }
 *   get hint() {
 *     return "Assign them in the tracker."
 *   }
 * }
 *
 * const check = Step.make("check", Step.warn(new MissingOwner({ count: 3 })))
 * check.name // => "check"
 * ```
 *
 * @category running
 * @since 0.1.0
 */
export const warn = <const W extends Tagged>(warning: W): Effect.Effect<void, never, Warns<W>> => Impl.warn(warning)

/**
 * Notes an issue that the step has created or changed. Anything but a valid
 * `http` or `https` URL of at most 2,048 characters is ignored.
 *
 * @category running
 * @since 0.1.0
 */
export const touch = (url: string | URL): Effect.Effect<void, never, Current> =>
  withRun((run) => Effect.sync(() => run.touch(url)))

/**
 * Moves the failures with these tags from `E` to `W`: they become warnings,
 * and the step ends without a result.
 *
 * @category combinators
 * @since 0.1.0
 */
export const warnOn =
  <const Tag extends Types.Tags<E>, E>(...tags: readonly [Tag, ...Array<Tag>]) =>
  <Name extends string, A, W, R>(
    self: Step<Name, A, W, E, R>
  ): Step<Name, Maybe<A>, W | Types.ExtractTag<E, Tag>, Types.ExcludeTag<E, Tag>, R> => Impl.warnOn(self, tags)

/**
 * Moves everything that can go wrong, defects and timeouts too, to `W`: the
 * step can never fail a pass. It then ends without a result. Apply it last.
 *
 * @category combinators
 * @since 0.1.0
 */
export const bestEffort = <Name extends string, A, W, E, R>(
  self: Step<Name, A, W, E, R>
): Step<Name, Maybe<A>, W | E, never, R> => Impl.derive(self, { critical: false, mayLack: true })

/**
 * Gives a step that ended without a result a result after all. It must fit the
 * step's `result` schema, because it is recorded.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withDefault =
  <A>(fallback: () => NoInfer<Exclude<A, undefined>>) =>
  <Name extends string, W, E, R>(self: Step<Name, A, W, E, R>): Step<Name, Exclude<A, undefined>, W, E, R> =>
    Impl.derive(self, { fallback, mayLack: false })

/**
 * Limits what was built so far, even when it ignores interruption: it is
 * interrupted, and left behind after the heartbeat's grace. Replaces the
 * heartbeat's default limit.
 *
 * @category combinators
 * @since 0.1.0
 */
export const timeout =
  (duration: Duration.Input) =>
  <Name extends string, A, W, E, R>(self: Step<Name, A, W, E, R>): Step<Name, A, W, E | StepTimeout, R> => {
    const millis = Duration.toMillis(duration)
    return Impl.wrap(
      self,
      (body) =>
        withRun((run) =>
          limit(body, {
            watch: run.pass.watch,
            millis,
            graceMillis: run.pass.graceMillis,
            onLimit: (stillRunning) => new StepTimeout({ step: self.name, millis, stillRunning })
          })
        ),
      { timed: true }
    )
  }

/**
 * Repeats the step on typed failures, as the schedule says. Warnings of a try
 * that is repeated are dropped. A step that ignored its timeout is not
 * repeated: two copies would run.
 *
 * @category combinators
 * @since 0.1.0
 */
export const retry =
  <B, E, E1, R1>(schedule: Schedule.Schedule<B, NoInfer<E>, E1, R1>) =>
  <Name extends string, A, W, R>(self: Step<Name, A, W, E, R>): Step<Name, A, W, E | E1, HostServices<R | R1>> =>
    Impl.retry(self, schedule)

/**
 * Says when the outcome of the step must be durable; see {@link make}.
 *
 * @category combinators
 * @since 0.1.0
 */
export const durability =
  (value: "coalesce" | "sync") =>
  <Name extends string, A, W, E, R>(self: Step<Name, A, W, E, R>): Step<Name, A, W, E, R> =>
    Impl.derive(self, { durability: value })
