import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/** A `detail` that is the same for every occurrence. */
export const says = (detail: string) => Schema.String.pipe(Schema.withConstructorDefault(Effect.succeed(detail)))
