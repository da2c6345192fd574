/// <reference lib="es2024.string" />
/**
 * Redis keeps bytes, and the client sends UTF-8, which has no lone surrogates:
 * they are escaped. Nearly every text is stored as it is.
 */

/** Begins an escaped text, and each escape in it: a private character, which no text is likely to begin with. */
const mark = "\ue000"
const markCode = mark.charCodeAt(0)

const loneOrMark = /[\ud800-\udfff\ue000]/gu
const escaped = /\ue000([0-9a-f]{4})/gu

/** A text as Redis can keep it. */
export const encode = (text: string): string =>
  text.charCodeAt(0) === markCode || !text.isWellFormed()
    ? mark + text.replace(loneOrMark, (char) => mark + char.charCodeAt(0).toString(16).padStart(4, "0"))
    : text

/** The text that was encoded. */
export const decode = (stored: string): string =>
  stored.startsWith(mark)
    ? stored.slice(1).replace(escaped, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    : stored
