import { assert, describe, it } from "@effect/vitest"
import { Lanes } from "../src/internal/lanes.ts"

describe("lanes", () => {
  it("let a few statements out at a time, and one of each kind at least", () => {
    const lanes = new Lanes()
    let mine = 0
    while (lanes.isOpen(mine)) {
      lanes.enter()
      mine++
    }
    assert.strictEqual(mine, 3)
    assert.isTrue(lanes.isOpen(0), "another kind has none under way")
    lanes.enter()
    lanes.leave()
    assert.isFalse(lanes.isOpen(mine))
    lanes.leave()
    assert.isTrue(lanes.isOpen(mine - 1))
  })

  it("share out what waits, but not what is little, and everything when all are taken", () => {
    const lanes = new Lanes()
    assert.deepStrictEqual([1, 10, 48].map((waiting) => lanes.share(waiting)), [1, 10, 16])
    lanes.enter()
    assert.deepStrictEqual([1, 10, 48].map((waiting) => lanes.share(waiting)), [1, 10, 24])
    for (let more = 0; more < 3; more++) lanes.enter()
    assert.strictEqual(lanes.share(48), 48)
  })

  it("let each kind go on first in its turn", () => {
    const lanes = new Lanes()
    const seen: Array<string> = []
    for (const kind of ["begin", "save", "settle"]) lanes.onLeave(() => seen.push(kind))
    for (let time = 0; time < 3; time++) {
      lanes.enter()
      lanes.leave()
    }
    assert.deepStrictEqual(new Set([seen[0], seen[3], seen[6]]), new Set(["begin", "save", "settle"]))
  })
})
