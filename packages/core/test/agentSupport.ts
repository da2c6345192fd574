import { Agent, AgentSupervisor, CheckpointStore, RunStore, type Transcript } from "@everbeat/core"
import { Context, type Duration, Effect, Exit, Fiber, Layer, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Wire } from "./support.ts"

export const user = (content: string): Transcript.Message => ({ role: "user", content })
export const calls = (...ids: ReadonlyArray<string>): Transcript.Message => ({
  role: "assistant",
  content: "",
  calls: ids.map((id) => ({ id, name: "edit" }))
})
export const answer = (callId: string, content = "ok"): Transcript.Message => ({ role: "tool", content, callId })

type Stores = CheckpointStore.CheckpointStore | RunStore.RunStore

/** A process: a supervisor of its own, with its own identity, on the stores in the context. */
export interface Process<Services> {
  readonly wire: Wire
  readonly context: Context.Context<AgentSupervisor.AgentSupervisor | Stores | Services>
  readonly supervisor: AgentSupervisor.AgentSupervisor["Service"]
  readonly run: <A, E, R>(
    effect: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E, Exclude<R, AgentSupervisor.AgentSupervisor | Stores | Services>>
  /** SIGTERM: what runs is interrupted, stored and released. */
  readonly stop: Effect.Effect<void>
}

/** Starts a process with further services on top of its supervisor, such as `Recovery`. */
export const processWith = Effect.fnUntraced(function*<Services = never>(
  extra: Layer.Layer<Services, never, AgentSupervisor.AgentSupervisor | Stores>,
  options?: AgentSupervisor.Options
) {
  const wire = new Wire()
  const store = wire.wrap(yield* CheckpointStore.CheckpointStore)
  const runs = yield* RunStore.RunStore
  const scope = yield* Scope.make()
  const stores = Context.make(CheckpointStore.CheckpointStore, store).pipe(Context.add(RunStore.RunStore, runs))
  const layer = Layer.provideMerge(
    extra,
    Layer.provideMerge(AgentSupervisor.layerWith(options ?? {}), Layer.succeedContext(stores))
  )
  const context = yield* Layer.buildWithScope(Layer.fresh(layer), scope)
  return {
    wire,
    context,
    supervisor: Context.get(context, AgentSupervisor.AgentSupervisor),
    run: Effect.provideContext(context),
    stop: Scope.close(scope, Exit.void)
  } satisfies Process<Services>
})

export const newProcess = (options?: AgentSupervisor.Options) => processWith(Layer.empty, options)

/** Lets time pass in small steps, until the effect has ended. */
export const passing = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R>, most = 600) {
  const fiber = yield* Effect.forkChild(effect)
  for (let second = 0; second < most && fiber.pollUnsafe() === undefined; second++) {
    yield* turn // hashes of the platform are promises
    yield* TestClock.adjust("1 second")
  }
  yield* turn
  if (fiber.pollUnsafe() === undefined) return yield* Effect.die(new Error(`it did not end within ${most} seconds`))
  return yield* Fiber.join(fiber)
})

const { subtle } = globalThis.crypto
const digest = subtle.digest.bind(subtle)
let hashing = 0
// The clock of a test stands still while the platform computes a hash; else time would pass that has not passed.
subtle.digest = (...input) => {
  hashing++
  return digest(...input).finally(() => {
    hashing--
  })
}

/** Lets what waits on promises of the platform go on, until nothing does. */
export const turn: Effect.Effect<void> = Effect.promise(async () => {
  for (let idle = 0; idle < 3; idle = hashing > 0 ? 0 : idle + 1) {
    // oxlint-disable-next-line eslint/no-await-in-loop
    await new Promise((resolve) => setImmediate(resolve))
  }
})

/** Lets time pass for what waits for it, and nothing else. */
export const adjust = (duration: Duration.Input): Effect.Effect<void> =>
  turn.pipe(Effect.andThen(TestClock.adjust(duration)), Effect.andThen(turn))

/** The events of a supervisor from now on, as they come. */
export const record = Effect.fnUntraced(function*(supervisor: AgentSupervisor.AgentSupervisor["Service"]) {
  const seen: Array<AgentSupervisor.AgentEvent> = []
  yield* Effect.forkScoped(Stream.runForEach(supervisor.events, (event) => Effect.sync(() => seen.push(event))))
  yield* Effect.yieldNow
  return seen
})

/** Runs an agent on the supervisor of the context until it has a record. */
export const recordOf = <Name extends string, M, A, E, R>(
  agent: Agent.Agent<Name, M, A, E, R>,
  options?: Agent.StartOptions
) => Effect.flatMap(Agent.start(agent, options), (handle) => passing(handle.record))

export const stored = (runId: Parameters<RunStore.RunStore["Service"]["get"]>[0]) =>
  Effect.flatMap(RunStore.RunStore, (runs) => runs.get(runId))
