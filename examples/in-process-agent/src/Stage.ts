/** Where one run is played: its journal, its checkout, and the processes that work on it. */
import { AgentRun, RunId, RunStore } from "@everbeat/core"
import { Context, Effect, type FileSystem, Path, Schema, type Scope } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import type { CommandFailed } from "./Git.ts"
import * as Journal from "./Journal.ts"
import * as Repository from "./Repository.ts"
import * as Screen from "./Screen.ts"
import * as Script from "./Script.ts"
import { Work } from "./Tools.ts"

/** What all runs of the demo share. */
export class Props extends Context.Service<Props, {
  /** A folder that is gone after the demo. */
  readonly root: string
  readonly repository: Repository.Repository
  /** Name of the agent: in a store that others use too, nobody else's runs are touched. */
  readonly name: string
  /** Address of the store. */
  readonly store: string
  /** The script that a process runs. */
  readonly worker: string
}>()("Props") {}

/** Something that the demo waited for in vain. */
export class DidNotHappen extends Schema.TaggedError<DidNotHappen>()("DidNotHappen", { what: Schema.String }) {
  override get message(): string {
    return `waited in vain until ${this.what}`
  }
}

const within = <A, E, R>(what: string, effect: Effect.Effect<A, E, R>) =>
  Effect.timeoutOrElse(effect, { duration: "60 seconds", orElse: () => Effect.fail(new DidNotHappen({ what })) })

const journalOf = (title: string) =>
  Effect.gen(function*() {
    const { root } = yield* Props
    const path = yield* Path.Path
    return path.join(root, `${title}.jsonl`)
  })

/** What the processes of a stage have done. */
export const linesOf = (title: string) => Effect.flatMap(journalOf(title), Journal.read)

/** What a stage is made of. */
export type Services =
  | Props
  | RunStore.RunStore
  | ChildProcessSpawner.ChildProcessSpawner
  | FileSystem.FileSystem
  | Path.Path

type Handle = ChildProcessSpawner.ChildProcessHandle
type Spawned = Effect.Effect<Handle, never, Scope.Scope>

/** A run that is played. Its processes end with the scope that they are started in. */
export interface Stage {
  /** Shows what the processes do, line by line, up to the first one that is looked for. */
  readonly until: <A>(
    what: string,
    find: (line: Journal.Line) => A | undefined
  ) => Effect.Effect<A, DidNotHappen>
  readonly lines: Effect.Effect<ReadonlyArray<Journal.Line>>
  /** A process that starts the run. */
  readonly start: (env?: Record<string, string>) => Spawned
  /** A process that continues the run as soon as it is interrupted. */
  readonly recover: (runId: RunId.RunId) => Spawned
  /** The id of the run, once it has begun. */
  readonly begun: Effect.Effect<RunId.RunId, DidNotHappen>
  /** `kill -9`. Answers whether the process is gone. */
  readonly kill: (handle: Handle) => Effect.Effect<boolean>
  /** Waits until the run is over and the processes have ended, and looks at what they made. */
  readonly finished: (
    runId: RunId.RunId,
    ...processes: ReadonlyArray<Handle>
  ) => Effect.Effect<Finished, unknown>
}

interface Finished {
  /** The record of the run, if it has one. */
  readonly run: AgentRun.AgentRun | undefined
  /** The run succeeded, and each step of the script was carried out once. */
  readonly isComplete: boolean
}

/** Makes a stage with a checkout of its own. */
export const make = Effect.fnUntraced(function*(title: string): Effect.fn.Return<Stage, CommandFailed, Services> {
  const { name, repository, store, worker } = yield* Props
  const runs = yield* RunStore.RunStore
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const folder = yield* repository.checkout(title)
  const journal = yield* journalOf(title)
  const read = Effect.provideContext(Journal.read(journal), yield* Effect.context<FileSystem.FileSystem>())
  let position = 0

  const until = <A>(what: string, find: (line: Journal.Line) => A | undefined): Effect.Effect<A, DidNotHappen> =>
    Effect.gen(function*() {
      while (true) {
        const line = (yield* read)[position]
        if (line === undefined) {
          yield* Effect.sleep("20 millis")
          continue
        }
        position++
        Screen.follow(line)
        const found = find(line)
        if (found !== undefined) return found
      }
    }).pipe((found) => within(what, found))

  const spawn = (args: ReadonlyArray<string>, env: Record<string, string> = {}) =>
    Effect.orDie(spawner.spawn(ChildProcess.make(process.execPath, ["--conditions=@everbeat/source", worker, ...args], {
      extendEnv: true,
      env: {
        ...env,
        EVERBEAT_STORE: store,
        CODER_NAME: name,
        CODER_JOURNAL: journal,
        CODER_REPOSITORY: repository.folder,
        NODE_OPTIONS: undefined
      },
      stdin: "ignore",
      stdout: "ignore",
      stderr: "inherit",
      forceKillAfter: "3 seconds"
    })))

  return {
    until,
    lines: read,
    start: (env) => spawn(["start", folder], env),
    recover: (runId) => spawn(["recover", runId]),
    begun: until("the run began", (line) => line.event === "attempt" ? RunId.RunId.make(line.runId) : undefined),
    kill: (handle) =>
      Effect.orDie(Effect.gen(function*() {
        yield* handle.kill({ killSignal: "SIGKILL" })
        Screen.print(`   kill -9 ${handle.pid}`)
        return !(yield* handle.isRunning)
      })),
    finished: Effect.fnUntraced(function*(runId, ...processes) {
      for (const { pid } of processes) {
        yield* until("the run has ended", (line) => line.event === "ended" ? pid : undefined)
      }
      yield* within("the processes have ended", Effect.forEach(processes, ({ exitCode }) => exitCode))
      const run = yield* runs.get(runId)
      if (!AgentRun.isSettled(run)) return { run: undefined, isComplete: false }
      const work = yield* Schema.decodeUnknownEffect(Work)(run.result)
      const actual = yield* repository.filesOf(work.commit)
      const expected = Script.outcome(Repository.files)
      const isComplete = Object.entries(expected).every(([file, text]) => actual[file] === text.trim())
      Screen.print(`   ${run.status}: ${run.summary}; commit ${work.commit.slice(0, 8)} on ${work.branch}`)
      return { run, isComplete: run.status === "ok" && isComplete }
    })
  }
})
