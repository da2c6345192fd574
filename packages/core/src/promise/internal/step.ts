/** A step of a chain as a step of the engine. */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { ResultRefused } from "../../Fault.ts"
import { type StepRun, withRun } from "../../internal/stepRun.ts"
import * as CoreStep from "../../Step.ts"
import type { Json } from "../Json.ts"
import type { RetryOptions, StepContext } from "../Step.ts"
import { Abort } from "./abort.ts"
import { invoke } from "./invoke.ts"
import { normalise, NotJson } from "./normalise.ts"
import { type Declared, warning } from "./raise.ts"
import { retrySchedule } from "./retry.ts"

/** What was given to `step`, after its checks. */
export interface StepSpec {
  readonly name: string
  readonly run: (ctx: StepContext<Readonly<Record<string, unknown>>, string>) => unknown
  readonly earlier: ReadonlyArray<string>
  readonly after?: ReadonlyArray<string> | undefined
  readonly failsWith?: Declared | undefined
  readonly onError?: "stop" | "warn" | undefined
  readonly warnOn?: ReadonlyArray<string> | undefined
  readonly default?: unknown
  readonly retry?: number | RetryOptions | undefined
  readonly timeout?: Duration.Input | undefined
  readonly durability?: "coalesce" | "sync" | undefined
}

/** A result, or none: JSON has no `undefined`. */
const Result = Schema.Array(Schema.Json)
type Result = ReadonlyArray<Json>

export type AnyStep = CoreStep.Step<string, Result | undefined, unknown, unknown, never>

const resultOf = (value: unknown): Result => {
  if (value === undefined) return []
  try {
    return [normalise(value)]
  } catch (error) {
    throw error instanceof NotJson ? new ResultRefused({ issue: error.at("result") }) : error
  }
}

const contextOf = (
  run: StepRun,
  results: Readonly<Record<string, unknown>>,
  abort: Abort
): StepContext<Readonly<Record<string, unknown>>, string> => ({
  runId: run.runId,
  agentName: run.agentName,
  step: run.step,
  attempt: run.attempt,
  fence: run.fence,
  payload: run.payload,
  get signal() {
    return abort.signal
  },
  results,
  warn: (code, message, options) => {
    try {
      run.warn(warning(code, message, options))
    } catch {
      run.warn(warning(code, message, undefined)) // its options throw when they are looked at
    }
  },
  touch: (url) => {
    try {
      run.touch(url)
    } catch {
      // What cannot even be looked at is no URL.
    }
  }
})

const bodyOf = (spec: StepSpec) => (results: Readonly<Record<string, Result | undefined>>) =>
  withRun((run) =>
    Effect.suspend(() => {
      const abort = new Abort()
      const read = Object.fromEntries(Object.entries(results).map(([name, result]) => [name, result?.[0]]))
      const ctx = contextOf(run, read, abort)
      return Effect.map(invoke(() => spec.run(ctx), abort, spec.failsWith), resultOf)
    })
  )

/** The step of the engine. `steps` has the earlier ones. */
export const stepOf = (spec: StepSpec, steps: ReadonlyMap<string, AnyStep>): AnyStep => {
  const after = Object.fromEntries((spec.after ?? spec.earlier).flatMap((name) => {
    const step = steps.get(name)
    return step === undefined ? [] : [[name, step]]
  }))
  const options = { after, result: Result, ...(spec.durability && { durability: spec.durability }) }
  // The chain has checked the order: `Needs` says nothing of a list that is built at run time.
  let step = CoreStep.make(spec.name, options, bodyOf(spec)) as unknown as AnyStep
  // A limit is that of one try, so it is inside of the tries.
  if (spec.timeout !== undefined) step = CoreStep.timeout(spec.timeout)(step)
  if (spec.retry !== undefined && spec.retry !== 0) step = CoreStep.retry(retrySchedule(spec.retry))(step)
  if (spec.warnOn !== undefined && spec.warnOn.length > 0) step = warnOn(step, spec.warnOn)
  if (spec.onError === "warn") step = CoreStep.bestEffort(step)
  if (spec.default !== undefined) step = CoreStep.withDefault<Result | undefined>(() => resultOf(spec.default))(step)
  return step
}

/** Codes are tags of what `raise` makes. */
const warnOn = (step: AnyStep, codes: ReadonlyArray<string>): AnyStep => {
  const [first = "", ...rest] = codes
  const move = CoreStep.warnOn<string, { readonly _tag: string }>(first, ...rest)
  return move(step as CoreStep.Step<string, Result | undefined, unknown, { readonly _tag: string }, never>)
}
