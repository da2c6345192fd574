/**
 * Tells values of another copy of this package apart, and says when `effect` is
 * there twice. Most of what two copies exchange works, since it is found by name;
 * what is found by identity does not, and would only be told as a result that does
 * not fit its schema, or as an error that nobody catches.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"

const CopyId = "~everbeat/core/copy"

/** Part of what this copy makes: steps, heartbeats, agents. */
export const stamp = { [CopyId]: {} }

const remedy = `Run "npm ls @everbeat/core effect" to see who installs them, and "npm dedupe" or one version range to `
  + `have one. A bundler must bundle both packages once, or leave both external.`

/** Throws when a definition is none, or one of another copy. */
export const refuseForeign = (what: string, typeId: string, value: unknown, maker: string): void => {
  if (!Predicate.hasProperty(value, typeId)) throw new TypeError(`${what} is not one: make it with ${maker}`)
  if (Predicate.hasProperty(value, CopyId) && value[CopyId] === stamp[CopyId]) return
  throw new TypeError(`${what} was made by another copy of @everbeat/core than the one that is to run it. ${remedy}`)
}

/** By which an effect of Effect 3 is known. */
const Effect3 = Symbol.for("effect/Effect")

/** What to say of a value that is no effect. */
export const notAnEffect = (value: unknown): string =>
  Predicate.hasProperty(value, Effect3)
    ? `the body returned an effect of Effect 3, and Everbeat runs those of Effect 4. ${remedy}`
    : "the body must return an Effect; wrap a promise in Effect.tryPromise"

/** What to say of a result that is no schema. */
export const notASchema =
  `result must be a Schema of the same "effect" that Everbeat uses, or be left out. If it is one of Effect 3: ${remedy}`

/** On `globalThis`, so that it is said once however many copies there are. */
const Told = Symbol.for("@everbeat/core/copies/effect")

/**
 * Warns when a service is built by the runtime of another copy of `effect`: each fiber is of a class of its copy.
 * Only a warning, since copies of one version get along, and development servers make some.
 */
export const warnOfSecondEffect: Effect.Effect<void> = Effect.withFiber((fiber) => {
  if (fiber.constructor === Effect.runFork(Effect.void).constructor || Told in globalThis) return Effect.void
  Object.defineProperty(globalThis, Told, { value: true })
  return Effect.logWarning(
    `Two copies of "effect" are loaded: the one that @everbeat/core imports, and the one that the application runs it with. `
      + `They may differ in what services and schemas mean, and every module is loaded twice. ${remedy}`
  )
})
