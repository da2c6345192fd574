import { NodeChildProcessSpawner, NodeFileSystem, NodePath } from "@effect/platform-node-shared"
import {
  Agent,
  type AgentContext,
  AgentSupervisor,
  CheckpointStore,
  RunStore,
  Transcript,
  Workspace
} from "@everbeat/core"
import { MemoryStore } from "@everbeat/store-memory"
import { GitWorkspace } from "@everbeat/workspace-git"
import { Context, Deferred, Effect, Exit, Fiber, FileSystem, Layer, Scope } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { TestClock } from "effect/testing"
import { Fate, World } from "./agentFate.ts"
import { repository } from "./support.ts"

type Stores = CheckpointStore.CheckpointStore | RunStore.RunStore
type Services = AgentSupervisor.AgentSupervisor | Stores | Workspace.Workspace

/** A process: a supervisor and a workspace of its own, on the stores in the context and on the repository. */
export interface Process {
  readonly supervisor: AgentSupervisor.AgentSupervisor["Service"]
  readonly workspace: Workspace.Workspace["Service"]
  readonly run: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, Exclude<R, Services>>
  /** SIGTERM: what runs is interrupted, stored and released. */
  readonly stop: Effect.Effect<void>
}

const platform = NodeChildProcessSpawner.layer.pipe(
  Layer.provideMerge(Layer.merge(NodeFileSystem.layer, NodePath.layer))
)

const commandOf = (args: ReadonlyArray<string>): string => {
  let at = 0
  while (args[at] === "-c") at += 2
  return args[at] ?? ""
}

const spawnerOf = (fate: Fate, inner: ChildProcessSpawner.ChildProcessSpawner["Service"]) =>
  ChildProcessSpawner.make((command) => {
    if (command._tag !== "StandardCommand") return inner.spawn(command)
    const args = command.args.map(String)
    const name = commandOf(args)
    const spawned = Effect.suspend(() => {
      fate.started.push(name)
      fate.onCommand(name)
      const binary = fate.binaryFor(name)
      return inner.spawn(binary === undefined ? command : ChildProcess.make(binary, args, command.options))
    })
    return Effect.gen(function*() {
      yield* fate.alive
      const end = yield* Effect.acquireRelease(Effect.sync(() => fate.world.begin()), (end) => Effect.sync(end))
      const handle = yield* spawned
      // Also of a command whose process was killed meanwhile.
      yield* Effect.forkDetach(Effect.ensuring(Effect.ignore(handle.exitCode), Effect.sync(end)))
      return ChildProcessSpawner.makeHandle({
        ...handle,
        // The command has run; whether its process learns of it is another matter.
        exitCode: fate.effect(`git ${name}`, handle.exitCode)
      })
    })
  })

/** Starts a process, doomed or not. One that is killed tidies nothing up. */
export const newProcess = Effect.fnUntraced(function*(
  options: GitWorkspace.Options,
  fate: Fate
): Effect.fn.Return<Process, never, Stores> {
  const scope = yield* Scope.make()
  const stores = Context.make(
    CheckpointStore.CheckpointStore,
    fate.guard("store", yield* CheckpointStore.CheckpointStore)
  ).pipe(Context.add(RunStore.RunStore, fate.guard("runs", yield* RunStore.RunStore)))
  const git = GitWorkspace.layerPlatform(options).pipe(
    Layer.provide(Layer.merge(
      Layer.effect(
        ChildProcessSpawner.ChildProcessSpawner,
        Effect.map(ChildProcessSpawner.ChildProcessSpawner, (inner) => spawnerOf(fate, inner))
      ),
      Layer.effect(
        FileSystem.FileSystem,
        Effect.map(FileSystem.FileSystem, (inner) => fate.guard("files", inner))
      )
    )),
    Layer.provide(platform)
  )
  const layer = Layer.provideMerge(Layer.merge(AgentSupervisor.layer, git), Layer.succeedContext(stores))
  const context = yield* Layer.buildWithScope(Layer.fresh(layer), scope)
  return {
    supervisor: Context.get(context, AgentSupervisor.AgentSupervisor),
    workspace: Context.get(context, Workspace.Workspace),
    run: Effect.provideContext(context),
    stop: Scope.close(scope, Exit.void)
  }
})

const turn = Effect.promise(() => new Promise<void>((resolve) => setTimeout(resolve, 1)))

/** Waits until no command and no file is under way: only then time may pass. */
const idle = Effect.fnUntraced(function*(world: World) {
  for (let quiet = 0, seen = -1, turns = 0; quiet < 4; turns++) {
    if (turns > 20_000) return yield* Effect.die(new Error("something is still under way"))
    yield* turn
    quiet = world.underWay === 0 && world.activity === seen ? quiet + 1 : 0
    seen = world.activity
  }
})

/** Lets time pass while nothing real is under way, until the effect has ended. */
export const passing = Effect.fnUntraced(function*<A, E, R>(world: World, effect: Effect.Effect<A, E, R>, most = 200) {
  // Nobody waits for what a killed process leaves behind.
  const fiber = yield* Effect.forkDetach(effect)
  yield* idle(world)
  for (let step = 0; step < most && fiber.pollUnsafe() === undefined; step++) {
    yield* TestClock.adjust("2 seconds")
    yield* idle(world)
  }
  if (fiber.pollUnsafe() === undefined) return yield* Effect.die(new Error("it did not end"))
  return yield* Fiber.join(fiber)
})

/** From now on, in the time of the machine: git's own clock is not a test's. */
export const today = TestClock.setTime(Date.now())

/** A repository in which an agent works, and processes on it and on one store. */
export const scene = Effect.gen(function*() {
  yield* today
  const root = yield* repository()
  const world = new World()
  return {
    root,
    world,
    /** The first one, the next one, ... */
    start: (options: GitWorkspace.Options = {}, fate: Fate = new Fate(world)) =>
      newProcess({ cwd: root, ...options }, fate),
    passing: <A, E, R>(effect: Effect.Effect<A, E, R>) => passing(world, effect)
  }
})

/** A step of the test that ends when something has happened. */
export const gate = (): { readonly open: () => void; readonly opened: Effect.Effect<void> } => {
  const deferred = Deferred.makeUnsafe<void>()
  return { open: () => Deferred.doneUnsafe(deferred, Effect.void), opened: Deferred.await(deferred) }
}

export type Context = AgentContext.AgentContext<Transcript.Message>

export const user = (content: string): Transcript.Message => ({ role: "user", content })

/** An agent that has twenty seconds for an attempt. */
export const coder = <E>(
  run: (context: Context, cwd: string) => Effect.Effect<void, E>,
  options: Partial<Agent.Options<Transcript.Message, void, E, never>> = {}
) =>
  Agent.make("coder", {
    message: Transcript.Message,
    transcript: Transcript.chat,
    timeout: "20 seconds",
    backoff: () => 0,
    ...options,
    run: (context) => run(context, context.workspace?.cwd ?? "?")
  })

export const edit = ({ checkpoint }: Context, id: string, change: () => void) =>
  checkpoint.tool({ id, name: "edit" }, Effect.sync(change))

export const stored = Effect.provide(Layer.fresh(MemoryStore.layer))
