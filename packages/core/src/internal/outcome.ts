/** The outcome of one step as a store keeps it, so that another process can go on from here. */
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
  readonly result: Schema.Json | undefined
  readonly warnings: ReadonlyArray<Live>
  readonly errors: ReadonlyArray<Live>
  readonly touched: Iterable<string>
  readonly droppedWarnings: number
  readonly droppedUrls: number
  /** Whether an earlier attempt recorded it. */
  readonly restored: boolean
}

const format = 1

const Row = Schema.Struct({
  format: Schema.Literal(format),
  ...StepOutcome.fields,
  result: Schema.optionalKey(Schema.Json),
  warnings: Schema.Array(Diagnostic),
  errors: Schema.Array(Diagnostic),
  touched: Schema.Array(Schema.String),
  dropped: Schema.Tuple([Schema.Int, Schema.Int])
})
const RowText = Schema.fromJsonString(Schema.toCodecJson(Row))
const encodeRow = Schema.encodeSync(RowText)
const decodeRow = Schema.decodeEffect(RowText)
const FormatText = Schema.fromJsonString(Schema.Struct({ format: Schema.Int }))
const decodeFormat = Schema.decodeEffect(FormatText)

/** Encodes an outcome. Cannot fail: results were encoded by the step's codec before, texts were clipped. */
export const encode = (ended: Ended): string =>
  encodeRow({
    format,
    ...ended.outcome,
    ...(ended.result === undefined ? undefined : { result: ended.result }),
    warnings: ended.warnings.map(recorded),
    errors: ended.errors.map(recorded),
    touched: [...ended.touched],
    dropped: [ended.droppedWarnings, ended.droppedUrls]
  })

/** Reads the outcomes of a checkpoint back; of two for one step the newer counts. */
export const decodeAll = (
  checkpoint: RunCheckpoint
): Effect.Effect<ReadonlyMap<string, Ended>, CheckpointUnreadable> =>
  Effect.map(
    Effect.forEach(checkpoint.messages, (text) =>
      decodeRow(text).pipe(
        Effect.map(({ dropped, errors, format: _, result, touched, warnings, ...outcome }): [string, Ended] => [
          outcome.name,
          {
            outcome,
            result,
            warnings,
            errors,
            touched,
            droppedWarnings: dropped[0],
            droppedUrls: dropped[1],
            restored: true
          }
        ]),
        Effect.catchTag("SchemaError", (error) => unreadable(checkpoint, text, error.message))
      )),
    (entries) => new Map(entries)
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
