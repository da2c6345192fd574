import * as Schema from "effect/Schema"

/**
 * The id that somebody asked for, in errors about it. It need not have the form of a run id: an error that could not hold
 * it would be thrown instead of returned.
 */
export const AskedRunId = Schema.String.pipe(Schema.brand("@everbeat/core/RunId"))
