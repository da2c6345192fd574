/** What the processes of the demo did, line by line: written before a process can be killed, read by the demo. */
import { Context, Effect, FileSystem, Layer, Option, Schema } from "effect"

const common = { pid: Schema.Int, attempt: Schema.Int }

/** A line of the journal. */
export const Line = Schema.Union([
  /** A process looks for interrupted runs. */
  Schema.Struct({ event: Schema.Literal("ready"), pid: Schema.Int }),
  /** An attempt begins: where it goes on, and what the agent is told. */
  Schema.Struct({
    event: Schema.Literal("attempt"),
    ...common,
    runId: Schema.String,
    reason: Schema.String,
    iteration: Schema.Int,
    input: Schema.String,
    cwd: Schema.String,
    inPlace: Schema.Boolean
  }),
  /** An iteration begins to change something. */
  Schema.Struct({ event: Schema.Literal("executing"), ...common, iteration: Schema.Int, title: Schema.String }),
  /** The store has acknowledged an iteration. */
  Schema.Struct({ event: Schema.Literal("saved"), ...common, iteration: Schema.Int, title: Schema.String }),
  /** An attempt was stopped, and its newest state is in the store. */
  Schema.Struct({ event: Schema.Literal("stopped"), ...common, reason: Schema.String }),
  /** A process sees that the run has ended. */
  Schema.Struct({ event: Schema.Literal("ended"), pid: Schema.Int })
])

export type Line = typeof Line.Type

type Entry<L = Line> = L extends Line ? Omit<L, "pid"> : never

const Text = Schema.fromJsonString(Line)
const decode = Schema.decodeOption(Text)
const encode = Schema.encodeSync(Text)

export class Journal extends Context.Service<Journal, {
  /** Writes a line. It is on the disk afterwards. */
  readonly write: (entry: Entry) => Effect.Effect<void>
}>()("Journal") {
  static readonly layerFile = (path: string): Layer.Layer<Journal, never, FileSystem.FileSystem> =>
    Layer.effect(
      Journal,
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        // Appended by one call each: the lines of several processes do not mix.
        const file = yield* Effect.orDie(fs.open(path, { flag: "a" }))
        return {
          write: (entry) =>
            file.writeAll(new TextEncoder().encode(`${encode({ ...entry, pid: process.pid })}\n`)).pipe(
              Effect.andThen(file.sync),
              Effect.orDie,
              Effect.uninterruptible
            )
        }
      })
    )

  /** Into an array, for tests. */
  static readonly layerArray = (lines: Array<Line>): Layer.Layer<Journal> =>
    Layer.succeed(Journal, {
      write: (entry) =>
        Effect.sync(() => {
          lines.push({ ...entry, pid: process.pid })
        })
    })
}

/** The lines that are complete. */
export const read = Effect.fnUntraced(function*(path: string) {
  const fs = yield* FileSystem.FileSystem
  const text = yield* Effect.orElseSucceed(fs.readFileString(path), () => "")
  return text.split("\n").slice(0, -1).flatMap((line) => Option.toArray(decode(line)))
})
