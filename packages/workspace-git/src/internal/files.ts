import { Buffer } from "node:buffer"
import { lstatSync } from "node:fs"
import { encodePath } from "./bytes.ts"

const isAbsence = (error: unknown): boolean =>
  error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR")

/**
 * The size of the file or link at a path below the top, whose bytes need be no
 * text. `undefined` when there is none. What cannot be looked at is there: git
 * will say what is wrong with it.
 */
export const sizeOf = (top: string, path: string): number | undefined => {
  try {
    const stat = lstatSync(Buffer.concat([Buffer.from(`${top}/`), encodePath(path)]))
    return stat.isDirectory() ? undefined : stat.size
  } catch (error) {
    return isAbsence(error) ? undefined : 0
  }
}
