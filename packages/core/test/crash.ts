import { CheckpointStore, RunStore, type Workspace } from "@everbeat/core"
import { Context, Deferred, Effect } from "effect"

/**
 * Where the process dies at its n-th write: `unsent`, before the write reaches the store; `unanswered`, when it was
 * executed and before its answer arrives; `answered`, right after the answer.
 */
export type CrashPoint = "unsent" | "unanswered" | "answered"

/** The stores as a process sees them that is killed at one of its writes. */
export interface Crash {
  readonly context: Context.Context<CheckpointStore.CheckpointStore | RunStore.RunStore>
  /** Succeeds when the process is dead. */
  readonly crashed: Effect.Effect<void>
  /** How many writes it has made. Renewals do not count: they depend on time. */
  readonly writes: () => number
  /** Never goes on in a dead process: what an agent does outside its store begins with it. */
  readonly alive: Effect.Effect<void>
  /** The same for the files of the process. */
  readonly workspace: (service: Workspace.Workspace["Service"]) => Workspace.Workspace["Service"]
}

/** Kills a process at its n-th write: from then on nothing reaches the stores, and nothing is answered. */
export const crashAfterWrite = Effect.fnUntraced(function*(n: number, point: CrashPoint = "unanswered") {
  const store = yield* CheckpointStore.CheckpointStore
  const runs = yield* RunStore.RunStore
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
  const write = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.suspend(() => {
      if (dead) return Effect.never
      if (++writes < n) return read(effect)
      if (point === "unsent") return Effect.andThen(die, Effect.never)
      const executed = Effect.tap(effect, () => die)
      return point === "unanswered" ? Effect.andThen(executed, Effect.never) : executed
    })
  return {
    context: Context.make(CheckpointStore.CheckpointStore, {
      begin: (input) => write(store.begin(input)),
      save: (lease, delta) => write(store.save(lease, delta)),
      settle: (lease, run) => write(store.settle(lease, run)),
      release: (...input) => write(store.release(...input)),
      renew: (...input) => read(store.renew(...input)),
      claim: (...input) => write(store.claim(...input)),
      claimNext: (...input) => write(store.claimNext(...input)),
      requestCancel: (runId) => write(store.requestCancel(runId)),
      load: (runId) => read(store.load(runId)),
      listInterrupted: (...input) => read(store.listInterrupted(...input)),
      delete: (lease) => write(store.delete(lease)),
      ping: read(store.ping)
    }).pipe(Context.add(RunStore.RunStore, {
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
})
