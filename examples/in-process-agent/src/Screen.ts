/** What a person sees of the demo. */
import type { Line } from "./Journal.ts"
import * as Script from "./Script.ts"

/** An unfinished line: the process and the attempt whose iterations it counts. */
let open = ""

const write = (text: string): void => void process.stdout.write(text)

const close = (): void => {
  if (open !== "") write("\n")
  open = ""
}

export const print = (text = ""): void => {
  close()
  write(`${text}\n`)
}

export const scene = (title: string): void => print(`\n── ${title} ${"─".repeat(Math.max(0, 100 - title.length))}`)

/** Prints a text of several lines behind a margin, and says how much of it is not shown. */
export const quote = (text: string, most: number): void => {
  const lines = text.split("\n").filter((line) => line.trim() !== "")
  for (const line of lines.slice(0, most)) print(`   │ ${line.length > 110 ? `${line.slice(0, 107)}...` : line}`)
  if (lines.length > most) print(`   │ ... and ${lines.length - most} more lines`)
}

/** Says whether something holds. */
export const verdict = (what: string, holds: boolean): void => print(`   ${holds ? "✓" : "✗ NOT AS PROMISED:"} ${what}`)

/** Follows a run: the iterations that were acknowledged stand in one line for each attempt. */
export const follow = (line: Line): void => {
  switch (line.event) {
    case "attempt":
      return print(
        `   process ${line.pid} begins attempt ${line.attempt} (${line.reason}) after iteration ${line.iteration}` +
          (line.attempt === 1 ? "" : line.inPlace ? ", files in place" : ", files restored into a fresh worktree")
      )
    case "saved": {
      const owner = `${line.pid} ${line.attempt}`
      if (open !== owner) {
        close()
        write(`   saved, of ${Script.steps.length}:`)
      }
      open = owner
      return write(` ${line.iteration}`)
    }
    case "stopped":
      return print(`   process ${line.pid}: attempt ${line.attempt} was stopped (${line.reason})`)
    case "ready":
    case "executing":
    case "ended":
  }
}
