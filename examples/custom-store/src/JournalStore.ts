/**
 * A store in a file, for one process: what the memory store was told is written down, and told again at the next start.
 *
 * A store answers from its state and its clock alone. So the same transitions, at the same times, lead to the same state: the
 * journal is all there is to keep.
 */
import type { StoreError } from "@everbeat/core"
import { CheckpointStore } from "@everbeat/core/CheckpointStore"
import { storeFromLayer } from "@everbeat/core/promise"
import { RunStore } from "@everbeat/core/RunStore"
import { StoreError as StoreFailed } from "@everbeat/core/StoreError"
import { MemoryStore } from "@everbeat/store-memory"
import { Clock, Context, Effect, Layer } from "effect"
import * as Journal from "./Journal.ts"

export interface Options {
  /** Created when it is not there. One process at a time may have it. */
  readonly file: string
}

/** The clock of one transition: it stands still. */
const clockAt = (at: number): Clock.Clock => {
  const nanos = BigInt(at) * 1_000_000n
  return {
    currentTimeMillisUnsafe: () => at,
    currentTimeMillis: Effect.succeed(at),
    currentTimeNanosUnsafe: () => nanos,
    currentTimeNanos: Effect.succeed(nanos),
    monotonicTimeNanosUnsafe: () => nanos,
    monotonicTimeNanos: Effect.succeed(nanos),
    sleep: () => Effect.void
  }
}

const failed = (name: string) => (cause: unknown): StoreError.StoreError =>
  new StoreFailed({ operation: name, reason: "unavailable", detail: String(cause) })

const make = Effect.fnUntraced(function*({ file }: Options) {
  const open = Effect.try({ try: () => Journal.open(file), catch: failed("open") })
  const journal = yield* Effect.acquireRelease(open, ({ close }) => Effect.sync(close))
  const { checkpoints, runs } = yield* Effect.provideService(MemoryStore.make(), Clock.Clock, clockAt(0))

  // Never earlier than what is written, also when somebody has set the clock of the machine back.
  const clock = yield* Clock.Clock
  const elapsed = () => Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)
  const last = journal.entries.at(-1)?.at ?? 0
  const origin = Math.max(clock.currentTimeMillisUnsafe(), last) - elapsed()

  const on = <A, E>(at: number, effect: Effect.Effect<A, E>) => Effect.provideService(effect, Clock.Clock, clockAt(at))
  const now = <A, E>(effect: Effect.Effect<A, E>) => Effect.suspend(() => on(origin + elapsed(), effect))

  const transitions = new Map<string, (input: never) => Effect.Effect<unknown, unknown>>()
  /** Writes first, then changes: what is answered is on the disk, and what is not on the disk never was. */
  const written = <I extends ReadonlyArray<unknown>, A, E>(
    name: string,
    change: (...input: I) => Effect.Effect<A, E>
  ) => {
    transitions.set(name, (input: I) => change(...input))
    return (...input: I): Effect.Effect<A, E | StoreError.StoreError> =>
      Effect.suspend(() => {
        const at = origin + elapsed()
        const write = Effect.try({ try: () => journal.append({ at, name, input }), catch: failed(name) })
        // Not to be torn apart: the order in the file is the order of the changes.
        return Effect.uninterruptible(Effect.andThen(write, on(at, change(...input))))
      })
  }

  const services = Context.make(CheckpointStore, {
    begin: written("begin", checkpoints.begin),
    save: written("save", checkpoints.save),
    settle: written("settle", checkpoints.settle),
    release: written("release", checkpoints.release),
    renew: written("renew", checkpoints.renew),
    claim: written("claim", checkpoints.claim),
    claimNext: written("claimNext", checkpoints.claimNext),
    requestCancel: written("requestCancel", checkpoints.requestCancel),
    delete: written("delete", checkpoints.delete),
    load: (runId) => now(checkpoints.load(runId)),
    listInterrupted: (...input) => now(checkpoints.listInterrupted(...input)),
    ping: Effect.void
  }).pipe(Context.add(RunStore, {
    get: (runId) => now(runs.get(runId)),
    list: (...input) => now(runs.list(...input)),
    prune: written("prune", runs.prune),
    erase: written("erase", runs.erase)
  }))
  for (const { at, input, name } of journal.entries) {
    const transition = transitions.get(name)
    if (transition === undefined) {
      return yield* failed("open")(`no transition is named ${name}: is this file a journal?`)
    }
    // A refusal is an outcome too: it changed nothing then, and changes nothing now.
    yield* Effect.exit(on(at, transition(input as never))) // it is what this transition was told
  }
  return services
})

/** For hosts in Effect. */
export const layerWith = (options: Options) => Layer.effectContext(make(options))

/** For hosts without: `createEverbeat({ store: journalStore({ file }) })`. */
export const journalStore = (options: Options) => storeFromLayer(layerWith(options))
