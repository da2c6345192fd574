import { assert, describe, it } from "@effect/vitest"
import { kinds, plan, type Planned } from "../faults.ts"
import { size } from "../fleet.ts"
import { random } from "../random.ts"

const first = (seed: number, only = kinds): ReadonlyArray<Planned> => {
  const faults = plan(random(seed), only, size)
  return Array.from({ length: 200 }, () => faults.next().value)
}

describe("the faults of a seed", () => {
  it("are the same each time, with everything that is drawn for them", () => {
    assert.deepStrictEqual(first(7), first(7))
    assert.notDeepEqual(first(7), first(8))
  })

  it("are of every kind within the first round, and hit every worker", () => {
    for (const seed of [1, 2, 3, 4, 5]) {
      assert.sameMembers(Array.from(new Set(first(seed).slice(0, 12).map(({ kind }) => kind))), [...kinds])
      assert.sameMembers(Array.from(new Set(first(seed).map(({ worker }) => worker))), [0, 1, 2, 3])
    }
  })

  it("are of those kinds only that were asked for", () => {
    assert.deepStrictEqual(Array.from(new Set(first(7, ["freezes"]).map(({ kind }) => kind))), ["freezes"])
  })
})
