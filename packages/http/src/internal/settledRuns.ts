/** Settled runs for hosts that run on Effect: as a stream, and for a callback. */
import type { AgentRun } from "@everbeat/core/AgentRun"
import { HeartbeatEngine } from "@everbeat/core/HeartbeatEngine"
import { SettledHub } from "@everbeat/core/promise/SettledHub"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { offered } from "./services.ts"

/** Of passes, and of agents where their supervisor is in context. */
export const settledRuns: Stream.Stream<AgentRun, never, HeartbeatEngine> = Stream.unwrap(
  Effect.gen(function*() {
    const { settled } = yield* HeartbeatEngine
    const { supervisor } = offered(yield* Effect.context<never>())
    return supervisor === undefined ? settled : Stream.merge(settled, supervisor.settled)
  })
)

/** How long the last callbacks may take while the host shuts down. */
const lingerMs = 1000

export const layerSettled = (
  onSettled: ((run: AgentRun) => void | Promise<void>) | undefined
): Layer.Layer<never, never, HeartbeatEngine> =>
  onSettled === undefined ? Layer.empty : Layer.effectDiscard(Effect.gen(function*() {
    const hub = new SettledHub(onSettled)
    yield* Stream.runForEach(settledRuns, (run) => Effect.sync(() => hub.publish(run))).pipe(
      Effect.forkScoped({ startImmediately: true })
    )
    // What has settled by now is on its way through the stream.
    yield* Effect.addFinalizer(() =>
      Effect.andThen(Effect.sleep(0), Effect.timeoutOption(Effect.promise(() => hub.called), lingerMs))
    )
  }))
