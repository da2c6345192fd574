import { NodeChildProcessSpawner, NodeFileSystem, NodePath } from "@effect/platform-node-shared"
import { assert } from "@effect/vitest"
import { AgentName, RunId, Workspace, type WorkspaceSnapshot } from "@everbeat/core"
import { GitWorkspace } from "@everbeat/workspace-git"
import { Context, Effect, Layer } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { execFileSync, spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"

/** The git of the tests: nobody's configuration, so that a machine's own one decides nothing. */
const plain: NodeJS.ProcessEnv = {
  NODE_ENV: "test",
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("GIT_"))),
  GIT_CONFIG_GLOBAL: "/dev/null",
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_AUTHOR_NAME: "user",
  GIT_AUTHOR_EMAIL: "user@example.com",
  GIT_COMMITTER_NAME: "user",
  GIT_COMMITTER_EMAIL: "user@example.com",
  LC_ALL: "C"
}

export const git = (cwd: string, ...args: ReadonlyArray<string>): string =>
  execFileSync("git", args, { cwd, env: plain, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trimEnd()

export const gitCode = (cwd: string, ...args: ReadonlyArray<string>): number =>
  spawnSync("git", args, { cwd, env: plain, stdio: "ignore" }).status ?? -1

/** A folder that is removed when the test ends. */
const folder = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => realpathSync(mkdtempSync(join(tmpdir(), "everbeat-git-")))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true, maxRetries: 3 }))
  ),
  (path) => join(path, "repo")
)

export const write = (root: string, path: string, data: string | Uint8Array): void => {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), data)
}

export const commit = (cwd: string, message = "commit"): string => {
  git(cwd, "add", "-A")
  git(cwd, "commit", "-q", "--allow-empty", "-m", message)
  return git(cwd, "rev-parse", "HEAD")
}

/** A repository on the branch main, with a few files. */
export const repository = Effect.fnUntraced(function*(...init: ReadonlyArray<string>) {
  const root = yield* folder
  mkdirSync(root)
  git(root, "init", "-q", "-b", "main", ...init)
  for (const index of [1, 2, 3]) write(root, `src/file${index}.txt`, `one ${index}\ntwo\nthree\n`)
  write(root, "README.md", "read me\n")
  commit(root, "base")
  return root
})

const platform = NodeChildProcessSpawner.layer.pipe(
  Layer.provideMerge(Layer.merge(NodeFileSystem.layer, NodePath.layer))
)

/** What happens around each command. */
export interface Hooks {
  readonly before?: (command: string, args: ReadonlyArray<string>) => void
  readonly binaryFor?: (command: string, args: ReadonlyArray<string>) => string | undefined
}

const commandOf = (args: ReadonlyArray<string>): string => {
  let at = 0
  while (args[at] === "-c") at += 2
  return args[at] ?? ""
}

/** A workspace whose commands can be counted, and disturbed. */
export const workspace = (options: GitWorkspace.Options = {}, hooks: Hooks = {}) => {
  const commands: Array<string> = []
  const spawner = Layer.effect(
    ChildProcessSpawner.ChildProcessSpawner,
    Effect.map(ChildProcessSpawner.ChildProcessSpawner, (inner) =>
      ChildProcessSpawner.make((command) => {
        if (command._tag !== "StandardCommand") return inner.spawn(command)
        const args = command.args.map(String)
        const name = commandOf(args)
        commands.push(name)
        return Effect.suspend(() => {
          hooks.before?.(name, args)
          const binary = hooks.binaryFor?.(name, args)
          return inner.spawn(binary === undefined ? command : ChildProcess.make(binary, args, command.options))
        })
      }))
  ).pipe(Layer.provideMerge(platform))
  return Effect.map(
    Layer.build(GitWorkspace.layerPlatform(options).pipe(Layer.provide(spawner))),
    (context) => ({ ...Context.get(context, Workspace.Workspace), commands })
  )
}

const agent = AgentName.make("coder")

export const newRun = (): RunId.RunId => RunId.make(agent)

/** Takes a snapshot and asserts that one was taken. */
export const take = Effect.fnUntraced(function*(
  workspace: Workspace.Workspace["Service"],
  input: Partial<Workspace.SnapshotInput> & { readonly cwd: string; readonly runId?: RunId.RunId }
) {
  const result = yield* workspace.snapshot({ runId: newRun(), reason: "timeout", ...input })
  assert(result._tag === "Taken", result._tag)
  return result
})

export const snapshotOf = (
  workspace: Workspace.Workspace["Service"],
  input: Partial<Workspace.SnapshotInput> & { readonly cwd: string; readonly runId?: RunId.RunId }
) => Effect.map(take(workspace, input), ({ snapshot }) => snapshot)

const sha = (data: Uint8Array): string => createHash("sha256").update(data).digest("hex")

/** Every file of a folder but git's own: mode, and a hash or the target of the link. Paths are bytes. */
export const treeOf = (root: string): Record<string, string> => {
  const found: Record<string, string> = {}
  const visit = (folder: Buffer, prefix: string): void => {
    for (const name of readdirSync(folder, { encoding: "buffer" })) {
      const path = prefix + name.toString("latin1")
      const full = Buffer.concat([folder, Buffer.from("/"), name])
      if (name.toString("latin1") === ".git") continue
      const stat = lstatSync(full)
      if (stat.isDirectory()) visit(full, `${path}/`)
      else if (stat.isSymbolicLink()) found[path] = `link ${readlinkSync(full, "latin1")}`
      else found[path] = `${stat.mode & 0o100 ? "x" : "-"} ${sha(readFileSync(full))}`
    }
  }
  visit(Buffer.from(root), "")
  return found
}

/** Everything of the user that a snapshot must not touch, by content and by time. */
export const userState = (root: string): Record<string, unknown> => {
  const gitDir = git(root, "rev-parse", "--absolute-git-dir")
  const files = ["HEAD", "index", "config", "refs/stash", "logs/HEAD", "logs/refs/stash", "FETCH_HEAD", "ORIG_HEAD"]
  const state = (file: string): unknown => {
    const stat = lstatSync(file, { throwIfNoEntry: false })
    return stat === undefined ? "absent" : [stat.mtimeMs, stat.ino, stat.isFile() ? sha(readFileSync(file)) : ""]
  }
  return {
    ...Object.fromEntries(files.map((file) => [file, state(join(gitDir, file))])),
    files: Object.keys(treeOf(root)).map((path) => [path, lstatSync(Buffer.from(`${root}/${path}`, "latin1")).mtimeMs]),
    branches: git(root, "for-each-ref", "--format=%(refname) %(objectname)", "refs/heads", "refs/tags", "refs/remotes")
      .split("\n").filter((line) => !line.startsWith("refs/heads/checkpoint/"))
  }
}

export const refsIn = (root: string): ReadonlyArray<string> =>
  git(root, "for-each-ref", "--format=%(refname)", "refs/everbeat", "refs/heads/checkpoint/").split("\n")
    .filter((line) => line !== "")

export const sorted = (snapshot: WorkspaceSnapshot.WorkspaceSnapshot): ReadonlyArray<string> =>
  snapshot.summary.entries.map(({ path, status }) => `${status} ${path}`)

export const reasons = (snapshot: WorkspaceSnapshot.WorkspaceSnapshot): Record<string, string> =>
  Object.fromEntries(snapshot.skipped.map(({ path, reason }) => [path, reason]))
