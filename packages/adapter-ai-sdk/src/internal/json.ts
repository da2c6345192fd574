/** Values of messages as JSON, with what JSON has no form for: bytes, URLs, dates. */
import * as Base64 from "effect/encoding/Base64"
import * as Result from "effect/Result"
import type { Json } from "effect/Schema"

/** A part that cannot be written. */
export interface Offence {
  readonly path: ReadonlyArray<PropertyKey>
  readonly detail: string
}

/** Marks an object that stands for something else. */
const mark = "$everbeat"

/** Thrown inside only: it carries the path out of the recursion. */
class Refused extends Error {
  readonly path: Array<PropertyKey> = []
}

/** What JSON would drop or change without a word is refused; an absent and an `undefined` field are the same. */
export const encode = (value: unknown): Result.Result<Json, Offence> => {
  try {
    return Result.succeed(write(value, new Set()))
  } catch (error) {
    if (error instanceof Refused) return Result.fail({ path: error.path.toReversed(), detail: error.message })
    if (error instanceof RangeError) return Result.fail({ path: [], detail: "it is nested too deeply" })
    return Result.fail({ path: [], detail: `reading it threw ${String(error)}` })
  }
}

const write = (value: unknown, ancestors: Set<object>): Json => {
  switch (typeof value) {
    case "string":
    case "boolean":
      return value
    case "number":
      if (Number.isFinite(value)) return value
      throw new Refused(`${value} is not JSON`)
    case "object":
      return value === null ? null : writeObject(value, ancestors)
    default:
      throw new Refused(value === undefined ? "undefined is not JSON" : `a ${typeof value} is not JSON`)
  }
}

const writeObject = (value: object, ancestors: Set<object>): Json => {
  if (value instanceof Uint8Array) return { [mark]: "bytes", base64: Base64.encode(value) }
  if (value instanceof ArrayBuffer) return { [mark]: "buffer", base64: Base64.encode(new Uint8Array(value)) }
  if (value instanceof URL) return { [mark]: "url", href: value.href }
  if (Object.prototype.toString.call(value) === "[object Date]") return { [mark]: "date", iso: isoOf(value) }
  if (ancestors.has(value)) throw new Refused("it contains itself")
  ancestors.add(value)
  const written = Array.isArray(value)
    ? Array.from(value, (item: unknown, index) => at(index, () => write(item, ancestors)))
    : writeRecord(value, ancestors)
  ancestors.delete(value)
  return written
}

const writeRecord = (value: object, ancestors: Set<object>): Json => {
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== null && prototype !== Object.prototype) {
    throw new Refused(`an instance of ${value.constructor?.name ?? "a class"} is not JSON`)
  }
  const [symbol] = Object.getOwnPropertySymbols(value)
  if (symbol !== undefined) throw new Refused(`its key ${String(symbol)} is not JSON`)
  const record = Object.fromEntries(
    Object.entries(value)
      .filter(([, field]) => field !== undefined)
      .map(([key, field]): [string, Json] => [key, at(key, () => write(field, ancestors))])
  )
  // Somebody else's mark is not ours.
  return mark in record ? { [mark]: "object", value: record } : record
}

const isoOf = (date: object): string => {
  const iso: unknown = JSON.parse(JSON.stringify(date))
  if (typeof iso === "string") return iso
  throw new Refused("an invalid date is not JSON")
}

const at = <A>(key: PropertyKey, body: () => A): A => {
  try {
    return body()
  } catch (error) {
    if (error instanceof Refused) error.path.push(key)
    throw error
  }
}

/** Throws when a marked object is none that `encode` writes. */
export const decode = (json: Json): unknown => {
  if (typeof json !== "object" || json === null) return json
  if (Array.isArray(json)) return json.map(decode)
  const record = Object.entries(json)
  const form: unknown = Reflect.get(json, mark)
  if (form === undefined) return decodeRecord(record)
  return decodeMarked(form, Object.fromEntries(record))
}

const decodeRecord = (entries: ReadonlyArray<[string, Json]>): object =>
  Object.fromEntries(entries.map(([key, field]) => [key, decode(field)]))

const decodeMarked = (form: unknown, { base64, href, iso, value }: Readonly<Record<string, Json>>): unknown => {
  if (typeof base64 === "string") {
    const bytes = Result.getOrThrow(Base64.decode(base64))
    if (form === "bytes") return bytes
    if (form === "buffer") return bytes.slice().buffer
  }
  if (form === "url" && typeof href === "string") return new URL(href)
  // A `Date` of the message, not the time of now.
  if (form === "date" && typeof iso === "string") return new globalThis.Date(iso)
  if (form === "object" && typeof value === "object" && value !== null) return decodeRecord(Object.entries(value))
  throw new TypeError(`it has the unknown form ${JSON.stringify(form)}`)
}
