import {
  BareRepository,
  FilterMissing,
  GitFailed,
  GitMissing,
  IndexLocked,
  NotARepository,
  NotTrusted,
  type WorkspaceError
} from "@everbeat/core/WorkspaceError"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { PlatformError } from "effect/PlatformError"
import * as ChildProcess from "effect/process/ChildProcess"
import type { ChildProcessSpawner } from "effect/process/ChildProcessSpawner"
import * as Stream from "effect/Stream"
import { Buffer } from "node:buffer"
import { always, environment, synced } from "./environment.ts"

/** How to run one command. */
export interface RunOptions {
  readonly cwd: string
  /** The index to work on instead of the user's. */
  readonly index?: string | undefined
  readonly env?: Record<string, string> | undefined
  readonly input?: Uint8Array | undefined
  /** Exit codes that are answers. Every other one is a failure. @default [0] */
  readonly ok?: ReadonlyArray<number> | undefined
  /** Whether what is written must survive a power loss. */
  readonly writes?: boolean | undefined
  readonly maxBytes?: number | undefined
  /** What becomes of more than `maxBytes`: a failure, or the end of the command. @default "fail" */
  readonly overflow?: "fail" | "truncate" | undefined
}

/** What a command answered. */
export interface Ran {
  readonly code: number
  readonly bytes: Buffer
  /** One character per byte. */
  readonly out: string
  readonly err: string
  readonly truncated: boolean
}

/** Runs git commands, and nothing else. */
export type Git = (args: readonly [string, ...ReadonlyArray<string>], options: RunOptions) => Effect.Effect<
  Ran,
  WorkspaceError
>

const defaultMaxBytes = 512 * 1024 * 1024

const outputTooLarge = "more output than allowed"

/** Whether a command failed because its output was larger than allowed. */
export const isOverflow = (error: { readonly _tag: string }): boolean =>
  error._tag === "GitFailed" && "stderr" in error && error.stderr === outputTooLarge

const failureOf = (command: string, exitCode: number, err: string, cwd: string): WorkspaceError => {
  if (/dubious ownership|unsafe repository/.test(err)) return new NotTrusted({ path: cwd })
  if (/not a git repository/i.test(err)) return new NotARepository({ path: cwd })
  if (/must be run in a work ?tree/.test(err)) return new BareRepository({ path: cwd })
  const filter = /(?:clean|smudge) filter '?([^'\n]*?)'? failed/.exec(err) ??
    /external filter '([^'\n]*)' failed/.exec(err)
  if (filter !== null) return new FilterMissing({ filter: filter[1] ?? "", stderr: err.slice(0, 2000) })
  const lock = /Unable to create '([^'\n]*\.lock)': File exists/.exec(err)
  if (lock !== null && !err.includes("cannot lock ref")) return new IndexLocked({ path: lock[1] ?? "" })
  return new GitFailed({ command, exitCode, stderr: err.slice(0, 2000) })
}

const spawnFailure = (binary: string, command: string, cwd: string) => (error: PlatformError): WorkspaceError => {
  if (error.reason._tag === "NotFound") {
    return error.reason.module === "ChildProcess"
      ? new GitMissing({ binary, cause: error })
      : new NotARepository({ path: cwd })
  }
  return new GitFailed({ command, exitCode: -1, stderr: error.message })
}

interface Collected {
  readonly bytes: Buffer
  readonly over: boolean
}

const collect = (
  stream: Stream.Stream<Uint8Array, PlatformError>,
  maxBytes: number
): Effect.Effect<Collected, PlatformError> =>
  Effect.suspend(() => {
    const chunks: Array<Uint8Array> = []
    let size = 0
    const within = Stream.takeWhile(stream, (chunk) => {
      chunks.push(chunk)
      size += chunk.length
      return size <= maxBytes
    })
    return Effect.map(Stream.runDrain(within), () => ({
      bytes: Buffer.concat(chunks).subarray(0, maxBytes),
      over: size > maxBytes
    }))
  })

/**
 * The one place where a process is started. A command that is interrupted gets
 * SIGTERM, and SIGKILL two seconds later: the effect ends when it is gone.
 */
export const make = (spawner: ChildProcessSpawner["Service"], binary: string): Git => (args, options) => {
  const [command] = args
  const { cwd, maxBytes = defaultMaxBytes, ok = [0], overflow = "fail" } = options
  const child = ChildProcess.make(
    binary,
    [...always, ...(options.writes === true ? synced : []), ...args],
    {
      cwd,
      env: {
        ...environment,
        ...(options.index === undefined ? undefined : { GIT_INDEX_FILE: options.index }),
        ...options.env
      },
      extendEnv: true,
      stdin: options.input === undefined ? "ignore" : Stream.make(options.input),
      killSignal: "SIGTERM",
      forceKillAfter: "2 seconds"
    }
  )
  return Effect.gen(function*() {
    const handle = yield* spawner.spawn(child)
    const err = yield* Effect.forkScoped(collect(handle.stderr, 64 * 1024))
    const { bytes, over } = yield* collect(handle.stdout, maxBytes)
    if (over && overflow === "fail") {
      return yield* new GitFailed({ command, exitCode: -1, stderr: outputTooLarge })
    }
    const code: number = over ? 0 : yield* handle.exitCode
    const text = over ? "" : (yield* Fiber.join(err)).bytes.toString("latin1")
    if (!over && !ok.includes(code)) return yield* failureOf(command, code, text, cwd)
    return {
      code,
      bytes,
      get out() {
        return bytes.toString("latin1")
      },
      err: text,
      truncated: over
    }
  }).pipe(
    Effect.scoped,
    Effect.catchTag("PlatformError", (error) => Effect.fail(spawnFailure(binary, command, cwd)(error))),
    Effect.withSpan("everbeat.git", { attributes: { command } })
  )
}
