/**
 * Values that a store can keep.
 *
 * @since 0.1.0
 */
import type * as Schema from "effect/Schema"
import type { MessageCodec } from "../MessageCodec.ts"

/**
 * A JSON value.
 *
 * @category models
 * @since 0.1.0
 */
export type Json = null | boolean | number | string | ReadonlyArray<Json> | { readonly [key: string]: Json }

/**
 * A validator of the Standard Schema specification: what Zod, Valibot, ArkType
 * and others make.
 *
 * @category models
 * @since 0.1.0
 */
export interface StandardSchema<out A> {
  readonly "~standard": {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => StandardResult<A> | Promise<StandardResult<A>>
  }
}

/**
 * What a validator answers.
 *
 * @category models
 * @since 0.1.0
 */
export type StandardResult<A> =
  | { readonly value: A; readonly issues?: undefined }
  | {
    readonly issues: ReadonlyArray<{
      readonly message: string
      readonly path?: ReadonlyArray<PropertyKey | { readonly key: PropertyKey }> | undefined
    }>
  }

/**
 * Says what a stored value is: {@link json}, a validator, or a schema of Effect,
 * which alone can encode what JSON does not have.
 *
 * @category models
 * @since 0.1.0
 */
export type Stored<A> = StandardSchema<A> | Schema.Codec<A, unknown> | MessageCodec<A>

/**
 * Names the type of a value that is JSON already, without checking it when it
 * is read back.
 *
 * **Details**
 *
 * A property that is `undefined` is left out. Anything else that JSON cannot
 * hold (a `Date`, a `Map`, a class instance, `NaN`, a function) is refused with
 * an error that names the path.
 *
 * **Example** (Messages of a type of yours)
 *
 * ```ts
 * import { agent, json } from "@everbeat/core/promise"
 *
 * interface Message {
 *   readonly role: "user" | "assistant"
 *   readonly text: string
 * }
 * const coder = agent("coder", {
 *   message: json<Message>(),
 *   run: async (ctx) => ctx.checkpoint.save({ messages: [{ role: "user", text: "hello" }] })
 * })
 * coder.name // => "coder"
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const json = <A>(): StandardSchema<A> => ({
  // The caller says what it is; nothing is checked beyond its being JSON.
  "~standard": { version: 1, vendor: "everbeat", validate: (value) => ({ value: value as A }) }
})
