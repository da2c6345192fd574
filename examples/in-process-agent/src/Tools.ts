import type { AgentContext, Transcript } from "@everbeat/core"
import { Context, Effect, FileSystem, Layer, Path, Schema } from "effect"
import type { ChildProcessSpawner } from "effect/process"
import { execute, git } from "./Git.ts"

/** A tool that could not do what it was asked to. The model is told, and may try something else. */
export class ToolFailed extends Schema.TaggedError<ToolFailed>()("ToolFailed", { reason: Schema.String }) {
  override get message(): string {
    return this.reason
  }
}

/** The work of the agent, for whoever reviews it. */
export const Work = Schema.Struct({ branch: Schema.String, commit: Schema.String })

/** The calls that the model may make. */
const Call = Schema.Union([
  Schema.Struct({
    name: Schema.Literals(["write_file", "append_file"]),
    input: Schema.Struct({ path: Schema.String, text: Schema.String })
  }),
  Schema.Struct({ name: Schema.Literal("run_tests"), input: Schema.Struct({}) })
])

const decodeCall = Schema.decodeUnknownEffect(Call)

const readOnly = new Set(["run_tests"])

/** The files of a folder, and what can be done with all of them. */
export interface Folder {
  /** `undefined` when there is no such file. */
  readonly read: (path: string) => Effect.Effect<string | undefined, ToolFailed>
  readonly write: (path: string, text: string) => Effect.Effect<void, ToolFailed>
  readonly test: Effect.Effect<string, ToolFailed>
  readonly commit: (message: string) => Effect.Effect<typeof Work.Type, ToolFailed>
}

/** Gives the tools their hands. */
export class Tools extends Context.Service<Tools, {
  readonly in: (cwd: string) => Folder
}>()("Tools") {
  /** On the disk, with git. */
  static readonly layer: Layer.Layer<
    Tools,
    never,
    ChildProcessSpawner.ChildProcessSpawner | FileSystem.FileSystem | Path.Path
  > = Layer.effect(
    Tools,
    Effect.gen(function*() {
      const context = yield* Effect.context<ChildProcessSpawner.ChildProcessSpawner>()
      const fs = yield* FileSystem.FileSystem
      const path = yield* Path.Path

      const inside = (cwd: string, file: string) => {
        const target = path.resolve(cwd, file)
        return target.startsWith(path.resolve(cwd) + path.sep)
          ? Effect.succeed(target)
          : Effect.fail(new ToolFailed({ reason: `${file} is outside of the folder` }))
      }

      return {
        in: (cwd) => ({
          read: (file) =>
            Effect.flatMap(inside(cwd, file), (target) => fs.readFileString(target)).pipe(
              Effect.catchIf(
                (error) => error._tag === "PlatformError" && error.reason._tag === "NotFound",
                () => Effect.undefined
              ),
              Effect.mapError(failed)
            ),
          write: (file, text) =>
            Effect.gen(function*() {
              const target = yield* inside(cwd, file)
              yield* fs.makeDirectory(path.dirname(target), { recursive: true })
              yield* fs.writeFileString(target, text)
            }).pipe(Effect.mapError(failed)),
          test: execute(cwd, process.execPath, ["--test"], { NODE_OPTIONS: undefined, NODE_TEST_CONTEXT: undefined })
            .pipe(
              Effect.flatMap(({ code, output }) =>
                code === 0
                  ? Effect.succeed(`${/pass (\d+)/.exec(output)?.[1] ?? "no"} tests passed`)
                  : Effect.fail(new ToolFailed({ reason: output.slice(-2000) }))
              ),
              Effect.mapError(failed),
              Effect.provideContext(context)
            ),
          // Done twice it is done once: what is committed already leaves nothing to commit.
          commit: (message) =>
            Effect.gen(function*() {
              yield* git(cwd, "add", "--all")
              const changes = yield* git(cwd, "status", "--porcelain")
              if (changes !== "") yield* git(cwd, "commit", "--quiet", "-m", message)
              return {
                branch: yield* git(cwd, "rev-parse", "--abbrev-ref", "HEAD"),
                commit: yield* git(cwd, "rev-parse", "HEAD")
              }
            }).pipe(Effect.mapError(failed), Effect.provideContext(context))
        })
      }
    })
  )
}

/**
 * Carries out a call of the model and answers it.
 *
 * `checkpoint.tool` records that a call which changes something begins, before it does, and how it ended: an agent that is
 * resumed after a crash is told of calls that may have taken effect. The files can be ahead of the conversation then,
 * so each tool may be called again: see `append`.
 */
export const answer = Effect.fn("Tools.answer")(function*(
  { checkpoint }: AgentContext.AgentContext<Transcript.Message>,
  folder: Folder,
  call: Transcript.Call
) {
  const { id, name } = call
  const mutates = !readOnly.has(name)
  return yield* checkpoint.tool({ id, name, mutates, result: Schema.String }, perform(folder, call)).pipe(
    Effect.map((content): Transcript.Message => ({ role: "tool", callId: id, content })),
    Effect.catchTag(
      "ToolFailed",
      ({ message }) => Effect.succeed<Transcript.Message>({ role: "tool", callId: id, content: message, isError: true })
    )
  )
})

// internal

const failed = (error: { readonly message: string }): ToolFailed => new ToolFailed({ reason: error.message })

const perform = Effect.fnUntraced(function*(folder: Folder, { input, name }: Transcript.Call) {
  const call = yield* Effect.mapError(decodeCall({ name, input }), failed)
  switch (call.name) {
    case "write_file":
      yield* folder.write(call.input.path, call.input.text)
      return `wrote ${call.input.path}`
    case "append_file":
      return yield* append(folder, call.input.path, call.input.text)
    case "run_tests":
      return yield* folder.test
  }
})

/** What is there already is not appended again. */
const append = Effect.fnUntraced(function*(folder: Folder, path: string, text: string) {
  const before = (yield* folder.read(path)) ?? ""
  if (before.includes(text)) return `${path} has it already`
  yield* folder.write(path, before + text)
  return `appended to ${path}`
})
