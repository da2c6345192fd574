import { describe, expect, it } from "vitest"
import { quickstartOf } from "../scripts/quickstart.ts"
import { textOf } from "./support/workspace.ts"

const fence = "```"
const section = `# Title

## Quickstart

${fence}sh
npm install a b
${fence}

Save this as \`first.mjs\`, and run it:

${fence}ts
console.log(1)
1 // => 1
${fence}

## Quickstart with Effect

Install the same packages. Save this as \`second.ts\`:

${fence}ts
console.log(2)
2 // => 2
${fence}

## Other

${fence}ts
other // => 3
${fence}
`

describe("the quickstarts of a README", () => {
  it("are what its sections say", () => {
    const plain = quickstartOf(section, "Quickstart")
    expect(plain).toEqual({ install: ["a", "b"], file: "first.mjs", code: "console.log(1)\n1 // => 1\n" })
    expect(quickstartOf(section, "Quickstart with Effect", plain)).toEqual({
      install: ["a", "b"],
      file: "second.ts",
      code: "console.log(2)\n2 // => 2\n"
    })
  })

  it.for([
    ["the heading", "## Quickstart\n", "## Start\n", `no heading "## Quickstart"`],
    ["the line to install", "npm install a b", "pnpm add a b", `no line "npm install ..."`],
    ["the name of the file", "Save this as `first.mjs`", "Save this", "no \"Save this as `...`\""],
    ["the code", `${fence}ts\nconsole.log(1)`, `${fence}js\nconsole.log(1)`, "no ts block"],
    ["a promise", "1 // => 1", "1", "the code promises nothing"],
    ["what is printed", "console.log(1)", "void 1", "the code prints nothing"]
  ])("without %s are a clear failure", ([, from = "", to = "", message]) => {
    expect(section).toContain(from)
    expect(() => quickstartOf(section.replace(from, to), "Quickstart")).toThrow(message)
  })

  it("are there in both styles", () => {
    const readme = textOf("README.md")
    const plain = quickstartOf(readme, "Quickstart")
    expect(plain.code).toContain(`from "@everbeat/core/promise"`)
    expect(quickstartOf(readme, "Quickstart with Effect", plain).code).toContain(`from "effect"`)
  })
})
