/**
 * Turns values that steps raise into diagnostics. Never throws: getters of
 * user classes may.
 */
import * as Cause from "effect/Cause"
import type * as DateTime from "effect/DateTime"
import * as Formatter from "effect/Formatter"
import * as Predicate from "effect/Predicate"
import type { Coded, Diagnostic } from "../Diagnostic.ts"
import { Defect, ResultRefused } from "../Fault.ts"

/** A diagnostic that may carry the live value it was made from. */
export type Live = Coded<string, unknown>

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** Cuts a text to so many UTF-8 bytes, at a character boundary. */
export const clip = (text: string, maxBytes: number): string => {
  if (text.length * 3 <= maxBytes) return text
  // A code unit is at least one byte: what lies behind so many of them is cut anyway.
  const bytes = encoder.encode(text.slice(0, maxBytes + 1))
  if (bytes.length <= maxBytes) return text
  let end = maxBytes - 3
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end--
  return `${decoder.decode(bytes.subarray(0, end))}…`
}

const text = (u: unknown): string | undefined => (typeof u === "string" && u.trim() !== "" ? u : undefined)

const read = (value: unknown, key: string): string | undefined => {
  try {
    return Predicate.hasProperty(value, key) ? text(value[key]) : undefined
  } catch {
    return undefined
  }
}

const codeOf = (value: unknown): string => {
  const tag = read(value, "_tag")
  if (tag !== undefined) return tag
  const name = isError(value) ? read(value, "name") : undefined
  return name !== undefined && name !== "Error" ? name : "Unknown"
}

/** Never throws, as `instanceof` does for a revoked proxy. */
const isError = (value: unknown): value is Error => {
  try {
    return value instanceof Error
  } catch {
    return false
  }
}

/** `Low { n: 42 }` for a class without a message of its own. */
const fields = (code: string, value: unknown): string => {
  try {
    if (!Predicate.isObject(value)) return value === undefined ? code : Formatter.format(value)
    const own = Object.entries(value).filter(([key]) => key !== "_tag" && key !== "hint" && key !== "url")
    if (own.length === 0) return code
    return `${code} { ${own.map(([key, field]) => `${key}: ${clip(Formatter.format(field), 256)}`).join(", ")} }`
  } catch {
    return code
  }
}

const isHttp = (url: string): boolean => /^https?:\/\//i.test(url) && URL.canParse(url)

/** `Effect.tryPromise` wraps what a promise was rejected with, and its own message says nothing of that. */
const promised = (value: unknown, code: string): string | undefined => {
  if (code !== "UnknownError") return undefined
  try {
    return Predicate.hasProperty(value, "cause") ? read(value.cause, "message") ?? text(value.cause) : undefined
  } catch {
    return undefined
  }
}

export const fromValue = (
  severity: Diagnostic["severity"],
  step: string | undefined,
  value: unknown,
  at: DateTime.Utc
): Live => {
  const code = codeOf(value)
  let message = promised(value, code) ?? read(value, "message") ?? text(value) ?? fields(code, value)
  // Errors often repeat their own name; the code says it already.
  while (message.startsWith(`${code}: `)) message = message.slice(code.length + 2)
  const hint = read(value, "hint")
  const url = read(value, "url")
  return {
    severity,
    ...(step === undefined ? undefined : { step }),
    code: clip(code, 128),
    message: clip(message, 1024),
    ...(hint === undefined ? undefined : { hint: clip(hint, 512) }),
    ...(url !== undefined && url === clip(url, 256) && isHttp(url) ? { url } : undefined),
    at,
    value
  }
}

/** What is stored of a diagnostic: everything but the live value. */
export const recorded = (live: Live): Diagnostic => {
  if (!("value" in live)) return live
  const { value: _, ...diagnostic } = live
  return diagnostic
}

/** What was thrown, as a value; what the engine itself throws inside a step stays what it is. */
const defect = (thrown: unknown): unknown => {
  try {
    return thrown instanceof ResultRefused ? thrown : new Defect({ cause: thrown })
  } catch {
    return new Defect({ cause: new Error("a value that cannot be looked at was thrown") })
  }
}

/** Every failure in a cause as a value; what was thrown becomes a `Defect`. Interruptions are left out. */
export const valuesOf = (cause: Cause.Cause<unknown>): ReadonlyArray<unknown> =>
  cause.reasons.flatMap((reason) => {
    if (Cause.isFailReason(reason)) return [reason.error]
    return Cause.isDieReason(reason) ? [defect(reason.defect)] : []
  })
