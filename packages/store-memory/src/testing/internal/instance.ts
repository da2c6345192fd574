/** Puts an instance on the store and the clock of a test. */
import type { CheckpointStore } from "@everbeat/core/CheckpointStore"
import { createEverbeat, type Everbeat } from "@everbeat/core/promise/Everbeat"
import type { Options } from "@everbeat/core/promise/Options"
import { storeFromLayer } from "@everbeat/core/promise/Store"
import type { RunStore } from "@everbeat/core/RunStore"
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import { WebCrypto } from "effect/crypto/WebCrypto"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import type { TrackedCrypto } from "./trackedCrypto.ts"
import type { VirtualClock } from "./virtualClock.ts"

type AnyOptions = Partial<Options<{}, readonly [], never, unknown>>

/**
 * What the options say in their types is known to the compiler alone: it is said of the instance by `TestEverbeat.make`.
 * Everything lives on the clock and the cryptography of the test: they are part of the layer that all other services are built with.
 */
export const instance = (
  options: object,
  clock: VirtualClock,
  crypto: TrackedCrypto,
  services: Context.Context<CheckpointStore | RunStore>,
  isDead?: () => boolean
): Everbeat => {
  const given = options as AnyOptions
  // The dead have nothing to say.
  const logger = Logger.make((entry) => isDead?.() === true ? undefined : Logger.defaultLogger.log(entry))
  const log = isDead === undefined ? Layer.empty : Logger.layer([logger])
  const time = Layer.mergeAll(
    Layer.succeed(Clock.Clock, isDead === undefined ? clock : mortal(clock, isDead)),
    Layer.succeed(WebCrypto, crypto),
    log
  )
  return createEverbeat({
    ...given,
    recovery: given.recovery ?? false,
    graceMs: given.graceMs ?? 0,
    store: storeFromLayer(Layer.succeedContext(services)),
    layer: given.layer === undefined ? time : Layer.provideMerge(given.layer, time)
  })
}

/** In a dead process nothing falls due: it must not find out that the store does not answer, and go on. */
const mortal = (clock: VirtualClock, isDead: () => boolean): Clock.Clock => ({
  ...clock,
  sleep: (duration) =>
    Effect.andThen(clock.sleep(duration), Effect.suspend(() => isDead() ? Effect.never : Effect.void))
})

export const leaseTtlOf = (options: object): NonNullable<AnyOptions["leaseTtl"]> =>
  (options as AnyOptions).leaseTtl ?? "30 seconds"
