/**
 * Serialisable form of a warning or of a failure.
 *
 * A step raises typed values (`Step.warn(new MissingOwner(...))`, a failure in
 * its error channel). A diagnostic is what is stored, sent and shown of such a
 * value: a stable code, a message that says what failed, and what to do.
 *
 * @since 0.1.0
 */
import type * as DateTime from "effect/DateTime"
import * as Schema from "effect/Schema"

/**
 * Schema of a diagnostic. Texts are clipped: message 1,024 bytes of UTF-8,
 * hint 512, code 128; a url over 256 bytes is left out, and a step's name has
 * at most 128. So the texts of one diagnostic have at most 2 kB.
 *
 * **Details**
 *
 * `code` is the `_tag` of the value, else its `name` unless that is `Error`,
 * else `Unknown`. `hint` and `url` are taken from fields or getters of that name;
 * only `http` and `https` URLs are kept. `step` is absent when the whole pass
 * is meant.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Diagnostic = Schema.Struct({
  severity: Schema.Literals(["warning", "error"]),
  step: Schema.optionalKey(Schema.String),
  code: Schema.String,
  message: Schema.String,
  hint: Schema.optionalKey(Schema.String),
  url: Schema.optionalKey(Schema.String),
  at: Schema.DateTimeUtc
})

/**
 * A warning or a failure as it is stored, sent and shown.
 *
 * @category models
 * @since 0.1.0
 */
export interface Diagnostic {
  readonly severity: "warning" | "error"
  readonly step?: string
  readonly code: string
  readonly message: string
  readonly hint?: string
  readonly url?: string
  readonly at: DateTime.Utc
}

/**
 * A diagnostic whose code is known, with the live value when it was raised in
 * this process. After a restart or a replay only the diagnostic is left and
 * `value` is absent.
 *
 * @category models
 * @since 0.1.0
 */
export interface Coded<out Code extends string, out Value> extends Diagnostic {
  readonly code: Code
  readonly value?: Value
}

/**
 * One member per tag of `E`, so that comparing `code` narrows `value`.
 *
 * @category utility types
 * @since 0.1.0
 */
export type Diagnosed<E> = E extends { readonly _tag: infer Tag extends string } ? Coded<Tag, E> : Coded<string, E>

/**
 * Renders a diagnostic as one line: `step: message (hint)`.
 *
 * **Example** (Rendering a warning)
 *
 * ```ts
 * import { Diagnostic } from "@everbeat/core"
 * import { DateTime } from "effect"
 *
 * Diagnostic.render({
 *   severity: "warning",
 *   step: "sync-issues",
 *   code: "MissingOwner",
 *   message: "3 issues have no owner.",
 *   hint: "Assign them.",
 *   at: DateTime.makeUnsafe(0)
 * }) // => "sync-issues: 3 issues have no owner. (Assign them.)"
 * ```
 *
 * @category getters
 * @since 0.1.0
 */
export const render = (self: Diagnostic): string => {
  const text = (part: string) => part.replace(/\p{Cc}+/gu, " ") // one line, also in a log or a terminal
  const prefix = self.step === undefined || self.message.startsWith(`${self.step}: `) ? "" : `${self.step}: `
  return text(`${prefix}${self.message}${self.hint === undefined ? "" : ` (${self.hint})`}`)
}
