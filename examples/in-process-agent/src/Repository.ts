import { Effect, FileSystem, Path } from "effect"
import { git } from "./Git.ts"

/** The files that the repository begins with. */
export const files = {
  "README.md": "# Project\n",
  "package.json": `${JSON.stringify({ name: "project", private: true, type: "module" }, null, 2)}\n`
}

/** Creates a git repository with one commit on `main`, as a user would have it. */
export const create = Effect.fn("Repository.create")(function*(root: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const folder = path.join(root, "project")
  yield* fs.makeDirectory(folder)
  yield* git(folder, "init", "--quiet", "--initial-branch=main")
  yield* git(folder, "config", "user.name", "Coder")
  yield* git(folder, "config", "user.email", "coder@example.com")
  for (const [name, text] of Object.entries(files)) yield* fs.writeFileString(path.join(folder, name), text)
  yield* git(folder, "add", "--all")
  yield* git(folder, "commit", "--quiet", "-m", "Begin")

  return {
    folder,
    /** A checkout for one agent, on a branch of its own: the user's stays as it is. */
    checkout: (name: string) => {
      const target = path.join(root, name)
      return Effect.as(git(folder, "worktree", "add", "--quiet", "-b", `coder/${name}`, target), target)
    },
    /** The commit of `main`, and whether the user's checkout is as it was. */
    main: Effect.map(
      Effect.all([git(folder, "rev-parse", "main"), git(folder, "status", "--porcelain", "--branch")]),
      (lines) => lines.join("\n")
    ),
    /** The snapshots of runs, as branches that people see, and as refs that they do not. */
    checkpoints: Effect.map(
      git(folder, "for-each-ref", "--format=%(refname)", "refs/heads/checkpoint", "refs/everbeat"),
      (output) => output.split("\n").filter((line) => line !== "")
    ),
    /** The files of a commit. */
    filesOf: Effect.fnUntraced(function*(commit: string) {
      const names = (yield* git(folder, "ls-tree", "-r", "--name-only", commit)).split("\n")
      const texts = yield* Effect.forEach(names, (name) => git(folder, "show", `${commit}:${name}`))
      return Object.fromEntries(names.map((name, index) => [name, texts[index]]))
    }),
    git: (...args: ReadonlyArray<string>) => git(folder, ...args)
  }
})

export type Repository = Effect.Success<ReturnType<typeof create>>
