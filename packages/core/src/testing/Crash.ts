/**
 * Processes that die at one of their writes, for tests of what comes after.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { CheckpointStore } from "../CheckpointStore.ts"
import { RunStore } from "../RunStore.ts"
import type { Workspace } from "../Workspace.ts"

/**
 * Where the process dies at its n-th write: `unsent`, before the write reaches the store; `unanswered`, when it was
 * executed and before its answer arrives; `answered`, right after the answer.
 *
 * @category models
 * @since 0.1.0
 */
export type CrashPoint = "unsent" | "unanswered" | "answered"

/**
 * What a process writes.
 *
 * @category models
 * @since 0.1.0
 */
export type Write = "begin" | "save" | "settle" | "release" | "claim" | "claimNext" | "requestCancel" | "delete"

/**
 * The stores as a process sees them that is killed at one of its writes.
 *
 * @category models
 * @since 0.1.0
 */
export interface Crash {
  /** Provide it to the engine or the supervisor of the process that dies. */
  readonly context: Context.Context<CheckpointStore | RunStore>
  /** Succeeds when the process is dead. */
  readonly crashed: Effect.Effect<void>
  /** How many writes it has made, or how many of the kind that counts. Renewals do not count: they depend on time. */
  readonly writes: () => number
  /** Never goes on in a dead process: what an agent does outside its store begins with it. */
  readonly alive: Effect.Effect<void>
  /** The same for the files of the process. */
  readonly workspace: (service: Workspace["Service"]) => Workspace["Service"]
}

/**
 * Kills a process at its n-th write: from then on nothing reaches the stores,
 * and nothing is answered.
 *
 * **Details**
 *
 * It stands between the process and the stores of the context, which live on. Another process on those continues the run
 * when the lease has expired. Run a test once for every n, and once for every point. With `only`, other writes do not count:
 * `crashAfterWrite(1, "unanswered", "settle")` is a process that dies as its run ends, however many saves came before.
 *
 * **Gotchas**
 *
 * Nothing stops the fibers of the dead process: they wait for ever. What an agent does outside its store should begin with
 * `alive`, so that it does no more of it.
 *
 * **Example** (A pass whose process dies)
 *
 * ```ts
 * import { Heartbeat, HeartbeatEngine, RunStore, Step } from "@everbeat/core"
 * import { Crash } from "@everbeat/core/testing"
 * import { MemoryStore } from "@everbeat/store-memory"
 * import { Effect } from "effect"
 *
 * const beat = Heartbeat.make("beat", [Step.make("one", { durability: "sync" }, () => Effect.void), Step.make("two", Effect.void)])
 * const program = Effect.gen(function*() {
 *   const crash = yield* Crash.crashAfterWrite(2) // begin, and the outcome of `one`
 *   const dying = Heartbeat.run(beat, { agent: "triage" }).pipe(
 *     Effect.provide(HeartbeatEngine.layer),
 *     Effect.provideContext(crash.context)
 *   )
 *   yield* Effect.forkChild(dying)
 *   yield* crash.crashed
 *   const { items } = yield* Effect.flatMap(RunStore.RunStore, (runs) => runs.list())
 *   return items.map(({ status }) => status)
 * })
 *
 * await Effect.runPromise(Effect.provide(program, MemoryStore.layer)) // => ["running"]
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const crashAfterWrite: (
  n: number,
  point?: CrashPoint,
  only?: Write
) => Effect.Effect<Crash, never, CheckpointStore | RunStore> = Effect.fnUntraced(
  function*(n, point = "unanswered", only) {
    const store = yield* CheckpointStore
    const runs = yield* RunStore
    const crashed = yield* Deferred.make<void>()
    let writes = 0
    let dead = false
    const die = Effect.sync(() => {
      dead = true
      Deferred.doneUnsafe(crashed, Effect.void)
    })
    const alive: Effect.Effect<void> = Effect.suspend(() => (dead ? Effect.never : Effect.void))
    const read = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
      Effect.andThen(alive, Effect.tap(effect, () => alive))
    const write = <A, E>(kind: Write, effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
      Effect.suspend(() => {
        if (dead) return Effect.never
        if (only !== undefined && only !== kind) return read(effect)
        if (++writes < n) return read(effect)
        if (point === "unsent") return Effect.andThen(die, Effect.never)
        const executed = Effect.tap(effect, () => die)
        return point === "unanswered" ? Effect.andThen(executed, Effect.never) : executed
      })
    return {
      context: Context.make(CheckpointStore, {
        begin: (input) => write("begin", store.begin(input)),
        save: (lease, delta) => write("save", store.save(lease, delta)),
        settle: (lease, run) => write("settle", store.settle(lease, run)),
        release: (...input) => write("release", store.release(...input)),
        renew: (...input) => read(store.renew(...input)),
        claim: (...input) => write("claim", store.claim(...input)),
        claimNext: (...input) => write("claimNext", store.claimNext(...input)),
        requestCancel: (runId) => write("requestCancel", store.requestCancel(runId)),
        load: (runId) => read(store.load(runId)),
        listInterrupted: (...input) => read(store.listInterrupted(...input)),
        delete: (lease) => write("delete", store.delete(lease)),
        ping: read(store.ping)
      }).pipe(Context.add(RunStore, {
        get: (runId) => read(runs.get(runId)),
        list: (...input) => read(runs.list(...input)),
        prune: (options) => read(runs.prune(options)),
        erase: (who) => read(runs.erase(who))
      })),
      crashed: Deferred.await(crashed),
      writes: () => writes,
      alive,
      workspace: (service) => ({
        snapshot: (input) => read(service.snapshot(input)),
        restore: (input) => read(service.restore(input)),
        diff: (...input) => read(service.diff(...input)),
        list: (filter) => read(service.list(filter)),
        prune: (...input) => read(service.prune(...input)),
        sweep: (policy) => read(service.sweep(policy))
      })
    } satisfies Crash
  }
)
