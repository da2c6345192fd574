import { Context, DateTime, Effect, Layer, Option, Ref } from "effect"
import type { Issue } from "./Issue.ts"

/** The forge's view of one repository at one time. */
export interface Snapshot {
  readonly repository: string
  /** Open and closed issues by ascending number. */
  readonly issues: ReadonlyArray<Issue>
  /** When the forge was asked. */
  readonly askedAt: DateTime.Utc
}

/**
 * Dispatch's copy of what the forge last said about each repository. `IssueSync` writes it and `Reconciler` reads it, so
 * tickets never depend on the forge being reachable while they are compared.
 */
export class Mirror extends Context.Service<Mirror, {
  /** The latest snapshot of a repository. */
  readonly get: (repository: string) => Effect.Effect<Option.Option<Snapshot>>
  /** Keeps a snapshot unless a newer one is known already, and returns the one it replaced. */
  readonly put: (snapshot: Snapshot) => Effect.Effect<Option.Option<Snapshot>>
}>()("@everbeat/example-dispatch/Mirror") {
  /** A mirror in memory. */
  static readonly layer: Layer.Layer<Mirror> = Layer.effect(
    Mirror,
    Effect.gen(function*() {
      const snapshots = yield* Ref.make<ReadonlyMap<string, Snapshot>>(new Map())
      return Mirror.of({
        get: (repository) =>
          Effect.map(Ref.get(snapshots), (snapshots) => Option.fromUndefinedOr(snapshots.get(repository))),
        put: (snapshot) =>
          Ref.modify(snapshots, (snapshots) => {
            const before = snapshots.get(snapshot.repository)
            // Of two overlapping syncs the one that asked first may finish last; its answer is outdated.
            const outdated = before !== undefined && DateTime.isGreaterThan(before.askedAt, snapshot.askedAt)
            return [
              Option.fromUndefinedOr(before),
              outdated ? snapshots : new Map(snapshots).set(snapshot.repository, snapshot)
            ]
          })
      })
    })
  )
}
