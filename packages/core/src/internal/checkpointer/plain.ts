/** Which part of a value JSON cannot hold. `JSON.stringify` would drop or change it without a word. */

export interface Offence {
  readonly path: ReadonlyArray<PropertyKey>
  readonly detail: string
}

const maxDepth = 10_000

const kindOf = (value: unknown): string | undefined => {
  switch (typeof value) {
    case "string":
    case "boolean":
      return undefined
    case "number":
      return Number.isFinite(value) ? undefined : `${value} is not JSON`
    case "object": {
      if (value === null || Array.isArray(value)) return undefined
      const prototype: unknown = Object.getPrototypeOf(value)
      if (prototype === Object.prototype || prototype === null) {
        const [symbol] = Object.getOwnPropertySymbols(value)
        return symbol === undefined ? undefined : `its key ${String(symbol)} is not JSON`
      }
      return `an instance of ${value.constructor?.name ?? "a class"} is not JSON`
    }
    default:
      return value === undefined ? "undefined is not JSON" : `a ${typeof value} is not JSON`
  }
}

interface Frame {
  readonly value: object
  readonly keys: ReadonlyArray<string> | undefined
  index: number
}

const frameOf = (value: object): Frame => ({
  value,
  keys: Array.isArray(value) ? undefined : Object.keys(value),
  index: 0
})

/** Finds the first part that JSON cannot hold. Without recursion: what is nested too deeply is found, too. */
export const offence = (root: unknown): Offence | undefined => {
  const top = kindOf(root)
  if (top !== undefined) return { path: [], detail: top }
  if (typeof root !== "object" || root === null) return undefined
  const frames: Array<Frame> = [frameOf(root)]
  const ancestors = new Set<object>([root])
  const pathTo = (): Array<PropertyKey> =>
    frames.map(({ index, keys }) => (keys === undefined ? index - 1 : keys[index - 1] ?? ""))
  for (let frame = frames.at(-1); frame !== undefined; frame = frames.at(-1)) {
    const { index, keys, value } = frame
    if (index >= (keys ?? (value as ReadonlyArray<unknown>)).length) { // without keys it is an array
      frames.pop()
      ancestors.delete(value)
      continue
    }
    frame.index++
    const child: unknown = Reflect.get(value, keys === undefined ? index : keys[index] ?? "")
    const detail = kindOf(child)
    if (detail !== undefined) return { path: pathTo(), detail }
    if (typeof child !== "object" || child === null) continue
    if (ancestors.has(child)) return { path: pathTo(), detail: "it contains itself" }
    if (frames.length >= maxDepth) return { path: pathTo().slice(0, 20), detail: "it is nested too deeply" }
    frames.push(frameOf(child))
    ancestors.add(child)
  }
  return undefined
}

/** `messages[3]`, `["parts", 0, "a b"]` -> `messages[3].parts[0]["a b"]`. */
export const render = (base: string, path: ReadonlyArray<PropertyKey>): string =>
  path.reduce<string>((text, key) => {
    if (typeof key === "number" || (typeof key === "string" && /^\d+$/.test(key))) return `${text}[${key}]`
    const name = String(key)
    return /^[A-Za-z_$][\w$]*$/.test(name) ? `${text}.${name}` : `${text}[${JSON.stringify(name)}]`
  }, base)
