/** Runs a function of the user that returns a value, a promise or an Effect. */
import * as Effect from "effect/Effect"
import type { Abort } from "./abort.ts"
import { type Declared, raise, type Raised } from "./raise.ts"

/** A `then` that throws when it is looked at is left to `Promise.resolve`, which rejects with that. */
const isThenable = (value: unknown): value is PromiseLike<unknown> => {
  if ((typeof value !== "object" || value === null) && typeof value !== "function") return false
  try {
    return typeof Reflect.get(value, "then") === "function"
  } catch {
    return true
  }
}

/**
 * Waits for a promise. Interrupted, it aborts and waits on: the engine leaves behind what does not stop within its grace,
 * and says so. A promise that settles later is never an unhandled rejection.
 */
const settled = (
  promise: PromiseLike<unknown>,
  abort: Abort,
  declared: Declared | undefined
): Effect.Effect<unknown, Raised> =>
  Effect.callback((resume) => {
    const over = Promise.resolve(promise).then(
      (value) => resume(Effect.succeed(value)),
      (error: unknown) => resume(Effect.fail(raise(error, declared)))
    )
    return Effect.suspend(() => {
      abort.abort(stopped)
      return Effect.promise(() => over)
    })
  })

export const stopped = "It was stopped: by its limit, a cancel or a shutdown."

export const invoke = (
  run: () => unknown,
  abort: Abort,
  declared: Declared | undefined
): Effect.Effect<unknown, Raised> =>
  Effect.suspend(() => {
    let out: unknown
    try {
      out = run()
    } catch (error) {
      return Effect.fail(raise(error, declared))
    }
    if (Effect.isEffect(out)) {
      // Its services are in the types of the heartbeat, and in the runtime.
      const effect = out as Effect.Effect<unknown, unknown>
      return Effect.interruptible(effect).pipe( // also where its caller is not
        Effect.mapError((error) => raise(error, declared, true)),
        Effect.onInterrupt(() => Effect.sync(() => abort.abort(stopped)))
      )
    }
    return isThenable(out) ? settled(out, abort, declared) : Effect.succeed(out)
  })
