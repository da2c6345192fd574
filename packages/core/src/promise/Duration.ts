/**
 * Lengths of time.
 *
 * @since 0.1.0
 */

/**
 * Milliseconds, or a number with a unit: `1500`, `"10 seconds"`, `"2 minutes"`.
 *
 * @category models
 * @since 0.1.0
 */
export type Duration =
  | number
  | `${number} ${"millis" | "second" | "seconds" | "minute" | "minutes" | "hour" | "hours" | "day" | "days"}`
