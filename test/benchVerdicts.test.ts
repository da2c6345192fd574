import { describe, expect, it } from "vitest"
import { ratios } from "../bench/support/ratios.ts"
import { numbersOf, unkept } from "../bench/support/verdicts.ts"

const limit = { name: "ready", value: 3, operator: "<=", limit: 2 } as const

describe("the verdict of the benchmarks", () => {
  it("misses a number that could not be measured, instead of leaving it out", () => {
    expect(numbersOf({ passesVsDbos: NaN, recoverySeconds: undefined, saveSlope: 1 })).toEqual({
      found: { saveSlope: 1 },
      without: ["passesVsDbos", "recoverySeconds"]
    })
    expect(numbersOf({ saveSlope: Infinity }).without).toEqual(["saveSlope"])
  })

  it("misses a promise that is not kept, whichever direction is good", () => {
    expect(unkept({ limits: [] }, { passesVsDbos: 9, saveVsFloor: 1.5, redisSaveVsFloor: 1.6 })).toEqual([
      "passesVsDbos is 9",
      "redisSaveVsFloor is 1.6"
    ])
  })

  it("misses a limit of a suite that is no ratio", () => {
    expect(unkept({ limits: [{ ...limit, holds: false }] }, {})).toEqual(["ready is 3, and not <= 2"])
    expect(unkept({ limits: [{ ...limit, holds: true }] }, {})).toEqual([])
  })

  it("has a target in the direction that is good", () => {
    const wrong = Object.entries(ratios).filter(([, { better, target }]) =>
      target !== undefined && !target.operator.startsWith(better === "higher" ? ">" : "<")
    )
    expect(wrong).toEqual([])
  })
})
