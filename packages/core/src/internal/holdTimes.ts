import * as Duration from "effect/Duration"

/** How long whatever runs here holds a lease, and waits for the store. */
export interface HoldTimes {
  readonly ttl: Duration.Duration
  readonly storeMillis: number
}

/** The same options with the same defaults for all that holds leases. Throws, and names the option and whose it is. */
export const holdTimes = (
  whose: string,
  options: { readonly leaseTtl?: Duration.Input | undefined; readonly storeTimeout?: Duration.Input | undefined }
): HoldTimes => {
  const finite = (option: string, value: Duration.Input): Duration.Duration => {
    const duration = Duration.fromInputUnsafe(value)
    const millis = Duration.toMillis(duration)
    if (millis >= 1 && millis < Infinity) return duration
    throw new TypeError(`${whose}: ${option} must be at least a millisecond, and finite`)
  }
  return {
    ttl: finite("leaseTtl", options.leaseTtl ?? "30 seconds"),
    storeMillis: Duration.toMillis(finite("storeTimeout", options.storeTimeout ?? "5 seconds"))
  }
}
