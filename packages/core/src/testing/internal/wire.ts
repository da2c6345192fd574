/** What stands between a checkpointer and its store in a case: faults, and what was written. */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { CheckpointStore, type Delta } from "../../CheckpointStore.ts"
import { StoreError } from "../../StoreError.ts"
import { StoreTime } from "../Conformance.ts"

type Store = CheckpointStore["Service"]
type Save = Store["save"]
type Fault = (delta: Delta) => Effect.Effect<void, StoreError>

export const unavailable = (operation: string): StoreError =>
  new StoreError({ operation, reason: "unavailable", detail: "the connection was lost" })

/** The store, with faults that a case sets on its way. */
export interface Wire {
  readonly store: Store
  /** Saves that were sent. */
  readonly sent: Array<Delta>
  /** Before a save reaches the store. */
  before: Fault
  /** After a save was done, before its answer arrives. */
  after: Fault
  /** How a save is delivered, when not once. */
  deliver: (save: Save) => Save
  /** Whether the store cannot be reached at all. */
  down: boolean
}

export const wired: Effect.Effect<Wire, never, CheckpointStore> = Effect.map(CheckpointStore, (real) => {
  const nothing: Fault = () => Effect.void
  const reach = <A, E>(operation: string, effect: Effect.Effect<A, E>): Effect.Effect<A, E | StoreError> =>
    Effect.suspend((): Effect.Effect<A, E | StoreError> => wire.down ? Effect.fail(unavailable(operation)) : effect)
  const wire: Wire = {
    sent: [],
    before: nothing,
    after: nothing,
    deliver: (save) => save,
    down: false,
    store: {
      ...real,
      save: (lease, delta) =>
        Effect.suspend(() => {
          wire.sent.push(delta)
          return Effect.andThen(
            wire.before(delta),
            Effect.tap(reach("save", wire.deliver(real.save)(lease, delta)), () => wire.after(delta))
          )
        }),
      settle: (lease, run) => reach("settle", real.settle(lease, run)),
      renew: (leases, ttl) => reach("renew", real.renew(leases, ttl)),
      release: (lease, reason) => reach("release", real.release(lease, reason)),
      load: (runId) => reach("load", real.load(runId))
    }
  }
  return wire
})

/** Holds the next save back until it is let go. */
export const holdBack = (wire: Wire): Effect.Effect<{
  readonly arrived: Effect.Effect<void>
  readonly release: Effect.Effect<void>
}> =>
  Effect.gen(function*() {
    const arrived = yield* Deferred.make<void>()
    const released = yield* Deferred.make<void>()
    wire.before = () => {
      wire.before = () => Effect.void
      return Effect.andThen(Deferred.succeed(arrived, undefined), Deferred.await(released))
    }
    return { arrived: Deferred.await(arrived), release: Effect.asVoid(Deferred.succeed(released, undefined)) }
  })

/** Waits for an effect while time passes, on whatever clock the store's suite runs. */
export const passing = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.gen(function*() {
    const { elapse } = yield* StoreTime
    const fiber = yield* Effect.forkChild(effect)
    for (let turns = 0; turns < 1000 && fiber.pollUnsafe() === undefined; turns++) yield* elapse(tick)
    return yield* Fiber.join(fiber)
  })

const tick = Duration.millis(20)
