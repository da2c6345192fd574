/** Builds heartbeats of the engine out of chains of functions. */
import * as Core from "../../Heartbeat.ts"
import type { HeartbeatOptions } from "../Heartbeat.ts"
import {
  aCount,
  aDuration,
  aFunction,
  aName,
  anObject,
  anything,
  aStepName,
  type Check,
  describe,
  either,
  isRecord,
  oneOf,
  optional,
  problemsOf,
  refuse,
  strings
} from "./checks.ts"
import { normalise, NotJson } from "./normalise.ts"
import { present } from "./present.ts"
import type { Declared } from "./raise.ts"
import { retrySchedule } from "./retry.ts"
import { type AnyStep, stepOf, type StepSpec } from "./step.ts"

export const TypeId = "~everbeat/core/promise/Heartbeat"

const durability = oneOf("coalesce", "sync")

const heartbeatChecks = optional({
  warnings: strings,
  failsWith: (value) => classes(value),
  concurrency: either(aCount(1), oneOf("unbounded")),
  onCritical: oneOf("stop", "continue"),
  stepTimeout: aDuration(1),
  deadline: aDuration(1),
  grace: aDuration(0),
  durability,
  onDefinitionChange: oneOf("resume-by-name", "restart", "fail"),
  onStoreFailure: oneOf("continue", "stop"),
  maxAttempts: aCount(1)
})

const retryChecks = {
  times: aCount(0),
  ...optional({
    delay: aDuration(0),
    factor: (value: unknown) =>
      typeof value === "number" && value >= 1 && value < Infinity ? undefined : "a number of at least 1",
    maxDelay: aDuration(0),
    if: aFunction
  })
}

const classes: Check = (value) =>
  isRecord(value) && Object.values(value).every((one) => typeof one === "function")
    ? undefined
    : "an object of error classes, such as { RateLimited }"

const stepChecks = (earlier: ReadonlyArray<string>, shared: Declared | undefined, options: unknown) => {
  const own = isRecord(options) && isRecord(options["failsWith"]) ? options["failsWith"] : {}
  const fails = Object.keys({ ...shared, ...own })
  const among = (known: ReadonlyArray<string>, what: string): Check => (value) =>
    Array.isArray(value) && value.every((one) => known.includes(one))
      ? undefined
      : `an array of ${what}: ${known.length === 0 ? "there are none" : known.join(", ")}`
  return optional({
    warnings: strings,
    failsWith: classes,
    after: among(earlier, "names of earlier steps"),
    onError: oneOf("stop", "warn"),
    warnOn: among(fails, "codes of declared failures"),
    default: anything,
    retry: either(aCount(0), anObject),
    timeout: aDuration(1),
    durability
  })
}

/** The chain: what its type says of channels is only in the types. */
export class Chain {
  readonly [TypeId] = { _W: phantom, _E: phantom, _R: phantom }
  readonly name: string | undefined
  readonly steps: ReadonlyArray<string>
  private readonly options: Core.Options
  /** Failures that every step may have. */
  private readonly shared: Declared | undefined
  private readonly specs: ReadonlyArray<StepSpec>
  private readonly built = new Map<string, Core.Any<never>>()

  constructor(
    name: string | undefined,
    options: Core.Options,
    shared: Declared | undefined,
    specs: ReadonlyArray<StepSpec>
  ) {
    this.name = name
    this.options = options
    this.shared = shared
    this.specs = specs
    this.steps = specs.map((spec) => spec.name)
  }

  readonly step = (name: string, run: unknown, options: unknown = {}): Chain => {
    const where = `heartbeat(${this.name === undefined ? "" : JSON.stringify(this.name)}).step(${describe(name)})`
    const wrong = [
      ...problemsOf({ name, run }, { name: aStepName, run: aFunction }),
      ...problemsOf(options, stepChecks(this.steps, this.shared, options)),
      ...(isRecord(options) && isRecord(options["retry"]) ? problemsOf(options["retry"], retryChecks, "retry") : [])
    ]
    refuse(where, wrong)
    if (this.steps.includes(name)) {
      refuse(where, [{ option: "name", given: JSON.stringify(name), expected: "another name: it is listed twice" }])
    }
    // What the checks have found out.
    const given = { name, run, earlier: this.steps, ...(options as object) } as StepSpec
    const failsWith = this.shared === undefined && given.failsWith === undefined
      ? undefined
      : { ...this.shared, ...given.failsWith }
    const spec = { ...given, failsWith }
    checkDefault(where, spec)
    if (spec.retry !== undefined) retrySchedule(spec.retry)
    return new Chain(this.name, this.options, this.shared, [...this.specs, spec])
  }

  /** The heartbeat of the engine. */
  definition(agentName: string): Core.Any<never> {
    const name = this.name ?? agentName
    const known = this.built.get(name)
    if (known !== undefined) return known
    const byName = new Map<string, AnyStep>()
    const steps = this.specs.map((spec) => {
      const step = stepOf(spec, byName)
      byName.set(spec.name, step)
      return step
    })
    // The order was checked with every step; the types of a list that is built at run time say nothing of it.
    const made = Core.make(name, steps, this.options) as unknown as Core.Any<never>
    this.built.set(name, made)
    return made
  }
}

const phantom = (): never => {
  throw new Error("only a type")
}

const checkDefault = (where: string, spec: StepSpec): void => {
  if (spec.default === undefined) return
  try {
    normalise(spec.default)
  } catch (error) {
    const expected = error instanceof NotJson ? `a JSON value (${error.at("default")})` : "a JSON value"
    refuse(where, [{ option: "default", given: describe(spec.default), expected }])
  }
}

/** The public type of a chain is computed by the compiler; what it does is the same for all. */
export const heartbeat = (...args: ReadonlyArray<unknown>): never => {
  const [first, second] = args
  const named = typeof first === "string" || (args.length > 1 && first !== undefined)
  const options = (named ? second : first) ?? {}
  const where = `heartbeat(${named ? describe(first) : ""})`
  refuse(where, [
    ...(named ? problemsOf({ name: first }, { name: aName }) : []),
    ...problemsOf(options, heartbeatChecks)
  ])
  const { failsWith, warnings: _, ...core } = options as HeartbeatOptions
  return new Chain(typeof first === "string" ? first : undefined, present(core), failsWith, []) as never
}

export const isChain = (value: unknown): value is Chain =>
  typeof value === "object" && value !== null && TypeId in value
