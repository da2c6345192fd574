import { Effect, FileSystem, Path } from "effect"
import type { ChildProcessSpawner } from "effect/process"
import { type CommandFailed, git } from "./Git.ts"

/** The files that the repository begins with. */
export const files = {
  "README.md": "# Project\n",
  "package.json": `${JSON.stringify({ name: "project", private: true, type: "module" }, null, 2)}\n`
}

/** A git repository of a user. */
export interface Repository {
  readonly folder: string
  /** Makes a checkout for one agent, on a branch of its own: the user's stays as it is. */
  readonly checkout: (name: string) => Effect.Effect<string, CommandFailed>
  /** The commit of `main`, and whether the user's checkout is as it was. */
  readonly main: Effect.Effect<string, CommandFailed>
  /** The snapshots of runs: branches that people see, and refs that they do not. */
  readonly checkpoints: Effect.Effect<ReadonlyArray<string>, CommandFailed>
  /** The texts of the files of a commit, without the space around them. */
  readonly filesOf: (commit: string) => Effect.Effect<Readonly<Record<string, string>>, CommandFailed>
  /** Runs git in the user's checkout. */
  readonly git: (...args: ReadonlyArray<string>) => Effect.Effect<string, CommandFailed>
}

/** Creates a repository with one commit on `main`. */
export const create = Effect.fn("Repository.create")(function*(
  root: string
): Effect.fn.Return<
  Repository,
  CommandFailed,
  ChildProcessSpawner.ChildProcessSpawner | FileSystem.FileSystem | Path.Path
> {
  const context = yield* Effect.context<ChildProcessSpawner.ChildProcessSpawner>()
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const folder = path.join(root, "project")
  const run = (...args: ReadonlyArray<string>) => Effect.provideContext(git(folder, ...args), context)

  yield* Effect.orDie(fs.makeDirectory(folder))
  for (const [name, text] of Object.entries(files)) {
    yield* Effect.orDie(fs.writeFileString(path.join(folder, name), text))
  }
  yield* run("init", "--quiet", "--initial-branch=main")
  yield* run("config", "user.name", "Coder")
  yield* run("config", "user.email", "coder@example.com")
  yield* run("add", "--all")
  yield* run("commit", "--quiet", "-m", "Begin")

  return {
    folder,
    checkout: (name) => {
      const target = path.join(root, name)
      return Effect.as(run("worktree", "add", "--quiet", "-b", `coder/${name}`, target), target)
    },
    main: Effect.map(
      Effect.all([run("rev-parse", "main"), run("status", "--porcelain", "--branch")]),
      (lines) => lines.join("\n")
    ),
    checkpoints: Effect.map(
      run("for-each-ref", "--format=%(refname)", "refs/heads/checkpoint", "refs/everbeat"),
      (output) => output.split("\n").filter((line) => line !== "")
    ),
    filesOf: Effect.fnUntraced(function*(commit) {
      const names = (yield* run("ls-tree", "-r", "--name-only", commit)).split("\n")
      const entries = yield* Effect.forEach(
        names,
        (name) => Effect.map(run("show", `${commit}:${name}`), (text) => [name, text] as const)
      )
      return Object.fromEntries(entries)
    }),
    git: run
  }
})
