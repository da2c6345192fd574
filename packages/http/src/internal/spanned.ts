import * as Effect from "effect/Effect"
import * as Tracer from "effect/Tracer"

/** A span around the effect where somebody looks at spans: making one takes as long as a step. */
export const spanned = (name: string) => <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) =>
    fiber.getRef(Tracer.Tracer) === Tracer.nativeTracer
      ? effect
      : Effect.withSpan(effect, name) as Effect.Effect<A, E, R> // the span provides itself as the parent of others
  )
