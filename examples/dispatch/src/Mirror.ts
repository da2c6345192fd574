import { Context, DateTime, Effect, Layer, Option, Schema } from "effect"
import { Issue, RepositoryName } from "./Issue.ts"
import { type Cell, State } from "./State.ts"
import type { TrackerUnavailable } from "./TrackerError.ts"

/** The forge's view of one repository at one time. */
const Snapshot = Schema.Struct({
  repository: RepositoryName,
  /** Open and closed issues by ascending number. */
  issues: Schema.Array(Issue),
  /** When the forge was asked. */
  askedAt: Schema.DateTimeUtcFromString
})

/** The forge's view of one repository at one time. */
export type Snapshot = typeof Snapshot.Type

/**
 * Dispatch's copy of what the forge last said about each repository. `IssueSync` writes it and `Reconciler` reads it, so
 * tickets never depend on the forge being reachable while they are compared. It is part of the tracker's state.
 */
export class Mirror extends Context.Service<Mirror, {
  /** The latest snapshot of a repository. */
  readonly get: (repository: string) => Effect.Effect<Option.Option<Snapshot>, TrackerUnavailable>
  /** Keeps a snapshot unless a newer one is known already, and returns the one it replaced. */
  readonly put: (snapshot: Snapshot) => Effect.Effect<Option.Option<Snapshot>, TrackerUnavailable>
}>()("@everbeat/example-dispatch/Mirror") {
  /** A mirror in Dispatch's state, a cell for each repository. */
  static readonly layerState: Layer.Layer<Mirror, never, State> = Layer.effect(
    Mirror,
    Effect.gen(function*() {
      const state = yield* State
      const cells = new Map<string, Cell<Snapshot | null>>()
      const cellOf = (repository: string): Cell<Snapshot | null> => {
        const known = cells.get(repository)
        if (known !== undefined) return known
        const cell = state.cell<Snapshot | null>(`mirror/${repository}`, Schema.NullOr(Snapshot), null)
        cells.set(repository, cell)
        return cell
      }
      return Mirror.of({
        get: (repository) =>
          Effect.map(cellOf(repository).get(`look up the issues of ${repository}`), Option.fromNullOr),
        put: (snapshot) =>
          cellOf(snapshot.repository).modify(`keep the issues of ${snapshot.repository}`, (before) => {
            // Of two overlapping syncs the one that asked first may finish last; its answer is outdated.
            const outdated = before !== null && DateTime.isGreaterThan(before.askedAt, snapshot.askedAt)
            return [Option.fromNullOr(before), outdated ? before : snapshot]
          })
      })
    })
  )

  /** A mirror in memory. */
  static readonly layer: Layer.Layer<Mirror> = Mirror.layerState.pipe(Layer.provide(State.layerMemory))
}
