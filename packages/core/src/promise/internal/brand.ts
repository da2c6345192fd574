/** What is behind a store or a workspace, and whether it is of the same copy of everything. */
import * as Layer from "effect/Layer"
import type { Check } from "./checks.ts"

export const StoreTypeId = "~everbeat/core/promise/Store"
export const WorkspaceTypeId = "~everbeat/core/promise/Workspace"

export interface Branded<R> {
  readonly layer: Layer.Layer<R, unknown>
  /** The copy of this package that made it. */
  readonly copy: object
}

const copy = {}

export const brand = <R, E>(layer: Layer.Layer<R, E>): Branded<R> => ({ layer, copy })

const read = (value: unknown, key: string): unknown => {
  try {
    return typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined
  } catch {
    return undefined
  }
}

/** The prototype of the layers of this copy of Effect: of two copies, services of one are not services of the other. */
const prototype: unknown = Object.getPrototypeOf(Layer.empty)

/** Says what is expected of a branded value, and which package is there twice. */
export const branded = (typeId: string, expected: string): Check => (value) => {
  const found = read(value, typeId)
  if (found === undefined) return expected
  if (read(found, "copy") !== copy) {
    return `${expected}, made with the same copy of @everbeat/core: two are installed, see npm ls @everbeat/core`
  }
  const layer = read(found, "layer")
  return typeof layer === "object" && layer !== null && Object.getPrototypeOf(layer) === prototype
    ? undefined
    : `${expected}, made with the same copy of effect: two are installed, see npm ls effect`
}

export const layerCheck: Check = (value) => {
  if (!Layer.isLayer(value)) return "a Layer of Effect"
  return Object.getPrototypeOf(value) === prototype
    ? undefined
    : "a Layer of the same copy of effect: two are installed, see npm ls effect"
}
