import { Buffer } from "node:buffer"

/**
 * git's paths are bytes, not text. Inside this package a path is a string with
 * one character per byte, so that none is changed on its way.
 */
export const encodePath = (path: string): Buffer => Buffer.from(path, "latin1")

const utf8 = new TextDecoder("utf-8", { fatal: true })

/** The text of a path, or `undefined` when its bytes are no UTF-8. */
export const toText = (path: string): string | undefined => {
  try {
    return utf8.decode(encodePath(path))
  } catch {
    return undefined
  }
}

/** A path for people: as it is, or quoted as git quotes what is no UTF-8. */
export const display = (path: string): string =>
  toText(path)
    ?? `"${
      path.replace(
        /["\\]|[^ -~]/g,
        (char) => char === "\"" || char === "\\" ? `\\${char}` : `\\${char.charCodeAt(0).toString(8).padStart(3, "0")}`
      )
    }"`

/** Input of a command that reads paths with `-z`. */
export const pathList = (paths: Iterable<string>): Buffer => {
  let text = ""
  for (const path of paths) text += `${path}\0`
  return encodePath(text)
}

/** The elements of an output with `-z`. */
export const split = (out: string): Array<string> => out.split("\0").filter((element) => element !== "")
