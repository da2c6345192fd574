import * as Effect from "effect/Effect"
import * as Problem from "../Problem.ts"

/** `"k"` as a structured-field string, or a bare `k`. What the key itself may hold is for the engine to say. */
export const parseIdempotencyKey = (
  header: string | undefined
): Effect.Effect<string | undefined, Problem.InvalidRequest> => {
  if (header === undefined) return Effect.succeed(undefined)
  const key = header.startsWith(`"`) ? unquote(header) : header
  return key !== undefined && keyPattern.test(key) ? Effect.succeed(key) : Effect.fail(
    new Problem.InvalidRequest({
      detail: "Idempotency-Key is not acceptable: send 1 to 255 visible ASCII characters, bare or in double quotes."
    })
  )
}

const keyPattern = /^[\x21-\x7e]{1,255}$/u

// RFC 9651, 3.3.3: only a quote and a backslash are escaped, everything else is verbatim.
const quoted = /^"((?:[^"\\]|\\["\\])*)"$/u

const unquote = (header: string): string | undefined => quoted.exec(header)?.[1]?.replaceAll(/\\(["\\])/gu, "$1")
