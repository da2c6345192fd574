/** A file of JSON lines that only grows. A line is in it when the disk says so. */
import { DateTime, Duration } from "effect"
import { closeSync, fdatasyncSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs"

/** One transition: when it was, by the clock of the store, and what it was told. */
export interface Entry {
  readonly at: number
  readonly name: string
  readonly input: ReadonlyArray<unknown>
}

export interface Journal {
  /** What was in the file. */
  readonly entries: ReadonlyArray<Entry>
  /** Throws when the line is not on the disk; then it is as if it had never been written. */
  readonly append: (entry: Entry) => void
  readonly close: () => void
}

export const open = (file: string): Journal => {
  const descriptor = openSync(file, "a+")
  const text = readFileSync(descriptor, "utf8")
  // A process that died while it wrote has left half a line: nobody was told that it is stored.
  const whole = text.slice(0, text.lastIndexOf("\n") + 1)
  let size = Buffer.byteLength(whole)
  ftruncateSync(descriptor, size)
  const entries = whole.split("\n").filter((line) => line !== "").map((line): Entry => JSON.parse(line, revive))
  return {
    entries,
    append: (entry) => {
      const line = Buffer.from(`${JSON.stringify(plain(entry))}\n`)
      try {
        for (let written = 0; written < line.length;) written += writeSync(descriptor, line, written)
        fdatasyncSync(descriptor)
      } catch (error) {
        ftruncateSync(descriptor, size)
        throw error
      }
      size += line.length
    },
    close: () => closeSync(descriptor)
  }
}

/** Times and lengths of time are the only values of a store that are not JSON. */
const plain = (value: unknown): unknown => {
  if (Duration.isDuration(value)) return { $millis: Duration.toMillis(value) }
  if (DateTime.isDateTime(value)) return { $at: DateTime.toEpochMillis(value) }
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]))
}

const revive = (_key: string, value: unknown): unknown => {
  if (typeof value !== "object" || value === null) return value
  if ("$millis" in value) return Duration.millis(Number(value.$millis))
  return "$at" in value ? DateTime.makeUnsafe(Number(value.$at)) : value
}
