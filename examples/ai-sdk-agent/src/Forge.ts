/** What the agent changes: a forge that outlives every process. Here it is a file. */
import { appendFileSync, existsSync, readFileSync } from "node:fs"

/** One line of the journal: a question to the model, or something that was done. */
export interface Line {
  readonly pid: number
  readonly attempt: number
  readonly what: "asked" | "did"
  readonly name: string
}

const file = process.env["FORGE"] ?? "forge.jsonl"

export const lines = (path: string = file): ReadonlyArray<Line> =>
  existsSync(path)
    ? readFileSync(path, "utf8").split("\n").filter((line) => line !== "").map((line): Line => JSON.parse(line))
    : []

/** What was done so far, by anybody. */
export const done = (): ReadonlyArray<string> => lines().filter(({ what }) => what === "did").map(({ name }) => name)

/** Writes a line. Where the environment says so, the process is killed right after it. */
export const write = (attempt: number, what: Line["what"], name: string): void => {
  const line: Line = { pid: process.pid, attempt, what, name }
  appendFileSync(file, `${JSON.stringify(line)}\n`)
  if (String(lines().length) === process.env["KILL_AT"]) process.kill(process.pid, "SIGKILL")
}
