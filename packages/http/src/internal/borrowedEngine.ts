/** The engine of somebody else: a handler that stops ends the passes that it began, and leaves the engine running. */
import { HeartbeatEngine } from "@everbeat/core/HeartbeatEngine"
import { EngineStopped } from "@everbeat/core/PassError"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

interface Own {
  readonly over: Effect.Effect<unknown>
  readonly interrupt: Effect.Effect<void>
}

export const borrowEngine = (engine: HeartbeatEngine["Service"]): HeartbeatEngine["Service"] => {
  const own = new Set<Own>()
  const drained = Deferred.makeUnsafe<void>()
  let beginning = 0
  let stopping = false

  const begun = <A, E, R>(start: Effect.Effect<A, E, R>): Effect.Effect<A, E | EngineStopped, R> =>
    Effect.suspend((): Effect.Effect<A, E | EngineStopped, R> => {
      if (stopping) return Effect.fail(new EngineStopped({}))
      beginning++
      return Effect.ensuring(start, Effect.sync(() => beginning--))
    })

  const start: HeartbeatEngine["Service"]["start"] = (heartbeat, options) =>
    begun(Effect.tap(engine.start(heartbeat, options), (pass) => {
      // A pass that was joined is somebody else's.
      if (pass.origin !== "executed" && pass.origin !== "resumed") return Effect.void
      const over = Effect.exit(pass.report)
      const entry: Own = { over, interrupt: pass.interrupt }
      own.add(entry)
      return Effect.forkDetach(Effect.ensuring(over, Effect.sync(() => own.delete(entry))), { startImmediately: true })
    }))

  const all = (f: (entry: Own) => Effect.Effect<unknown>): Effect.Effect<void> =>
    Effect.suspend(() => Effect.forEach([...own], f, { concurrency: "unbounded", discard: true }))

  /** A pass that is just being begun is known when the store has answered, which it does within its limit. */
  const answered: Effect.Effect<void> = Effect.suspend(() =>
    beginning === 0 ? Effect.void : Effect.andThen(Effect.sleep(5), answered)
  )

  return HeartbeatEngine.of({
    ...engine,
    start,
    run: (heartbeat, options) => begun(engine.run(heartbeat, options)),
    // Whoever owns the engine tells of what is settled. This one only ends.
    settled: Stream.drain(Stream.fromEffect(Deferred.await(drained))),
    drain: (grace) =>
      Effect.suspend(() => {
        stopping = true
        const ended = Effect.andThen(answered, all(({ over }) => over))
        return Effect.timeoutOption(ended, grace).pipe(
          Effect.andThen(all(({ interrupt }) => interrupt)),
          Effect.andThen(answered),
          Effect.andThen(all(({ interrupt }) => interrupt)),
          Effect.andThen(Deferred.succeed(drained, undefined)),
          Effect.asVoid
        )
      })
  })
}
