import * as Duration from "effect/Duration"

/** Whole milliseconds of a duration; an endless one still has an end that a clock can tell. */
export const millisOf = (duration: Duration.Duration): number =>
  Math.min(1e14, Math.max(0, Math.ceil(Duration.toMillis(duration))))
