/**
 * What the engine sees of a step. Public types carry the channels as phantoms;
 * here they are erased, which is what the casts of `Step.ts` stand for.
 */
import * as Effect from "effect/Effect"
import * as Pipeable from "effect/Pipeable"
import * as Predicate from "effect/Predicate"
import type * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { StepTimeout } from "../Fault.ts"
import { notAnEffect, notASchema, stamp } from "./copies.ts"
import { withRun } from "./stepRun.ts"

export const TypeId = "~everbeat/core/Step"

export interface StepImpl {
  readonly name: string
  readonly after: ReadonlyArray<string>
  readonly aliases: ReadonlyArray<readonly [alias: string, name: string]>
  readonly body: (results: Record<string, unknown>) => Effect.Effect<unknown, unknown>
  readonly codec: Schema.Codec<unknown, Schema.Json> | undefined
  readonly critical: boolean
  /** Whether the step may end without a result. */
  readonly mayLack: boolean
  /** Whether `Step.timeout` replaced the default limit. */
  readonly timed: boolean
  readonly durability: "coalesce" | "sync" | undefined
  readonly fallback: (() => unknown) | undefined
}

/** Stands for "no result" between a combinator and the engine. */
export const missing = Symbol.for("@everbeat/core/Step/missing")

const Proto = { [TypeId]: TypeId, ...stamp, ...Pipeable.Prototype }

const create = (impl: StepImpl): StepImpl => Object.assign(Object.create(Proto), impl)

/** A copy of a step with some of its parts replaced. */
export const derive = <S>(self: unknown, patch: Partial<StepImpl>): S =>
  Object.assign(Object.create(Proto), self, patch)

/** A copy of a step whose body is wrapped. */
export const wrap = <S>(
  self: unknown,
  f: (body: Effect.Effect<unknown, unknown>, self: StepImpl) => Effect.Effect<unknown, unknown>,
  patch?: Partial<StepImpl>
): S => {
  const impl = self as StepImpl
  return derive(impl, { body: (results) => f(Effect.suspend(() => impl.body(results)), impl), ...patch })
}

export const make = (name: string, ...rest: ReadonlyArray<unknown>): never => {
  const [only] = rest
  const [options, body] = (rest.length > 1 ? rest : [{}, Effect.isEffect(only) ? () => only : only]) as [
    MakeOptions,
    StepImpl["body"]
  ]
  if (typeof body !== "function") {
    throw new TypeError(`Step '${name}': the body must be an Effect, or a function that returns one`)
  }
  if (options.result !== undefined && !Schema.isSchema(options.result)) {
    throw new TypeError(`Step '${name}': ${notASchema}`)
  }
  const aliases = Object.entries(options.after ?? {}).map(([alias, step]) => [alias, step.name] as const)
  return create({
    name,
    aliases,
    after: aliases.map(([, name]) => name),
    codec: options.result === undefined ? undefined : Schema.toCodecJson(options.result),
    // The scope is that of one try: what a try acquired is released before the next one, and within its limit.
    body: (results) => {
      const effect = Effect.scoped(Effect.suspend(() => checked(name, body(results))))
      return options.result === undefined ? Effect.asVoid(effect) : effect
    },
    critical: true,
    mayLack: false,
    timed: false,
    durability: options.durability,
    fallback: undefined
  }) as never
}

/** For callers without the type checker: a promise, say, would only be told as "not a valid effect". */
const checked = (name: string, effect: Effect.Effect<unknown, unknown>): Effect.Effect<unknown, unknown> =>
  Effect.isEffect(effect) ? effect : Effect.die(
    new TypeError(`Step '${name}': ${notAnEffect(effect)}`)
  )

interface MakeOptions {
  readonly after?: Readonly<Record<string, { readonly name: string }>>
  readonly result?: Schema.Codec<unknown, unknown>
  readonly durability?: "coalesce" | "sync"
}

/** The requirement of the result is a phantom: it carries the type of the warning to `Step.make`. */
export const warn = (warning: unknown): Effect.Effect<void, never, never> =>
  withRun((run) => Effect.sync(() => run.warn(warning)))

export const warnOn = <S>(self: unknown, tags: ReadonlyArray<string>): S =>
  wrap(self, (body) =>
    Effect.catchIf(
      body,
      (error) => Predicate.hasProperty(error, "_tag") && tags.includes(String(error._tag)),
      (error) => Effect.as(warn(error), missing)
    ), { mayLack: true })

export const retry = <S>(self: unknown, schedule: Schedule.Schedule<unknown, never, unknown, unknown>): S =>
  wrap(self, (body) =>
    withRun((run) => {
      const mark = run.mark()
      const attempt = Effect.suspend(() => {
        run.begin(mark)
        return body
      })
      // By the types of `Step.retry` the schedule takes the failures of this body, and its services are the step's.
      return Effect.retry(attempt, {
        schedule: schedule as Schedule.Schedule<unknown, unknown, unknown, never>,
        while: (error) => !(error instanceof StepTimeout && error.stillRunning)
      })
    }))
