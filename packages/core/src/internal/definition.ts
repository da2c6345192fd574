/** What the engine computes once per heartbeat definition. */
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Any, Options } from "../Heartbeat.ts"
import { refuseForeign, stamp } from "./copies.ts"
import { fnv1a } from "./fnv.ts"
import { type StepImpl, TypeId as StepTypeId } from "./stepImpl.ts"

export const TypeId = "~everbeat/core/Heartbeat"

export interface CompiledStep extends StepImpl {
  /** Positions of the steps that this one runs after. */
  readonly dependencies: ReadonlyArray<number>
  readonly sync: boolean
  /** The codec of its result, ready to be used. */
  readonly encode: ((result: unknown) => Effect.Effect<Schema.Json, Schema.SchemaError>) | undefined
}

export interface Definition {
  readonly name: string
  readonly hash: string
  readonly steps: ReadonlyArray<CompiledStep>
  readonly concurrency: number
  readonly stopOnCritical: boolean
  readonly stopOnStoreFailure: boolean
  readonly stepMillis: number
  readonly deadlineMillis: number
  readonly graceMillis: number
  readonly onDefinitionChange: "resume-by-name" | "restart" | "fail"
  readonly maxAttempts: number
}

const encoder = new TextEncoder()

/** Refuses what would only fail later, with a message that says what to change. */
const check = (name: string, steps: ReadonlyArray<StepImpl>): void => {
  const seen = new Set<string>()
  const all = new Set(steps.map((step) => step.name))
  const refuse = (problem: string): never => {
    throw new TypeError(`Heartbeat '${name}': ${problem}`)
  }
  if (steps.length === 0) refuse("list at least one step")
  for (const step of steps) {
    refuseForeign(`Heartbeat '${name}': the step '${step.name}'`, StepTypeId, step, "Step.make")
    if (step.name.trim() === "" || encoder.encode(step.name).length > 128) {
      refuse("a step needs a name of 1 to 128 bytes")
    }
    if (seen.has(step.name)) refuse(`'${step.name}' is listed twice`)
    for (const dependency of step.after) {
      if (dependency === step.name) refuse(`'${step.name}' runs after itself`)
      if (!all.has(dependency)) refuse(`'${step.name}' runs after '${dependency}', which is not listed`)
      if (!seen.has(dependency)) {
        const other = steps.find(({ name }) => name === dependency)
        refuse(
          other?.after.includes(step.name) === true
            ? `'${step.name}' and '${dependency}' run after each other`
            : `list '${dependency}' before '${step.name}', which runs after it`
        )
      }
    }
    seen.add(step.name)
  }
}

const count = (heartbeat: string, option: string, value: number): number => {
  if (!Number.isInteger(value) || value < 1) {
    throw new TypeError(`Heartbeat '${heartbeat}': ${option} must be a whole number of at least 1`)
  }
  return value
}

const millis = (heartbeat: string, option: string, value: Duration.Input): number => {
  const result = Duration.toMillis(value)
  if (!(result > 0)) throw new TypeError(`Heartbeat '${heartbeat}': ${option} must be longer than 0`)
  return result
}

const compile = (name: string, steps: ReadonlyArray<StepImpl>, options: Options): Definition => {
  if (name.trim() === "") throw new TypeError("A heartbeat needs a name")
  check(name, steps)
  const position = new Map(steps.map((step, index) => [step.name, index]))
  const sync = (step: StepImpl): boolean => (step.durability ?? options.durability) === "sync"
  return {
    name,
    // What decides whether recorded outcomes still mean the same: names, order and what is read from whom.
    hash: fnv1a(JSON.stringify(steps.map((step) => [step.name, step.aliases, step.codec !== undefined])))
      .toString(16).padStart(8, "0"),
    steps: steps.map((step) => ({
      ...step,
      dependencies: step.after.map((dependency) => position.get(dependency) ?? 0),
      sync: sync(step),
      encode: step.codec === undefined ? undefined : Schema.encodeUnknownEffect(step.codec)
    })),
    concurrency: options.concurrency === "unbounded"
      ? Infinity
      : count(name, "concurrency", options.concurrency ?? 1),
    stopOnCritical: (options.onCritical ?? "stop") === "stop",
    stopOnStoreFailure: options.onStoreFailure === "stop",
    stepMillis: millis(name, "stepTimeout", options.stepTimeout ?? "30 seconds"),
    deadlineMillis: millis(name, "deadline", options.deadline ?? "2 minutes"),
    graceMillis: millis(name, "grace", options.grace ?? "1 second"),
    onDefinitionChange: options.onDefinitionChange ?? "resume-by-name",
    maxAttempts: count(name, "maxAttempts", options.maxAttempts ?? 3)
  }
}

/** The public type carries the channels as phantoms; the engine reads the definition behind it. */
export const build = <H>(name: string, steps: unknown, options: Options): H => {
  const impls = [...(steps as Iterable<StepImpl>)]
  const definition = compile(name, impls, options)
  return Object.freeze({ [TypeId]: TypeId, ...stamp, name, steps: impls, hash: definition.hash, definition }) as H
}

export const definitionOf = (self: Any): Definition => {
  refuseForeign(`Heartbeat '${self?.name}'`, TypeId, self, "Heartbeat.make")
  return (self as Any & { readonly definition: Definition }).definition
}
