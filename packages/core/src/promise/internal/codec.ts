/** Codecs of what Promise users store. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as SchemaGetter from "effect/SchemaGetter"
import * as SchemaIssue from "effect/SchemaIssue"
import type { MessageCodec } from "../../MessageCodec.ts"
import type { Json, StandardResult, StandardSchema, Stored } from "../Json.ts"
import { isRecord } from "./checks.ts"
import { normalise, type NotJson } from "./normalise.ts"

const isCodec = <A>(stored: Stored<A>): stored is MessageCodec<A> => isRecord(stored) && "maxBytes" in stored

const isStandard = <A>(stored: Stored<A>): stored is StandardSchema<A> => {
  if (Schema.isSchema(stored) || stored === null || stored === undefined) return false
  const standard: unknown = Reflect.get(Object(stored), "~standard")
  return isRecord(standard) && typeof standard["validate"] === "function"
}

/** Whether a value can be an option that says what is stored. */
export const isStored = (value: unknown): boolean =>
  Schema.isSchema(value) || isStandard(value as Stored<unknown>) || isCodec(value as Stored<unknown>)

const issueAt = (path: ReadonlyArray<PropertyKey>, message: string): SchemaIssue.Issue => {
  const issue = new SchemaIssue.InvalidValue({ message })
  return path.length === 0 ? issue : new SchemaIssue.Pointer(path, issue)
}

const keyOf = (
  key: PropertyKey | { readonly key: PropertyKey }
): PropertyKey => (typeof key === "object" ? key.key : key)

const judged = <A>(result: StandardResult<A>): Effect.Effect<A, SchemaIssue.Issue> => {
  if (result.issues === undefined) return Effect.succeed(result.value)
  const [first] = result.issues
  return Effect.fail(issueAt((first?.path ?? []).map(keyOf), first?.message ?? "it is not valid"))
}

const toJson = (value: unknown): Effect.Effect<Json, SchemaIssue.Issue> => {
  try {
    return Effect.succeed(normalise(value))
  } catch (error) {
    // `normalise` throws nothing else.
    const { detail, path } = error as NotJson
    return Effect.fail(issueAt(path, detail))
  }
}

/** A validator that only accepts: what it accepts is stored as it is. */
const standardCodec = <A>({ "~standard": { validate } }: StandardSchema<A>): Schema.Codec<A, Json> => {
  const check = (value: unknown): Effect.Effect<A, SchemaIssue.Issue> =>
    Effect.suspend(() => {
      const result = validate(value)
      return result instanceof Promise
        ? Effect.flatMap(Effect.promise(() => result), judged)
        : judged(result)
    })
  const codec = Schema.Json.pipe(Schema.decodeTo(Schema.Unknown, {
    decode: SchemaGetter.transformEffect((stored: unknown) => check(stored)),
    encode: SchemaGetter.transformEffect((value: unknown) => Effect.tap(toJson(value), (json) => check(json)))
  }))
  // What was validated is an `A`: a schema of the unknown cannot say so.
  return codec as unknown as Schema.Codec<A, Json>
}

/** Any JSON value. */
const jsonCodec: Schema.Codec<unknown, Json> = standardCodec({
  "~standard": { version: 1, vendor: "everbeat", validate: (value) => ({ value }) }
})

/** The codec of messages. */
export const messageCodec = <M>(stored: Stored<M> | undefined): Schema.Codec<M, unknown> | MessageCodec<M> =>
  // Without an option the type of messages is `Json`.
  stored === undefined ? jsonCodec as Schema.Codec<M, Json> : isStandard(stored) ? standardCodec(stored) : stored

/** The codec of what an agent answers: nothing is stored as `null`. */
export const resultCodec = <A>(stored: Stored<A> | undefined): Schema.Codec<A, unknown> => {
  if (stored === undefined) {
    const codec = Schema.Json.pipe(Schema.decodeTo(Schema.Unknown, {
      decode: SchemaGetter.passthrough<unknown>(),
      encode: SchemaGetter.transformEffect((value: unknown) =>
        value === undefined ? Effect.succeed<Json>(null) : toJson(value)
      )
    }))
    return codec as unknown as Schema.Codec<A, unknown> // whatever the agent answers, as long as it is JSON
  }
  if (isStandard(stored)) return standardCodec(stored)
  return isCodec(stored) ? stored.schema : stored
}
