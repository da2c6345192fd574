import { spawnSync } from "node:child_process"
import { join } from "node:path"
import { assert, describe, inject, it } from "vitest"
import type { Line } from "../src/Forge.ts"
import * as Release from "../src/Release.ts"

const patience = 120_000
const undisturbed = [
  "asked list_changes",
  "asked write_notes + tag_release",
  "did write_notes",
  "did tag_release",
  "asked announce",
  "did announce",
  "asked the answer"
]
const said = (attempts: number) => ({ status: "ok", result: "Version 1.2.0 is out.", attempts })
const did = (lines: ReadonlyArray<Line>) => lines.filter(({ what }) => what === "did").map(({ name }) => name)

describe("a release", () => {
  it("asks its model four times, and does three things", async () => {
    const played = await Release.play(inject("releaseStore"), "release_0")
    assert.deepStrictEqual(played.lines.map(({ name, what }) => `${what} ${name}`), undisturbed)
    assert.deepStrictEqual([played.killed, JSON.parse(played.said)], [false, said(1)])
  }, patience)

  it.each(undisturbed.map((line, index) => [line, index + 1] as const))(
    "whose process is killed with SIGKILL when it has just %s does everything once",
    async (_, killAt) => {
      const { killed, lines, said: last } = await Release.play(inject("releaseStore"), `release_${killAt}`, killAt)
      const shown = lines.map(({ attempt, name, what }) => `${attempt}: ${what} ${name}`)
      assert.isTrue(killed)
      assert.deepStrictEqual(JSON.parse(last), said(2), shown.join("\n"))
      assert.deepStrictEqual(did(lines).toSorted(), ["announce", "tag_release", "write_notes"], shown.join("\n"))
      assert.lengthOf(new Set(lines.map(({ pid }) => pid)), 2)
      // What the store had acknowledged is not asked for again: of the turn that was under way alone nobody knows.
      const before = shown.filter((line) => line.startsWith("1: asked")).slice(0, -1).map((line) => line.slice(3))
      const after = new Set(shown.filter((line) => line.startsWith("2: asked")).map((line) => line.slice(3)))
      assert.deepStrictEqual(before.filter((line) => after.has(line)), [], shown.join("\n"))
    },
    patience
  )

  it("is shown by the demo, which ends with 0", () => {
    const demo = spawnSync(process.execPath, [
      "--conditions=@everbeat/source",
      join(import.meta.dirname, "../src/demo.ts")
    ], { encoding: "utf8", env: { ...process.env, EVERBEAT_STORE: inject("releaseStore") } })
    const lines = demo.stdout.trim().split("\n")
    assert.deepStrictEqual(
      JSON.parse(lines.at(-1) ?? ""),
      { killed: true, ...said(2), did: 3, repeated: 0 },
      demo.stdout
    )
    assert.include(demo.stdout, "is killed with SIGKILL")
    assert.strictEqual(demo.status, 0, demo.stderr)
  }, patience)
})
