/**
 * Text that somebody else wrote, shown so that it cannot be taken for ours.
 *
 * Each line of it carries a prefix, so no text inside can start a line of its
 * own, and it stands between two markers with a token that does not occur in it.
 * What a reader does not see, or sees in another order, is spelled out.
 */
import type { Json } from "effect/Schema"
import { fnv1a } from "../fnv.ts"

const encoder = new TextEncoder()

export const bytesOf = (text: string): number => encoder.encode(text).length

/** Control and format characters (bidi, zero width, tags), line separators, lone surrogates, variation selectors. */
const hidden = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\u{e0100}-\u{e01ef}]/u

/** Joiners are part of words and emoji. */
const shown = new Set(["\u200c", "\u200d"])

const spelled = (char: string): string => {
  if (char === "\n") return "\\n"
  return char === "\t" ? "\\t" : `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`
}

/** One character of a text of several lines, whose line breaks are `\n`. */
const inBody = (prefix: string) => (char: string): string => {
  if (char === "\n") return `\n${prefix}`
  return char === "\t" || shown.has(char) || !hidden.test(char) ? char : spelled(char)
}

/** One character of a name, in quotes. */
const inName = (char: string): string => {
  if (char === "\"" || char === "\\") return `\\${char}`
  return hidden.test(char) ? spelled(char) : char
}

/** What `bytesOf` says, without an array for each letter. */
const sizeOf = (piece: string): number => piece.length === 1 && piece < "\u0080" ? 1 : bytesOf(piece)

/** Where the character that ends before `end` starts. */
const before = (text: string, end: number): number => {
  const low = text.charCodeAt(end - 1)
  const high = end > 1 ? text.charCodeAt(end - 2) : 0
  return low >= 0xdc00 && low <= 0xdfff && high >= 0xd800 && high <= 0xdbff ? end - 2 : end - 1
}

/**
 * The characters of a text, each rendered, in so many bytes. What is too much is
 * left out of the middle, and said.
 */
const fit = (
  text: string,
  maxBytes: number,
  render: (char: string) => string,
  mark: (note: string) => string
): string => {
  let whole = 0
  let all = ""
  for (const char of text) {
    const piece = render(char)
    whole += sizeOf(piece)
    if (whole > maxBytes) break
    all += piece
  }
  if (whole <= maxBytes) return all

  // The longest that the note can be, so that what it takes is known before what it says.
  const room = Math.max(0, maxBytes - bytesOf(mark(note(text.length * 3))))
  let start = 0
  let head = ""
  for (let left = Math.ceil(room / 2); start < text.length;) {
    const char = String.fromCodePoint(text.codePointAt(start) ?? 0)
    const piece = render(char)
    left -= sizeOf(piece)
    if (left < 0) break
    head += piece
    start += char.length
  }
  let end = text.length
  const tail: Array<string> = []
  for (let left = Math.floor(room / 2); end > start;) {
    const from = before(text, end)
    const piece = render(text.slice(from, end))
    left -= sizeOf(piece)
    if (left < 0) break
    tail.push(piece)
    end = from
  }
  return head + mark(note(bytesOf(text.slice(start, end)))) + tail.toReversed().join("")
}

const note = (bytes: number): string => `… ${bytes} bytes left out …`

/** A text as lines that all have the prefix, in so many bytes with it. */
export const body = (text: string, maxBytes: number, prefix = "| "): string =>
  prefix + fit(
    text.replace(/\r\n?/g, "\n"),
    maxBytes - prefix.length,
    inBody(prefix),
    (note) => `\n${prefix}${note}\n${prefix}`
  )

const plain = /^[\w./@+~#%=:,-]+$/

/** A name on one line: as it is when it is harmless, else in quotes with what is special spelled out. */
export const name = (text: string, maxBytes: number): string =>
  plain.test(text) && text.length <= maxBytes ? text : `"${fit(text, maxBytes - 2, inName, (note) => note)}"`

const inJson = (char: string): string => hidden.test(char) ? spelled(char) : char

/** A JSON value on one line. */
export const json = (value: Json, maxBytes: number): string =>
  fit(JSON.stringify(value), maxBytes, inJson, (note) => note)

/** A token that occurs in none of the texts, the same for the same texts. */
export const tokenFor = (texts: ReadonlyArray<string>): string => {
  const all = texts.join("\n").toLowerCase()
  for (let round = 0;; round++) {
    const token = fnv1a(`${round} ${all}`).toString(16).padStart(8, "0")
    if (!all.includes(token)) return token
  }
}

/** Puts a body between the markers. */
export const fenced = (token: string, what: string, body: string): string =>
  `<<< data ${token}: ${what}\n${body}\n>>> end of data ${token}`
