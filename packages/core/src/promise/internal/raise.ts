/** What user code throws, made into failures that the engine reports, and back. */
import * as DateTime from "effect/DateTime"
import { fromValue } from "../../internal/diagnose.ts"
import { describe } from "./checks.ts"

const never = DateTime.makeUnsafe(0)

const read = (value: unknown, key: string): unknown => {
  try {
    return typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined
  } catch {
    return undefined
  }
}

/** As `instanceof`, which throws for a revoked proxy. */
export const isA = <T>(value: unknown, type: abstract new(...args: Array<never>) => T): value is T => {
  try {
    return value instanceof type
  } catch {
    return false
  }
}

const isError = (value: unknown): value is Error => isA(value, Error)

/** A warning or failure with a code, as the engine takes it. `value` is what the user gave. */
export class Raised {
  readonly _tag: string
  readonly message: string
  readonly hint: string | undefined
  readonly url: string | undefined
  readonly value: unknown
  /** Whether another attempt of an agent may mend it. */
  readonly isRetryable: boolean

  constructor(
    fields: Pick<Raised, "_tag" | "message" | "value"> & Partial<Pick<Raised, "hint" | "url" | "isRetryable">>
  ) {
    this._tag = fields._tag
    this.message = fields.message
    this.hint = fields.hint
    this.url = fields.url
    this.value = fields.value
    this.isRetryable = fields.isRetryable ?? false
  }
}

/** A class of errors, whatever it is made with. */
export type ErrorClass = abstract new(...args: ReadonlyArray<never>) => unknown

/** Declared failures, by their codes. */
export type Declared = Readonly<Record<string, ErrorClass>>

const declaredCode = (thrown: unknown, declared: Declared): string | undefined => {
  try {
    return Object.keys(declared).find((code) => {
      const type = declared[code]
      return type !== undefined && thrown instanceof type
    })
  } catch {
    return undefined
  }
}

/** The name of a class that did not set the `name` of its errors. */
const classOf = (thrown: unknown): string | undefined => {
  const name = functionName(read(thrown, "constructor"))
  return typeof name === "string" && name !== "" && name !== "Error" && name !== "Object" ? name : undefined
}

const functionName = (value: unknown): string | undefined => (typeof value === "function" ? value.name : undefined)

/** `fetch failed` says nothing; why it failed is in its cause. */
const causeOf = (thrown: unknown, message: string): string => {
  let text = message
  let cause = read(thrown, "cause")
  for (let depth = 0; depth < 3 && isError(cause); depth++) {
    const said = read(cause, "message") || read(cause, "code")
    if (typeof said === "string" && said !== "" && !text.includes(said)) text = `${text}: ${said}`
    cause = read(cause, "cause")
  }
  return text
}

/**
 * A failure of what was thrown. With declared failures, what is none of them is `Unexpected`; a failure of an Effect is
 * declared by its type, and keeps its tag.
 */
export const raise = (thrown: unknown, declared?: Declared, typed = false): Raised => {
  if (isA(thrown, Raised)) return thrown
  const { code, hint, message, url } = fromValue("error", undefined, thrown, never)
  const known = declared === undefined ? undefined : declaredCode(thrown, declared)
  const own = code === "Unknown" ? classOf(thrown) ?? code : code
  const isRetryable = read(thrown, "retryable") === true || read(thrown, "isRetryable") === true
  const silent = !isError(thrown) && typeof thrown !== "string" && read(thrown, "message") === undefined
  return new Raised({
    _tag: known ?? (declared === undefined || typed ? own : "Unexpected"),
    message: silent && !typed ? `${describe(thrown)} was thrown, which is no error.` : causeOf(thrown, message),
    hint,
    url,
    value: thrown,
    isRetryable
  })
}

/** A warning that user code gave in words. */
export const warning = (
  code: unknown,
  message: unknown,
  options: { readonly hint?: string | undefined; readonly url?: string | URL | undefined } | undefined
): Raised => {
  const url = read(options, "url")
  const hint = read(options, "hint")
  return new Raised({
    _tag: typeof code === "string" && code !== "" ? code : "Unknown",
    message: typeof message === "string" ? message : describe(message),
    hint: typeof hint === "string" ? hint : undefined,
    url: typeof url === "string" ? url : isA(url, URL) ? url.href : undefined,
    value: undefined
  })
}

/** What the user gave. */
export const lower = (value: unknown): unknown => (isA(value, Raised) ? value.value : value)
