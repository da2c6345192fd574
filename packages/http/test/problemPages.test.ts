import { assert, describe, it } from "@effect/vitest"
import { Problem } from "@everbeat/http"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

const folder = join(import.meta.dirname, "../../../docs/problems")
const slugs = Problem.table.map(({ type }) => type.slice("https://everbeat.dev/problems/".length))

describe("the pages of the problems", () => {
  for (const [index, { name, status, title, type }] of Problem.table.entries()) {
    it(`${slugs[index]} says what happened and what to do`, () => {
      const page = readFileSync(join(folder, `${slugs[index]}.md`), "utf8")
      assert.isTrue(page.startsWith(`# ${title}\n`))
      for (const part of [`\`${status}\``, type, `Problem.${name}`, "## What happened", "## What to do"]) {
        assert.include(page, part)
      }
    })
  }

  it("are listed in one table, and there is no other page", () => {
    const list = readFileSync(join(folder, "README.md"), "utf8")
    for (const slug of slugs) assert.include(list, `(${slug}.md)`)
    assert.deepStrictEqual(
      readdirSync(folder).toSorted(),
      [...slugs.map((slug) => `${slug}.md`), "README.md"].toSorted()
    )
  })
})
