/** Checks the options that somebody without a type checker may get wrong, and says all that is wrong at once. */
import * as Duration from "effect/Duration"
import { isAgentName } from "../../AgentName.ts"
import { InvalidOptions, type OptionProblem } from "../InvalidOptions.ts"

/** Tells what is expected instead, or nothing. */
export type Check = (value: unknown) => string | undefined

const shorten = (text: string): string => (text.length > 48 ? `${text.slice(0, 48)}…` : text)

/** What was given, in words. Never throws, whatever it is. */
export const describe = (value: unknown): string => {
  try {
    switch (typeof value) {
      case "string":
        return shorten(JSON.stringify(value))
      case "function":
        return "a function"
      case "object": {
        if (value === null) return "null"
        if (Array.isArray(value)) return "an array"
        const { constructor } = value as { readonly constructor?: { readonly name?: unknown } }
        const name = constructor?.name
        return typeof name === "string" && name !== "" && name !== "Object" ? `an instance of ${name}` : "an object"
      }
      default:
        return shorten(String(value))
    }
  } catch {
    return "something that cannot be looked at"
  }
}

export const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const when = (ok: (value: unknown) => boolean, expected: string): Check => (value) => (ok(value) ? undefined : expected)

export const oneOf = (...values: ReadonlyArray<string>): Check =>
  when((value) => values.some((one) => one === value), values.map((one) => JSON.stringify(one)).join(" or "))

export const aFunction: Check = when((value) => typeof value === "function", "a function")
export const aBoolean: Check = when((value) => typeof value === "boolean", "true or false")
export const aString: Check = when((value) => typeof value === "string", "a string")
export const someText: Check = when((value) => typeof value === "string" && value !== "", "a string that is not empty")
export const anArray: Check = when((value) => Array.isArray(value), "an array")
export const anObject: Check = when(isRecord, "an object")
export const anything: Check = () => undefined

export const aName: Check = when(
  (value) => typeof value === "string" && isAgentName(value),
  "1 to 128 letters, digits, '.', '_' or '-', starting with a letter or a digit"
)

export const aStepName: Check = when(
  (value) => typeof value === "string" && value.trim() !== "" && new TextEncoder().encode(value).length <= 128,
  "a name of 1 to 128 bytes"
)

export const aCount = (least: number): Check =>
  when(
    (value) => typeof value === "number" && Number.isSafeInteger(value) && value >= least,
    `a whole number of at least ${least}`
  )

export const strings: Check = when(
  (value) => Array.isArray(value) && value.every((one) => typeof one === "string" && one !== ""),
  "an array of strings"
)

export const aSignal: Check = when((value) => value instanceof AbortSignal, "an AbortSignal")

const unit = /^-?\d+(?:\.\d+)? (?:millis?|seconds?|minutes?|hours?|days?)$/u

const millisOf = (value: unknown): number | undefined => {
  if (typeof value === "number") return value
  return typeof value === "string" && unit.test(value)
    ? Duration.toMillis(Duration.fromInputUnsafe(value as Duration.Input)) // the pattern allows nothing else
    : undefined
}

/** A length of time of at least so many milliseconds. */
export const aDuration = (least: number): Check => (value) => {
  const millis = millisOf(value)
  return millis !== undefined && millis >= least && millis < Infinity
    ? undefined
    : `milliseconds or a text such as "10 seconds", at least ${least} ms`
}

export const either = (...checks: ReadonlyArray<Check>): Check => (value) => {
  const expected = checks.map((check) => check(value))
  return expected.includes(undefined) ? undefined : expected.join(", or ")
}

/** Fields that may be absent. */
export const optional = (checks: Readonly<Record<string, Check>>): Readonly<Record<string, Check>> =>
  Object.fromEntries(
    Object.entries(checks).map((
      [key, check]
    ) => [key, (value: unknown) => value === undefined ? undefined : check(value)])
  )

/** How many letters have to be put in, taken out or replaced to get from one text to the other. */
const distance = (from: string, to: string): number => {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (const [i, letter] of [...from].entries()) {
    const next = [i + 1]
    for (const [j, other] of [...to].entries()) {
      next.push(Math.min((row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1, (row[j] ?? 0) + (letter === other ? 0 : 1)))
    }
    row = next
  }
  return row[to.length] ?? 0
}

/** The known name that was perhaps meant. */
const meant = (name: string, known: ReadonlyArray<string>): string | undefined =>
  known.find((one) => distance(name.toLowerCase().slice(0, 64), one.toLowerCase()) <= 2)

/** Everything that is wrong with the fields of an object, unknown ones included. */
export const problemsOf = (
  options: unknown,
  checks: Readonly<Record<string, Check>>,
  path = ""
): ReadonlyArray<OptionProblem> => {
  const at = (name: string) => (path === "" ? name : `${path}.${name}`)
  if (!isRecord(options)) {
    return [{ option: path === "" ? "the options" : path, given: describe(options), expected: "an object" }]
  }
  const known = Object.keys(checks)
  const wrong = known.flatMap((name): ReadonlyArray<OptionProblem> => {
    const expected = checks[name]?.(options[name])
    return expected === undefined ? [] : [{ option: at(name), given: describe(options[name]), expected }]
  })
  const unknown = Object.keys(options).filter((name) => !Object.hasOwn(checks, name)).map((name): OptionProblem => {
    const other = meant(name, known)
    return {
      option: at(name),
      given: describe(options[name]),
      expected: other === undefined
        ? `nothing: the options are ${known.join(", ")}`
        : `nothing: perhaps ${other} is meant`
    }
  })
  return [...wrong, ...unknown]
}

export const refuse = (where: string, problems: ReadonlyArray<OptionProblem>): void => {
  if (problems.length > 0) throw new InvalidOptions(where, problems)
}
