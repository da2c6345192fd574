import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"

/** What a store said goes to the log: the caller is told only that it failed. */
export const logStoreError = <A, E extends { readonly _tag: string }, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.tapError(
    effect,
    (error) =>
      error._tag === "StoreError"
        ? Effect.logWarning(`A request failed at the store: ${Cause.pretty(Cause.fail(error))}`)
        : Effect.void
  )
