import { Effect, Schema, Stream } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"

/** A command that could not be run, or did not succeed. */
export class CommandFailed extends Schema.TaggedError<CommandFailed>()("CommandFailed", {
  command: Schema.String,
  output: Schema.String
}) {
  override get message(): string {
    return `${this.command}: ${this.output}`
  }
}

/** Runs a program in a folder until it ends. */
export const execute = Effect.fnUntraced(
  function*(cwd: string, command: string, args: ReadonlyArray<string>, env: Record<string, string | undefined>) {
    const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
    const handle = yield* spawner.spawn(ChildProcess.make(command, [...args], { cwd, env, extendEnv: true }))
    const output = yield* Stream.mkString(Stream.decodeText(handle.all))
    return { code: Number(yield* handle.exitCode), output: output.trim() }
  },
  Effect.scoped,
  (effect, _, command) => Effect.mapError(effect, ({ message }) => new CommandFailed({ command, output: message }))
)

/** A repository that a hook of another one may have named, and nothing of the configuration of the machine. */
const isolated = {
  GIT_DIR: undefined,
  GIT_WORK_TREE: undefined,
  GIT_INDEX_FILE: undefined,
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_CONFIG_GLOBAL: "/dev/null"
}

/** Runs git in a folder and answers what it prints. */
export const git = Effect.fn("git")(function*(cwd: string, ...args: ReadonlyArray<string>) {
  const { code, output } = yield* execute(cwd, "git", args, isolated)
  if (code !== 0) return yield* new CommandFailed({ command: `git ${args.join(" ")}`, output })
  return output
})
