import * as Effect from "effect/Effect"
import type { Workspace } from "../../Workspace.ts"
import { SnapshotGone } from "../../WorkspaceError.ts"

const gone = (commit: string) =>
  Effect.fail(new SnapshotGone({ commit, detail: "this process has no workspace to restore it with" }))

/** A workspace that keeps nothing. */
export const make = (): Workspace["Service"] => ({
  snapshot: () => Effect.succeed({ _tag: "Skipped", why: "none" }),
  restore: ({ snapshot }) => gone(snapshot.commit),
  diff: (snapshot) => gone(snapshot.commit),
  list: () => Effect.succeed([]),
  prune: () => Effect.succeed({ pruned: [] }),
  sweep: ({ keep }) => Effect.succeed({ pruned: [], healed: [], indexes: 0, missing: keep })
})
