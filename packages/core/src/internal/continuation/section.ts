/**
 * A block of a continuation: what we say, then what we only show.
 */
import { fenced } from "./fence.ts"

export interface Section {
  readonly heading: string
  /** What we say ourselves. */
  readonly intro: string
  /** What somebody else may have written. It is fenced when the token is known, which depends on all that is fenced. */
  readonly data: ReadonlyArray<{ readonly what: string; readonly body: string }>
}

export const show = (section: Section | undefined, token: string): string => {
  if (section === undefined) return ""
  const { data, heading, intro } = section
  const said = intro === "" ? heading : `${heading}\n${intro}`
  return [said, ...data.map(({ body, what }) => fenced(token, what, body))].join("\n")
}

/** So many lines; the last one says how many there are no more. */
export const limited = (
  lines: ReadonlyArray<string>,
  max: number,
  what: string,
  total: number = lines.length
): ReadonlyArray<string> => {
  if (total <= lines.length && lines.length <= max) return lines
  const kept = lines.slice(0, max - 1)
  return [...kept, `… ${total - kept.length} more ${what}`]
}
