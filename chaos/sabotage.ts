/** Stores that are broken on purpose: the harness must find each of them out. */
import { type CheckpointStore, Lease } from "@everbeat/core"
import { Effect } from "effect"

type Store = CheckpointStore.CheckpointStore["Service"]

/** The lease of whoever holds the run now, in the place of one that was refused, and the next free row. */
const usurped = (store: Store, runId: Lease.Lease["runId"]) =>
  Effect.flatMap(Effect.orDie(store.load(runId)), (checkpoint) => {
    const lease = Lease.newest(checkpoint)
    return lease === undefined ? Effect.die("nobody holds the run") : Effect.succeed({ lease, checkpoint })
  })

/** Whoever once had the lease may write. */
const ignoresFence = (store: Store): Store => ({
  ...store,
  save: (lease, delta) =>
    Effect.catchTag(store.save(lease, delta), "Fenced", (fenced) =>
      Effect.catchDefect(
        Effect.flatMap(usurped(store, lease.runId), ({ checkpoint: { position, segments }, lease }) =>
          store.save(lease, {
            ...delta,
            position,
            segments: [...segments, [position, position + delta.rows.length]]
          })),
        () => Effect.fail(fenced)
      )),
  settle: (lease, run) =>
    Effect.catchTag(store.settle(lease, run), "Fenced", (fenced) =>
      Effect.catchDefect(
        Effect.flatMap(usurped(store, lease.runId), ({ lease }) => store.settle(lease, run)),
        () => Effect.fail(fenced)
      ))
})

/** Acknowledges each fourth save without writing it. */
const losesSaves = (store: Store): Store => {
  let saves = 0
  return {
    ...store,
    save: (lease, delta) =>
      ++saves % 4 === 0
        ? Effect.succeed({ position: delta.position + delta.rows.length, cancelRequested: false })
        : store.save(lease, delta)
  }
}

/** Hands out what it handed out before. */
const claimsTwice = (store: Store): Store => {
  let last: ReadonlyArray<CheckpointStore.Resumed> = []
  return {
    ...store,
    claimNext: (...input) =>
      Effect.map(store.claimNext(...input), (claimed) => {
        const again = claimed.length === 0 ? last : []
        last = claimed
        return [...claimed, ...again]
      })
  }
}

export const sabotages = { "ignores-fence": ignoresFence, "loses-saves": losesSaves, "claims-twice": claimsTwice }

export type Sabotage = keyof typeof sabotages
