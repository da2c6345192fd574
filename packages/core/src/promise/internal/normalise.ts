/** Makes JSON of a value, or says which part of it is none. */
import { render } from "../../internal/checkpointer/plain.ts"
import type { Json } from "../Json.ts"

/** Why a value is not JSON, and where. */
export class NotJson {
  readonly path: ReadonlyArray<PropertyKey>
  readonly detail: string

  constructor(path: ReadonlyArray<PropertyKey>, detail: string) {
    this.path = path
    this.detail = detail
  }

  at(base: string): string {
    return `${render(base, this.path)}: ${this.detail}`
  }
}

const maxDepth = 1000

const hints: Readonly<Record<string, string>> = {
  Date: "store toISOString()",
  Map: "store [...map]",
  Set: "store [...set]",
  URL: "store href",
  Promise: "await it",
  Generator: "store [...it]",
  AsyncGenerator: "collect what it yields"
}

const hintFor = (name: string): string => (Object.hasOwn(hints, name) ? `; ${hints[name]}` : "")

const nameOf = (value: object): string => {
  const { constructor } = value as { readonly constructor?: { readonly name?: unknown } }
  if (typeof constructor?.name === "string" && constructor.name !== "") return constructor.name
  // Generators have no constructor with a name.
  const tag = Object.prototype.toString.call(value).slice("[object ".length, -1)
  return tag === "Object" ? "a class" : tag
}

const isPlain = (value: object): boolean => {
  const prototype: unknown = Object.getPrototypeOf(value)
  // Also of another realm: a test runner has its own `Object`.
  return prototype === null || prototype === Object.prototype || Object.getPrototypeOf(prototype) === null
}

const copy = (value: unknown, path: Array<PropertyKey>): Json => {
  const wrong = (detail: string): never => {
    throw new NotJson(path.slice(0, 20), detail)
  }
  switch (typeof value) {
    case "string":
    case "boolean":
      return value
    case "number":
      return Number.isFinite(value) ? value : wrong(`${value} is not JSON`)
    case "object":
      break
    default:
      return wrong(
        value === undefined ? "undefined is not JSON" : `a ${typeof value} is not JSON`
      )
  }
  if (value === null) return null
  if (path.length >= maxDepth) return wrong("it is nested too deeply, or contains itself")
  const child = (key: PropertyKey, one: unknown): Json => {
    path.push(key)
    const made = copy(one, path)
    path.pop()
    return made
  }
  if (Array.isArray(value)) return Array.from(value, (one: unknown, index) => child(index, one))
  if (!isPlain(value)) {
    const name = nameOf(value)
    return wrong(`an instance of ${name} is not JSON${hintFor(name)}`)
  }
  const [symbol] = Object.getOwnPropertySymbols(value)
  if (symbol !== undefined) return wrong(`its key ${String(symbol)} is not JSON`)
  const made: Record<string, Json> = {}
  for (const [key, one] of Object.entries(value)) {
    // As everybody expects of JSON: what is absent and what is undefined are the same.
    if (one !== undefined) Object.defineProperty(made, key, { value: child(key, one), ...own })
  }
  return made
}

/** `__proto__` is a key like any other. */
const own = { enumerable: true, configurable: true, writable: true }

/** A copy of the value that is JSON. Throws {@link NotJson}, whatever the value does when it is looked at. */
export const normalise = (value: unknown): Json => {
  const path: Array<PropertyKey> = []
  try {
    return copy(value, path)
  } catch (error) {
    throw error instanceof NotJson ? error : new NotJson(path.slice(0, 20), `looking at it threw ${textOf(error)}`)
  }
}

const textOf = (error: unknown): string => {
  try {
    return String(error)
  } catch {
    return "something"
  }
}
