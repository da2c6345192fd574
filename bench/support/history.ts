/** Messages that runs of a benchmark append. */
import { readFileSync } from "node:fs"

const words =
  "the flight of a customer was delayed and agent looks up reservation 4711 to change seats refund baggage airport"
    .split(" ")

/** The same numbers in every run: mulberry32. */
export const random = (seed: number) => (): number => {
  seed = (seed + 0x6d2b79f5) | 0
  const mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  const twice = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
  return ((twice ^ (twice >>> 14)) >>> 0) / 4_294_967_296
}

/** Encoded messages of exactly 1,024 bytes each. */
const made = (count: number): ReadonlyArray<string> => {
  const next = random(12_345)
  return Array.from({ length: count }, (_, index) => {
    const empty = JSON.stringify({ role: index % 2 === 0 ? "assistant" : "tool", content: "" }).length
    let content = `${index}`
    while (content.length < 1024) content += ` ${words[Math.floor(next() * words.length)]}`
    return JSON.stringify({ role: index % 2 === 0 ? "assistant" : "tool", content: content.slice(0, 1024 - empty) })
  })
}

const messagesOf = (run: unknown): ReadonlyArray<unknown> => {
  if (Array.isArray(run)) return run
  if (typeof run === "object" && run !== null) {
    for (const name of ["traj", "messages"]) {
      const messages: unknown = Reflect.get(run, name)
      if (Array.isArray(messages)) return messages
    }
  }
  return [run]
}

/** A JSON array of runs (each has `traj` or `messages`, or is the array itself), or one message per line. */
const read = (file: string): ReadonlyArray<string> => {
  const text = readFileSync(file, "utf8").trim()
  const messages = text.startsWith("[")
    ? messagesOf(JSON.parse(text)).flatMap(messagesOf)
    : text.split("\n").filter((line) => line.trim() !== "").map((line): unknown => JSON.parse(line))
  if (messages.length === 0) throw new Error(`${file} has no messages`)
  return messages.map((message) => JSON.stringify(message))
}

/** Two messages for each turn, from the start again when a file has fewer. */
export const turnsOf = (count: number, file: string | undefined): ReadonlyArray<ReadonlyArray<string>> => {
  const messages = file === undefined ? made(2 * count) : read(file)
  const message = (index: number): string => messages[index % messages.length] ?? ""
  return Array.from({ length: count }, (_, turn) => [message(2 * turn), message(2 * turn + 1)])
}

/** The runs of a file, each with its messages; a file of one message per line is one run. */
export const runsOf = (file: string): ReadonlyArray<ReadonlyArray<unknown>> => {
  const text = readFileSync(file, "utf8").trim()
  if (!text.startsWith("[")) return [text.split("\n").map((line): unknown => JSON.parse(line))]
  const parsed: unknown = JSON.parse(text)
  return Array.isArray(parsed) ? parsed.map(messagesOf) : []
}

const next = random(4711)

/** Who comes after whom is left to chance: a server that was asked a moment ago is awake. */
export const shuffled = <A>(values: ReadonlyArray<A>): ReadonlyArray<A> =>
  values.map((value) => ({ value, at: next() })).toSorted((a, b) => a.at - b.at).map(({ value }) => value)

export const bytesOf = (rows: ReadonlyArray<string>): number =>
  rows.reduce((bytes, row) => bytes + Buffer.byteLength(row), 0)
