/** The outcome of one step as a store keeps it, so that another process can go on from here. */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { StepOutcome } from "../AgentRun.ts"
import { Diagnostic } from "../Diagnostic.ts"
import { CheckpointUnreadable } from "../PassError.ts"
import type { RunCheckpoint } from "../RunCheckpoint.ts"
import { type Live, recorded } from "./diagnose.ts"

/** How one step ended, as the engine holds it. */
export interface Ended {
  readonly outcome: StepOutcome
  /** The result as JSON text. */
  readonly result: string | undefined
  readonly warnings: ReadonlyArray<Live>
  readonly errors: ReadonlyArray<Live>
  readonly touched: Iterable<string>
  readonly droppedWarnings: number
  readonly droppedUrls: number
  /** Whether an earlier attempt recorded it. */
  readonly restored: boolean
}

/** An outcome that an earlier attempt recorded, with the hash of the step list it belongs to. */
export interface Recorded extends Ended {
  readonly list: string
}

const format = 1

const Row = Schema.Struct({
  format: Schema.Literal(format),
  list: Schema.String,
  ...StepOutcome.fields,
  warnings: Schema.Array(Diagnostic),
  errors: Schema.Array(Diagnostic),
  touched: Schema.Array(Schema.String),
  dropped: Schema.Tuple([Schema.Int, Schema.Int]),
  result: Schema.optionalKey(Schema.Json)
})
const encodeDiagnostics = Schema.encodeSync(Schema.toCodecJson(Schema.Array(Diagnostic)))
const decodeRow = Schema.decodeEffect(Schema.fromJsonString(Schema.toCodecJson(Row)))
const decodeFormat = Schema.decodeEffect(Schema.fromJsonString(Schema.Struct({ format: Schema.Int })))

const diagnostics = (live: ReadonlyArray<Live>): Schema.Json =>
  live.length === 0 ? [] : encodeDiagnostics(live.map(recorded))

/**
 * Encodes an outcome as `Row` reads it. Its own fields are written without the schema, which has nothing to refuse here and
 * was a tenth of what a pass costs. The result is JSON text already, however deep: it is put in as it is.
 */
export const encode = (list: string, ended: Ended): string => {
  const { startedAt, ...outcome } = ended.outcome
  const row = JSON.stringify({
    format,
    list,
    ...outcome,
    ...(startedAt === undefined ? undefined : { startedAt: DateTime.formatIso(startedAt) }),
    warnings: diagnostics(ended.warnings),
    errors: diagnostics(ended.errors),
    touched: [...ended.touched],
    dropped: [ended.droppedWarnings, ended.droppedUrls]
  })
  return ended.result === undefined ? row : `${row.slice(0, -1)},"result":${ended.result}}`
}

const readRow = (checkpoint: RunCheckpoint, text: string) =>
  decodeRow(text).pipe(
    Effect.catchTag("SchemaError", (error) => unreadable(checkpoint, text, error.message)),
    Effect.catchDefect(() => unreadable(checkpoint, text, "it is nested too deeply"))
  )

/** Reads the outcomes of a checkpoint back; of two for one step the newer counts. */
export const decodeAll = (
  checkpoint: RunCheckpoint
): Effect.Effect<ReadonlyMap<string, Recorded>, CheckpointUnreadable> =>
  Effect.map(
    Effect.forEach(checkpoint.messages, (text) =>
      Effect.map(
        readRow(checkpoint, text),
        ({ dropped, errors, format: _, list, result, touched, warnings, ...outcome }): [string, Recorded] => [
          outcome.name,
          {
            outcome,
            result: result === undefined ? undefined : JSON.stringify(result),
            warnings,
            errors,
            touched,
            droppedWarnings: dropped[0],
            droppedUrls: dropped[1],
            restored: true,
            list
          }
        ]
      )),
    (entries) => new Map(entries)
  )

/** What readers may know of the outcomes, without the results. */
export const recordedSteps = (checkpoint: RunCheckpoint) =>
  Effect.forEach(
    checkpoint.messages,
    (text) =>
      Effect.map(readRow(checkpoint, text), ({ attempts, errors, millis, name, startedAt, status, warnings }) => ({
        name,
        status,
        attempts,
        millis,
        ...(startedAt === undefined ? undefined : { startedAt }),
        warnings,
        errors
      }))
  )

const unreadable = (checkpoint: RunCheckpoint, text: string, detail: string) =>
  Effect.flatMap(Effect.option(decodeFormat(text)), (found) =>
    Effect.fail(
      new CheckpointUnreadable({
        runId: checkpoint.runId,
        detail: found._tag === "Some" && found.value.format > format
          ? `it has format ${found.value.format}, this version reads up to ${format}`
          : detail.slice(0, 500)
      })
    ))
