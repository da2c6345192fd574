/**
 * Texts that PostgreSQL refuses, made storable: NUL is no character of `text`,
 * and a lone surrogate has no UTF-8. Both are written as a mark and four hex
 * digits; so are the mark itself and what stands between the texts of many
 * requests, which no prose contains.
 */

const mark = "\u0010"

/** Stands between texts that are sent as one, so that none needs quotes: JSON would be a fifth longer with them. */
export const separator = "\u001e"

/** Stands for a text that is absent among them. */
export const absent = "\u001f"

const unsafe = new RegExp(`[\0${mark}${separator}${absent}\\p{Surrogate}]`, "gu")

const escaped = new RegExp(`${mark}([0-9a-f]{4})`, "g")

const isSafe = (text: string): boolean =>
  !text.includes("\0") && !text.includes(mark) && !text.includes(separator) && !text.includes(absent) &&
  !/\p{Surrogate}/u.test(text)

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
