import { describe, expect, it } from "vitest"
import { filesOf, textOf } from "./support/workspace.ts"

const maxLines = 400

const lines = (text: string): number => text.split("\n").length - (text.endsWith("\n") ? 1 : 0)

// An absolute path of somebody's machine.
const machinePath = /(?<![\w.:/-])\/(?:home|root|Users|work|tmp|mnt|private|workspaces?)\/[\w.]|\b[A-Z]:\\/

/** Whether a text names a path of a machine, or one that leaves the repository. */
const namesMachinePath = (file: string, text: string): boolean =>
  machinePath.test(text)
  || Array.from(text.matchAll(/(?:\.\.\/)+/g)).some(([up]) => up.length / 3 > file.split("/").length - 1)

describe("the sources", () => {
  it(`have at most ${maxLines} lines`, () => {
    const long = filesOf("packages/*/src/**/*.ts")
      .map((file) => ({ file, lines: lines(textOf(file)) }))
      .filter(({ lines }) => lines > maxLines)
    expect(long).toEqual([])
  })
})

describe("the published text", () => {
  it.for(["see /home/me/everbeat", "`/Users/me/x`", "in /tmp/fresh.", "C:\\Users\\me", "read ../../../notes.md"])(
    "has a check that finds %j",
    (text) => {
      expect(namesMachinePath("docs/guides/page.md", text)).toBe(true)
    }
  )

  it.for([
    "POST /api/agents/triage/heartbeat",
    "https://example.com/home/page",
    "packages/core/tmp/x",
    "../../README.md"
  ])(
    "has a check that allows %j",
    (text) => {
      expect(namesMachinePath("docs/guides/page.md", text)).toBe(false)
    }
  )

  it("mentions no path of a machine", () => {
    const files = filesOf(
      "*.md",
      "docs/**/*.md",
      ".changeset/*.md",
      "packages/*/*.{md,json}",
      "packages/*/src/**/*.ts",
      "examples/**/*.{ts,md,json}"
    )
    expect(files.filter((file) => namesMachinePath(file, textOf(file)))).toEqual([])
  })
})
