/** A run id that was made here and is taken: the client sent `begin` again after the answer to it was lost. */
import * as Effect from "effect/Effect"
import { type RunExists, StoreError } from "../StoreError.ts"

/** By now the run is another process's, or has ended. To the caller it is what a lost answer always is. */
export const begunBefore = ({ runId }: RunExists): Effect.Effect<never, StoreError> =>
  Effect.fail(
    new StoreError({
      operation: "begin",
      reason: "unavailable",
      detail: `run ${runId} was begun, the answer was lost, and another process has taken it over`
    })
  )
