/** Removes, in the background, what crashed processes and old runs left of their files. */
import * as Effect from "effect/Effect"
import type { CheckpointStore } from "../CheckpointStore.ts"
import type { RunId } from "../RunId.ts"
import type { StoreError } from "../StoreError.ts"
import type { Workspace } from "../Workspace.ts"

const everyState = ["running", "interrupted", "exhausted"] as const

/** All runs in flight: none of their snapshots may go, so a list that was cut short is none. */
const inFlight = Effect.fnUntraced(function*(
  store: CheckpointStore["Service"]
): Effect.fn.Return<ReadonlyArray<RunId>, StoreError> {
  const found: Array<RunId> = []
  let cursor: string | undefined
  do {
    const page = yield* store.listInterrupted({ status: everyState }, { cursor, limit: 500 })
    found.push(...page.items.map(({ runId }) => runId))
    cursor = page.next
  } while (cursor !== undefined)
  return found
})

export const sweepWorkspaces = (
  workspace: Workspace["Service"],
  store: CheckpointStore["Service"],
  folders: ReadonlyArray<string>
): Effect.Effect<void> =>
  Effect.flatMap(
    inFlight(store),
    (keep) =>
      Effect.forEach(folders.length === 0 ? [undefined] : folders, (cwd) =>
        Effect.catchCause(
          Effect.tap(workspace.sweep({ keep, cwd }), ({ healed, indexes, pruned }) =>
            pruned.length + healed.length + indexes === 0 ? Effect.void : Effect.logInfo(
              `Removed ${pruned.length} old snapshots, ${healed.length} broken refs and ${indexes} indexes of runs that are over`
            )),
          (cause) => Effect.logWarning("What old runs left of their files could not be removed", cause)
        ), { discard: true })
  ).pipe(
    Effect.catch((error) => Effect.logWarning("What old runs left of their files was not looked for", error))
  )
