/** What the exit of a step means: its errors, its warnings and its result. */
import type * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import { Defect, ResultRefused, StepInterrupted } from "../Fault.ts"
import type { CompiledStep } from "./definition.ts"
import { fromValue, type Live, valuesOf } from "./diagnose.ts"
import { missing } from "./stepImpl.ts"
import type { StepRun } from "./stepRun.ts"

export interface Verdict {
  readonly errors: ReadonlyArray<Live>
  /** What later steps read. */
  readonly result: unknown
}

/**
 * Judges how a step ended. `limit` is the fault of a step that was stopped or
 * left behind. Warnings go to the run of the step.
 */
export const judge = (
  step: CompiledStep,
  run: StepRun,
  exit: Exit.Exit<unknown, unknown> | undefined,
  limit: unknown,
  at: DateTime.Utc
): Verdict => {
  const error = (value: unknown): Live => fromValue("error", step.name, value, at)
  if (limit === undefined && exit !== undefined && Exit.isSuccess(exit)) return conclude(step, run, exit.value, error)
  const values = limit !== undefined || exit === undefined ? [limit] : Exit.isFailure(exit) ? valuesOf(exit.cause) : []
  if (values.length === 0) {
    return { errors: [error(new StepInterrupted({ step: step.name }))], result: undefined }
  }
  if (step.critical) return { errors: values.map(error), result: undefined }
  for (const value of values) run.warn(value)
  return conclude(step, run, missing, error)
}

/** Gives a step that ended without a result its default; a default that the schema refuses is a failure. */
const conclude = (
  step: CompiledStep,
  run: StepRun,
  value: unknown,
  error: (value: unknown) => Live
): Verdict => {
  if (value !== missing && !(value === undefined && step.fallback !== undefined)) return { errors: [], result: value }
  run.encoded = undefined
  if (step.fallback === undefined) return { errors: [], result: undefined }
  try {
    const result = step.fallback()
    if (step.codec !== undefined) run.encoded = jsonText(Schema.encodeUnknownSync(step.codec)(result))
    return { errors: [], result }
  } catch (cause) {
    const refused = cause instanceof ResultRefused
      ? cause
      : Schema.isSchemaError(cause)
      ? new ResultRefused({ issue: cause.message })
      : new Defect({ cause })
    return { errors: [error(refused)], result: undefined }
  }
}

/** Refuses at the step itself a result that could not be stored or read back later. */
export const accept = (
  step: CompiledStep,
  run: StepRun,
  body: Effect.Effect<unknown, unknown>
): Effect.Effect<unknown, unknown> => {
  const { encode } = step
  if (encode === undefined) return body
  return Effect.flatMap(body, (value) =>
    value === missing ? Effect.succeed(value) : Effect.matchEffect(encode(value), {
      onSuccess: (encoded) =>
        Effect.sync(() => {
          run.encoded = jsonText(encoded)
          return value
        }),
      onFailure: (error) => Effect.die(new ResultRefused({ issue: error.message }))
    }))
}

const isJson = Schema.is(Schema.Json)

/** The text that is stored of a result, made at once: what happens to the value later is not in it. */
const jsonText = (encoded: unknown): string => {
  try {
    if (isJson(encoded)) return JSON.stringify(encoded)
  } catch {
    throw new ResultRefused({ issue: "it is nested too deeply or refers to itself" })
  }
  throw new ResultRefused({ issue: "its codec gives something that is not JSON" })
}
