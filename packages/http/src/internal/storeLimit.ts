import { StoreError } from "@everbeat/core/StoreError"
import * as Effect from "effect/Effect"

/** Bounds a question to a store, which a request waits for. */
export const limited = <A, E>(operation: string, ask: () => Effect.Effect<A, E>): Effect.Effect<A, E | StoreError> =>
  Effect.timeoutOrElse(Effect.suspend(ask), {
    duration: "5 seconds",
    orElse: () =>
      Effect.fail(new StoreError({ operation, reason: "timeout", detail: "It did not answer within 5 seconds." }))
  })
