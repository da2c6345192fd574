/**
 * Texts that PostgreSQL refuses, made storable: NUL is no character of `text`,
 * and a lone surrogate has no UTF-8. Both are written as a mark and four hex
 * digits; so is the mark itself, which no prose contains.
 */

const mark = "\u0010"

const unsafe = new RegExp(`[\0${mark}\\p{Surrogate}]`, "gu")

const escaped = new RegExp(`${mark}([0-9a-f]{4})`, "g")

const isSafe = (text: string): boolean => !text.includes("\0") && !text.includes(mark) && !/\p{Surrogate}/u.test(text)

export const escape = (text: string): string =>
  isSafe(text)
    ? text
    : text.replace(unsafe, (char) => mark + char.charCodeAt(0).toString(16).padStart(4, "0"))

export const unescape = (text: string): string =>
  text.includes(mark)
    ? text.replace(escaped, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)))
    : text

/** `null` is what a statement takes for an absent value. */
export const escapeOptional = (text: string | undefined): string | null => text === undefined ? null : escape(text)
