import { describe, expect, it } from "vitest"
import { filesOf, textOf } from "./support/workspace.ts"

const text = textOf("SECURITY.md")

/** Each test that the document names: a file in code quotes, then titles in quotes, until the next file. */
const named = Array.from(text.matchAll(/`((?:packages|test)\/[\w./-]+\.test\.ts)`((?:[\s,;]+"[^"]+")+)/g)).flatMap(
  ([, file = "", titles = ""]) =>
    Array.from(titles.matchAll(/"([^"]+)"/g)).map(([, title = ""]) => ({
      file,
      title: title.replaceAll(/\s+/g, " ")
    }))
)

describe("SECURITY.md", () => {
  it("names tests for its threats", () => {
    expect(named.length).toBeGreaterThan(50)
  })

  it.for(named)("$file has “$title”, and runs it", ({ file, title }) => {
    expect(filesOf(file)).toEqual([file])
    const tests = textOf(file)
    // In the quotes of a title, and not in a comment.
    const titles = tests.match(/^(?!\s*(?:\/\/|\*)).*["'`].*$/gm) ?? []
    expect(titles.some((line) => line.includes(title))).toBe(true)
    expect(tests).not.toMatch(/\.(?:skip|skipIf|runIf|todo|fails|only)\b/)
  })

  it("says of every threat what an attacker can do or what we do, and what proves it", () => {
    const threats = text.split("\n### ").slice(1).map((part) => part.split("\n## ")[0] ?? "")
    expect(threats.length).toBeGreaterThan(10)
    const unproved = threats.filter((threat) => !threat.includes(".test.ts`") && !threat.includes("The linter forbids"))
    expect(unproved.map((threat) => threat.split("\n")[0])).toEqual([])
  })
})
