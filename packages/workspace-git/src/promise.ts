/**
 * The git workspace for applications that do not use Effect.
 *
 * @since 0.1.0
 */
import type { Duration } from "@everbeat/core/promise/Duration"
import { InvalidOptions } from "@everbeat/core/promise/InvalidOptions"
import { type Workspace, workspaceFromLayer } from "@everbeat/core/promise/Store"
import * as GitWorkspace from "./GitWorkspace.ts"

/**
 * Options of the workspace: see `GitWorkspace`.
 *
 * @category models
 * @since 0.1.0
 */
export interface GitOptions extends Omit<GitWorkspace.Options, "remoteTimeout"> {
  /**
   * How long the remote may take to answer.
   *
   * @default "30 seconds"
   */
  readonly remoteTimeout?: Duration | undefined
}

/**
 * Creates a workspace that keeps the uncommitted files of agents with the git
 * binary. Throws `InvalidOptions` for an option that it does not know, or whose
 * type is wrong.
 *
 * **Example** (Agents whose files survive)
 *
 * ```ts no-run
 * import { agent, createEverbeat } from "@everbeat/core/promise"
 * import { memoryStore } from "@everbeat/store-memory/promise"
 * import { gitWorkspace } from "@everbeat/workspace-git/promise"
 *
 * const coder = agent("coder", { run: async (ctx) => ctx.workspace?.cwd ?? null })
 * const everbeat = createEverbeat({
 *   store: memoryStore(),
 *   agents: [coder],
 *   workspace: gitWorkspace({ cwd: "checkouts/api", durability: "inline" })
 * })
 * await everbeat.ready()
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const gitWorkspace = (options: GitOptions = {}): Workspace => {
  const problems = Object.entries(options).flatMap(([option, value]: [string, unknown]) => {
    const expected = Object.hasOwn(types, option)
      ? types[option]
      : `nothing: the options are ${Object.keys(types).join(", ")}`
    return value === undefined || expected?.split(" or ").includes(typeof value) === true
      ? []
      : [{ option, given: typeof value, expected: `${expected}` }]
  })
  if (problems.length > 0) throw new InvalidOptions("gitWorkspace", problems)
  return workspaceFromLayer(GitWorkspace.layerWith(options))
}

// internal

const types: Readonly<Record<string, string>> = {
  cwd: "string",
  binary: "string",
  branch: "boolean",
  durability: "string",
  maxBundleBytes: "number",
  remote: "string",
  remoteTimeout: "number or string",
  worktrees: "string",
  limits: "object",
  secrets: "object"
}
